"""What can be checked of the launch paths without their services."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
PYTHONS = [name.removeprefix("Programming Language :: Python :: ") for name in PROJECT["classifiers"]]


def conda(file):
    return yaml.safe_load((ROOT / file).read_text())["dependencies"]


@pytest.mark.parametrize(("file", "torch"), [("binder/environment.yml", "pytorch-cpu"), ("environment.yml", "pytorch")])
def test_conda_environments_have_what_the_notebooks_need_at_the_same_floors(file, torch):
    needed = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebooks"]
    expected = {re.sub("^torch(?=>)", torch, requirement) for requirement in needed} | {"python=3.12"}
    assert {d for d in conda(file) if isinstance(d, str)} - {"pip"} == expected


def test_binder_names_no_local_path_and_conda_installs_only_us_with_pip():
    assert not any(isinstance(d, dict) for d in conda("binder/environment.yml"))  # or each commit reinstalls torch
    assert [d for d in conda("environment.yml") if isinstance(d, dict)] == [{"pip": ["-e ."]}]


def test_the_server_runs_what_the_readme_names_on_every_system_and_python():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert {step.get("run") for step in jobs["test"]["steps"]} >= {"make check", "make test"}
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == PYTHONS


def test_the_same_pythons_are_named_everywhere():
    first, last = PYTHONS[0], PYTHONS[-1]
    (_, low), (_, high) = (version.split(".") for version in (first, last))
    assert PYTHONS == [f"3.{minor}" for minor in range(int(low), int(high) + 1)]
    assert PROJECT["requires-python"] == f">={first},<3.{int(high) + 1}"
    makefile = (ROOT / "Makefile").read_text()
    assert f"({first} to {last})" in makefile and f"{', '.join(PYTHONS[:-1])} or {last} is needed" in makefile
    assert f"(3, {low}) <= sys.version_info[:2] <= (3, {high})" in makefile
    assert f"You need Python {first} to {last} and `make`" in (ROOT / "README.md").read_text()
    assert CONFIGURATION["tool"]["ruff"]["target-version"] == f"py3{low}"


def test_pre_commit_syncs_notebooks_and_runs_the_checks_of_make():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook for repo in repos for hook in repo["hooks"]}
    assert hooks["jupytext"]["args"] == ["--sync"] and {
        "ruff-check",
        "notebook-pairs",
        "badges",
        "notebook-outputs",
    } <= set(hooks)
    limit = int(hooks["check-added-large-files"]["args"][0].removeprefix("--maxkb="))
    assert all(f.stat().st_size <= 1024 * limit for f in (ROOT / "kpp_lib" / "weights").rglob("*.safetensors"))


def test_binder_scripts_fail_loudly_and_hand_over():
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK)
    assert "set -euo pipefail" in (ROOT / "binder" / "postBuild").read_text()
    assert (ROOT / "binder" / "start").read_text().rstrip().endswith('exec "$@"')


def test_package_names_no_version_ceiling_on_what_colab_brings():
    assert not [d for d in PROJECT["dependencies"] if re.search("==|<|~=", d)]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_lab_opens_the_notebook_that_is_named():
    def opened(*words):
        command = ["make", "--no-print-directory", "-n", *words, "lab"]  # under `make test` it would name the folder
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]

    assert opened().endswith("/jupyter lab notebooks/00_start_here.ipynb")
    named = set(re.findall(r"make .*lab NOTEBOOK=(\w+)", (ROOT / "README.md").read_text()))
    assert len(named) == 1  # the key to drag
    line = opened(f"NOTEBOOK={named.pop()}")
    assert "widgets.explore(" in (ROOT / line.split()[-1]).read_text()


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_make_lab_refuses_a_notebook_that_is_not_there(tmp_path):
    (tmp_path / ".ready").touch()
    os.utime(tmp_path / ".ready", (2**33, 2**33))  # as if set up already
    words = ["make", "NOTEBOOK=99_nowhere", f"VENV={tmp_path}", "lab"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "99_nowhere" in done.stderr and "notebooks/06_key_space.ipynb" in done.stderr


def test_the_citation_is_of_the_version_we_are():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] and citation["license"] == "MIT"
