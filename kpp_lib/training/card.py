"""The card of a checkpoint, model.json: what it says, the hash of each other file, and, last, its own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .atomic import OURS, WEIGHTS

FORMAT = 2
WRITTEN = ("format", "config", "files", "sha256")  # what save_model itself puts into a card
LARGEST_CARD = 2**20  # bytes; ours have a few thousand


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged, of another format, or that could not be written."""


def seal(card: dict[str, Any]) -> bytes:
    """The text of a card, ended by its own hash, which says whether the others can be believed."""
    try:
        card = json.loads(json.dumps({k: v for k, v in card.items() if k != "sha256"}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"card: {error}; expected what JSON can hold") from error
    return (json.dumps(card | {"sha256": _digest(card)}, indent=1) + "\n").encode()


def _digest(card: dict[str, Any]) -> str:
    words = {k: v for k, v in card.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(words, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_card(file: Path, raw: bytes) -> dict[str, Any]:
    """The card in the contents of `file`; CheckpointError unless it is, word for word, what save_model wrote."""
    expected = "expected the card that save_model writes"
    if len(raw) > LARGEST_CARD:
        raise CheckpointError(f"{file}: {len(raw)} bytes; {expected}, of a few thousand")
    try:
        card = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        digest = _digest(card) if isinstance(card, dict) else None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not JSON ({error}); {expected}") from error
    if not isinstance(card, dict) or "format" not in card:
        raise CheckpointError(f"{file}: {type(card).__name__} without a format; {expected}")
    if type(card["format"]) is not int or card["format"] != FORMAT:
        raise CheckpointError(f"{file}: format {str(card['format'])[:40]}, expected {FORMAT}")
    if card.get("sha256") != digest:
        raise CheckpointError(f"{file}: damaged, or edited by hand: its own sha256 does not fit; {expected}")
    files = card.get("files")
    if not isinstance(card.get("config"), dict) or not isinstance(files, dict) or WEIGHTS not in files:
        raise CheckpointError(f"{file}: no config, or no files with {WEIGHTS}; {expected}")
    if strange := set(files) - set(OURS):
        raise CheckpointError(f"{file}: names {sorted(strange)[0]!r} as a file of a checkpoint; {expected}")
    return card


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(card := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return card


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")
