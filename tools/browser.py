"""A Chromium for the browser tests: the one that is installed, else one that is installed now.

python tools/browser.py      says which one it is, installing it where none is found

KPP_BROWSER names a binary of your own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "install Chromium (Debian: apt-get install chromium; elsewhere: python -m playwright install chromium)"


class NoBrowserError(RuntimeError):
    """No Chromium was found and none could be installed; the message says what to do."""


def find() -> str | None:
    """The Chromium to use, installed by the system or by playwright; None where there is none.

    Raises NoBrowserError where KPP_BROWSER names no executable file.
    """
    named = os.environ.get("KPP_BROWSER")
    if named and not shutil.which(named):
        raise NoBrowserError(f"KPP_BROWSER: got {named!r}, expected an executable file")
    return named or next(filter(None, map(shutil.which, NAMES)), None) or bundled()


def bundled() -> str | None:
    """The Chromium that `playwright install` brings, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        path = play.chromium.executable_path
    return path if Path(path).is_file() else None


def commands() -> list[list[str]]:
    """What installs Chromium here: with apt as root on Debian, else with playwright, into the user's cache."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        return [["apt-get", "-q", "update"], ["apt-get", "-q", "install", "-y", "--no-install-recommends", "chromium"]]
    return [[sys.executable, "-m", "playwright", "install", "chromium"]]


def ensure() -> str:
    """A Chromium, installed now if none is found. Raises NoBrowserError where that fails."""
    path = find()
    if path:
        return path
    for command in commands():
        print("no Chromium found:", " ".join(command), file=sys.stderr, flush=True)
        if subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}).returncode:
            raise NoBrowserError(f"{' '.join(command)} failed; {INSTALL}")
    path = find()
    if not path:
        raise NoBrowserError(f"installed, yet not found under any of {', '.join(NAMES)}; {INSTALL}, or set KPP_BROWSER")
    return path


@contextmanager
def launch() -> Iterator[Any]:
    """A headless playwright Browser, closed at the end."""
    from playwright.sync_api import sync_playwright

    path = ensure()
    with sync_playwright() as play:
        # No sandbox: containers run as root. Only pages of our own are opened.
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


if __name__ == "__main__":
    print(ensure())
