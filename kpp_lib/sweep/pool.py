"""The sweep itself: a worker for each core or GPU, one status line per run, stops that lose nothing.

The state of a sweep is what is on disk: NAME-seedN.json is a finished run, a folder NAME-seedN a begun one. So a sweep
that was stopped, or killed, goes on when the same command is given again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import torch

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from ..data.load import load_dataset
from ..evaluation.report import number
from ..training.checkpoint import CheckpointError, load_card
from ..training.provenance import data_card
from .plan import Job
from .worker import WAITS, Task, result_file

POLL = 0.1  # seconds between two looks at the workers
LOCK, HELD = ".sweep.lock", 30.0  # seconds to wait for the workers of a sweep that was killed
STOP = 60.0  # seconds that a worker has to save, when it is asked to stop
WORKER = [sys.executable, "-m", f"{__package__}.worker"]
AGAIN = 1  # times that a run whose process was killed is begun again


def places(workers: int | None) -> list[dict[str, str]]:
    """Environment variables of each worker: a GPU of its own, or one core.

    More workers than GPUs share them in turn; without `workers` there is one for each GPU, or else for each core.
    """
    gpus = [] if os.environ.get("KPP_DEVICE", "cuda").partition(":")[0] != "cuda" else _gpus()
    if gpus:
        count = workers or len(gpus)
        return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} for i in range(count)]
    count = workers or (1 if torch.backends.mps.is_available() else _cores())
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return [one for _ in range(count)]


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [str(i) for i in range(count)] if not named else [n.strip() for n in named.split(",")][:count]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _data(dataset: str, binarize: str, size: int, grey: bool) -> tuple[dict[str, str], int]:
    """The card of a data set, and how many test images it has; cached, for reading one takes seconds."""
    data = load_dataset(dataset, binarize, quiet=True, size=size, grey=grey)
    return data_card(data), len(data.test)


def _data_of(job: Job, binarize: str) -> tuple[dict[str, str], int]:
    return _data(job.dataset, binarize, job.config.image_size, job.config.channels == 1)


def state(job: Job, out: Path, data: bool = True) -> str:
    """ "finished", "begun" or "to do". Raises ValueError where what is on disk is of another run than `job`.

    data: compare the data, too, and hold the length of an episode against the number of test images.
    """
    file, folder = result_file(out, job.id), out / job.id
    if data:
        _check_length(job)
    if file.exists():
        _same(file, job, *_recorded(file), data)
        return "finished"
    try:
        card = load_card(folder / "last")
    except CheckpointError:
        return "to do"
    _same(folder, job, replace(job, config=job.config.from_dict(card["config"])), card["data"]["digest"], None, data)
    return "begun"


def _check_length(job: Job) -> None:
    length, images = job.evaluate["length"] or job.config.length, _data_of(job, job.test_bits)[1]
    if images < 2 * length:
        raise ValueError(f"{job.id}: length: got T = {length} for {images} test images, expected two episodes' worth")


def _recorded(file: Path) -> tuple[Job, str, str]:
    try:
        result = json.loads(file.read_bytes())
        names = Job.__dataclass_fields__
        job = Job.from_dict({name: result[name] for name in names})
        return job, result["training"]["data"]["digest"], result["data"]["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: no result of a sweep ({error!r}); expected one, or no such file") from error


def _same(at: Path, job: Job, there: Job, trained_on: str, scored_on: str | None, data: bool) -> None:
    there = replace(there, priority=job.priority)  # which changes no number
    old, new = there.to_dict(), job.to_dict()
    changed = [name for name in new["config"] if old["config"][name] != new["config"][name]]
    changed += [name for name in new if name != "config" and old[name] != new[name]]
    if not changed and data:
        wanted = {trained_on: job.binarize, scored_on: job.test_bits}
        changed = ["data" for digest, bits in wanted.items() if digest and _data_of(job, bits)[0]["digest"] != digest]
    if changed:
        raise ValueError(
            f"{at}: a run with other {', '.join(dict.fromkeys(changed))}; expected those of run {job.name!r} to go "
            "on. Give the run another name, or --out another folder"
        )


@contextmanager
def alone(out: Path) -> Iterator[tuple[int, ...]]:
    """Hold the folder of a sweep: the file descriptors that hold it, for the workers to inherit.

    So a folder is held as long as the last worker of a killed sweep saves, and the next sweep waits for that. Raises
    ValueError where another sweep goes on. Without effect on Windows, where a killed sweep's workers die with it.
    """
    if fcntl is None:
        yield ()
        return
    with open(out / LOCK, "w") as file:
        until = time.monotonic() + HELD
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ValueError(f"--out: another sweep is at work in {out}, expected one at a time") from None
                time.sleep(POLL)
        yield (file.fileno(),)


class Sweep:
    """`jobs` in their order, on `workers` processes, for at most `minutes`."""

    def __init__(
        self,
        jobs: list[Job],
        out: Path,
        command: str,
        workers: int | None = None,
        minutes: float | None = None,
        began: float | None = None,
    ) -> None:
        self.jobs, self.out, self.command = jobs, out, command
        self.free, self.began = places(workers), time.monotonic() if began is None else began
        self.deadline = None if minutes is None else self.began + 60 * minutes
        self.ends: dict[str, str] = {}  # id -> finished | failed | stopped
        self.running: dict[str, tuple[subprocess.Popen, TextIO, dict[str, str]]] = {}
        self.waiting = list(jobs)
        self.kills: dict[str, int] = {}

    def run(self) -> int:
        """All jobs; returns 1 if one failed, else 0. Interrupted, it stops the workers and raises again."""
        self.out.mkdir(parents=True, exist_ok=True)
        with alone(self.out) as self.held:
            return self._run()

    def _run(self) -> int:
        states = {job.id: state(job, self.out) for job in self.jobs}
        self.ends = {id: "finished" for id, is_ in states.items() if is_ == "finished"}
        self.waiting = [job for job in self.jobs if job.id not in self.ends]
        begun = sum(is_ == "begun" for is_ in states.values())
        print(
            f"{len(self.jobs)} runs in {self.out}: {len(self.ends)} finished, {begun} begun, "
            f"{len(self.waiting) - begun} to do; workers: {len(self.free)}",
            flush=True,
        )
        try:
            with _sigterm_interrupts():
                self._work()
        except KeyboardInterrupt:
            self._stop(time.monotonic() + STOP)
            print(f"stopped; the same command goes on: {self.command}", flush=True)
            raise
        finally:
            self._stop(time.monotonic())  # after an error nobody is left running
        return int("failed" in self.ends.values())

    def _work(self) -> None:
        while self.waiting or self.running:
            if self.deadline is not None and time.monotonic() > self.deadline - self._reserve():
                self._stop(self.deadline - 1)
                print(f"--minutes: time is up; the same command goes on: {self.command}", flush=True)
                return
            while self.free and (job := self._next()):
                self._begin(job)
            if not self.running:  # what waits, waits for a baseline that failed
                for job in self.waiting:
                    self._end(job, "failed", f"its baseline {job.evaluate['baseline']} has no result")
                return
            time.sleep(POLL)
            self._look()

    def _reserve(self) -> float:
        """Seconds before the deadline at which workers are asked to stop: a tenth of the time, at most 20."""
        return min(20.0, 0.1 * (self.deadline - self.began)) + 1

    def _next(self) -> Job | None:
        """The next job that can begin: one that waits for its baseline is trained first, and comes back."""
        for job in self.waiting:
            baseline = job.evaluate["baseline"]
            if self.ends.get(job.id) != "waits" or self.ends.get(baseline) == "finished":
                self.waiting.remove(job)
                return job
        return None

    def _begin(self, job: Job) -> None:
        place = self.free.pop(0)
        log = open(self.out / f"{job.id}.log", "a", encoding="utf-8")
        package = str(Path(__file__).parents[2])  # where this very code is, whatever the folder at work
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | place | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            pass_fds=self.held,
            start_new_session=True,  # Ctrl-C is for the sweep, which tells the workers
        )
        log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {self.command}; process {process.pid}\n")
        log.flush()
        task = Task(job, str(self.out), self.command, 0 if "CUDA_VISIBLE_DEVICES" in place else 1)
        try:
            process.stdin.write(task.to_json().encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it is dead already: `_look` will see it
        self.running[job.id] = process, log, place

    def _look(self) -> None:
        for job in self.jobs:
            if job.id in self.running and self.running[job.id][0].poll() is not None:
                self._ended(job, self._put_back(job.id))

    def _put_back(self, id: str) -> int:
        process, log, place = self.running.pop(id)
        process.stdin.close()
        log.close()
        self.free.append(place)
        return process.wait()

    def _ended(self, job: Job, status: int) -> None:
        if result_file(self.out, job.id).exists():
            self._end(job, "finished", self._summary(job))
        elif status == WAITS:
            self.ends[job.id] = "waits"
            self.waiting.insert(0, job)
        elif status < 0 and self.kills.get(job.id, 0) < AGAIN:
            self.kills[job.id] = self.kills.get(job.id, 0) + 1
            print(f"{job.id}: killed by signal {-status}; begun again from its checkpoint", flush=True)
            self.waiting.insert(0, job)
        else:
            self._end(job, "failed", f"{self._last_words(job)}; log: {self.out / job.id}.log")

    def _end(self, job: Job, how: str, words: str) -> None:
        self.ends[job.id] = how
        done = sum(end in ("finished", "failed") for end in self.ends.values())
        print(f"[{done}/{len(self.jobs)}] {job.id}: {how}: {words}", flush=True)

    def _summary(self, job: Job) -> str:
        result = json.loads(result_file(self.out, job.id).read_bytes())
        trained = result["training"]
        took = f"{trained['seconds']:,.0f} s for {trained['step']:,} steps, {result['seconds']:,.0f} s to evaluate"
        return f"total {number(result, 'total')} nats/image; {took}"

    def _last_words(self, job: Job) -> str:
        lines = (self.out / f"{job.id}.log").read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no word")[:300]

    def _stop(self, until: float) -> None:
        """Ask all workers to save and stop; kill those that have not by then. One line for each."""
        for process, _, _ in self.running.values():
            process.terminate()
        while any(p.poll() is None for p, _, _ in self.running.values()) and time.monotonic() < until:
            time.sleep(POLL)
        for job in [job for job in self.jobs if job.id in self.running]:
            process = self.running[job.id][0]
            if process.poll() is None:
                process.kill()
            self._put_back(job.id)
            if result_file(self.out, job.id).exists():
                self._end(job, "finished", self._summary(job))
            else:
                self._end(job, "stopped", progress(job, self.out))


def progress(job: Job, out: Path) -> str:
    """How far a run is, from its last checkpoint."""
    try:
        step = load_card(out / job.id / "last")["step"]
    except CheckpointError:
        return "nothing saved yet"
    return f"at step {step:,} of {job.config.steps:,}"


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does; what was there before comes back."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def table(jobs: list[Job], out: Path) -> str:
    """One row a run: where it stands, and what it reached."""
    width = max(len(job.id) for job in jobs)
    rows = [f"{'run':{width}s}  {'steps':>15s}  total, nats/image"]
    for job in jobs:
        file = result_file(out, job.id)
        if file.exists():
            result = json.loads(file.read_bytes())
            rows.append(f"{job.id:{width}s}  {result['training']['step']:>15,}  {number(result, 'total')}")
        else:
            rows.append(f"{job.id:{width}s}  {'':>15s}  {progress(job, out)}")
    return "\n".join(rows)
