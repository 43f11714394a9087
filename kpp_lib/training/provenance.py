"""What identifies a result: the data, the machine, the code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import torch

from ..data.images import ImageSet


def data_card(data: ImageSet) -> dict[str, str]:
    """What identifies the data of a result."""
    return {
        "name": data.name,
        "source": data.source,
        "binarize": data.binarize,
        "bits": data.bits,
        "digest": data.digest,
    }


def hardware(device: torch.device, world: int = 1) -> str:
    """The machine of a result, in words."""
    if device.type == "cuda":
        return f"{world} x {torch.cuda.get_device_name(device)}"
    return (
        f"{device.type}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {world} process{'es' * (world > 1)}"
    )


def commit() -> str:
    """The git commit of this code, with '+' if the package was changed since; 'unknown' outside a checkout."""

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".")  # of this package; notebooks and results do not matter
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
