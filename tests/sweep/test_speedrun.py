"""The verdict of a speed run: the rules it asks for, and when a record stands."""

import json
import statistics

import pytest
from scipy.stats import t as student

from kpp_lib import cli
from kpp_lib.sweep.plan import read_plan
from kpp_lib.sweep.speedrun import TOTAL, Attempt, attempts, check_jobs

RUN = """
[[run]]
name = "mine"
recipe = "allocated"
seeds = [0, 1, 2]
"""


def jobs(tmp_path, more=""):
    (tmp_path / "x.toml").write_text(RUN + more)
    return read_plan(tmp_path / "x.toml")


def attempt(*totals, retrieval=1.0):
    return Attempt("mine", totals, (retrieval,) * len(totals), (10.0,) * len(totals))


def test_the_file_keeps_the_rules():
    check_jobs(read_plan("experiments/speedrun.toml"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('dataset = "omniglot"', "mine-seed0: dataset: got 'omniglot', expected mnist"),
        ('binarize = "threshold"', "binarize: got 'threshold'"),
        ("[run.set]\nlength = 8", "length: got 8, expected 32"),
        ("[run.evaluate]\nlength = 8", "length: got 8, expected 32"),
        ("[run.evaluate]\norders = 1", "orders: got 1, expected 5"),
        ("[run.evaluate]\nlimit = 1024", "limit: got 1024, expected None"),
        ('[run.evaluate]\nscores = ["iw"]', "scores: got 'iw', expected retrieval_shuffled among them"),
    ],
)
def test_another_protocol_is_refused(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        check_jobs(jobs(tmp_path, more))


def test_p_is_of_a_one_sided_t_test():
    few = attempt(30.0, 30.2, 30.4)
    t = (30.2 - TOTAL) / (statistics.stdev(few.totals) / 3**0.5)
    assert few.p == pytest.approx(student.cdf(t, df=2)) and few.stands


@pytest.mark.parametrize(
    "weak",
    [
        attempt(20.0, 20.0),  # two seeds
        attempt(29.0, 31.0, 33.0),  # a mean below it, and seeds above
        attempt(31.6, 31.7, 31.8),
        attempt(30.0, 30.2, 30.4, retrieval=0.97),
    ],
)
def test_a_record_that_does_not_stand(weak):
    assert not weak.stands and weak.row().endswith("| no |")


def test_finished_runs_are_taken_together(tmp_path):
    for job, total in zip(jobs(tmp_path)[:2], (30.0, 31.0), strict=True):
        result = {"scores": {"total": {"mean": total}, "retrieval_shuffled": {"mean": 0.99}}}
        result["training"] = {"seconds": 600, "hardware": "cpu, 8 cores, 4 threads, 1 process"}
        (tmp_path / f"{job.id}.json").write_text(json.dumps(result))
    found = attempts(jobs(tmp_path), tmp_path)
    assert found == [Attempt("mine", (30.0, 31.0), (0.99, 0.99), (40.0, 40.0))]
    assert found[0].row().startswith("| mine | 2 | 30.50 ± 0.71 |")


def test_the_command_refuses_before_it_trains(tmp_path, capsys):
    jobs(tmp_path, 'dataset = "omniglot"')
    assert cli.main(["speedrun", str(tmp_path / "x.toml"), "--out", str(tmp_path / "out")]) == 2
    assert "expected mnist in a speed run" in capsys.readouterr().err and not (tmp_path / "out").exists()
