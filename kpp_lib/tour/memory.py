"""How much memory a notebook takes, and how much it may: mybinder.org gives 2 GB to everything together."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

MIB = 2**20
# A kernel's peak. PyTorch with CUDA maps libraries of several hundred MiB at import, before the notebook does anything.
CPU_LIMIT = 1.6e9 / MIB
GPU_LIMIT = 2.0e9 / MIB


def limit() -> float:
    """What a notebook's kernel may take with this build of torch, in MiB."""
    import torch

    gpu = torch.version.cuda or torch.version.hip or torch.backends.mps.is_built()
    return GPU_LIMIT if gpu else CPU_LIMIT


def over(name: str, peak: float, allowed: float | None) -> list[str]:
    """One line if the peak of notebook `name` is above `allowed`, both in MiB (None: there is no limit)."""
    if not allowed or peak <= allowed:
        return []
    return [f"{name}: peak memory {peak:.0f} MiB, above the limit of {allowed:.0f} MiB; `--memory-limit 0` lifts it"]


class PeakMemory:
    """Peak resident memory, in MiB, of the processes started inside the `with` (the kernel and its children).

    The sum over processes of what each had at its own peak, so an upper estimate. Linux and Windows remember the peak
    of a process; elsewhere it is sampled five times a second, and a short one may be missed.
    """

    def __enter__(self) -> PeakMemory:
        import threading

        import psutil

        self._psutil, self.mib = psutil, 0.0
        self._before = {child.pid for child in psutil.Process().children(recursive=True)}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            total = 0
            for child in self._psutil.Process().children(recursive=True):
                try:
                    total += 0 if child.pid in self._before or _newborn(child) else peak_of(child)
                except self._psutil.Error:  # it ended between the listing and the question
                    continue
            self.mib = max(self.mib, total / MIB)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _newborn(process: Any) -> bool:
    """Between fork and exec a process shows its parent's memory as its own."""
    return time.time() - process.create_time() < 0.1


def peak_of(process: Any) -> int:
    """The most that a process has had so far, in bytes; where the system does not remember, what it has now."""
    now = process.memory_info()
    if sys.platform != "linux":
        return getattr(now, "peak_wset", now.rss)
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it ended
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
    return 1024 * int(found.group(1)) if found else now.rss
