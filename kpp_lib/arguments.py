"""What is typed after `kpp`, checked before any work: types for argparse, an error of one line, and plain characters
for a terminal that has no others."""

from __future__ import annotations

import argparse
import codecs
import sys
from pathlib import Path
from typing import NoReturn

import torch

from .config import Config
from .data.load import check_dataset
from .inputs import check_count, check_number, wrong

PLAIN = {"±": "+-", "·": "*", "×": "x", "…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "→": "->"}


class Parser(argparse.ArgumentParser):
    """argparse, its complaints in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.removeprefix('argument ').split())} ({self.prog} --help)\n")


def argument(check):
    """A type for argparse: its ValueError is what the user reads, without the name that argparse puts before it."""

    def convert(text: str):
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix(": ")) from None

    return convert


def _number(text: str, kind: type) -> int | float | str:
    try:
        return kind(text)
    except ValueError:
        return text  # the check says what it is not


@argument
def whole(text: str) -> int:
    """A whole number of at least 1."""
    return check_count("", _number(text, int))


@argument
def positive(text: str) -> float:
    """A number above 0."""
    return check_number("", _number(text, float), above=0)


@argument
def dataset(text: str) -> str:
    """The name of a data set, or folder:PATH of a folder that is there."""
    return check_dataset("", text)


@argument
def device(text: str) -> str:
    """A device that is there: cpu, cuda, cuda:N or mps."""
    return check_device("", text)


def check_device(name: str, given: str) -> str:
    """`given`, if torch has such a device here; else ValueError."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda", *(f"cuda:{i}" for i in range(gpus))] if gpus else [])]
    known += ["mps"] if torch.backends.mps.is_available() else []
    if given not in known:
        raise wrong(name, given, f"a device of this machine: {', '.join(known)}")
    return given


@argument
def run_folder(text: str) -> str:
    """A folder to write a run into, there or not: not a file, and not the one at work, whose files are not ours."""
    if not text or not Path(text).resolve().name or Path(text).resolve() == Path.cwd():
        raise wrong("", text, "a folder of its own, such as runs/mnist")
    _no_file_on_the_way(text, Path(text))
    return text


@argument
def output_file(text: str) -> Path:
    """A file to write, there or not: not a folder; missing folders around it are made when it is written."""
    path = Path(text)
    if not text or path.is_dir() or text.endswith(("/", "\\")):
        raise wrong("", text, "the name of a file, not of a folder")
    _no_file_on_the_way(text, path.parent)
    return path


def _no_file_on_the_way(text: str, folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise wrong("", text, f"a path through folders: {place} is a file")


@argument
def checkpoint(text: str) -> str:
    """A folder or the name of shipped weights; '.' and '..' by their full names."""
    if not text:
        raise wrong("", text, "a folder, or the name of shipped weights")
    return str(Path(text).resolve()) if Path(text).name in ("", "..") else text


def overrides(pairs: list[str]) -> dict:
    """["steps=500", "widths=[8,8,8,8]"] -> {"steps": 500, "widths": (8, 8, 8, 8)}: each as its field reads it."""
    settings = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise wrong("--set", pair, "FIELD=VALUE with a field of Config")
        try:
            settings[name] = Config.parse(name, text)
        except ValueError as error:
            raise ValueError(f"--set: {error}") from error
    return settings


def spell_out(error: UnicodeError) -> tuple[str, int]:
    """For a stream whose encoding lacks a character: a plain one in its place, or its number."""
    lacking = error.object[error.start : error.end]
    plain = "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lacking)
    return plain, error.end


def plain_streams() -> None:
    """From here on no character stops the output: an ASCII terminal reads "+-" for "±"."""
    codecs.register_error("kpp-plain", spell_out)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="kpp-plain")
