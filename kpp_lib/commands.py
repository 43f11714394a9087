"""What each command of `kpp` does, its arguments parsed; `cli.py` has the arguments."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from typing import Any

from .config import Config
from .data.images import load_dataset
from .evaluation.evaluate import evaluate
from .evaluation.report import load_report, markdown, text
from .evaluation.studies import STUDIES
from .training.checkpoint import load_card, load_model
from .training.fit import fit
from .training.provenance import commit, data_card


def run_study(args: argparse.Namespace) -> None:
    """`kpp study`: JSON, the rows with what they were measured on."""
    model, card = load_model(args.checkpoint, args.device), load_card(args.checkpoint)
    if model.config.write == "none":
        raise ValueError(f"--checkpoint: got {args.checkpoint}, a model without a memory, expected one that has one")
    bits = "none" if args.study == "cleanup" else "fixed"  # noise goes on grey pictures
    data = load_dataset(args.dataset, bits, quiet=True)
    if args.study == "cleanup":
        baseline = args.baseline or card.get("baseline")
        rows = STUDIES["cleanup"](model, data.test, load_model(baseline, args.device) if baseline else None)
    else:
        rows = STUDIES[args.study](model, data.test)
    about = {"study": args.study, "checkpoint": args.checkpoint, "data": data_card(data), "commit": commit()}
    print(json.dumps(about | {"rows": rows}, indent=1))


def run_train(args: argparse.Namespace) -> None:
    """`kpp train`."""
    config = Config.preset(args.preset, args.recipe, **overrides(args.set))
    data = load_dataset(args.dataset, args.binarize)
    options = {k: getattr(args, k) for k in ("device", "minutes", "eval_every", "tensorboard", "quiet")}
    model = fit(config, data, args.out, **options)
    print(
        f"best model in {args.out}/best ({sum(p.numel() for p in model.parameters()) / 1e6:.2f} million weights); "
        f"next: kpp evaluate --checkpoint {args.out} --dataset {args.dataset}"
    )


def run_evaluate(args: argparse.Namespace) -> None:
    """`kpp evaluate`."""
    model = load_model(args.checkpoint, args.device)
    data = load_dataset(args.dataset, args.binarize, quiet=args.json)
    scores = args.scores and tuple(args.scores)
    baseline = args.baseline or load_card(args.checkpoint).get("baseline")
    rival = load_model(baseline, args.device) if baseline else None
    orders, limit = (1, 1024) if args.quick else (args.orders, None)
    report = evaluate(model, data, args.length, orders, scores=scores, limit=limit, quiet=args.json, baseline=rival)
    report |= {"checkpoint": args.checkpoint, "baseline": baseline}
    print(json.dumps(report, indent=1) if args.json else text(report))


def run_table(args: argparse.Namespace) -> None:
    """`kpp table`."""
    print(markdown([load_report(file) for file in args.reports], args.scores))


def overrides(pairs: list[str]) -> dict[str, Any]:
    """["steps=500", "widths=[8,8,8,8]"] -> {"steps": 500, ...}; values are JSON, or plain words."""
    known, settings = {f.name for f in fields(Config)}, {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in known:
            raise ValueError(
                f"--set: got {pair!r}, expected FIELD=VALUE with a field of Config: {', '.join(sorted(known))}"
            )
        try:
            settings[name] = json.loads(text)
        except ValueError:
            settings[name] = text
    return settings
