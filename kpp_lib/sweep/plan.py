"""experiments/*.toml -> the runs of a sweep, in order; every one is checked before the first begins.

[defaults] holds what all runs share, each [[run]] what is its own:

    name         letters, digits, '.', '_', '-'; a result is NAME-seedN.json
    preset, recipe, dataset, binarize, eval_every     as for `kpp train`; binarize is "none" for likelihood =
                 "logistic_mixture", else "dynamic" without it
    seeds        [0, 1, 2]: a run for each, with that seed of weights, order and noise
    priority     lower comes first (1 without it); then first seeds before second ones, then the order of the file
    [run.set]    fields of Config
    [run.grid]   lists: a run for each combination of fields of Config, preset, recipe, dataset; named after its values
    [run.evaluate]   orders, limit, length, scores, as for `kpp.evaluate`; baseline = name of a run without a memory
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..config import PRESETS, RECIPES, Config
from ..data.images import BINARIZE
from ..data.load import check_dataset
from ..evaluation.diagnostics import SCORES, scores_of
from ..inputs import check_choice, check_count, check_number, check_seed, wrong
from ..likelihood import binarize_for
from ..training.suited import suited

WORDS = {"preset": tuple(PRESETS), "recipe": tuple(RECIPES)}
USUAL = {
    "preset": "cpu",
    "recipe": "allocated",
    "dataset": "mnist",
    "binarize": None,
    "seeds": [0],
    "priority": 1,
    "eval_every": 500,
}
TABLES = ("set", "evaluate")
NAMED_BY_WORD = ("preset", "recipe", "dataset")
EVALUATE = {"orders": 5, "limit": None, "length": None, "scores": None, "baseline": None}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Job:
    """One training and its evaluation. `evaluate` has the keys of EVALUATE; its baseline is the `id` of another job."""

    name: str
    config: Config
    dataset: str
    binarize: str
    priority: float
    eval_every: int
    evaluate: dict[str, Any]

    @property
    def id(self) -> str:
        """NAME-seedN: of the result, the log and the run's folder."""
        return f"{self.name}-seed{self.config.seed}"

    @property
    def test_bits(self) -> str:
        """The bits that are scored, as `kpp evaluate` takes them: never redrawn ones."""
        return "fixed" if self.binarize == "dynamic" else self.binarize

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` takes them back."""
        return asdict(self) | {"config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The inverse of `to_dict`."""
        return cls(**values | {"config": Config.from_dict(values["config"])})


def train_command(config: dict[str, Any], dataset: str, binarize: str, out: str) -> str:
    """The `kpp train` line that trains this model alone; config: as `Config.to_dict` gives it."""
    preset, recipe = config["preset_name"], config["recipe_name"]
    options = ["--preset", preset, "--recipe", recipe, "--dataset", dataset]
    usual = binarize_for(config.get("likelihood", "bernoulli"), None, "dynamic")
    options += [] if binarize == usual else ["--binarize", binarize]
    preset_has = Config.preset(preset, recipe).to_dict()
    changed = [f"{name}={json.dumps(value)}" for name, value in config.items() if value != preset_has[name]]
    return shlex.join(["kpp", "train", *options, *(["--set", *changed] if changed else []), "--out", out])


def read_plan(file: str | Path) -> list[Job]:
    """The jobs of an experiments file, in the order in which they begin; a baseline comes before what it is for.

    Raises ValueError that names the file, the run and the key, for anything that would not run.
    """
    file = Path(file)
    try:
        plan = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; expected an experiments file such as smoke.toml") from error
    except ValueError as error:  # a tomllib.TOMLDecodeError, or bytes that are no UTF-8
        raise ValueError(f"{file}: not TOML ({error})") from error
    with _at(file):
        _only("key", plan, ("defaults", "run"))
        defaults, runs = _table("defaults", plan.get("defaults", {})), plan.get("run")
        _only("defaults", defaults, (*USUAL, *TABLES))
        if not isinstance(runs, list) or not runs or not all(isinstance(run, dict) for run in runs):
            raise wrong("run", runs, "at least one [[run]]")
    jobs: dict[str, tuple[int, Job]] = {}
    for run in runs:
        with _at(file, run.get("name")):
            for turn, job in _jobs(run, defaults):
                if job.id in jobs:
                    raise wrong("name", job.name, f"a name of its own: {job.id} is there already")
                jobs[job.id] = turn, job
    ordered = [job for _, job in sorted(jobs.values(), key=lambda entry: (entry[1].priority, entry[0]))]
    return _with_baselines(file, ordered)


@contextmanager
def _at(file: Path, run: Any = None) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}: " + ("" if run is None else f"run {run!r}: ") + str(error)) from error


def _only(name: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        raise wrong(name, ", ".join(unknown), f"only {', '.join(known)}")


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(name, value, f"a table, [{name}]")
    return value


def _list(name: str, value: Any, of: str) -> list[Any]:
    if not isinstance(value, list) or not value or any(value.count(v) > 1 for v in value):
        raise wrong(name, value, f"a list of {of}, each of them once")
    return value


def _jobs(run: dict[str, Any], defaults: dict[str, Any]) -> Iterator[tuple[int, Job]]:
    """The jobs of one [[run]], each with its turn: 0 for the first seed."""
    name, grid = run.get("name"), _table("grid", run.get("grid", {}))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise wrong("name", name, "letters, digits, '.', '_' and '-', at most 100")
    _only("run", run, ("name", "grid", *USUAL, *TABLES))
    tables = {key: _table(key, defaults.get(key, {})) | _table(key, run.get(key, {})) for key in TABLES}
    values = USUAL | defaults | run | tables
    for key, list_ in grid.items():
        _list(f"grid.{key}", list_, "values")
    for chosen in itertools.product(*grid.values()):
        point = dict(zip(grid, chosen, strict=True))
        words = {key: value for key, value in point.items() if key in NAMED_BY_WORD}
        settings = values["set"] | {key: value for key, value in point.items() if key not in words}
        yield from _seeded(_grid_name(name, point), values | words | {"set": settings})


def _grid_name(name: str, point: dict[str, Any]) -> str:
    """mnist, {"recipe": "paper", "lr": 0.002} -> mnist-paper-lr0.002."""
    ends = [f"-{'' if key in NAMED_BY_WORD else key}{json.dumps(value)}" for key, value in point.items()]
    return name + re.sub(r"-$", "", re.sub(r"[^A-Za-z0-9._-]+", "-", "".join(ends).replace('"', "")))


def _seeded(name: str, values: dict[str, Any]) -> Iterator[tuple[int, Job]]:
    words = {key: check_choice(key, values[key], choices) for key, choices in WORDS.items()}
    dataset = check_dataset("dataset", values["dataset"])
    for key in ("seed", "preset_name", "recipe_name"):
        if key in values["set"]:
            raise wrong(f"set.{key}", values["set"][key], "fields of Config other than this one: seeds, preset, recipe")
    if values["binarize"] is not None:
        check_choice("binarize", values["binarize"], BINARIZE)
    fitting = suited(dataset, values["binarize"], values["set"])
    try:
        config = Config.preset(words["preset"], words["recipe"], **(fitting | values["set"]))
    except ValueError as error:
        raise ValueError(f"set.{error}") from error
    binarize = binarize_for(config.likelihood, values["binarize"], "dynamic")
    evaluate = _evaluation(config, values["evaluate"])
    for turn, seed in enumerate(_list("seeds", values["seeds"], "whole numbers")):
        yield (
            turn,
            Job(
                name,
                config.replace(seed=check_seed("seeds", seed)),
                dataset,
                binarize,
                check_number("priority", values["priority"]),
                check_count("eval_every", values["eval_every"]),
                evaluate,
            ),
        )


def _evaluation(config: Config, given: dict[str, Any]) -> dict[str, Any]:
    _only("evaluate", given, tuple(EVALUATE))
    options = EVALUATE | given
    for key in ("orders", "limit", "length"):
        if options[key] is not None:
            check_count(f"evaluate.{key}", options[key])
    least = 2 * (options["length"] or config.length)
    if options["limit"] is not None and options["limit"] < least:
        raise wrong("evaluate.limit", options["limit"], f"at least {least} images, two episodes")
    if options["scores"] is not None:
        for score in _list("evaluate.scores", options["scores"], "names"):
            check_choice("evaluate.scores", score, tuple(SCORES))
        known = scores_of(config)
        options["scores"] = [score for score in options["scores"] if score in known]  # those that fit this model
    return options


def _with_baselines(file: Path, ordered: list[Job]) -> list[Job]:
    """The jobs with their baselines as ids, each baseline before the first that wants it."""
    done: dict[str, Job] = {}

    def add(job: Job) -> None:
        wanted = job.evaluate["baseline"]
        if wanted is not None and job.id not in done:
            with _at(file, job.name):
                baseline = _baseline(job, wanted, ordered)
            job = replace(job, evaluate=job.evaluate | {"baseline": baseline.id})
            add(baseline)
        done.setdefault(job.id, job)

    for job in ordered:
        add(job)
    return list(done.values())


def _baseline(job: Job, wanted: Any, jobs: list[Job]) -> Job:
    named = [other for other in jobs if other.name == wanted]
    if not named:
        raise wrong("evaluate.baseline", wanted, f"one of the runs {', '.join(sorted({j.name for j in jobs}))}")
    baseline = next((other for other in named if other.config.seed == job.config.seed), named[0])
    if baseline.config.write != "none" or baseline.dataset != job.dataset or baseline.evaluate["baseline"] is not None:
        raise wrong("evaluate.baseline", wanted, f"a run of recipe vae on {job.dataset}, without a baseline of its own")
    if baseline.config.likelihood != job.config.likelihood:
        raise wrong("evaluate.baseline", wanted, f"a run with likelihood={job.config.likelihood!r}, as this one has it")
    return baseline
