"""python tools/bench_surface.py --draws 5000 --seed 0: how calls of the public surface end; status 1 if one is a fault.

One line per kind: right, clear, obscure, wrong (see surface.py); the last two are faults, and the goal is none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from surface import KINDS, run
from surface_all import DOORS


def main() -> int:
    """Draw, print, and say whether there were faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="doors whose name has this in it")
    parser.add_argument("--faults", type=int, default=20, help="how many faults to print")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    began, doors = time.monotonic(), [d for d in DOORS if args.only in d.name]
    tally = run(doors, args.draws, args.seed)
    faults = tally.counts["obscure"] + tally.counts["wrong"]
    counts = {kind: tally.counts[kind] for kind in KINDS}
    if args.json:
        print(json.dumps(counts | {"draws": sum(counts.values()), "doors": len(doors), "seed": args.seed}))
    else:
        print(
            f"{sum(counts.values()):,} draws at {len(doors)} doors, seed {args.seed}, {time.monotonic() - began:.0f} s"
        )
        for kind, count in counts.items():
            print(f"  {kind:8s} {count:6,d}{'   goal 0' if kind in KINDS[2:] else ''}")
    for fault in tally.faults[: args.faults]:
        print(fault, file=sys.stderr)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
