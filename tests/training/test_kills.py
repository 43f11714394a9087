"""Ten kills at random moments; `make bench` has a hundred, and those inside a save."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
KILL = "import sys, pathlib, bench_kills; print(*bench_kills.random_kills(10, 0, pathlib.Path(sys.argv[1])))"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_ten_kills_change_nothing(tmp_path):
    # in a process of its own: it forks, and pytest-xdist has threads
    done = subprocess.run([sys.executable, "-c", KILL, str(tmp_path)], cwd=TOOLS, capture_output=True, text=True)
    assert done.stdout.strip() == "10 []", done.stdout + done.stderr
