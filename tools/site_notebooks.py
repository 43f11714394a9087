"""A committed notebook as the site shows it: no widgets, no badges, and a text for every picture.

The text is the paragraph after the picture that begins with "Picture:", as CONTRIBUTING asks for.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import site_pages

from kpp_lib.course.alt_text import alt_text, has_picture

SETUP = 'find_spec("kpp_lib")'  # the cell that is only for Colab is folded
EXPLORER_AFTER = "widgets.explore("  # the first such cell of notebook 06 gets the one that needs no kernel
EXPLORER = (
    "On this page no kernel runs, but the same thing does, in your browser, on a memory of 32 other digits "
    "([alone on a page](../explorer.md)):\n\n"
    '<div class="kpp-explorer"><noscript>The explorer needs JavaScript; the pictures do not.</noscript></div>'
)


def stage(source: Path, target: Path, root: Path) -> list[str]:
    """Writes the notebook for the site; returns its problems, such as a picture that no text describes."""
    notebook = nbformat.read(source, as_version=4)
    problems = [f"{source.name}: {problem}" for problem in describe(notebook.cells)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = site_pages.rewrite(cell.source, source, root)
        elif cell.cell_type == "code":
            if SETUP in cell.source:
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
            cell.outputs = [output for output in map(plain, cell.outputs) if output]
    notebook.metadata.pop("widgets", None)
    if source.name.startswith("06"):
        problems += add_explorer(notebook.cells, source.name)
    nbformat.write(notebook, target)
    return problems


def plain(output: dict) -> dict | None:
    """An output without what only a kernel or the tour could use; None if nothing to show is left."""
    if "data" not in output:
        return output
    data = {kind: value for kind, value in output["data"].items() if "vnd." not in kind}
    if "image/png" in data:
        data.pop("text/plain", None)  # "<Figure size ...>"
    ours = any("vnd.kpp." in kind for kind in output["data"])  # a record of the tour; its text repeats what was printed
    output["data"] = {} if ours else data
    return output if output["data"] else None


def describe(cells: list) -> list[str]:
    """Gives every picture its alternative text; returns the pictures that have none after them."""
    problems = []
    for i, cell in enumerate(cells):
        if has_picture(cell):
            if words := alt_text(cells, i):
                cell.metadata.setdefault("mystnb", {})["image"] = {"alt": words}
            else:
                problems.append(f'cell {i}: no paragraph "Picture: ..." after the picture of {cell.source[:60]!r}')
    return problems


def add_explorer(cells: list, name: str) -> list[str]:
    """The explorer after the description of the first widget that moves keys."""
    for i, cell in enumerate(cells):
        if cell.cell_type == "code" and EXPLORER_AFTER in cell.source:
            cells.insert(i + 2, nbformat.v4.new_markdown_cell(EXPLORER))
            return []
    return [f"{name}: no cell with {EXPLORER_AFTER!r}, after which the explorer stands"]
