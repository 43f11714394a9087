"""What K++ costs, on the machine at hand: one table, the goals beside it.

python tools/bench.py                   all of it, into results/bench/; up to 25 minutes on two quiet cores
python tools/bench.py --only step       one part: step, cost, memory, switches, widgets, faults, gpu
python tools/bench.py --gpu --out FILE  what fits two minutes of a lent GPU
python tools/bench.py --quick           tiny sizes, to see that it runs; its numbers mean nothing
python tools/bench.py --docs            the tables of docs/performance.md anew, from results/bench/

Medians with their quartiles. On a CPU: ratios of processor time on one thread, taken in turn. The exit status is 1
where a kill or a draw found a fault; a goal of speed that is missed is only told, since machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import bench_cost
import bench_docs
import bench_faults
import bench_gpu
import bench_step
import torch
from bench_rows import HEAD, Row, show

from kpp_lib import Config
from kpp_lib.tour.page import processor
from kpp_lib.training.provenance import commit

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("step", "cost", "memory", "switches", "widgets", "faults", "gpu")
BOTH = (("paper", "paper"), ("paper", "allocated"), ("cpu", "paper"), ("cpu", "allocated"))
ON_CPU = ("channels_last", "fused")  # switches of a step that a CPU knows


def measure(part: str, quick: bool, gpu: str | None) -> list[Row]:
    """The rows of one part. `gpu`: the device of the part gpu; None: there is none."""
    repeats = 2 if quick else 15
    if part == "step":
        return bench_step.over_resnet("cpu", repeats, *((("tiny",), 16) if quick else ()))
    if part == "cost":
        return cost(repeats, quick)
    if part == "memory":
        return bench_cost.memory("cpu", (("tiny", "paper"),) if quick else BOTH)
    if part == "switches":
        config = Config.preset("tiny" if quick else "cpu")
        rows = bench_step.switches("cpu", repeats, config, ON_CPU)
        return rows if quick else rows + bench_step.compiled("cpu", repeats, config)
    if part == "widgets":
        import bench_widgets  # needs the notebooks' packages

        return bench_widgets.rows(2 if quick else 20)
    if part == "faults":
        return bench_faults.rows(list(bench_faults.COMMANDS), quick)
    return bench_gpu.rows(gpu, quick) if gpu else []


def cost(repeats: int, quick: bool) -> list[Row]:
    """Against T, K and the size of the memory; five sizes each."""
    lengths, reads = ((2, 3, 4, 6, 8), (1, 2, 3, 4, 5)) if quick else (bench_cost.LENGTHS, bench_cost.READS)
    preset, rows = "tiny" if quick else "cpu", []
    for recipe in ("paper", "allocated"):
        rows.append(bench_cost.by_length("cpu", repeats, recipe, preset, lengths))
        rows.append(bench_cost.by_reads("cpu", repeats, recipe, preset, reads))
    return rows + bench_cost.by_memory("cpu", repeats)


def machine(gpu: str | None) -> str:
    """The machine in words."""
    if gpu and gpu.startswith("cuda"):
        return torch.cuda.get_device_name(gpu)
    return processor()


def report(rows: list[Row], gpu: str | None, began: float, options: str) -> dict[str, Any]:
    """What is written: the rows and what they were measured on."""
    return {
        "hardware": machine(gpu),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - began),
        "options": options,
        "rows": [r.to_dict() for r in rows],
    }


def slug(words: str) -> str:
    """ "Intel(R) Xeon(R) CPU @ 2.20GHz" -> "intel-xeon-cpu-2-20ghz"."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", words.lower())).strip("-")


def main(argv: list[str] | None = None) -> int:
    """Measure, print, write; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; nothing is kept")
    parser.add_argument("--gpu", action="store_true", help="two minutes on a GPU")
    parser.add_argument("--device", help="of the part gpu (default: cuda where there is one)")
    parser.add_argument("--out", type=Path, help="the JSON (default: results/bench/MACHINE.json for a full run)")
    parser.add_argument("--docs", action="store_true", help="only write the tables of docs/performance.md")
    args = parser.parse_args(argv)
    if args.docs:
        return bench_docs.write(ROOT)
    gpu = args.device or ("cuda" if torch.cuda.is_available() else None)
    if args.gpu and not gpu:
        parser.error("--gpu: there is no CUDA device here")
    torch.set_num_threads(1)
    began, rows = time.monotonic(), []
    kept = not (args.quick or args.only)
    out = args.out or (ROOT / "results" / "bench" / f"{slug(machine(gpu))}.json" if kept else None)
    options = " ".join(sys.argv[1:] if argv is None else argv)
    print(HEAD, flush=True)
    for part in ["gpu"] if args.gpu else args.only or PARTS:
        rows += (found := bench_gpu.short(gpu) if args.gpu and not args.quick else measure(part, args.quick, gpu))
        if found:
            print(show(found), flush=True)
        if out:  # after each part: a run that is cut off leaves what it has
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(report(rows, gpu, began, options), indent=1) + "\n", encoding="utf-8")
    if out:
        print(f"written to {out}")
    with_goal = [r for r in rows if r.goal is not None]
    missed, broken = [r.name for r in with_goal if not r.met], [r for r in rows if r.part == "faults" and not r.met]
    print(f"{len(with_goal) - len(missed)} of {len(with_goal)} goals met" + "".join(f"\n  missed: {m}" for m in missed))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
