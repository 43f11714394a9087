"""The speed run: a memory below GPM's published number on MNIST, and soon. docs/speedrun.md has the rules."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..inputs import check_kind, wrong
from .plan import Job
from .worker import result_file

TOTAL = 31.48  # nats/image on MNIST's released test bits: what the Generative Parametric Memory (GPM) has published
RETRIEVAL = 0.98  # cues shuffled
P = 0.01
SCORES = ("retrieval_shuffled",)  # what a run has to be scored on beside the bound
HEAD = (
    "| run | seeds | total, nats/image | p | retrieval, shuffled | core-minutes | record? |\n"
    "|---|---:|---:|---:|---:|---:|---|"
)


@dataclass(frozen=True)
class Attempt:
    """The finished runs of one name: one number for each seed."""

    name: str
    totals: tuple[float, ...]  # nats/image, mean over the orders
    retrievals: tuple[float, ...]  # shares
    minutes: tuple[float, ...]  # of training, times its threads; validation counts, evaluation does not

    @property
    def p(self) -> float:
        """Of totals as low as these, were the mean over all seeds TOTAL: one-sided t-test; 1 for fewer than three."""
        from scipy.stats import ttest_1samp

        if len(self.totals) < 3:
            return 1.0
        return float(ttest_1samp(self.totals, TOTAL, alternative="less").pvalue)

    @property
    def stands(self) -> bool:
        """Whether it meets the target: the mean total below TOTAL with p < P, and every seed finds its images."""
        return self.p < P and min(self.retrievals) >= RETRIEVAL

    def row(self) -> str:
        """A line of the table whose head is HEAD."""
        spread = f" ± {statistics.stdev(self.totals):.2f}" if len(self.totals) > 1 else ""
        cells = (
            self.name,
            f"{len(self.totals)}",
            f"{statistics.fmean(self.totals):.2f}{spread}",
            f"{self.p:.3g}",
            f"{100 * min(self.retrievals):.1f} % or more",
            f"{statistics.median(self.minutes):.1f}",
            "yes" if self.stands else "no",
        )
        return "| " + " | ".join(cells) + " |"


def check_jobs(jobs: Sequence[Job]) -> None:
    """ValueError unless each run is scored as the rules ask: MNIST's fixed bits, T = 32, all images, five orders."""
    for job in jobs:
        length = job.evaluate["length"] or job.config.length
        scores = job.evaluate["scores"]
        for name, got, expected in (
            ("dataset", job.dataset, "mnist"),
            ("binarize", job.test_bits, "fixed"),
            ("length", length, 32),
            ("orders", job.evaluate["orders"], 5),
            ("limit", job.evaluate["limit"], None),
        ):
            if got != expected:
                raise wrong(f"{job.id}: {name}", got, f"{expected} in a speed run")
        if scores is not None and not set(SCORES) <= set(scores):
            raise wrong(f"{job.id}: scores", ", ".join(scores), f"{', '.join(SCORES)} among them")


def attempts(jobs: Sequence[Job], out: str | Path) -> list[Attempt]:
    """The finished runs of `jobs` in the folder `out`, those of one name together, in the order of the jobs."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for job in jobs:
        file = result_file(check_kind("out", out, (str, Path), "a folder"), job.id)
        if file.exists():
            found.setdefault(job.name, []).append(_numbers(json.loads(file.read_bytes())))
    return [Attempt(name, *zip(*rows, strict=True)) for name, rows in found.items()]


def _numbers(result: dict) -> tuple[float, float, float]:
    training = result["training"]
    threads = re.search(r"(\d+) threads?", training["hardware"])
    minutes = training["seconds"] / 60 * (int(threads[1]) if threads else 1)
    return result["scores"]["total"]["mean"], result["scores"]["retrieval_shuffled"]["mean"], minutes
