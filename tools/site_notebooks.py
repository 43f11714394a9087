"""A committed notebook as the site shows it: no widgets, no badges, and a text for every picture.

The text comes from the paragraph beside the picture that begins with "Picture:", as CONTRIBUTING asks for.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import site_pages

REACH = 3  # cells between a picture and its description, at most
ALT = (
    250  # characters after which an alternative text ends with its sentence; the whole of it stands beside the picture
)
PICTURE = re.compile(r"^\**Pictures?:\**\s*(.+?)(?:\n\s*\n|\Z)", re.M | re.S)
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
    """Gives every picture its alternative text; returns the pictures that have none beside them."""
    texts = {i: found for i, cell in enumerate(cells) if cell.cell_type == "markdown" and (found := descriptions(cell))}
    problems = []
    for i, cell in enumerate(cells):
        count = sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        if not count:
            continue
        near = sorted((j for j in texts if abs(i - j) <= REACH), key=lambda j: (abs(i - j), j))
        if not near:
            problems.append(f'cell {i}: a picture with no paragraph "Picture: ..." beside it: {cell.source[:60]!r}')
            continue
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": texts[near[0]].pop(0)}
        texts = {j: rest for j, rest in texts.items() if rest}
    return problems


def descriptions(cell: dict) -> list[str]:
    """The alternative texts that a cell of text holds."""
    return [alternative(text) for text in PICTURE.findall(cell.source)]


def alternative(text: str) -> str:
    """Markdown as a plain line of some `ALT` characters: no marks, symbols by name, whole sentences."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\(?:mathcal|mathbb|mathrm|text|operatorname)\b", "", text)
    text = re.sub(r"\\mid\b", " given ", text)
    text = re.sub(r"[$`*{}\\]", "", re.sub(r"\\([a-zA-Z]+)", r" \1 ", text))
    sentences = re.split(r"(?<=[.!?])\s+", re.sub(r"(?<=\() +| +(?=[),.])", "", " ".join(text.split())))
    kept = sentences.pop(0)
    while sentences and len(kept) + len(sentences[0]) < ALT:
        kept += " " + sentences.pop(0)
    return kept


def add_explorer(cells: list, name: str) -> list[str]:
    """The explorer after the description of the first widget that moves keys."""
    for i, cell in enumerate(cells):
        if cell.cell_type == "code" and EXPLORER_AFTER in cell.source:
            cells.insert(i + 2, nbformat.v4.new_markdown_cell(EXPLORER))
            return []
    return [f"{name}: no cell with {EXPLORER_AFTER!r}, after which the explorer stands"]
