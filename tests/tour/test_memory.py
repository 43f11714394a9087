"""The peak of a notebook's memory is measured, and held under a limit."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from kpp_lib.tour import memory as peaks
from kpp_lib.tour import run

MIB = 2**20


def test_peak_memory_counts_grandchildren_and_not_older_processes():
    hold = "b = b'x' * (150 * 2**20); import time; time.sleep(0.8)"
    tree = f"import subprocess, sys; {hold.split(';')[0]}; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", "b = b'x' * (300 * 2**20); input()"], stdin=subprocess.PIPE) as older:
        with peaks.PeakMemory() as memory:
            subprocess.run([sys.executable, "-c", tree], check=True)
        older.communicate(b"\n")
    assert 300 < memory.mib < 400


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS remembers no peak of another process; it is sampled there")
def test_a_peak_shorter_than_the_sampling_is_not_missed():
    short = "import time; time.sleep(0.5); b = b'x' * (200 * 2**20); del b; time.sleep(0.5)"
    with peaks.PeakMemory() as memory:
        subprocess.run([sys.executable, "-c", short], check=True)
    assert 200 < memory.mib < 260


def test_a_process_that_was_just_forked_is_not_counted_twice(monkeypatch):
    born = SimpleNamespace(create_time=lambda: 100.0)
    monkeypatch.setattr(peaks.time, "time", lambda: 100.05)
    assert peaks._newborn(born)
    monkeypatch.setattr(peaks.time, "time", lambda: 100.3)
    assert not peaks._newborn(born)


@pytest.mark.parametrize(
    ("cuda", "hip", "mps", "gigabytes"),
    [(None, None, False, 1.6), ("13.0", None, False, 2.0), (None, "6.2", False, 2.0), (None, None, True, 2.0)],
)
def test_the_limit_is_binders_with_room_to_spare(monkeypatch, cuda, hip, mps, gigabytes):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: mps)
    assert peaks.limit() == pytest.approx(gigabytes * 1e9 / MIB)


def test_the_table_of_peaks_lies_under_the_limits_that_it_names():
    page = (Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for build, allowed in (("CPU", peaks.CPU_LIMIT), ("CUDA", peaks.GPU_LIMIT)):
        row = re.search(rf"^\| {build} build \|(.*)\|$", page, re.M).group(1)
        *measured, stated = [int(cell.split()[0]) for cell in row.split("|")]
        assert len(measured) == 7 and max(measured) < allowed and stated == round(allowed)


@pytest.fixture
def course(tmp_path):
    """One notebook that takes 150 MiB, and its parameters."""
    hold = "import time\nb = b'x' * (150 * 2**20)\ntime.sleep(0.5)"
    cells = [new_code_cell("seed = 0", metadata={"tags": ["parameters"]}), new_code_cell(hold)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_a.ipynb")
    for name in ("fast", "full"):
        (tmp_path / f"{name}.yaml").write_text("common: {}\n")
    return tmp_path


def options(course, *words):
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    where = ["--notebooks", str(course), "--out", str(course / "out"), "--expected", "none"]
    return parser.parse_args([*where, *words])


def test_a_notebook_above_the_limit_fails_by_name(course, capsys):
    words = ["--params", str(course / "fast.yaml"), "--memory-limit", "150"]
    assert run.run(options(course, *words)) == 1
    report = json.loads((course / "out" / "report.json").read_text())
    [line] = report["failures"]
    peak = report["notebooks"]["00_a"]["peak_mib"]
    assert line.startswith(f"00_a: peak memory {peak} MiB, above the limit of 150 MiB")
    assert peak > 150 and report["memory_limit_mib"] == 150 and f"FAILED {line}" in capsys.readouterr().out
    assert run.run(options(course, *words[:-1], str(peak + 100))) == 0


@pytest.mark.parametrize(
    ("words", "limited"),
    [
        (["--params", "fast.yaml"], True),
        (["--params", "full.yaml"], False),  # the paper's sizes, on a GPU
        (["--params", "fast.yaml", "--memory-limit", "0"], False),
        (["--params", "fast.yaml", "--write-bands"], False),
        (["--params", "full.yaml", "--memory-limit", "900"], True),
    ],
)
def test_when_there_is_a_limit(course, words, limited):
    allowed = run._memory_limit(options(course, *words))
    assert len(peaks.over("00_a", 10_000, allowed)) == int(limited)
