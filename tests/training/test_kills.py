"""Ten kills at random moments, and one at each point inside a save; `make bench` has a hundred, and kills two saves."""

import json
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


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_save_may_die_at_any_of_its_points():
    """At each call to the system, and half-way through each file; the next save dies at its first."""
    inside = [sys.executable, "bench_kills_inside.py", "--once"]
    done = subprocess.run(inside, cwd=TOOLS, capture_output=True, text=True)
    killed, faults = json.loads(done.stdout)
    assert killed > 40 and faults == [], done.stdout + done.stderr
