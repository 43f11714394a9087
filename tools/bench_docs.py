"""The tables of docs/performance.md, from the JSON files in results/bench/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path("docs/performance.md")
# <!-- bench: step --> ... <!-- end -->
BLOCK = re.compile(r"(<!-- bench: (?P<parts>[a-z ]+) -->\n).*?(<!-- end -->)", re.S)


def reports(folder: Path) -> list[dict[str, Any]]:
    """All reports, by file name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def table(found: list[dict[str, Any]], parts: list[str]) -> str:
    """The rows of these parts of all reports, each under the machine that it was measured on."""
    lines = []
    for report in found:
        rows = [r for r in report["rows"] if r["part"] in parts]
        if rows:
            lines += [
                f"*{heading(report)}*",
                "",
                "| | median | quartiles | n | unit | goal |",
                "|---|---:|---:|---:|---|---|",
            ]
            lines += [line(r) for r in rows] + [""]
    return "\n".join(lines) if lines else "Not measured yet.\n"


def heading(report: dict[str, Any]) -> str:
    """Machine, versions, commit, date."""
    return (
        f"{report['hardware']}, {report['threads']} thread{'s' * (report['threads'] > 1)} of {report['cores']} cores, "
        f"torch {report['torch']}, Python {report['python']}, commit {report['commit']}, {report['date']}"
    )


def line(r: dict[str, Any]) -> str:
    """One row; a goal says whether it is met."""
    goal = "" if r["goal"] is None else f"at most {r['goal']:g}: {'met' if r['met'] else '**missed**'}"
    spread = f"{short(r['low'])} to {short(r['high'])}" if r["n"] > 1 else ""
    # seconds of a CPU are of no use elsewhere
    absolute = r["part"] != "gpu" and re.fullmatch(r"[\d.,]+ (images/s|ms)", r["note"] or "")
    note = f" ({r['note']})" if r["note"] and not absolute else ""
    return f"| {r['name']}{note} | {short(r['value'])} | {spread} | {r['n']} | {r['unit']} | {goal} |"


def short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def filled(page: str, found: list[dict[str, Any]]) -> str:
    """The page with all its tables anew."""
    return BLOCK.sub(lambda m: f"{m[1]}{table(found, m['parts'].split())}{m[3]}", page)


def write(root: Path) -> int:
    """Fill the page in place; returns the exit status."""
    page, found = root / PAGE, reports(root / "results" / "bench")
    page.write_text(filled(page.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(f"{PAGE}: tables from {len(found)} reports")
    return 0
