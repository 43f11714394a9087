"""A tour's heading (what ran where) and its page: every metric, every picture with its words, in one HTML file."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

from ..course.alt_text import alt_text
from ..training.provenance import commit

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fdfdfb; --line: #d5d7da; --soft: #5d6268; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7e9; --paper: #17191c; --line: #3a3e44; --soft: #a3a9b1; --bad: #ff8a80; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid var(--line); }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figcaption, .soft { color: var(--soft); }
img { max-width: 100%; background: #fff; padding: .5rem; border-radius: 4px; box-sizing: border-box; }
.bad { color: var(--bad); } a { color: inherit; }
"""
HEADING_LINE = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*#*$", re.M)


def heading(params: str | Path, seconds: float) -> dict[str, Any]:
    """What a result needs to be compared later: time, parameters, commit, versions, hardware."""
    import torch  # its own version says which build it is, +cpu or +cu130; the package's metadata does not

    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "params": str(params),
        "seconds": round(seconds, 1),
        "git_commit": commit(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__} | versions,
        "hardware": _hardware(),
    }


_PACKAGES = ("kpp-lib", "torchvision", "numpy", "matplotlib", "mlxtend", "ipykernel", "papermill")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def processor() -> str:
    """The model of the processor, as the system names it."""
    info = Path("/proc/cpuinfo")  # Linux, where platform.processor() is mostly empty
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if sys.platform == "linux" else None
    return found.group(1) if found else platform.processor() or platform.machine()


def _nearest_heading(cells: list[Any], index: int) -> str:
    for cell in reversed(cells[:index]):
        found = HEADING_LINE.findall(cell.source) if cell.cell_type == "markdown" else []
        if found:
            return found[-1]
    return ""


def _pictures(executed: Path) -> str:
    import nbformat

    cells, parts, last = nbformat.read(executed, as_version=4).cells, [], None
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png is None:
                continue
            title = _nearest_heading(cells, index)
            if title != last:
                parts.append(f"<h3>{escape(title)}</h3>")
            words, last = escape(alt_text(cells, index) or title), title
            data = png.replace("\n", "")
            parts.append(
                f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
                f"<figcaption>{words}</figcaption></figure>"
            )
    return "\n".join(parts)


def _notebook(name: str, visit: Mapping[str, Any], out: Path) -> str:
    state = "ok" if visit["ok"] else '<span class="bad">failed</span>'
    link = f' · <a href="{escape(visit["executed"])}">executed notebook</a>' if visit["executed"] else ""
    parts = [
        f'<h2 id="{escape(name)}">{escape(name)}</h2>',
        f'<p class="soft">{state} · {visit["seconds"]} s · {visit["peak_mib"]} MiB · '
        f"data: {escape(visit['source'])}{link}</p>",
    ]
    parts += [f'<p class="bad">{escape(line)}</p>' for line in visit["failures"]]
    rows = [
        f'<tr><td>{escape(metric)}</td><td class="n">{found["value"]:.6g}</td><td>{escape(found["unit"])}</td></tr>'
        for metric, found in visit["metrics"].items()
    ]
    if rows:
        parts.append("<table><tr><th>metric</th><th>value</th><th>unit</th></tr>" + "".join(rows) + "</table>")
    if visit["executed"]:
        parts.append(_pictures(out / visit["executed"]))
    return "\n".join(parts)


def render(report: Mapping[str, Any], out: Path) -> str:
    """The whole page; `out` is the folder that holds the executed notebooks."""
    rows = [
        f'<tr><td><a href="#{escape(name)}">{escape(name)}</a></td><td>{"ok" if visit["ok"] else "failed"}</td>'
        f'<td class="n">{visit["seconds"]}</td><td class="n">{visit["peak_mib"]}</td></tr>'
        for name, visit in report["notebooks"].items()
    ]
    hardware, versions = report["hardware"], report["versions"]
    where = f"{hardware['processor']}, {hardware['cores']} cores, {', '.join(hardware['gpus']) or 'no GPU'}"
    with_what = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Kanerva++: the tour</title>',
        f"<style>{STYLE}</style></head><body><h1>Kanerva++: the tour</h1>",
        f'<p class="soft">{report["created"]} · {escape(report["params"])} · '
        f"commit {report['git_commit']} · {report['seconds']} s<br>",
        f"{escape(where)}<br>{escape(with_what)}</p>",
        "<table><tr><th>notebook</th><th>state</th><th>seconds</th><th>peak MiB</th></tr>" + "".join(rows) + "</table>",
        *(_notebook(name, visit, out) for name, visit in report["notebooks"].items()),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"
