"""Running one notebook: in this interpreter, in its own folder, with time and memory measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .memory import PeakMemory

CELL_SECONDS = 6 * 3600  # a hung cell fails in the end; full training, the longest honest one, takes a few hours


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
