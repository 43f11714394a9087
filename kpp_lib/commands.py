"""What each command of `kpp` does, its arguments parsed; `cli.py` has the arguments."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from .arguments import check_device, overrides
from .config import Config
from .data.about import about, write_sheet
from .data.load import load_dataset
from .evaluation.evaluate import evaluate
from .evaluation.finding import search, stored
from .evaluation.plane import keys
from .evaluation.report import load_report, load_study, markdown, over_seeds, study_markdown, text, write_text
from .evaluation.studies import capacity, clean_up, memories, perturbation
from .likelihood import binarize_for
from .sweep.plan import read_plan, train_command
from .sweep.pool import Sweep, state, table
from .sweep.speedrun import HEAD, attempts, check_jobs
from .training.checkpoint import load_card, load_model
from .training.device import best_device
from .training.distributed import first_process
from .training.fit import fit
from .training.provenance import commit, data_card
from .training.suited import load_for, suited

STUDIES = {
    "capacity": capacity,
    "cleanup": clean_up,
    "keys": keys,
    "memories": memories,
    "perturbation": perturbation,
    "search": search,
    "stored": stored,
}


def run_study(args: argparse.Namespace) -> None:
    """`kpp study`: JSON, the rows with what they were measured on."""
    model, card = load_model(args.checkpoint, args.device), load_card(args.checkpoint)
    for option, value, studies in (
        ("baseline", args.baseline, ("cleanup", "keys")),
        ("others", args.others, ("stored",)),
    ):
        if value and args.study not in studies:
            raise ValueError(f"--{option}: got {value}, expected none for the study {args.study}")
    if model.config.write == "none":
        raise ValueError(f"--checkpoint: got {args.checkpoint}, a model without a memory, expected one that has one")
    bits = "none" if args.study == "cleanup" else binarize_for(model.config.likelihood, None)
    data = load_for(model.config, args.dataset, bits)
    given: dict[str, Any] = {}
    if args.study in ("cleanup", "keys"):
        baseline = args.baseline or card.get("baseline")
        given["baseline"] = load_model(baseline, args.device) if baseline else None
    if args.study == "keys":  # labels of released bits are guesses
        given["labelled"] = load_for(model.config, args.dataset, "dynamic").train
    if args.study == "stored":
        if args.dataset in args.others:
            raise ValueError(f"--others: got {args.dataset}, whose images are stored, expected other data sets")
        given["others"] = {name: load_for(model.config, name, bits).test for name in args.others}
    rows = STUDIES[args.study](model, data.test, **given)
    options = [f"--{n} {v}" for n, v in (("baseline", args.baseline), ("others", " ".join(args.others))) if v]
    line = " ".join(["kpp study", args.study, "--checkpoint", args.checkpoint, "--dataset", args.dataset, *options])
    about = {"study": args.study, "checkpoint": args.checkpoint, "command": line, "data": data_card(data)}
    _put(json.dumps(about | {"commit": commit(), "rows": rows}, indent=1), args.out)


def run_train(args: argparse.Namespace) -> None:
    """`kpp train`."""
    _device(args)
    given = overrides(args.set)
    chosen = suited(args.dataset, args.binarize, given)
    config = Config.preset(args.preset, args.recipe, **(chosen | given))
    binarize = binarize_for(config.likelihood, args.binarize, "dynamic")
    if chosen and first_process():
        could_be_bits = args.binarize is None and args.dataset != "cifar10"
        told = "; --binarize dynamic makes bits of them" if could_be_bits else ""
        words = ", ".join(f"{name}={value}" for name, value in chosen.items())
        print(f"for images of {args.dataset}: {words}, binarize={binarize}{told}", file=sys.stderr)
    data = load_for(config, args.dataset, binarize, quiet=not first_process())
    names = ("extend", "device", "minutes", "eval_every", "save_every", "tensorboard", "quiet")
    options = {name: getattr(args, name) for name in names}
    model = fit(config, data, args.out, **options)
    if not first_process():
        return
    print(
        f"best model in {args.out}/best ({sum(p.numel() for p in model.parameters()) / 1e6:.2f} million weights); "
        f"next: kpp evaluate --checkpoint {args.out} --dataset {shlex.quote(args.dataset)}"
    )


def _device(args: argparse.Namespace) -> str:
    """--device, else KPP_DEVICE, else the best there is; ValueError for a KPP_DEVICE that is not there."""
    if args.device is None and "KPP_DEVICE" in os.environ:
        check_device("KPP_DEVICE", os.environ["KPP_DEVICE"])
    return args.device or best_device()


def run_data(args: argparse.Namespace) -> None:
    """`kpp data`."""
    grey = None if args.colour is None else not args.colour
    data = load_dataset(args.name, args.binarize or "none", quiet=True, size=args.size, grey=grey)
    if args.sheet:  # first: `| head` may end the printing
        write_sheet(data.train, args.sheet)
    print(about(data))


def run_evaluate(args: argparse.Namespace) -> None:
    """`kpp evaluate`."""
    device = _device(args)
    model = load_model(args.checkpoint, device)
    binarize = binarize_for(model.config.likelihood, args.binarize)
    data = load_for(model.config, args.dataset, binarize, quiet=args.json)
    scores = args.scores and tuple(args.scores)
    baseline = args.baseline or load_card(args.checkpoint).get("baseline")
    rival = load_model(baseline, device) if baseline else None
    orders, limit = (1, 1024) if args.quick else (args.orders, None)
    report = evaluate(model, data, args.length, orders, scores=scores, limit=limit, quiet=args.json, baseline=rival)
    report |= {"checkpoint": args.checkpoint, "baseline": baseline}
    if args.out:
        _put(json.dumps(report, indent=1), args.out)
    print(json.dumps(report, indent=1) if args.json else text(report))


def run_table(args: argparse.Namespace) -> None:
    """`kpp table`."""
    studies = [load_study(file) for file in args.reports]
    if any(studies):
        if not all(studies) or args.scores or args.over_seeds or args.by_run:
            raise ValueError("reports: got studies beside others or their options, expected studies alone")
        _put("\n\n".join(study_markdown(s) for s in studies if s), args.out)
        return
    reports = [load_report(file) for file in args.reports]
    _put(markdown(over_seeds(reports) if args.over_seeds else reports, args.scores, args.by_run), args.out)


def _put(text: str, file: Path | None) -> None:
    """Print, or write to a file, whole or not at all."""
    if file is None:
        print(text)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text + "\n")


def run_speedrun(args: argparse.Namespace) -> int:
    """`kpp speedrun`: the runs, and whether they meet the target; returns 1 if a run failed."""
    began, jobs, out = time.monotonic(), read_plan(args.file), _folder(args)
    check_jobs(jobs)
    command = shlex.join(["kpp", "speedrun", args.file, "--out", str(out)])
    status = Sweep(jobs, out, command, args.workers, args.minutes, began).run()
    print("\n".join(["", HEAD, *(attempt.row() for attempt in attempts(jobs, out))]))
    return status


def _folder(args: argparse.Namespace) -> Path:
    return Path(args.out or f"runs/{Path(args.file).stem}")


def run_sweep(args: argparse.Namespace) -> int:
    """`kpp sweep`; returns 1 if a run failed."""
    began, jobs, out = time.monotonic(), read_plan(args.file), _folder(args)
    if args.list:
        for job in jobs:
            line = train_command(job.config.to_dict(), job.dataset, job.binarize, str(out / job.id))
            print(f"{job.id}: priority {job.priority:g}, {state(job, out, data=False)}: {line}")
        return 0
    command = shlex.join(["kpp", "sweep", args.file, "--out", str(out)])
    status = Sweep(jobs, out, command, args.workers, args.minutes, began).run()
    print(f"\n{table(jobs, out)}\n\nkpp table {shlex.quote(str(out))}/*.json prints all scores")
    return status
