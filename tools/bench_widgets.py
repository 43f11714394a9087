"""How long a move of a slider takes to compute and draw, for every widget of the course, with the shipped weights.

python tools/bench_widgets.py [--moves 20] [--limit 50]

One line a slider or menu: the median and the slowest of its moves, in milliseconds of processor time on one thread. A
busy machine lengthens that by a half at most, and a slowest move now and then by Python's collection of garbage; so the
exit status is 1 if a median is above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from bench_rows import Row, row
from matplotlib.figure import Figure

import kpp_lib as kpp
from kpp_lib.course import widgets

GOAL = 5.0  # empty pictures: 16 ms each where this was set, so a move stays below the 100 ms that a hand feels


def course(seed: int = 0) -> Iterator[tuple[str, Any]]:
    """The widgets of 02, 03, 05 and 06 as their notebooks make them: (notebook and name, widget)."""
    grey = kpp.load_dataset("mnist", "none", offline=True, quiet=True).test
    model, content = kpp.load_pretrained("mnist-cpu"), kpp.load_pretrained("mnist-content-cpu")
    several = torch.cat([kpp.episode(grey, model.config.length, seed=seed + i) for i in range(8)])
    bits = (several > 0.5).float()  # [8, T, 1, 28, 28]
    with torch.no_grad():
        memory, smooth = model.write(bits[:2]), content.write(bits[:1])
        y = model.infer(bits[:1]).q_y.mean[0]  # [T, K, 3]
    yield "02 read", widgets.read(smooth, torch.tensor([0.25, 0.0, 0.0]), 16)
    yield "03 written", widgets.written({"looked up": model, "content": content}, bits)
    cleaned = widgets.clean_up(model, several[0], memory)
    cleaned.controls["step"].value = cleaned.controls["step"].max  # where a new cue takes most iterations
    yield "05 clean_up", cleaned
    yield "06 explore", widgets.explore(model, memory[:1], y[0])
    yield "06 perturb", widgets.perturb(model, memory[:1], y[0])
    yield "06 walk", widgets.walk(model, memory[:1], y[0], y[1])
    yield "06 shake", widgets.shake(model, memory[:1], y[0])


def values(control: Any, count: int) -> list[Any]:
    """`count` values for a slider or menu to move to in turn, each another than the one before it."""
    if isinstance(control.value, float):
        places = [control.min + (control.max - control.min) * (i + 0.4) / count for i in range(count)]
    elif hasattr(control, "min"):
        places = list(range(control.min, control.max + 1))
    else:
        places = list(control.options.values())  # of the dict that `live` was given
    start = next((i for i, value in enumerate(places) if value == control.value), -1) + 1
    return [places[(start + i) % len(places)] for i in range(count)]


def moves(box: Any, control: Any, count: int) -> list[float]:
    """Milliseconds of each of `count` moves of a slider or menu. Raises RuntimeError if one of them draws nothing."""
    times, before = [], box.draws
    for value in values(control, count):
        start = time.process_time()
        control.value = value
        times.append(1e3 * (time.process_time() - start))
    if box.draws != before + count:
        raise RuntimeError(f"{control.description}: {count} moves, {box.draws - before} pictures")
    return times


def rows(count: int) -> list[Row]:
    """For each widget its slowest slider or menu: what a move costs, over an empty picture drawn in between."""
    blank, found = Figure(figsize=(8.4, 2.75)), []  # as wide as what the widgets draw
    blank.add_axes((0, 0, 1, 1))
    for name, box in course():
        slowest: tuple[list[float], list[float]] = ([0.0], [1.0])
        for control in box.controls.values():
            empty = [_ms(lambda: widgets.png(blank)) for _ in range(count)]
            moved = moves(box, control, count)
            if statistics.median(moved) > statistics.median(slowest[0]):
                slowest = (moved, empty)
        moved, typical = slowest[0], statistics.median(slowest[1])
        note = f"{statistics.median(moved):.0f} ms"
        found.append(row("widgets", f"a move of {name}", [m / typical for m in moved], "x empty picture", GOAL, note))
    return found


def _ms(act: Callable[[], Any]) -> float:
    start = time.process_time()
    act()
    return 1e3 * (time.process_time() - start)


def main(argv: list[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--limit", type=float, default=50.0, help="milliseconds for the median (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    slow = []
    print(f"{'widget':14}{'moved':12}{'median':>8}{'slowest':>9}  ms of one thread, {args.moves} moves")
    for name, box in course():
        for label, control in box.controls.items():
            times = moves(box, control, args.moves)
            median = statistics.median(times)
            slow += [f"{name} {label}"] if median > args.limit else []
            print(f"{name:14}{label:12}{median:8.0f}{max(times):9.0f}", flush=True)
    print(f"above {args.limit:g} ms: {', '.join(slow)}" if slow else f"every median is at most {args.limit:g} ms")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
