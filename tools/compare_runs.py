"""python tools/compare_runs.py ONE OTHER: do two folders of `kpp train` hold the same run, file by file?

Tensors of weights and optimiser are compared bit by bit, logs and cards but for what the clock put there. Status 0 if
nothing differs.
"""

import csv
import json
import sys
from pathlib import Path

from safetensors.numpy import load_file

from kpp_lib.training.runlog import CLOCK

CLOCKED = ("seconds", "files", "sha256")  # of a card: the hash of a log is that of its seconds, too


def differences(one: Path, other: Path, but: tuple[str, ...] = ()) -> list[str]:
    """What differs between two runs, a line each; none if nothing does. `but`: more keys of cards to pass over."""
    names = [sorted(p.relative_to(d).as_posix() for p in d.rglob("*") if p.is_file()) for d in (one, other)]
    if names[0] != names[1]:
        return [f"files: {', '.join(sorted(set(names[0]) ^ set(names[1])))}"]
    return [f"{name}: {what}" for name in names[0] for what in _compared(one / name, other / name, CLOCKED + but)]


def _compared(one: Path, other: Path, but: tuple[str, ...]) -> list[str]:
    if one.suffix == ".safetensors":
        a, b = ({k: (v.dtype, v.shape, v.tobytes()) for k, v in load_file(f).items()} for f in (one, other))
    elif one.suffix == ".csv":
        a, b = (dict(enumerate({k: v for k, v in r.items() if k not in CLOCK} for r in _rows(f))) for f in (one, other))
    elif one.suffix == ".json":
        a, b = ({k: v for k, v in json.loads(f.read_text()).items() if k not in but} for f in (one, other))
    else:
        a, b = ({"bytes": f.read_bytes()} for f in (one, other))
    return [str(k) for k in {**a, **b} if k not in a or k not in b or a[k] != b[k]]


def _rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as f:
        return list(csv.DictReader(f))


if __name__ == "__main__":
    found = differences(*map(Path, sys.argv[1:]))
    print("\n".join(found) or "the same run")
    sys.exit(bool(found))
