"""The setup cell of every notebook: on Colab it adds kpp_lib and nothing else, elsewhere it does nothing."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from unittest import mock

import badges
import jupytext
import pytest
from checkout import ROOT, contents, copy_of_tracked_files, offline_pip, small_environment

SCRIPTS = sorted((ROOT / "notebooks" / "py").glob("*.py"))
# What a second copy of would break a running Colab kernel. The versions are below our floors on purpose: an installer
# that looks at our dependencies wants to replace them.
HOST = {"torch": "2.0.0", "torchvision": "0.15.0", "numpy": "1.22.0", "matplotlib": "3.5.0", "safetensors": "0.3.0"}

each_notebook = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def setup_cell(path):
    """The first code cell."""
    return next(cell.source for cell in jupytext.read(path, fmt="py:percent").cells if cell.cell_type == "code")


def installed_by(cell, present):
    """The commands that the cell starts where `kpp_lib` is present, or missing."""
    spec = importlib.util.find_spec("kpp_lib") if present else None
    with (
        mock.patch.object(importlib.util, "find_spec", return_value=spec) as asked,
        mock.patch.object(subprocess, "run") as run,
    ):
        exec(compile(cell, "setup cell", "exec"), {})
    asked.assert_called_with("kpp_lib")
    return [call.args[0] for call in run.call_args_list]


@each_notebook
def test_nothing_is_installed_where_the_package_is(path):
    assert installed_by(setup_cell(path), present=True) == []


@each_notebook
def test_the_package_alone_is_installed_where_it_is_missing(path):
    repository, branch = badges.place(ROOT)
    [command] = installed_by(setup_cell(path), present=False)
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-1] == f"kpp-lib @ git+https://github.com/{repository}@{branch}"
    assert "--no-deps" in command
    assert {option for option in command[4:-1]} <= {"-q", "--no-deps"}


def test_all_notebooks_have_the_same_setup_cell():
    assert len({setup_cell(path) for path in SCRIPTS}) == 1


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """This repository as a git server would give it, on the branch that the notebooks name."""
    folder = copy_of_tracked_files(tmp_path_factory.mktemp("published"))
    git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q", "-b", badges.place(ROOT).branch], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    return folder


@pytest.fixture
def host(tmp_path):
    """An environment like Colab's, in small."""
    return small_environment(tmp_path / "host", HOST)


def run_cell(python, published):
    """The cell in a process of its own; our address is answered from a folder, by git's own `insteadOf`."""
    address = f"https://github.com/{badges.place(ROOT).repository}"
    redirect = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }
    text = setup_cell(SCRIPTS[0]) + "\nprint(importlib.util.find_spec('kpp_lib').origin)\n"
    return subprocess.run(
        [python, "-c", text],
        capture_output=True,
        text=True,
        check=False,
        env=offline_pip() | redirect,
        cwd=python.parent,  # away from the checkout, where kpp_lib would be found
        timeout=900,
    )


def test_a_host_gets_the_package_and_keeps_all_it_has(host, published):
    python, site = host
    before = contents(site)
    done = run_cell(python, published)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(done.stdout.strip()).parent.resolve() == (site / "kpp_lib").resolve()  # importable without a restart
    after = contents(site)
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[0].split("-")[0] for name in after.keys() - before.keys()} == {"kpp_lib"}
    assert len(list((site / "kpp_lib" / "weights").glob("*/weights.safetensors"))) >= 6  # shipped weights travel along

    again = run_cell(python, published / "nowhere")  # the package is there: no address is asked for
    assert again.returncode == 0 and contents(site) == after, again.stderr
