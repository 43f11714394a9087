"""How fast mazes are seen: views per second of processor time, on one core; and a whole set, with layouts and walks.

python tools/bench_mazes.py                    at 32 and 64 pixels
python tools/bench_mazes.py --sheet FILE.png   a picture of 64 views and two strips of walks, to look at
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from time import process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import numpy as np

from kpp_lib import seeded
from kpp_lib.data.agent import walk
from kpp_lib.data.layouts import layout
from kpp_lib.data.mazes import COUNTS, FRAMES, SIDE, STRIDE, _made
from kpp_lib.data.raycast import render
from kpp_lib.data.textures import dressed
from kpp_lib.tour.page import processor

GOAL = 2000  # views a second


def views_per_second(size: int, repeats: int = 7) -> list[float]:
    """Of the renderer alone, in a dressed maze whose textures are laid out: one number per repeat."""
    plan = layout(SIDE, 5, "ours")
    scene, poses = dressed(plan, 5), walk(plan, 8 * FRAMES, seeded(5), STRIDE)
    render(scene, poses[:FRAMES], size)
    rates = []
    for _ in range(repeats):
        start = process_time()
        render(scene, poses, size)
        rates.append(len(poses) / (process_time() - start))
    return rates


def seconds_of_set(size: int, share: int = 10) -> float:
    """Processor time of the default set, from a part of it."""
    start = process_time()
    _made(size, 0, [n // share or 1 for n in COUNTS], FRAMES, STRIDE, SIDE, "ours")
    return (process_time() - start) * sum(COUNTS) / sum(n // share or 1 for n in COUNTS)


def sheet(path: str) -> None:
    """64 mazes at 64 pixels, a view of each, and below them two walks at 32."""
    from PIL import Image

    views, strips = [], []
    for number in range(64):
        plan = layout(SIDE, 100 + number)
        views.append(render(dressed(plan, number), walk(plan, 66, seeded(number))[65:], 64))
    for number in (5, 6):
        plan = layout(SIDE, number)
        strips.append(render(dressed(plan, number), walk(plan, 32, seeded(number)), 32))
    tiles = (_tiled(np.concatenate(views), 8), _tiled(np.concatenate(strips), 16))
    Image.fromarray(np.concatenate(tiles)).save(path)


def _tiled(views: np.ndarray, columns: int) -> np.ndarray:
    n, c, high, wide = views.shape
    grid = views.reshape(n // columns, columns, c, high, wide).transpose(0, 3, 1, 4, 2)
    return grid.reshape(n // columns * high, columns * wide, c).repeat(2, 0).repeat(2, 1)


def main() -> None:
    """Print the table, or draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", metavar="FILE")
    args = parser.parse_args()
    if args.sheet:
        return sheet(args.sheet)
    print(f"{processor()}, Python {platform.python_version()}, NumPy {np.__version__}, one core, processor time")
    for size in (32, 64):
        low, middle, high = statistics.quantiles(views_per_second(size), n=4)
        print(
            f"{size} x {size} x 3: {middle:,.0f} views a second ({low:,.0f} to {high:,.0f}), goal {GOAL:,}; "
            f"the set of {FRAMES * sum(COUNTS):,} views with layouts, textures and walks: {seconds_of_set(size):.0f} s"
        )


if __name__ == "__main__":
    main()
