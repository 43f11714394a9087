"""Running one notebook: in this interpreter, in its own folder, with time and memory measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

CELL_SECONDS = 6 * 3600  # a hung cell fails in the end; full training, the longest honest one, takes a few hours


class PeakMemory:
    """Peak resident memory, in MiB, of the processes started inside the `with` (the kernel and its children).

    Sampled five times a second and summed over processes, so shared pages count more than once: an upper estimate.
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
                    total += 0 if child.pid in self._before else child.memory_info().rss
                except self._psutil.Error:  # it ended between the listing and the question
                    continue
            self.mib = max(self.mib, total / 2**20)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _kernel_manager() -> type:
    """A kernel manager that starts this very interpreter, whatever the machine calls python3."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class CurrentInterpreter(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            if self.has_trait("transport_encryption"):  # newer Jupyter; without it every kernel prints a warning
                self.transport_encryption = "auto"

        @property
        def kernel_spec(self) -> KernelSpec:
            # The command line starts with sys.executable. The kernel's own log speaks of starting and stopping, in the
            # middle of our progress lines; what a cell prints or raises does not go through it.
            return KernelSpec(**get_kernel_dict(["--log-level=CRITICAL"]))

    return CurrentInterpreter


def execute(notebook: Path, executed: Path, parameters: dict[str, Any]) -> tuple[float, float, Exception | None]:
    """Run one notebook in its own folder; returns seconds, peak MiB, and what stopped it (None: nothing did)."""
    import papermill

    executed.unlink(missing_ok=True)  # or a crash before the first save would leave yesterday's copy to be read
    stopped: Exception | None = None
    start = time.perf_counter()
    with PeakMemory() as memory:
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters=parameters,
                cwd=notebook.parent,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                execution_timeout=CELL_SECONDS,
                kernel_manager_class=_kernel_manager(),
            )
        except Exception as error:  # a broken notebook must not keep the others from running; it is reported by name
            stopped = error
    return time.perf_counter() - start, memory.mib, stopped
