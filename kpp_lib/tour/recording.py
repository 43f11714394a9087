"""The notebook's half of the tour: a number, or the data's origin, shown to the reader and left in the cell's output.

Works on a bare machine: IPython is imported where it is used.
"""

from __future__ import annotations

import math
from typing import Any

METRIC = "application/vnd.kpp.metric+json"
SOURCE = "application/vnd.kpp.source+json"


def record(name: str, value: float, unit: str = "") -> None:
    """Show one metric in the notebook and hand it to the tour.

    `value` is anything that `float` takes (a Python number, a one-element tensor); `unit` is free text such as "nats"
    or "bits/pixel". Raises ValueError for an empty name, for a value that is not one number, and for NaN or infinity.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name: expected a non-empty string, got {name!r}")
    if not isinstance(unit, str):
        raise ValueError(f"unit: expected a string, got {unit!r}")
    try:
        number = float(value)
    except (
        TypeError,
        ValueError,
        RuntimeError,
        OverflowError,
    ) as error:  # RuntimeError: torch, for a tensor of several elements
        raise ValueError(f"value of metric {name!r}: expected one number, got {value!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"value of metric {name!r}: expected a finite number, got {number}")
    _show(f"{name} = {number:.6g} {unit}".rstrip(), METRIC, {"name": name, "value": number, "unit": unit})


def record_source(data: Any) -> None:
    """Show where the data came from and let the tour choose the matching bands.

    `data` is an `ImageSet` (its `name`, `source`, `bits` and `digest` are read). A folder that has the released bits
    gets a band key of its own, because numbers on them differ from numbers on a seeded draw. Raises ValueError for
    anything that lacks one of the four.
    """
    missing = [field for field in ("name", "source", "bits", "digest") if not hasattr(data, field)]
    if missing:
        raise ValueError(f"data: expected an ImageSet, got {type(data).__name__} without {', '.join(missing)}")
    released = data.source == "folder" and data.bits.startswith("released")
    payload = {field: getattr(data, field) for field in ("name", "source", "bits", "digest")}
    payload["key"] = "folder-released" if released else data.source
    _show(f"data: {data.name} from {data.source}, bits: {data.bits}", SOURCE, payload)


def _show(text: str, mimetype: str, payload: dict[str, Any]) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(text)
        return
    if get_ipython() is None:  # IPython is installed, but this is a plain script
        print(text)
    else:
        display({mimetype: payload, "text/plain": text}, raw=True)
