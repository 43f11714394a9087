"""How long a move of a slider takes to compute and draw, for every widget of the course, with the shipped weights.

python tools/bench_widgets.py [--moves 20] [--limit 50]

One line a slider: the median and the slowest of its moves, in milliseconds of processor time on one thread (a busy
machine does not lengthen it). Exit status 1 if a median is above the limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

import kpp_lib as kpp
from kpp_lib import widgets


def course(seed: int = 0) -> Iterator[tuple[str, Any]]:
    """The widgets of 02, 03, 05 and 06 as their notebooks make them: (notebook and name, widget)."""
    grey = kpp.load_dataset("mnist", "none", offline=True, quiet=True).test
    model, content = kpp.load_pretrained("mnist-cpu"), kpp.load_pretrained("mnist-content-cpu")
    two = torch.cat([kpp.episode(grey, model.config.length, seed=seed + i) for i in range(2)])
    bits = (two > 0.5).float()  # [2, T, 1, 28, 28]
    with torch.no_grad():
        memory, smooth = model.write(bits), content.write(bits[:1])
        y = model.infer(bits[:1]).q_y.mean[0]  # [T, K, 3]
    yield "02 read", widgets.read(smooth, torch.tensor([0.25, 0.0, 0.0]), 16)
    yield "03 written", widgets.written({"looked up": model, "content": content}, bits)
    yield "05 clean_up", widgets.clean_up(model, two[0], memory)
    yield "06 explore", widgets.explore(model, memory[:1], y[0])
    yield "06 perturb", widgets.perturb(model, memory[:1], y[0])
    yield "06 walk", widgets.walk(model, memory[:1], y[0], y[1])
    yield "06 shake", widgets.shake(model, memory[:1], y[0])


def moves(control: Any, count: int) -> list[float]:
    """Milliseconds of each of `count` moves of a slider, spread over its range."""
    times, kind = [], type(control.value)
    for i in range(count):
        start = time.process_time()
        control.value = kind(control.min + (control.max - control.min) * (i + 0.5) / count)
        times.append(1e3 * (time.process_time() - start))
    return times


def main(argv: list[str] | None = None) -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--limit", type=float, default=50.0, help="milliseconds for the median (default: %(default)s)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    slow = []
    print(f"{'widget':14}{'slider':12}{'median':>8}{'slowest':>9}  ms of one thread, {args.moves} moves")
    for name, box in course():
        for label, control in box.controls.items():
            if not hasattr(control, "min"):  # a menu
                continue
            times = moves(control, args.moves)
            median = statistics.median(times)
            slow += [f"{name} {label}"] if median > args.limit else []
            print(f"{name:14}{label:12}{median:8.0f}{max(times):9.0f}", flush=True)
    print(f"above {args.limit:g} ms: {', '.join(slow)}" if slow else f"every median is at most {args.limit:g} ms")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
