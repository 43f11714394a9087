"""Ctrl-C and SIGTERM as a question that the loop answers between two steps, where there is something whole to save."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """While this context is open, the first of either signal sets `asked`; a second one stops at once.

    Signal handlers belong to the main thread: in another one this does nothing, and `ask` is the only way to stop. A
    signal that the process was told to ignore (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: set by C code, not to be put back
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def ask(self, number: int = signal.SIGINT) -> None:
        """Ask the loop to stop after this step."""
        self.asked = number

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            self.leave(number)
        self.ask(number)

    def leave(self, number: int | None = None) -> NoReturn:
        """Stop as the signal would have: KeyboardInterrupt, or, for SIGTERM, SystemExit with status 143."""
        if (number or self.asked) == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt(*(["between two steps"] if number is None else []))
