"""A data folder is searched by what its files are, not by one spelling of their names.

`walk` lists the files that can matter, once. A reader asks which of them could be its own, tries them in order of what
names and folders say, and holds each against its checksum: one damaged file never hides a good one beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .sources import DataError

DEPTH = 7  # folders below the data folder
FOLDERS = 5_000  # looked into at most
ENTRIES = 20_000  # of one folder at most: one with more is a folder of pictures
CHARACTER = re.compile(r"character\d+", re.I)  # one of Omniglot's 1,623 folders of drawings
# never a data file of ours; a folder may hold a million of them
OTHERS = frozenset(".png .gif .bmp .tif .tiff .txt .md .csv .json .py .ipynb .pt .pth .html .yaml .log".split())
PICTURES = frozenset((".jpg", ".jpeg"))  # of which the first of a folder is kept: a lossy copy is told so

T, V = TypeVar("T"), TypeVar("V")


@dataclass(frozen=True)
class Tree:
    """What is below a data folder: nearest files first, then by name."""

    root: Path
    files: tuple[Path, ...]
    characters: tuple[Path, ...]  # folders of Omniglot's drawings, not looked into
    unseen: tuple[str, ...]  # what was not looked at, and why

    def parts(self, path: Path) -> tuple[str, ...]:
        """The folders that a file lies in, nearest first; the last is the data folder itself."""
        return (*reversed(path.relative_to(self.root).parts[:-1]), self.root.resolve().name)

    def said(self) -> str:
        """What was not looked at, for the end of a message."""
        return "".join(f"; not looked at: {words}" for words in self.unseen[:3])


def walk(root: Path) -> Tree:
    """List a folder. Links that lead out of it are not followed; hidden files, and what is very deep, are not seen."""
    files, characters, unseen = [], [], []
    level, opened, inside_of = [root], 0, root.resolve()
    for _ in range(DEPTH):
        below: list[Path] = []
        for folder in level:
            opened += 1
            if opened > FOLDERS:
                unseen.append(f"what comes after the first {FOLDERS:,} folders")
                return Tree(root, tuple(files), tuple(characters), tuple(unseen))
            inside, sub = _listed(inside_of, folder, unseen)
            files += inside
            for path in sub:
                (characters if CHARACTER.fullmatch(path.name) else below).append(path)
        level = below
    return Tree(root, tuple(files), tuple(characters), tuple(unseen))


def _listed(root: Path, folder: Path, unseen: list[str]) -> tuple[list[Path], list[Path]]:
    """The files of a folder that can matter, and its folders, in order of their names."""
    files, folders, pictures = [], [], []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= ENTRIES:
                    unseen.append(f"what comes after {ENTRIES:,} files in {folder}")
                    break
                end = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith((".", "__MACOSX")) or end in OTHERS:
                    continue
                linked = entry.is_symlink()
                if linked and not Path(entry.path).resolve().is_relative_to(root):
                    unseen.append(f"{entry.path}, a link that leads out of the folder")
                elif entry.is_dir():
                    folders += [] if linked else [entry.name]  # inside, it is seen by its own name
                elif entry.is_file():
                    (pictures if end in PICTURES else files).append(entry.name)
    except OSError as error:
        unseen.append(f"{folder} ({error.strerror})")
    files += sorted(pictures)[:1]
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(folders)]


def first_good(candidates: Iterable[T], read: Callable[[T], V], damage: list[str]) -> V | None:
    """What `read` gives for the first candidate that it takes; what is wrong with those before goes into `damage`."""
    for candidate in candidates:
        try:
            return read(candidate)
        except DataError as error:
            damage.append(str(error))
        except OSError as error:
            damage.append(f"{error.filename or candidate}: cannot be read ({error.strerror or error})")
    return None


def passed_over(damage: list[str]) -> str:
    """A note on damaged files beside the good ones, or ""."""
    return f"not used: {'; '.join(damage)}" if damage else ""
