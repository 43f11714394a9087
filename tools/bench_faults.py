"""Faults: a hundred kills, five thousand draws. Each is a command of its own; one fault too many fails the bench."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from bench_rows import Row, row

TOOLS = Path(__file__).parent
# name -> (script, its option, how many in full, how many in a quick run, other options)
COMMANDS = {
    "kills": ("bench_kills.py", "--kills", 100, 2, []),
    "draws": ("bench_surface.py", "--draws", 5000, 60, ["--json"]),
}
LIMIT = 3600  # seconds: only what hangs is cut off


def rows(names: list[str], quick: bool) -> list[Row]:
    """A row for each of them, run side by side: they are about right and wrong, not about time."""
    running = {}
    for name in names:
        script, option, full, few, more = COMMANDS[name]
        number = few if quick else full
        if (TOOLS / script).is_file():
            command = [sys.executable, str(TOOLS / script), option, str(number), *more]
            running[name] = (number, subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return [_judged(name, number, process) for name, (number, process) in running.items()]


def _judged(name: str, number: int, process: subprocess.Popen) -> Row:
    try:
        printed, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        printed, _ = process.communicate()
        printed += f"\nkilled after {LIMIT} s"
    lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["printed nothing"]
    found = faults(lines[-1], process.returncode)
    return row("faults", f"{number} {name}", [found], "faults", 0, lines[-1].strip("{}").replace('"', "")[:200])


def faults(last: str, status: int) -> int:
    """How many the last line names: "3 faults", or JSON with "obscure" and "wrong". A bad status is at least one."""
    named = 0
    if found := re.search(r"(\d+) faults?\b", last):
        named = int(found.group(1))
    elif last.startswith("{"):
        counts = json.loads(last)
        named = counts["obscure"] + counts["wrong"]
    return max(named, int(status != 0))
