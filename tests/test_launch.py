"""What can be checked of the launch paths without their services."""

import os
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONDA = {"torch": "pytorch-cpu"}  # the same thing under another name


def test_binder_installs_what_the_package_needs_at_the_same_floors():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + [d for d in project["optional-dependencies"]["notebooks"] if "m" == d[0]]
    conda = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())["dependencies"]
    for requirement in needed:
        name, floor = re.match(r"([\w-]+)(.*)", requirement).groups()
        assert f"{CONDA.get(name, name)}{floor}" in conda
    assert "python=3.12" in conda and not any(isinstance(d, dict) for d in conda)  # no pip part, no local path


def test_binder_scripts_fail_loudly_and_hand_over():
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK)
    assert "set -euo pipefail" in (ROOT / "binder" / "postBuild").read_text()
    assert (ROOT / "binder" / "start").read_text().rstrip().endswith('exec "$@"')


def test_package_names_no_version_ceiling_on_what_colab_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [d for d in project["dependencies"] if re.search("==|<|~=", d)]
