"""A browser for the tests of a file, and where their pictures go."""

from pathlib import Path

import browser as chromium  # tools/browser.py
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def browser():
    """Chromium. A missing one is installed; where that fails the tests fail, they are not skipped.

    One for each file and closed after it: while playwright runs, an event loop runs, and widgets in other tests would
    wait for it.
    """
    with chromium.launch() as running:
        yield running


@pytest.fixture(scope="session")
def shots():
    """build/browser: what the tests saw, to be looked at."""
    folder = ROOT / "build" / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
