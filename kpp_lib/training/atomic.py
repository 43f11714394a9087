"""A checkpoint's folder, there whole, old or new, whenever the process or the machine dies.

Four steps: the files are written to a hidden folder beside it and forced to disk; the old folder is renamed; the new
one takes its name; the old one is deleted. Between the two renames the old one stands under a hidden name, where
`present` finds it and the next save puts it back first, so that a second crash loses nothing either.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from pathlib import Path

from .lock import Owner

CARD, WEIGHTS, TRAINING, LOG = "model.json", "weights.safetensors", "training.safetensors", "log.csv"
OURS = (CARD, WEIGHTS, TRAINING, LOG)  # the only names that are ever deleted, the card first
OF_A_CARD = (b'"format"', b'"config"', b'"files"')  # other programs, too, call a file model.json; ours may be damaged


def present(folder: Path) -> Path:
    """Where the files of `folder` are: there, or under the hidden name of a swap that was cut off."""
    old = _old(folder)
    return old if (old / CARD).is_file() and not (folder / CARD).is_file() else folder


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Put `files`, the card among them, in place of what `folder` holds: then it has all of them, or the old ones.

    ValueError, and nothing changes, where there is a file, or a folder that is no checkpoint. A stranger's file inside
    a checkpoint moves to the new one. OSError if the disk is full; the old files are there still.
    """
    folder = Path(os.path.realpath(folder))  # a link stays a link: the folder that it points to is swapped
    folder.parent.mkdir(parents=True, exist_ok=True)
    _recover(folder)
    refuse_strangers(folder)
    _clean(folder)
    new = folder.with_name(_new_prefix(folder, Owner.me()) + secrets.token_hex(4))
    try:
        os.mkdir(new)
        for name, content in files.items():
            _write(new / name, content)
        _sync_folder(new)
        _swap(new, folder)
    except BaseException:  # an interruption too: the old folder as it was, and nothing half-written beside it
        _recover(folder)
        _remove(new)
        raise


def tidy(folder: Path) -> None:
    """Put right what a killed writer of `folder` left beside it; what is there and whole is not touched."""
    folder = Path(os.path.realpath(folder))
    if not folder.parent.is_dir():
        return
    _recover(folder)
    if (folder / CARD).is_file():
        _remove(_old(folder), heir=folder)
    _clean(folder)


def refuse_strangers(folder: Path) -> None:
    """ValueError unless `folder` may be replaced: nothing is there, or an empty folder, or a checkpoint."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ValueError(f"{folder}: no folder; expected a new one, an empty one, or a checkpoint to replace")
    held = sorted(os.listdir(folder))
    if held and CARD not in held:
        raise ValueError(
            f"{folder}: holds {', '.join(held[:3])}{' ...' * (len(held) > 3)} and no {CARD}; expected a new folder, an "
            "empty one, or a checkpoint to replace"
        )
    for name in held:
        if name in OURS and ((folder / name).is_symlink() or not (folder / name).is_file()):
            raise ValueError(f"{folder / name}: no plain file; expected one that save_model wrote")
    if held and not all(word in (folder / CARD).read_bytes() for word in OF_A_CARD):
        raise ValueError(
            f"{folder / CARD}: not of a checkpoint of ours, which names its format, config and files; expected a new "
            "folder, an empty one, or a checkpoint to replace"
        )


def remove(folder: Path) -> None:
    """Delete the checkpoint in `folder`, and the folder if nothing else is in it."""
    refuse_strangers(folder)
    _remove(_old(folder))
    _remove(folder)


def write_file(file: Path, content: bytes) -> None:
    """A file that is there whole or as it was before."""
    new = file.with_name(f".{file.name}.kpp-new")
    _write(new, content)
    _rename(new, file)
    _sync_folder(file.parent)


def _write(file: Path, content: bytes) -> None:
    with open(file, "wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())


def _swap(new: Path, folder: Path) -> None:
    old = _old(folder)
    _remove(old, heir=folder)  # left by a crash after the last swap: the folder itself is there, see _recover
    if folder.exists():
        _rename(folder, old)
    _rename(new, folder)
    _sync_folder(folder.parent)
    _remove(old, heir=folder)


def _recover(folder: Path) -> None:
    """Undo a swap that was cut off between its renames."""
    if present(folder) != folder:
        with contextlib.suppress(OSError):  # an empty folder that somebody made since
            os.rmdir(folder)
        if not os.path.lexists(folder):
            _rename(_old(folder), folder)
            _sync_folder(folder.parent)


def _remove(folder: Path, heir: Path | None = None) -> None:
    """Delete what is ours in `folder`, and the folder if that empties it. Strangers' files move to `heir`."""
    if not folder.is_dir():
        return
    for name in OURS:  # without the card, which goes first, the rest counts for nothing
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / name)
    for name in os.listdir(folder):
        if heir is not None and heir.is_dir() and not os.path.lexists(heir / name):
            os.rename(folder / name, heir / name)
    with contextlib.suppress(OSError):  # a stranger's file that has no place to go
        os.rmdir(folder)


def _clean(folder: Path) -> None:
    """Delete what writers of this folder left when they were killed: hidden folders in a dead process's name."""
    me, before = Owner.me(), f".{folder.name}.kpp-new-"
    for left in [file for file in folder.parent.iterdir() if file.name.startswith(before)]:
        host, pid, started, _ = (left.name.removeprefix(before).split("-") + [""] * 4)[:4]
        if host == _tag(me.host) and pid.isdecimal() and Owner(me.host, int(pid), started).dead:
            _remove(left)


def _new_prefix(folder: Path, owner: Owner) -> str:
    return f".{folder.name}.kpp-new-{_tag(owner.host)}-{owner.pid}-{owner.started}-"


def _tag(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def _old(folder: Path) -> Path:
    folder = folder if folder.name else folder.absolute()  # Path("") has no name
    return folder.with_name(f".{folder.name}.kpp-old")


def _rename(source: Path, target: Path) -> None:
    for wait in (0.05, 0.2, 1.0, None):
        try:
            return os.replace(source, target)
        except PermissionError:  # Windows, while a virus scanner or a reader has a file of it open
            if os.name != "nt" or wait is None:
                raise
            time.sleep(wait)


def _sync_folder(folder: Path) -> None:
    """Force names to disk, where a program can (on Windows it cannot)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(handle)
