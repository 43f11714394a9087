"""Reports of `evaluate` as text and as a Markdown table: every number of the README goes through here."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ..config import Config

LABELS = {
    "total": "total",
    "bits_per_dim": "total, bits/dim",
    "recon": "recon",
    "kl_z": "KL_Z",
    "kl_y": "KL_Y",
    "memory_gain": "memory gain",
    "memory_swap": "memory swap",
    "leave_one_out": "leave one out",
    "prior_keys": "prior keys",
    "shuffled_cues": "shuffled cues",
    "single_cues": "single cues",
    "retrieval_top1": "retrieval",
    "retrieval_shuffled": "retrieval, shuffled",
    "retrieval_single": "retrieval, single",
    "retrieval_noisy": "retrieval, noisy",
    "retrieval_salted": "retrieval, salt & pepper",
    "even_places": "with an even prior over places",
    "iw": "importance-weighted, S = 50",
    "mean_decoding": "at the means (no bound)",
}


KEYS = ("T", "orders", "images", "of", "recipe", "preset", "data", "checkpoint")


def load_report(file: str | Path) -> dict[str, Any]:
    """A report that `kpp evaluate` or `kpp sweep` wrote: UTF-8, with or without a byte order mark, or UTF-16, as
    some shells write. Raises ValueError for a file that is not one."""
    try:
        report = json.loads(Path(file).read_bytes())  # which tells the encoding by the first bytes
        for key in KEYS:
            report[key]
        for name, score in report["scores"].items():
            _check_score(name, score)
        report["scores"]["total"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"reports: got {file} ({reason}), expected the output of `kpp evaluate --json`") from error
    return report


def _check_score(name: str, score: dict[str, Any]) -> None:
    numbers = [score["mean"]] + ([] if score["std"] is None else [score["std"]])
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        raise ValueError(f"{name} is {score}")


def write_text(file: str | Path, text: str) -> None:
    """Write a file that is there whole or not at all; an old one stays until then. Raises OSError."""
    file = Path(file)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(new, "w", encoding="utf-8", newline="\n") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)


def label(report: dict[str, Any]) -> str:
    """What a report is called in a table: the run of a sweep, or the checkpoint."""
    return report.get("run") or report["checkpoint"]


def number(report: dict[str, Any], name: str) -> str:
    """One score as "mean +- std", nats per image, bits/dim or percent; a dash where the report does not have it."""
    score = report["scores"].get(name)
    if score is None:
        return "-"
    scale, digits, unit = (1, 3 if name == "bits_per_dim" else 2, "")
    if name.startswith("retrieval"):
        scale, digits, unit = 100, 1, " %"
    spread = "" if score["std"] is None else f" ± {scale * score['std']:.{digits}f}"
    return f"{scale * score['mean']:.{digits}f}{spread}{unit}"


def origin(report: dict[str, Any]) -> str:
    """What was scored: data, bits, T, how many images and orders."""
    data, many = report["data"], "s" * (report["orders"] > 1)
    bits = data and ("as it is" if data["bits"] == "grey" else f"{data['bits']} bits")
    what = "unnamed images" if data is None else f"{data['name']}, {bits}, from {data['source']}"
    part = "" if report["images"] == report["of"] else f" of {report['of']:,}"
    return f"{what}; T = {report['T']}, {report['images']:,}{part} images, {report['orders']} order{many}"


SAME = ("T", "orders", "images", "recipe", "preset", "data", "config")


def over_seeds(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of a sweep that differ in their seed only as one report each: mean and standard deviation over seeds of
    what each has as its mean. Raises ValueError for runs of one name that differ in more."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for report in reports:
        runs.setdefault(report.get("name") or label(report), []).append(report)
    return [_merged(name, same) for name, same in runs.items()]


def _merged(name: str, reports: list[dict[str, Any]]) -> dict[str, Any]:
    seeds = [report.get("seed") for report in reports]
    if None in seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"reports: got runs {name} of seeds {seeds}, expected results of `kpp sweep` of different seeds"
        )
    for key in SAME:
        if any(_but_seed(r.get(key)) != _but_seed(reports[0].get(key)) for r in reports):
            raise ValueError(f"reports: got runs {name} of different {key}, expected them to differ in the seed only")
    shared = [score for score in reports[0]["scores"] if all(score in r["scores"] for r in reports)]
    values = {score: [r["scores"][score]["mean"] for r in reports] for score in shared}
    scores = {k: {"mean": fmean(v), "std": stdev(v) if len(v) > 1 else None} for k, v in values.items()}
    return reports[0] | {"run": f"{name}, {len(reports)} seed{'s' * (len(reports) > 1)}", "scores": scores}


def _but_seed(value: Any) -> Any:
    """A config without its seed, a field that is newer than it at its default; anything else as it is."""
    if not isinstance(value, dict):
        return value
    usual = Config().to_dict() if "preset_name" in value else {}
    return {k: v for k, v in (usual | value).items() if k != "seed"}


def text(report: dict[str, Any]) -> str:
    """A report as lines for a terminal."""
    lines = [f"{origin(report)}; nats/image, mean ± std over orders"]
    for name in report["scores"]:
        note = f"   {report['notes'][name]}" if name in report["notes"] else ""
        lines.append(f"  {name:18s} {number(report, name):>18s}{note}")
    return "\n".join(lines)


def markdown(reports: Sequence[dict[str, Any]], scores: Sequence[str] | None = None, by_run: bool = False) -> str:
    """A table for each data set, a column per report, nats per image, and under it what each was scored on.

    scores: the rows, by their names in the reports; all of them without it. by_run: a row per report and a column per
    score, for many runs, with the words of each one's `kpp train` command that not all of them share. Raises ValueError
    for an unknown name.
    """
    unknown = set(scores or ()) - set(LABELS)
    if unknown:
        raise ValueError(f"scores: got {', '.join(sorted(unknown))}, expected some of {', '.join(LABELS)}")
    groups: dict[str, list[dict[str, Any]]] = {}
    for report in reports:
        groups.setdefault(report["data"]["name"] if report["data"] else "unnamed images", []).append(report)
    table = _rows if by_run else _table
    return "\n\n".join(table(name, group, scores or list(LABELS)) for name, group in groups.items())


def _table(name: str, reports: Sequence[dict[str, Any]], scores: Sequence[str]) -> str:
    lines = [f"| {name} | " + " | ".join(label(r) for r in reports) + " |", "|---|" + "---:|" * len(reports)]
    for score in scores:
        if any(score in r["scores"] for r in reports):
            lines.append(f"| {LABELS[score]} | " + " | ".join(number(r, score) for r in reports) + " |")
    origins = [f"- {label(r)}: recipe {r['recipe']}, preset {r['preset']}; {origin(r)}" for r in reports]
    return "\n".join([*lines, "", *origins])


def _rows(name: str, reports: Sequence[dict[str, Any]], scores: Sequence[str]) -> str:
    shown = [score for score in scores if any(score in r["scores"] for r in reports)]
    head = [name, "settings", *(LABELS[score] for score in shown)]
    words = [_settings(report) for report in reports]
    shared = set.intersection(*map(set, words)) if len(reports) > 1 else set()
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * len(shown)]
    for report, own in zip(reports, words, strict=True):
        settings = ", ".join(f"`{word}`" for word in own if word not in shared)
        lines.append("| " + " | ".join([label(report), settings, *(number(report, score) for score in shown)]) + " |")
    each = [f"recipe {r['recipe']}, preset {r['preset']}; {origin(r)}" for r in reports]
    origins = [f"- {', '.join(label(r) for r, e in zip(reports, each, strict=True) if e == what)}: {what}"
               for what in dict.fromkeys(each)]  # fmt: skip
    return "\n".join([*lines, "", *origins])


def _settings(report: dict[str, Any]) -> list[str]:
    """["recipe=paper", "steps=2000"]: the words of a `kpp train` command, each option with its value."""
    words, option, found = shlex.split(report.get("train_command", ""))[2:], "", []
    for word in words:
        if word.startswith("--"):
            option = word[2:]
        elif option != "out":
            found.append(word if option == "set" else f"{option}={word}")
    return found


def load_study(file: str | Path) -> dict[str, Any] | None:
    """What `kpp study` wrote, or None where the file is missing or holds something else (`load_report` says what)."""
    try:
        study = json.loads(Path(file).read_bytes())
        study["study"], study["checkpoint"]
        ok = bool(study["rows"]) and all(isinstance(row, dict) for row in study["rows"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return study if ok else None


def study_markdown(study: dict[str, Any]) -> str:
    """The rows of a study as a Markdown table, three digits each; a dash where a row lacks a column."""
    rows = [_flat(row) for row in study["rows"]]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---:|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(name, "-")) for name in columns) + " |" for row in rows]
    return "\n".join([*lines, "", f"- {study.get('command', study['checkpoint'])}"])


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """{"found": {"0.1": 1.0}} -> {"found 0.1": 1.0}."""
    parts = [{f"{k} {n}": x for n, x in v.items()} if isinstance(v, dict) else {k: v} for k, v in row.items()]
    return {k: v for part in parts for k, v in part.items()}


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(v) for v in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
