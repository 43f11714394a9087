"""The record of a training run: log.csv on disk, and a progress bar with the three terms of the bound."""

from __future__ import annotations

import csv
from pathlib import Path

from tqdm import tqdm

from ..bound import Bound

COLUMNS = ["step", "split", "total", "recon", "kl_z", "kl_y", "beta_y", "lr", "seconds"]


class RunLog:
    """log.csv (nats per image, one row a report) and the bar. Only the main process (`rank` 0) writes and shows."""

    def __init__(self, out: Path, rank: int, quiet: bool, start: int) -> None:
        self.file, self.main, self.quiet = out / "log.csv", rank == 0, quiet or rank > 0
        if self.main:
            out.mkdir(parents=True, exist_ok=True)
            kept = (
                [r for r in read_log(self.file) if int(r["step"]) <= start] if start else []
            )  # a stopped run went further
            with open(self.file, "w", newline="") as f:
                writer = csv.DictWriter(f, COLUMNS)
                writer.writeheader()
                writer.writerows(kept)

    def bar(self, start: int, stop: int) -> tqdm:
        """The steps still to do, with a progress bar around them."""
        self.progress = tqdm(
            range(start, stop), initial=start, total=stop, disable=self.quiet, unit="step", mininterval=1.0
        )
        return self.progress

    def write(self, step: int, split: str, bound: Bound, beta_y: float, lr: float, seconds: float) -> None:
        """One row, for a bound averaged over images; also shown beside the bar."""
        if not self.main:
            return
        terms = {name: float(getattr(bound, name).detach()) for name in ("total", "recon", "kl_z", "kl_y")}
        with open(self.file, "a", newline="") as f:
            row = [step, split, *(f"{v:.4f}" for v in terms.values()), f"{beta_y:.3f}", f"{lr:.3g}", f"{seconds:.1f}"]
            csv.writer(f).writerow(row)
        self.progress.set_postfix({k: f"{v:.1f}" for k, v in terms.items() if k != "total"}, refresh=False)


def read_log(file: str | Path) -> list[dict[str, str]]:
    """The rows of a log.csv; none if there is no such file."""
    if not Path(file).exists():
        return []
    with open(file, newline="") as f:
        return list(csv.DictReader(f))
