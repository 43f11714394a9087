"""`make bench`: its arithmetic, one run of everything in small, and the page that shows its numbers."""

import json
import re
from pathlib import Path

import bench
import bench_docs
import bench_faults
import bench_gpu
import bench_rows
import bench_step
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from kpp_lib import Config
from kpp_lib.models import make_model
from kpp_lib.training.device import SWITCHES, Speed

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_the_floor_of_a_step_is_the_arithmetic_that_the_page_names():
    """Multiply-adds of a forward pass of one image, by torch's counter: K++ of preset paper, and a bare ResNet-18."""
    model, net = make_model(Config.preset("paper", "paper")).eval(), resnet18().eval()
    net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    x, millions = torch.zeros(1, 32, 1, 28, 28), []
    for run in (lambda: model(x), lambda: net(x[0])):
        with torch.no_grad(), FlopCounterMode(display=False) as counted:
            run()
        millions.append(counted.get_total_flops() / 2 / 32 / 1e6)
    ours, bare = millions
    assert f"{ours:.0f} against {bare:.0f} million multiply-adds in a forward pass" in PAGE
    assert f"as torch counts them: {ours / bare:.2f}." in PAGE


def test_a_row_is_a_median_with_quartiles_held_to_its_goal():
    row = bench_rows.row("step", "a", [1.0, 2.0, 3.0, 4.0, 100.0], "x", goal=3.0)
    assert (row.value, row.low, row.high, row.n, row.met) == (3.0, 1.5, 52.0, 5, True)
    assert bench_rows.row("step", "a", [3.1], "x", goal=3.0).met is False
    assert bench_rows.row("step", "a", [3.1], "x").met is None
    table = bench_rows.show([row, bench_rows.row("step", "b", [9.0], "x", goal=3.0)])
    assert re.search(r"a +3 +1.5 to 52 +5 +x +<= 3 met$", table, re.M) and table.endswith("MISSED")


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_slopes_are_the_exponent(power):
    times = {n: [3e-3 * n**power, 5e-3 * n**power] for n in (8, 16, 32, 64, 128)}
    assert bench_rows.slopes(times) == pytest.approx([power, power])


def test_acts_are_timed_in_turn_after_warming_up():
    order = []
    times = bench_rows.in_turn({name: lambda n=name: order.append(n) for name in "ab"}, repeats=3, warm=1)
    assert "".join(order) == "abababab" and [len(v) for v in times.values()] == [3, 3]


def test_a_step_trains_and_its_parts_are_within_it():
    step = bench_step.ours(Config.preset("tiny"), Speed.of("cpu"), bench_step.pixels(16))
    before = torch.cat([p.detach().flatten().clone() for p in step.model.parameters()])
    part, whole = step()
    assert 0 < part <= whole
    assert not torch.equal(before, torch.cat([p.detach().flatten() for p in step.model.parameters()]))


def test_the_goals_are_held_to_rows_that_exist():
    for preset, recipe in bench_step.GOALS:
        assert Config.preset(preset, recipe).length == bench_step.LENGTH


@pytest.mark.parametrize(
    ("last", "status", "faults"),
    [
        ("100 kills, 0 faults", 0, 0),
        ("kills: 1 fault", 1, 1),
        ("Traceback", 1, 1),
        ('{"right": 90, "clear": 7, "obscure": 2, "wrong": 1}', 1, 3),
        ("all well", 0, 0),
    ],  # fmt: skip
)
def test_faults_are_read_from_the_last_line_and_the_exit_status(last, status, faults):
    assert bench_faults.faults(last, status) == faults


def test_a_fault_fails_the_bench_and_a_slow_machine_does_not(monkeypatch, capsys):
    def rows(part, *_):
        return [bench_rows.row(part, "a row", [2.0], "x", goal=1.0)]

    monkeypatch.setattr(bench, "measure", rows)
    assert bench.main(["--only", "step"]) == 0
    assert "0 of 1 goals met\n  missed: a row" in capsys.readouterr().out
    assert bench.main(["--only", "faults"]) == 1


def test_a_gpu_run_without_a_gpu_says_so(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        bench.main(["--gpu"])
    assert "there is no CUDA device here" in capsys.readouterr().err


def test_everything_runs_in_small(tmp_path, capsys):
    out = tmp_path / "deep" / "bench.json"
    parts = ["step", "cost", "memory", "switches"]  # test_widgets.py has the widgets, test_gpu_tool.py what a GPU adds
    chosen = [word for part in parts for word in ("--only", part)]
    assert bench.main(["--quick", "--device", "cpu", "--out", str(out), *chosen]) == 0
    written, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert {"hardware", "commit", "date", "torch", "python", "threads", "rows"} <= set(written)
    assert [part for part in dict.fromkeys(r["part"] for r in written["rows"])] == parts
    assert all(r["name"] in printed and r["value"] == r["value"] for r in written["rows"])
    table = bench_docs.table([written], ["cost"])
    assert "read as the memory grows, 32 to 512 a side" in table and "at most 0.2: " in table


def test_gains_are_measured_with_the_switch_off(monkeypatch):
    asked = []

    def rates(*_):
        asked.append(bench_gpu.os.environ.get("KPP_SPEED"))
        return [200.0] if len(asked) == 1 else [100.0]

    monkeypatch.setenv("KPP_SPEED", "fused=on")
    monkeypatch.setattr(bench_gpu, "rates", rates)
    layout, fused, compiled = bench_gpu.gains("cpu", Config.preset("tiny"), None, 1, 1, compile=True)
    assert asked == ["compile=off", "compile=off channels_last=off", "compile=off fused=off", "compile=on"]
    assert (layout.name, layout.value) == ("channels_last (on here)", 2.0)
    assert (fused.name, fused.value) == ("fused (on here)", 2.0) and compiled.value == 0.5
    assert bench_gpu.os.environ["KPP_SPEED"] == "fused=on"


# the page


def test_the_tables_are_what_the_reports_give():
    assert bench_docs.filled(PAGE, bench_docs.reports(ROOT / "results" / "bench")) == PAGE, "make bench-docs"


def test_the_page_has_a_table_of_every_part_and_names_switches_that_exist():
    shown = " ".join(m["parts"] for m in bench_docs.BLOCK.finditer(PAGE)).split()
    assert sorted(shown) == sorted(bench.PARTS)
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)
    assert named and set(named) <= set(SWITCHES)


def test_reports_are_of_full_runs_from_a_commit():
    for report in bench_docs.reports(ROOT / "results" / "bench"):
        assert "--quick" not in report["options"] and report["commit"] != "unknown"
        for r in report["rows"]:
            assert r["low"] <= r["value"] <= r["high"]
