"""tools/ship.py takes a run of a sweep, and its report."""

import json
import sys

import pytest
import ship
from tiny_model import bar_set

import kpp_lib as kpp
from kpp_lib.sweep import worker
from kpp_lib.sweep.plan import Job, read_plan
from kpp_lib.sweep.worker import Task

RUN = """
[[run]]
name = "bars"
preset = "tiny"
binarize = "fixed"
seeds = [3]
set = { steps = 3, episodes = 2 }
evaluate = { orders = 1, scores = ["memory_swap"] }
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of a sweep on bars; weights are shipped to a folder of the test's own."""
    monkeypatch.setattr(worker, "load_for", lambda *args: bar_set())
    monkeypatch.setattr(ship, "PRETRAINED", tmp_path / "weights")
    monkeypatch.setitem(ship.LICENCE, "bars", "none")
    (tmp_path / "x.toml").write_text(RUN)
    job = read_plan(tmp_path / "x.toml")[0]
    assert worker.work(Task(job, str(tmp_path), "kpp sweep x.toml", 0)) == 0
    return tmp_path / "bars-seed3"


def shipped(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["ship.py", *map(str, argv)])
    ship.main()


def test_a_run_of_a_sweep_is_shipped_with_its_scores(run, tmp_path, monkeypatch):
    shipped(monkeypatch, run, "mine", "--about", "bars")
    folder = tmp_path / "weights" / "mine"
    assert kpp.load_card(folder)["command"] == (
        "kpp train --preset tiny --recipe allocated --dataset bars --binarize fixed "
        "--set episodes=2 steps=3 seed=3 --out runs/bars-allocated"
    )
    assert kpp.load_model(folder).config == kpp.load_model(run).config
    result = run.with_suffix(".json")
    monkeypatch.setattr(ship, "load_card", lambda name: kpp.load_card(tmp_path / "weights" / name))
    shipped(monkeypatch, "mine", "mine", "--report", result)
    card, report = kpp.load_card(folder), json.loads(result.read_text())
    assert card["scores"] == report["scores"] and card["scored"]["orders"] == 1
    assert Job.from_dict({name: report[name] for name in Job.__dataclass_fields__}).id == report["run"] == "bars-seed3"
