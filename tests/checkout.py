"""A copy of this repository as someone who clones it gets it: the tracked files and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def copy_of_tracked_files(target: Path) -> Path:
    """Copies every tracked file, as it stands now, under `target`; skips where this is no git work tree."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git work tree (an unpacked archive?): which files a clone would have is not known here")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # removed and not yet committed: a clone will not have it either
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target
