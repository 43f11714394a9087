"""What a check says of an answer: passed, failed (and why), or not written yet."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

PASSED, FAILED, UNWRITTEN = "passed", "failed", "not written yet"
WIDTH = 80  # characters of a printed line


@dataclass(frozen=True, repr=False)
class Verdict:
    """True in an `if` when the answer passed. `str` is what the reader sees, `why` the explanation of a failure."""

    name: str
    state: str  # PASSED, FAILED or UNWRITTEN
    headline: str
    details: tuple[tuple[str, str], ...] = ()  # (label, text)

    def __bool__(self) -> bool:
        return self.state == PASSED

    @property
    def why(self) -> str:
        """Why that mistake usually happens; empty unless the answer failed."""
        return dict(self.details).get("why", "")

    def __str__(self) -> str:
        width = max((len(label) for label, _ in self.details), default=0)
        lines = [f"{self.name}: {self.headline}"]
        for label, text in self.details:
            wrapped = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH - width - 4)]
            lines += [f"  {label if n == 0 else '':{width}}  {part}" for n, part in enumerate(wrapped)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.state}>"

    def _ipython_display_(self) -> None:
        """Nothing: the check has printed the verdict, and a notebook would show it a second time."""
