"""Rows of the bench: a median with its quartiles, a goal beside it; timings that are taken in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

import torch


@dataclass(frozen=True)
class Row:
    """One line of the table. `low` and `high` are the quartiles of the `n` values that `value` is the median of."""

    part: str
    name: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    goal: float | None = None  # at most so much; None: only told
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.value <= self.goal

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with four significant digits."""
        short = {name: float(f"{getattr(self, name):.4g}") for name in ("value", "low", "high")}
        return asdict(self) | short | {"met": self.met}


def row(part: str, name: str, values: Sequence[float], unit: str, goal: float | None = None, note: str = "") -> Row:
    """The Row of repeated measurements."""
    low, value, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return Row(part, name, value, low, high, len(values), unit, goal, note)


def now(device: str = "cpu") -> float:
    """Seconds: on a GPU of the wall clock, once it has done all it was given; else of this process's processor time.

    One thread computes here, so both clocks agree on a quiet machine; on a busy one the second still tells the cost.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def seconds(act: Callable[[], Any], device: str = "cpu") -> float:
    """What one call takes."""
    start = now(device)
    act()
    return now(device) - start


def in_turn(acts: Mapping[Any, Callable[[], Any]], repeats: int, device: str = "cpu", warm: int = 2) -> dict:
    """Seconds of each act, `repeats` times A B C A B C ..., so that a machine that gets slower slows them all.

    The first `warm` rounds are left out.
    """
    times: dict[Any, list[float]] = {name: [] for name in acts}
    for _ in range(warm + repeats):
        for name, act in acts.items():
            times[name].append(seconds(act, device))
    return {name: values[warm:] for name, values in times.items()}


def slopes(times: Mapping[int, Sequence[float]]) -> list[float]:
    """The exponent p of seconds ~ size^p, by least squares in logarithms over all sizes: one for each round."""
    xs = [log(size) for size in times]
    fits = []
    for values in zip(*times.values(), strict=True):
        ys = [log(v) for v in values]
        fits.append(statistics.linear_regression(xs, ys).slope)
    return fits


HEAD = f"{'':58}{'median':>9} {'quartiles':>17} {'n':>3}  {'unit':20}{'goal':>8}"


def show(rows: Sequence[Row]) -> str:
    """Lines of the table, under `HEAD`."""
    lines = []
    for part in dict.fromkeys(r.part for r in rows):
        lines.append(part)
        for r in (r for r in rows if r.part == part):
            goal = "" if r.goal is None else f"<= {r.goal:g}"
            verdict = {True: "met", False: "MISSED", None: ""}[r.met]
            spread = f"{r.low:.3g} to {r.high:.3g}" if r.n > 1 else ""
            lines.append(f"  {r.name:56}{r.value:9.3g} {spread:>17} {r.n:3d}  {r.unit:20}{goal:>8} {verdict}".rstrip())
    return "\n".join(lines)
