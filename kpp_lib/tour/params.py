"""Parameters of the notebooks: what a notebook declares, and what a parameters file sets.

A parameters file is YAML with one section per notebook, named like it, and a section `common` for all:

    common:
      seed: 0
    04_training:
      steps: 200
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def declared(notebook: Any) -> dict[str, Any]:
    """Names and values in the one code cell tagged `parameters`.

    Raises ValueError if there is not exactly one such cell, or if it holds anything but `name = literal` lines:
    papermill writes new values in a cell after it, so a value computed here would not follow.
    """
    cells = [c for c in notebook.cells if c.cell_type == "code" and "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"expected one code cell tagged 'parameters', found {len(cells)}")
    values = {}
    for node in ast.parse(cells[0].source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        target = node.target if isinstance(node, ast.AnnAssign) else target
        try:
            if not isinstance(target, ast.Name):
                raise ValueError
            values[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
        except (ValueError, TypeError):
            raise ValueError(f"parameters cell, expected `name = literal`, got `{ast.unparse(node)}`") from None
    return values


def for_notebooks(params: Path, notebooks: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """The values to hand to each notebook, by its name. `notebooks` are all of the course, so that typing errors show.

    A notebook takes those of `common` that it declares. Raises ValueError for a file that is missing or not such YAML,
    a section without a notebook, a parameter that the notebook (for `common`: every notebook) does not declare, and a
    number where the notebook has text or the other way round (YAML reads `1e-3`, without a dot, as text).
    """
    import nbformat

    sections = _read(params)
    known = {}
    for path in notebooks:
        try:
            known[path.stem] = declared(nbformat.read(path, as_version=4))
        except Exception as error:  # nbformat raises many kinds for a broken file; all mean the same here
            raise ValueError(f"{path}: {error}") from error
    common = sections.pop("common", {})
    strangers = sorted(set(sections) - set(known))
    if strangers:
        raise ValueError(f"{params}: sections {strangers} name no notebook; there are {', '.join(known)}")
    unused = sorted(name for name in common if not any(name in names for names in known.values()))
    if unused:
        raise ValueError(f"{params}: no notebook declares the common parameters {unused}")
    return {name: _for_one(params, name, known[name], common, sections.get(name, {})) for name in known}


def order(params: Path) -> list[str]:
    """The notebooks that a parameters file names, in its order: the longest first, since they start in it."""
    return [name for name in _read(params) if name != "common"]


def _for_one(
    params: Path, name: str, known: dict[str, Any], common: dict[str, Any], own: dict[str, Any]
) -> dict[str, Any]:
    unknown = sorted(set(own) - set(known))
    if unknown:
        raise ValueError(f"{params}: {name} does not declare {unknown}; it declares {', '.join(known) or 'none'}")
    values = {key: value for key, value in common.items() if key in known} | own
    for key, value in values.items():
        if known[key] is not None and value is not None and isinstance(known[key], str) != isinstance(value, str):
            raise ValueError(f"{params}: {name}.{key} is {value!r}, but the notebook has {known[key]!r}: another type")
    return values


def _read(params: Path) -> dict[str, dict[str, Any]]:
    import yaml

    if not params.is_file():
        raise ValueError(f"params: no file {str(params)!r}")
    try:
        content = yaml.safe_load(params.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{params}: not YAML: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(v, dict | None) for v in content.values()):
        raise ValueError(f"{params}: expected sections of `name: value` lines, got {content!r}")
    return {str(name): dict(section or {}) for name, section in content.items()}
