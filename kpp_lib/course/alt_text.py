"""Words for the pictures of a notebook: the paragraph after each that begins with "Picture:", as plain text."""

from __future__ import annotations

import re
from typing import Any

LENGTH = 250  # characters after which an alternative text ends with its sentence; the page shows the whole paragraph
PARAGRAPH = re.compile(r"^\**Picture:\**\s*(.+?)(?:\n\s*\n|\Z)", re.M | re.S)


def alt_text(cells: list[Any], index: int) -> str | None:
    """Words for the picture of code cell `index`, or None.

    They are the first paragraph "Picture: ..." (in any emphasis) of the Markdown between this picture and the next:
    after it, so that a reader who was asked for a prediction is not told the answer first.
    """
    for cell in cells[index + 1 :]:
        if has_picture(cell):
            return None
        if cell.cell_type == "markdown" and (found := PARAGRAPH.search(cell.source)):
            return plain(found[1])
    return None


def has_picture(cell: Any) -> bool:
    """Whether a cell left a PNG in its outputs."""
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def plain(text: str) -> str:
    """Markdown as one line of some `LENGTH` characters: no marks, symbols by name, whole sentences."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\(?:mathcal|mathbb|mathrm|text|operatorname)\b", "", text)
    text = re.sub(r"\\mid\b", " given ", text)
    text = re.sub(r"[$`*{}\\]", "", re.sub(r"\\([a-zA-Z]+)", r" \1 ", text))
    sentences = re.split(r"(?<=[.!?])\s+", re.sub(r"(?<=\() +| +(?=[),.])", "", " ".join(text.split())))
    kept = sentences.pop(0)
    while sentences and len(kept) + len(sentences[0]) < LENGTH:
        kept += " " + sentences.pop(0)
    return kept
