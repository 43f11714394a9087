"""Compare notebooks/*.ipynb with notebooks/py/*.py: same cells, same order, same text. Outputs are not compared."""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat


def pair_problems(notebooks: Path) -> list[str]:
    """One line per pair that differs, naming its first differing cell, and per file without its twin."""
    left = {path.stem: path for path in notebooks.glob("*.ipynb")}
    right = {path.stem: path for path in (notebooks / "py").glob("*.py")}
    lines = [f"{left[name].name}: no twin py/{name}.py; run `make sync`" for name in sorted(left.keys() - right.keys())]
    lines += [
        f"py/{right[name].name}: no twin {name}.ipynb; run `make sync`" for name in sorted(right.keys() - left.keys())
    ]
    for name in sorted(left.keys() & right.keys()):
        difference = first_difference(left[name], right[name])
        if difference:
            lines.append(f"{name}: {difference}; run `make sync`")
    return lines


def first_difference(notebook: Path, script: Path) -> str | None:
    """Where the two sides part, None if nowhere. Cells are numbered from 1."""
    ours = [(cell.cell_type, cell.source) for cell in nbformat.read(notebook, as_version=4).cells]
    theirs = [(cell.cell_type, cell.source) for cell in jupytext.read(script, fmt="py:percent").cells]
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if a[0] != b[0]:
            return f"cell {number} is {a[0]} in {notebook.name} and {b[0]} in py/{script.name}"
        if a[1] != b[1]:
            here, there = _glimpse(a[1], b[1]), _glimpse(b[1], a[1])
            return f"cell {number} differs: {notebook.name} has {here}, py/{script.name} {there}"
    if len(ours) != len(theirs):
        return f"{notebook.name} has {len(ours)} cells, py/{script.name} {len(theirs)}"
    return None


def _glimpse(text: str, other: str) -> str:
    """The first line of `text` that is not the same in `other`."""
    others = other.splitlines()
    for number, line in enumerate(text.splitlines()):
        if number >= len(others) or line != others[number]:
            return repr(line[:60])
    return "nothing more"


def main() -> int:
    notebooks = Path(__file__).resolve().parents[1] / "notebooks"
    problems = pair_problems(notebooks)
    for line in problems:
        print(line, file=sys.stderr)
    if not list(notebooks.glob("*.ipynb")):
        print("no notebooks found", file=sys.stderr)
        return 1
    print(f"notebook pairs: {'out of step' if problems else 'in step'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
