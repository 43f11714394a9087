"""python tools/bench_kills.py [--kills N] [--seed S]: training and saving, killed. Prints one line; status 0: no fault.

Two kinds of SIGKILL. *Random*: a process that trains a tiny model, with a save after every step, is killed at a moment
drawn by the seed, and started again, until it is done; the folder must be, file by file and bit by bit, that of a run
that nobody killed. *Inside a save*: see bench_kills_inside.py. It needs fork, so no Windows.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torchvision  # noqa: F401  here, once: else each child would spend most of its life on it, and be killed there
from compare_runs import differences

import kpp_lib as kpp

INSIDE = Path(__file__).with_name("bench_kills_inside.py")
CONFIG = kpp.Config.preset("tiny", "paper", steps=10, episodes=2)


def pictures(n: int, seed: int) -> kpp.Images:
    """n binary pictures of noise."""
    bits = torch.rand(n, 1, 28, 28, generator=kpp.seeded(seed)) < 0.2
    return kpp.Images(bits.to(torch.uint8), None, binary=True)


def train(out: Path) -> None:
    """The run that is killed. In a process of its own: the one that forks runs no tensor, so that it has no threads."""
    torch.set_num_threads(1)
    data = kpp.ImageSet("noise", pictures(40, 0), pictures(16, 1), pictures(16, 2), "made", "fixed", "made", "")
    kpp.fit(CONFIG, data, out, quiet=True, device="cpu", log_every=1, eval_every=4, save_every=0.0)


def random_kills(n: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """How many kills hit a run at work, and what was wrong afterwards."""
    fork, draw, killed, faults = multiprocessing.get_context("fork"), random.Random(seed), 0, []

    def go(out: Path, moment: float | None = None) -> bool:
        """Whether the run in `out` came to its end."""
        nonlocal killed
        process = fork.Process(target=train, args=(out,))
        process.start()
        process.join(moment)
        if process.is_alive():
            process.kill()
            process.join()
            killed += 1
            return False
        if process.exitcode:
            faults.append(f"{out.name}: status {process.exitcode}")
        return True

    began = time.monotonic()
    go(folder / "whole")
    usual, number = time.monotonic() - began, 0
    while killed < n and len(faults) < 10:
        out, number = folder / f"killed-{number}", number + 1
        while not go(out, draw.uniform(0, 1.2 * usual) if killed < n else None):
            pass
        faults += [f"{out.name}: {what}" for what in differences(folder / "whole", out)]
    return killed, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="at random moments (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not hasattr(os, "fork"):
        print("no fork on this system: 0 kills, 1 fault")
        return 1
    saves = subprocess.Popen([sys.executable, str(INSIDE)], stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(prefix="kpp-kills-") as folder:
        killed, faults = random_kills(args.kills, args.seed, Path(folder))
    inside, wrong = json.loads(saves.communicate()[0] or '[0, ["the kills inside a save did not end"]]')
    for fault in wrong + faults:
        print(fault, file=sys.stderr)
    number = len(wrong + faults)
    print(f"{killed} kills at random moments, {inside} inside a save: {number} fault{'s' * (number != 1)}")
    return int(number > 0)


if __name__ == "__main__":
    sys.exit(main())
