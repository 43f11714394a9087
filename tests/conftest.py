"""Fixtures shared by the test files, and how the files are shared between processes."""

import signal
from pathlib import Path

import pytest
from tiny_cifar import batches  # noqa: F401  (pytest finds it here by name)
from tiny_data import contents, digits, no_sources, released_bits, root  # noqa: F401  (pytest finds them here by name)
from tiny_omniglot import chardata, drawings  # noqa: F401

HERE = Path(__file__).resolve().parent
# These begin first, or one process would end with them alone.
LONGEST = ("browser", "test_bound_holds.py", "training", "sweep")


def pytest_configure(config):
    """Started in the background, a shell has Ctrl-C ignored, by us and by all that we start; here it is tested."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    def rank(item):
        place = item.path.relative_to(HERE).parts[0]
        return LONGEST.index(place) if place in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is nothing to share
def pytest_xdist_make_scheduler(config, log):
    """A file's tests stay in one process: what they share is made once. So do those of tests/browser, or two processes
    would install the one missing browser at a time. By path: pytest 9.2 loses the groups."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return "browser" if "/browser/" in file else file

    return ByFile(config, log)
