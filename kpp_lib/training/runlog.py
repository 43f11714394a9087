"""The record of a training run: log.csv on disk, a progress bar with the three terms of the bound, and trackers."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator
from pathlib import Path

import torch
from tqdm import tqdm

from ..bound import Bound
from ..config import Config
from ..likelihood import bits_per_dim, scores_bits
from .meter import Meter

TERMS = ("total", "recon", "kl_z", "kl_y")
CLOCK = ("seconds", "images_per_second", "mfu")  # what differs between two runs that are the same
COLUMNS = ["step", "split", *TERMS, "beta_y", "lr", *CLOCK]
FORMATS = dict.fromkeys(TERMS, ".4f") | {"beta_y": ".3f", "lr": ".3g", "seconds": ".1f"}
FORMATS |= {"images_per_second": ".0f", "mfu": ".3f", "bits_per_dim": ".5f"}

Tracker = Callable[[int, str, dict[str, float]], object]  # of step, split ("train", "valid") and numbers by name


class RunLog:
    """log.csv (nats per image, one row a report) and the bar. Only the main process (`rank` 0) writes and shows.

    With likelihood="logistic_mixture" the total is there as `bits_per_dim`, too. A row of "train" has the images a
    second since the one before, validations and saves left out, and on a GPU the share of its peak (`meter.Meter`).
    `trackers` are called with each row.
    """

    def __init__(
        self,
        out: Path,
        rank: int,
        quiet: bool,
        start: int,
        meter: Meter,
        config: Config,
        trackers: tuple[Tracker, ...] = (),
    ) -> None:
        self.file, self.main, self.quiet = out / "log.csv", rank == 0, quiet or rank > 0
        self.meter, self.trackers, self.config = meter, trackers, config
        self.columns = COLUMNS if scores_bits(config) else [*COLUMNS, "bits_per_dim"]
        if self.main:
            out.mkdir(parents=True, exist_ok=True)
            kept = (
                [r for r in read_log(self.file) if int(r["step"]) <= start] if start else []
            )  # a stopped run went further
            with open(self.file, "w", newline="") as f:
                writer = csv.DictWriter(f, self.columns)
                writer.writeheader()
                writer.writerows(kept)

    def bar(self, start: int, stop: int) -> Generator[int]:
        """The steps still to do, with a progress bar around them."""
        self.progress = tqdm(
            range(start, stop), initial=start, total=stop, disable=self.quiet, unit="step", mininterval=1.0
        )
        for step in self.progress:
            self.meter.start(step)
            yield step

    def write(self, step: int, split: str, bound: Bound, beta_y: float, lr: float, seconds: float) -> None:
        """One row, for a bound averaged over images; also shown beside the bar."""
        if not self.main:
            return
        values = torch.stack([getattr(bound, name).detach() for name in TERMS]).tolist()  # one wait for the device
        numbers = dict(zip(TERMS, values, strict=True)) | {"beta_y": beta_y, "lr": lr, "seconds": seconds}
        if not scores_bits(self.config):
            numbers["bits_per_dim"] = bits_per_dim(numbers["total"], self.config)
        if split == "train":
            numbers |= self.meter.read(step)
        else:
            self.meter.pause()
        row = {name: format(value, FORMATS[name]) for name, value in numbers.items()}
        with open(self.file, "a", newline="") as f:
            csv.DictWriter(f, self.columns).writerow({"step": step, "split": split} | row)
        for tracker in self.trackers:
            tracker(step, split, numbers)
        self._show(numbers)

    def _show(self, numbers: dict[str, float]) -> None:
        beside = {k: f"{numbers[k]:.1f}" for k in TERMS if k != "total"}
        if "bits_per_dim" in numbers:
            beside["bits/dim"] = f"{numbers['bits_per_dim']:.3f}"
        if "images_per_second" in numbers:
            beside["images/s"] = f"{numbers['images_per_second']:.0f}"
        if "mfu" in numbers:
            beside["of peak"] = f"{100 * numbers['mfu']:.0f} %"
        self.progress.set_postfix(beside, refresh=False)


def trackers(out: Path, main: bool, tensorboard: bool, on_log: Tracker | None) -> tuple[Tracker, ...]:
    """Who is told of each row: TensorBoard, with files in `out`/tensorboard, and the caller. ValueError without it."""
    if not main:
        return ()
    return (*([_tensorboard(out / "tensorboard")] if tensorboard else []), *([on_log] if on_log else []))


def _tensorboard(folder: Path) -> Tracker:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "tensorboard: got True, but that package is not installed; expected it: pip install tensorboard, or "
            "kpp-lib[tensorboard]"
        ) from error
    writer = SummaryWriter(folder)

    def write(step: int, split: str, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            writer.add_scalar(f"{name}/{split}" if name in (*TERMS, "bits_per_dim") else name, value, step)
        writer.flush()

    return write


def read_log(file: str | Path) -> list[dict[str, str]]:
    """The rows of a log.csv; none if there is no such file."""
    if not Path(file).exists():
        return []
    with open(file, newline="") as f:
        return list(csv.DictReader(f))
