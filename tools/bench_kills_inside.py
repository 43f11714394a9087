"""python tools/bench_kills_inside.py: saves that are killed inside. Prints [deaths, [what was wrong, ...]] as JSON.

The process dies before each call to the system that a save makes, and half-way through each file; then the next save
dies at each of its calls as well. After each death a reader must find a whole checkpoint, old or new, and the save
after both must leave nothing but its own.
"""

import builtins
import io
import json
import os
import signal
import sys
import tempfile
import types
from pathlib import Path

# the package without its __init__: a process with PyTorch in it takes long to fork, and this forks thousands
sys.modules["kpp_lib"] = types.ModuleType("kpp_lib")
sys.modules["kpp_lib"].__path__ = [str(Path(__file__).resolve().parents[1] / "kpp_lib")]

from kpp_lib.training import atomic  # noqa: E402
from kpp_lib.training.atomic import CARD, TRAINING, WEIGHTS  # noqa: E402

os.fsync = lambda handle: None  # a killed process loses nothing that it wrote: fsync is for the day the power goes
CALLS = ("mkdir", "open", "fsync", "replace", "rename", "unlink", "rmdir", "close")


class Dying:
    """Stands for the module os: the process is dead before the call with this number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def count(self) -> bool:
        self.left -= 1
        return self.left < 0

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        return self._mortal(real) if name in CALLS else real

    def _mortal(self, real: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            if self.count():
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    def open_file(self, *args: object) -> io.IOBase:
        """The built-in open; its first write may end half-way."""
        if self.count():
            os.kill(os.getpid(), signal.SIGKILL)
        file = builtins.open(*args)
        if self.count():  # half a file
            file.write(b'{"ver')
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return file


def save(folder: Path, version: int) -> None:
    """A checkpoint whose files all say which one they are of."""
    text = json.dumps({"version": version}).encode()
    card = json.dumps({"version": version, "format": 2, "config": {}, "files": {}}).encode()
    atomic.write_folder(folder, {WEIGHTS: text, TRAINING: text, CARD: card})


def dies(folder: Path, version: int, number: int) -> bool:
    """Save in a process that is killed before its call `number`; whether it was."""
    child = os.fork()
    if not child:
        mortal = Dying(number)
        atomic.os, atomic.open = mortal, mortal.open_file
        save(folder, version)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def whole(folder: Path) -> int | None:
    """The version of the checkpoint that a reader finds; None if its files are not all of one."""
    found = atomic.present(folder)
    try:
        versions = {json.loads((found / name).read_text())["version"] for name in (CARD, WEIGHTS, TRAINING)}
    except (OSError, ValueError):
        return None
    return versions.pop() if len(versions) == 1 else None


def inside_saves(folder: Path, twice: bool = True) -> tuple[int, list[str]]:
    """How many deaths inside a save there were, and after which ones something was wrong. twice: the next one dies at
    each of its calls too, else at the first."""
    killed, faults, first = 0, [], 0
    while True:
        second = 0
        while True:
            out = folder / f"{first}-{second}" / "last"
            save(out, 1)
            one, found = dies(out, 2, first), [whole(out)]
            two, found = dies(out, 3, second), [*found, whole(out)]
            killed += one + two
            save(out, 4)
            left = sorted(os.listdir(out.parent))
            wrong = found[0] not in (1, 2) or found[1] not in (found[0], 3) or whole(out) != 4 or left != ["last"]
            faults += [f"killed at call {first}, then at {second}: found {found}, left {left}"] * wrong
            if not two or not twice:
                break
            second += 1
        if not one:
            return killed, faults
        first += 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="kpp-kills-") as place:
        print(json.dumps(inside_saves(Path(place), twice="--once" not in sys.argv)))
