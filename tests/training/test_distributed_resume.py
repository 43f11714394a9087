"""Two processes that are stopped and go on: the run of two that were never stopped, file by file and bit by bit."""

import re
import signal
import subprocess
import time

import pytest
import two_processes
from compare_runs import differences
from launch_two import ENOUGH, command, launch

import kpp_lib as kpp
from kpp_lib.training.runlog import read_log

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A whole run, and three that are stopped by a signal that reaches one process, and called again."""
    out = tmp_path_factory.mktemp("resume")
    ended = launch("stops", out)
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.mark.parametrize("stop", two_processes.STOPS)
def test_a_stopped_run_goes_on_to_the_same_files(done, stop):
    """In the middle of an epoch, at its end, the step after; the optimiser's state included."""
    assert differences(done / "whole", done / f"stopped at {stop}") == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_launcher_stops_all_at_one_step(tmp_path, sent):
    """What Slurm and Ctrl-C do. The launcher passes it on to each process, whenever each of them looks."""
    words, env = command("long", tmp_path)
    with subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True) as job:
        until = time.monotonic() + ENOUGH
        while len(read_log(tmp_path / "run" / "log.csv")) < 3 and time.monotonic() < until and job.poll() is None:
            time.sleep(0.1)
        job.send_signal(sent)
        _, said = job.communicate(timeout=ENOUGH)
    assert job.returncode != 0
    stopped = re.findall(r"stopped at step (\d+) of 100000; saved in", said)
    assert len(stopped) == 1, said
    assert "LostWorker" not in said
    last, rows = kpp.load_card(tmp_path / "run" / "last"), read_log(tmp_path / "run" / "log.csv")
    assert last["step"] == int(stopped[0]) == int(rows[-1]["step"]) and last["processes"] == 2
