"""What Binder makes of this repository, asked of its own builder; no container is built, so no Docker is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import contents, copy_of_tracked_files, offline_pip, small_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="repo2docker does not run on Windows")


def plan(folder):
    """The Dockerfile that repo2docker would build, and what it says while it decides."""
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-name", "ada", "--user-id", "1000"]
    command += ["--Repo2Docker.platform=linux/amd64"]  # as mybinder.org builds, whatever machine this is
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def position(what, text):
    """Where a line that holds the pattern stands; -1 if nowhere."""
    found = re.search(rf"^.*{what}", text, re.M)
    return found.start() if found else -1


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_of_tracked_files(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def dockerfile(clone):
    return plan(clone)


def test_the_environment_of_the_binder_folder_is_taken_at_its_python(clone, dockerfile):
    dependencies = yaml.safe_load((clone / "binder" / "environment.yml").read_text())["dependencies"]
    [python] = [d.removeprefix("python=") for d in dependencies if str(d).startswith("python=")]
    assert f"Building conda environment for python={python}" in dockerfile
    assert '--file "binder/environment.yml"' in dockerfile
    assert "requirements.txt" not in dockerfile and "pip install" not in dockerfile  # no other build file was found


def test_pytorch_is_installed_before_the_course_is_copied(dockerfile):
    """Else each commit would install it anew: Docker reuses a step while nothing before it changed."""
    installed, copied = position("env update", dockerfile), position(r"COPY .*\bsrc/ ", dockerfile)
    assert -1 < installed < copied


def test_both_scripts_are_run_after_that(dockerfile):
    copied, built = position(r"COPY .*\bsrc/ ", dockerfile), position("RUN ./binder/postBuild", dockerfile)
    assert -1 < copied < built
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile


def test_post_build_adds_the_package_and_nothing_else(clone, tmp_path):
    python, site = small_environment(tmp_path / "conda", {"torch": "2.0.0", "numpy": "1.22.0"})  # below our floors
    before, path = contents(site), {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["binder/postBuild"], cwd=clone, capture_output=True, text=True, env=offline_pip() | path)
    assert done.returncode == 0, done.stdout + done.stderr
    after = contents(site)
    assert {name: after.get(name) for name in before} == before
    assert all("kpp_lib" in name for name in after.keys() - before.keys())
    ask = [python, "-c", "import importlib.util; print(importlib.util.find_spec('kpp_lib').origin)"]
    found = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=True, env=offline_pip()).stdout
    assert Path(found.strip()) == clone.resolve() / "kpp_lib" / "__init__.py"  # wherever a notebook stands


def test_start_hands_over_with_one_thread(clone):
    command = [
        "binder/start",
        sys.executable,
        "-c",
        "import os, sys; print(os.environ['OMP_NUM_THREADS'], sys.argv[1])",
        "on",
    ]
    assert subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout.split() == ["1", "on"]


def test_a_local_path_in_the_environment_would_be_seen(tmp_path):
    """The check above can fail: with the readers' environment.yml, which names `-e .`, PyTorch comes after the copy."""
    broken = copy_of_tracked_files(tmp_path)
    (broken / "binder" / "environment.yml").write_text((broken / "environment.yml").read_text())
    text = plan(broken)
    assert position("env update", text) > position(r"COPY .*\bsrc/ ", text) > -1
