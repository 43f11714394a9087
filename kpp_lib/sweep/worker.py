"""One run of a sweep in a process of its own: train (or go on), evaluate, leave one result JSON.

python -m kpp_lib.sweep.worker < task      (a line of JSON; then stdin stays open as long as the sweep lives)
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..data.images import ImageSet
from ..evaluation.evaluate import evaluate
from ..evaluation.report import write_text
from ..training.checkpoint import load_card, load_model
from ..training.fit import fit
from ..training.suited import load_for
from .plan import Job, train_command

WAITS = 75  # exit status of a run that is trained and waits for its baseline (EX_TEMPFAIL of sysexits.h)


@dataclass(frozen=True)
class Task:
    """What a worker is told: the job, the folder of the sweep, the command that began it, and its threads (0: torch's
    own choice)."""

    job: Job
    out: str
    command: str
    threads: int

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"job": self.job.to_dict()})

    @classmethod
    def from_json(cls, text: str) -> Task:
        values = json.loads(text)
        return cls(**values | {"job": Job.from_dict(values["job"])})


def result_file(out: str | Path, job_id: str) -> Path:
    """The file that stands for a finished run."""
    return Path(out) / f"{job_id}.json"


def work(task: Task) -> int:
    """Train and evaluate; returns the exit status. Called again, it goes on where it was."""
    job, out = task.job, Path(task.out)
    folder, baseline = out / job.id, job.evaluate["baseline"]
    data = load_for(job.config, job.dataset, job.binarize)
    model = fit(job.config, data, folder, eval_every=job.eval_every, quiet=True)
    if baseline is not None and not result_file(out, baseline).exists():
        print(f"{job.id}: trained; its evaluation waits for {baseline}", flush=True)
        return WAITS
    scored = data if job.test_bits == job.binarize else load_for(job.config, job.dataset, job.test_bits)
    report = _scored(job, model, scored, out)
    result = report | job.to_dict() | _about(task, load_card(folder / "last"))
    write_text(result_file(out, job.id), json.dumps(result, indent=1) + "\n")
    return 0


def _scored(job: Job, model: Any, data: ImageSet, out: Path) -> dict[str, Any]:
    options, device = job.evaluate, next(model.parameters()).device
    rival = options["baseline"] and load_model(out / options["baseline"], device)
    scores = options["scores"] if options["scores"] is None else tuple(options["scores"])
    report = evaluate(
        model,
        data,
        options["length"],
        options["orders"],
        scores=scores,
        limit=options["limit"],
        baseline=rival,
    )
    return report | {"checkpoint": (out / job.id).as_posix(), "baseline": options["baseline"]}


def _about(task: Task, card: dict[str, Any]) -> dict[str, Any]:
    job = task.job
    alone = train_command(job.config.to_dict(), job.dataset, job.binarize, f"runs/{job.id}")
    training = {k: card.get(k) for k in ("step", "seconds", "valid", "best", "data", "hardware", "commit")}
    versions = {"python": sys.version.split()[0], "torch": torch.__version__}
    about = {"run": job.id, "seed": job.config.seed, "command": task.command, "train_command": alone}
    return about | {"training": training, "versions": versions}


def _stop_with_the_sweep() -> None:
    """Read stdin to its end, which comes when the sweep is gone, however it went; then stop as if asked to."""
    while os.read(0, 1024):  # not sys.stdin: its lock would be held at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Entry point of the process."""
    task = Task.from_json(sys.stdin.readline())
    threading.Thread(target=_stop_with_the_sweep, daemon=True).start()
    if task.threads:
        torch.set_num_threads(task.threads)
    try:
        return work(task)
    except Exception as error:
        if isinstance(error, ValueError | RuntimeError | OSError):  # expected kinds say what to do; the rest show where
            print(f"{type(error).__name__}: {' '.join(str(error).split())}", flush=True)
            return 1
        raise


if __name__ == "__main__":
    sys.exit(main())
