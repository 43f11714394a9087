"""Who works in a folder: a lock file that refuses a second live run and yields to a dead one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOCK = ".kpp-lock"
_held: set[str] = set()  # lock files of this process: a second run in another thread is refused as well
_held_guard = threading.Lock()


class Owner(NamedTuple):
    """A process, so that it cannot be taken for a later one with the same number."""

    host: str
    pid: int
    started: str  # as `start_time` gives it; "" where that is not known

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), start_time(os.getpid()) or "")

    @property
    def dead(self) -> bool:
        """Whether it is known to have ended. Of another machine that cannot be known."""
        if self.host != socket.gethostname():
            return False
        now = start_time(self.pid)
        return now is None or bool(now and self.started and now != self.started)


def start_time(pid: int) -> str | None:
    """When the process began, as text that no later process with this number shares; "" if unknown, None if dead."""
    if sys.platform.startswith("linux"):
        try:
            # what follows the command's name, which may hold spaces and brackets itself
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        except (OSError, ValueError):
            return None
        return None if state in "ZX" else f"{boot}.{rest[18]}"  # a zombie writes nothing any more
    try:
        import psutil  # there with ipykernel; nothing else of ours needs it
    except ImportError:
        return _alive(pid)
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _alive(pid: int) -> str | None:
    if os.name == "nt":  # os.kill would end the process; so it counts as alive, and the message says what to delete
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if missing) for this process. ValueError, with what to do, if a live run holds it."""
    file = Path(os.path.realpath(folder)) / LOCK
    name = f"{os.getpid()} {file}"  # with the number, so that a forked child holds nothing
    with _held_guard:
        if name in _held:
            raise ValueError(_busy(folder, file, Owner.me()))
        _held.add(name)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _take(file, folder)
        except OSError as error:  # a file of that name, no right to write, a full disk
            raise ValueError(f"out: {folder}: {error.strerror}; expected a folder that can be written to") from error
        try:
            yield
        finally:
            _give_back(file)
    finally:
        _held.discard(name)


def _take(file: Path, folder: Path) -> None:
    with _alone(file, os.O_RDWR | os.O_CREAT) as handle:
        if text := os.read(handle, 4096):  # empty: its writer was killed before it had written a word
            owner = _parse(text)
            if owner is None:
                raise ValueError(f"{file}: not a lock of ours; expected no such file, or one that fit writes")
            if not owner.dead and (owner != Owner.me()):
                raise ValueError(_busy(folder, file, owner))
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(Owner.me()._asdict()).encode())
        os.fsync(handle)


def _give_back(file: Path) -> None:
    with contextlib.suppress(OSError), _alone(file, os.O_RDWR) as handle:
        if _parse(os.read(handle, 4096)) == Owner.me():  # never somebody else's, whatever happened in between
            if os.name == "nt":  # an open file cannot be deleted there
                os.ftruncate(handle, 0)
            else:
                file.unlink()


def _parse(text: bytes) -> Owner | None:
    try:
        owner = Owner(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    return owner if [type(v) for v in owner] == [str, int, str] else None


def _busy(folder: Path, file: Path, owner: Owner) -> str:
    where = f"process {owner.pid} on {owner.host}"
    if owner.host != socket.gethostname():
        return f"out: {folder} is in use by {where}, which cannot be asked from here; if it has ended, delete {file}"
    return (
        f"out: {folder} is in use by {where}; expected another folder, or wait until it ends "
        f"(if that is no run of yours, delete {file})"
    )


@contextlib.contextmanager
def _alone(file: Path, flags: int) -> Iterator[int]:
    """The open lock file, held against other processes for the few lines that read and write it."""
    while True:
        handle = os.open(file, flags, 0o666)
        try:
            _flock(handle)
            # whoever held it before us may have deleted it: then ours is a file that nobody else sees
            if file.exists() and os.path.samestat(os.fstat(handle), file.stat()):
                yield handle
                return
        finally:
            os.close(handle)


def _flock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two that start within the same instant are not told apart
        return
    with contextlib.suppress(OSError):  # some network file systems have no such locks
        fcntl.flock(handle, fcntl.LOCK_EX)
