"""What a result says of the code that made it: our commit, or what was installed, never a repository around it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "kpp_lib"
# provenance.py alone, as part of a package of that name: importing all of ours takes seconds
ASK = """
import importlib.util, sys, types
for name in ("kpp_lib", "kpp_lib.training", "kpp_lib.data"):
    sys.modules[name] = types.ModuleType(name); sys.modules[name].__path__ = []
sys.modules["kpp_lib"].__version__ = "0.1.0"
sys.modules["kpp_lib.data.images"] = types.SimpleNamespace(ImageSet=object)
sys.modules["torch"] = types.SimpleNamespace(device=object)
spec = importlib.util.spec_from_file_location("kpp_lib.training.provenance", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.commit())
"""


def git(folder, *args):
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *name, *args], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path):
    """A repository of somebody's own, with one commit, and our package in its environment, not tracked."""
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("env\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-qm", "theirs")
    site = tmp_path / "env" / "site-packages"
    (site / "kpp_lib" / "training").mkdir(parents=True)
    (site / "kpp_lib" / "__init__.py").touch()
    shutil.copy(PACKAGE / "training" / "provenance.py", site / "kpp_lib" / "training")
    return site


def commit_of(site, **env):
    file = site / "kpp_lib" / "training" / "provenance.py"
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(file)], capture_output=True, text=True, check=True, env=os.environ | env
    )
    return done.stdout.strip()


def install(site, **direct_url):
    info = site / "kpp_lib-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kpp-lib\nVersion: 0.1.0\n")
    if direct_url:
        (info / "direct_url.json").write_text(json.dumps(direct_url))


def test_a_repository_around_an_installed_package_is_not_named(project):
    install(project)
    assert commit_of(project) == "0.1.0"


def test_the_commit_that_pip_installed_is_named(project):
    install(project, url="https://example.org/kpp", vcs_info={"vcs": "git", "commit_id": "c0ffee" * 7})
    assert commit_of(project) == "c0ffeec0ffee"


@pytest.mark.parametrize("strange", [{"vcs_info": None}, {"vcs_info": {"commit_id": 7}}, {"dir_info": {}}])
def test_a_strange_note_of_pip_gives_the_version(project, strange):
    install(project, **strange)
    assert commit_of(project) == "0.1.0"


def test_a_checkout_names_its_commit_and_whether_it_was_changed(project, tmp_path):
    git(tmp_path, "add", "-f", "env")
    git(tmp_path, "commit", "-qm", "now it is tracked")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert commit_of(project) == head
    (project / "kpp_lib" / "__init__.py").write_text("x = 1\n")
    assert commit_of(project) == head + "+"


def test_inside_a_git_hook_the_repository_is_still_that_of_the_package(project, tmp_path):
    """git sets GIT_DIR for its hooks; a test run by one must not name the repository that is committed to."""
    other = tmp_path / "env" / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(tmp_path, "add", "-f", "env/site-packages")
    git(tmp_path, "commit", "-qm", "tracked")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert commit_of(project, GIT_DIR=str(other / ".git")) == head
