"""The tour: every notebook of the course executed, its metrics held against bands, its pictures on one page.

Inside a notebook, `record` and `record_source` leave what a program can find. `run_tour` executes the notebooks with
papermill, collects what they left, and compares it with `tests/expected/*.json`. Papermill, nbformat, PyYAML and psutil
are imported where they are used.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from . import bands, kernel, page
from . import memory as peaks
from . import params as parameter_files
from .recording import METRIC, SOURCE

NO_DATA = "any"  # the band key of a notebook that loads no data


def course_cells(notebook: Any) -> list[tuple[int, Any]]:
    """The cells of an executed notebook with their number (from 1) in the committed one, without papermill's own."""
    own = {"injected-parameters", "papermill-error-cell-tag"}
    kept = [cell for cell in notebook.cells if own.isdisjoint(cell.metadata.get("tags", []))]
    return list(enumerate(kept, start=1))


def _stopped_line(name: str, notebook: Any | None, error: Exception | None) -> str | None:
    """One line for the cell that did not complete, None if all did."""
    cells = [(n, cell) for n, cell in course_cells(notebook) if cell.cell_type == "code"] if notebook else []
    states = [cell.metadata.get("papermill", {}) for _, cell in cells]
    raised = [at for at, state in enumerate(states) if state.get("exception")]
    started = [at for at, state in enumerate(states) if state.get("start_time")]
    if raised:
        number, cell = cells[raised[0]]
        what = next(
            (f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"), "stopped the notebook"
        )
        return f"{name}, cell {number}: {_first_line(what)}"
    if error is None:
        return None
    place = f", cell {cells[started[-1]][0]}" if started else ""  # a dead kernel or a time-out: the last cell begun
    return f"{name}{place}: {type(error).__name__}: {_first_line(str(error))}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def collect(name: str, notebook: Any | None) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Metrics by name, data sources, and failures (a name recorded twice) of one executed notebook."""
    metrics: dict[str, dict[str, Any]] = {}
    sources: list[dict[str, Any]] = []
    failures = []
    for number, cell in course_cells(notebook) if notebook else []:
        bundles = [dict(output.get("data", {})) for output in cell.get("outputs", [])]
        sources += [dict(b[SOURCE]) for b in bundles if SOURCE in b and dict(b[SOURCE]) not in sources]
        for metric in (b[METRIC] for b in bundles if METRIC in b):
            if metric["name"] in metrics:
                first = metrics[metric["name"]]["cell"]
                failures.append(
                    f"{name}, cell {number}: metric {metric['name']!r} was already recorded in cell {first}"
                )
            metrics[metric["name"]] = {"value": metric["value"], "unit": metric["unit"], "cell": number}
    return metrics, sources, failures


def source_key(sources: list[dict[str, Any]]) -> str:
    """The key of the bands for these data sources."""
    return "+".join(sorted({source["key"] for source in sources})) or NO_DATA


def _visit(
    path: Path, parameters: dict[str, Any], out: Path, expected: Path | None, memory: float | None
) -> dict[str, Any]:
    """Execute one notebook and judge it."""
    import nbformat

    executed = out / path.name
    seconds, peak, error = kernel.execute(path, executed, parameters)
    notebook = nbformat.read(executed, as_version=4) if executed.is_file() else None
    metrics, sources, failures = collect(path.stem, notebook)
    key = source_key(sources)
    stopped = _stopped_line(path.stem, notebook, error)
    if stopped:  # the metrics that the rest would have recorded are missing for that one reason
        failures.insert(0, stopped)
    elif expected is not None:
        failures += bands.compare(path.stem, key, metrics, expected / f"{path.stem}.json")
    failures += peaks.over(path.stem, peak, memory)
    return {
        "ok": not failures, "seconds": round(seconds, 1), "peak_mib": round(peak), "source": key, "data": sources,
        "parameters": parameters, "metrics": metrics, "failures": failures, "completed": stopped is None,
        "executed": executed.name if notebook else None,
    }  # fmt: skip


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _visits(
    chosen: list[Path], jobs: int, parameters: dict[str, dict[str, Any]], *rest: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and visit of each notebook as it ends, `jobs` at a time.

    Each in a process of its own where there are several: a process measures the memory of its own kernel only.
    """
    if jobs == 1:
        yield from ((path.stem, _visit(path, parameters[path.stem], *rest)) for path in chosen)
        return
    spawn = multiprocessing.get_context("spawn")  # the same on every system; a fork would copy torch's threads
    with ProcessPoolExecutor(jobs, spawn, _share_cores, (jobs,)) as pool:
        running = {pool.submit(_visit, path, parameters[path.stem], *rest): path.stem for path in chosen}
        try:
            for done in as_completed(running):
                name, error = running[done], done.exception()
                yield name, _lost(name, parameters[name], error) if error else done.result()
        except BaseException:  # Ctrl-C, or whoever reads has had enough
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _share_cores(jobs: int) -> None:
    """Kernels that run side by side take their share of the cores each: threads that wait for a busy core cost time."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))


def _lost(name: str, parameters: dict[str, Any], error: BaseException) -> dict[str, Any]:
    """The visit of a notebook whose process did not come back (killed for its memory, perhaps)."""
    return {
        "ok": False, "seconds": 0.0, "peak_mib": 0, "source": NO_DATA, "data": [], "parameters": parameters,
        "metrics": {}, "failures": [f"{name}: {type(error).__name__}: {_first_line(str(error))}"], "completed": False,
        "executed": None,
    }  # fmt: skip


def _longest_first(chosen: list[Path], params: Path) -> list[Path]:
    """Those that the parameters file names, in its order, then the others: they are the ones worth a parameter."""
    named = parameter_files.order(params)
    return sorted(chosen, key=lambda path: named.index(path.stem) if path.stem in named else len(named))


def _chosen(notebooks: Path, only: Sequence[str] | None) -> list[Path]:
    paths = sorted(notebooks.glob("*.ipynb"))
    if not paths:
        raise ValueError(f"notebooks: no *.ipynb in {str(notebooks)!r}; run from the root of the repository")
    if not only:
        return paths
    unknown = [name for name in only if not any(path.stem.startswith(name) for path in paths)]
    if unknown:
        raise ValueError(f"only: no notebook starts with {unknown}; there are {', '.join(p.stem for p in paths)}")
    return [path for path in paths if path.stem.startswith(tuple(only))]


def run_tour(
    notebooks: str | Path = "notebooks",
    params: str | Path = "notebooks/params/fast.yaml",
    out: str | Path = "build/tour",
    expected: str | Path | None = "tests/expected",
    only: Sequence[str] | None = None,
    memory: float | None = None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Execute the notebooks and write `out`/NN_name.ipynb, `out`/report.json and `out`/index.html; returns the report.

    `params` is a YAML file (see `params.py`), `expected` the folder of bands (None: metrics are collected, not held
    against anything), `only` keeps the notebooks whose names start so, `memory` is what a notebook's kernel may take at
    its peak (None: any amount), `jobs` how many notebooks run side by side. Every notebook runs even when an earlier
    one fails; the report's "failures" holds one line per failure. Seconds are wall clock, memory is in MiB.
    Raises ValueError when the notebooks or the parameters file cannot be used at all, or `out` is their own folder.
    """
    if type(jobs) is not int or jobs < 1:
        raise ValueError(f"jobs: got {jobs!r}, expected a whole number from 1")
    folder, out = Path(notebooks).resolve(), Path(out).resolve()
    if out == folder:
        raise ValueError(f"out: got {out}, the folder of the notebooks, expected another: they would be replaced")
    chosen = _chosen(folder, only)
    parameters = parameter_files.for_notebooks(Path(params), sorted(folder.glob("*.ipynb")))
    judged = None if expected is None else Path(expected).resolve()
    out.mkdir(parents=True, exist_ok=True)
    start, visits = time.perf_counter(), {}
    chosen, jobs = _longest_first(chosen, Path(params)), min(jobs, len(chosen))
    print(f"running {len(chosen)} notebooks, {jobs} at a time", flush=True)
    for count, (name, visit) in enumerate(_visits(chosen, jobs, parameters, out, judged, memory), start=1):
        visits[name] = visit
        print(
            f"[{count}/{len(chosen)}] {name:<26}{visit['seconds']:7.1f} s {visit['peak_mib']:6.0f} MiB  "
            f"{'ok' if visit['ok'] else 'FAILED'}",
            flush=True,
        )
    visits = dict(sorted(visits.items()))
    report = page.heading(params, time.perf_counter() - start) | {
        "peak_mib": max(visit["peak_mib"] for visit in visits.values()),
        "memory_limit_mib": memory and round(memory),
        "failures": [line for visit in visits.values() for line in visit["failures"]],
        "notebooks": visits,
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "index.html").write_text(page.render(report, out), encoding="utf-8")
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `kpp tour`, for the command line's own parser."""
    parser.add_argument("--notebooks", default="notebooks", help="folder of the notebooks (default: %(default)s)")
    parser.add_argument("--params", default="notebooks/params/fast.yaml", help="parameters file (default: %(default)s)")
    parser.add_argument("--out", default="build/tour", help="where results are written (default: %(default)s)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run only notebooks whose name starts so, e.g. 04; may be repeated",
    )
    parser.add_argument(
        "--expected",
        metavar="FOLDER",
        help="folder of bands, or 'none' to judge no numbers (default: tests/expected for the fast parameters, "
        "a folder under it named like the parameters file for others)",
    )
    parser.add_argument(
        "--memory-limit",
        type=float,
        metavar="MIB",
        help="fail a notebook whose kernel takes more at its peak; 0: no limit (default: for the fast parameters "
        "1.6 GB with a CPU build of torch and 2 GB with others, else no limit)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(2, cores()),
        help="notebooks that run side by side, each up to 1.6 GB (default: %(default)s on this machine)",
    )
    parser.add_argument(
        "--write-bands",
        action="store_true",
        help="print bands suggested by this run instead of judging it; writes no file",
    )


def _expected_folder(args: argparse.Namespace) -> Path | None:
    if args.write_bands or args.expected == "none":
        return None
    if args.expected:
        return Path(args.expected)
    stem = Path(args.params).stem
    return Path("tests/expected") if stem == "fast" else Path("tests/expected") / stem


def _memory_limit(args: argparse.Namespace) -> float | None:
    if args.memory_limit is not None:
        return args.memory_limit or None
    return peaks.limit() if Path(args.params).stem == "fast" and not args.write_bands else None


def run(args: argparse.Namespace) -> int:
    """The tour from parsed options; prints failures last and returns the exit status."""
    try:
        expected, memory = _expected_folder(args), _memory_limit(args)
        report = run_tour(args.notebooks, args.params, args.out, expected, args.only, memory, args.jobs)
    except ModuleNotFoundError as error:
        print(f"tour: {error.name} is missing; in the repository: pip install -e '.[dev]'", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"tour: {error}", file=sys.stderr)
        return 2
    if args.write_bands:
        print(bands.suggestions(report))
    failures, visits = report["failures"], report["notebooks"]
    for line in failures:
        print(f"FAILED {line}")
    good = sum(visit["ok"] for visit in visits.values())
    print(
        f"tour: {good} of {len(visits)} notebooks ok, {len(failures)} failures, {report['seconds']:.0f} s, "
        f"peak {report['peak_mib']} MiB; see {Path(args.out) / 'index.html'}"
    )
    return 1 if failures else 0


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m kpp_lib.tour`; returns the exit status (0 ok, 1 a failure, 2 the tour could not start)."""
    parser = argparse.ArgumentParser(
        prog="kpp tour", description="Run every notebook of the course and judge its numbers."
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))
