"""What identifies a result: the data, the machine, the code."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from ..data.images import ImageSet

PACKAGE = Path(__file__).resolve().parents[1]


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
    """The git commit of our source, with '+' if the package was changed since; else the installed commit or version.

    A repository that happens to lie around an installed package is not asked: its files are not tracked there.
    """
    try:
        _git("ls-files", "--error-unmatch", "__init__.py")
        changed = _git("status", "--porcelain", "--", ".")  # of this package; notebooks and results do not matter
        return _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return _installed()


def _git(*args: str) -> str:
    # inside a git hook GIT_DIR and its like name another repository than the one around the package
    plain = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return subprocess.run(
        ["git", *args], cwd=PACKAGE, env=plain, capture_output=True, text=True, check=True
    ).stdout.strip()  # fmt: skip


def _installed() -> str:
    """The commit that pip noted when it installed this package from a repository, else the package's version."""
    for found in metadata.distributions(name="kpp-lib", path=[str(PACKAGE.parent)]):  # this one, not one elsewhere
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return json.loads(found.read_text("direct_url.json"))["vcs_info"]["commit_id"][:12]
    return sys.modules[__package__.partition(".")[0]].__version__
