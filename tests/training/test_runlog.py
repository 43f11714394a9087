"""log.csv, trackers, TensorBoard; logs of an earlier version."""

import sys

import pytest
from tiny_model import bar_set

import kpp_lib as kpp
from kpp_lib.training.runlog import CLOCK, COLUMNS, read_log


def run(out, **options):
    config = kpp.Config.preset("tiny", steps=4, episodes=2)
    return kpp.fit(config, bar_set(), out, device="cpu", quiet=True, log_every=2, eval_every=4, **options)


def test_the_log_has_nats_and_images_a_second(tmp_path):
    run(tmp_path)
    rows = read_log(tmp_path / "log.csv")
    assert list(rows[0]) == COLUMNS and [r["split"] for r in rows] == ["train", "train", "valid"]
    assert all(float(r["images_per_second"]) > 0 for r in rows[:2])
    assert rows[2]["images_per_second"] == "" and rows[0]["mfu"] == ""  # no GPU, no share of its peak


def test_a_tracker_gets_every_row_as_numbers(tmp_path):
    seen = []
    run(tmp_path, on_log=lambda step, split, numbers: seen.append((step, split, numbers)))
    rows = read_log(tmp_path / "log.csv")
    assert [(step, split) for step, split, _ in seen] == [(int(r["step"]), r["split"]) for r in rows]
    for (_, _, numbers), row in zip(seen, rows, strict=True):
        assert {k for k, v in row.items() if v} == {"step", "split", *numbers}
        assert numbers["total"] == pytest.approx(float(row["total"]), abs=1e-4)


def test_a_log_without_the_newer_columns_is_read(tmp_path):
    run(tmp_path)
    log = tmp_path / "log.csv"
    old = [",".join(row.split(",")[:9]) for row in log.read_text().splitlines()]
    log.write_text("\n".join(old) + "\n")
    assert "mfu" not in read_log(log)[0]
    assert [r["total"] for r in read_log(log)] == [row.split(",")[2] for row in old[1:]]


def test_tensorboard_gets_what_the_log_gets(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path, tensorboard=True)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = [r for r in read_log(tmp_path / "log.csv") if r["split"] == "train"]
    got = [(e.step, e.value) for e in events.Scalars("total/train")]
    assert got == [(int(r["step"]), pytest.approx(float(r["total"]), abs=1e-3)) for r in rows]


def test_tensorboard_that_is_missing_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="tensorboard: got True, but that package is not installed; expected it"):
        run(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_two_equal_runs_differ_in_the_clock_alone(tmp_path):
    run(tmp_path / "a"), run(tmp_path / "b")
    a, b = ([{k: v for k, v in r.items() if k not in CLOCK} for r in read_log(tmp_path / f / "log.csv")] for f in "ab")
    assert a == b
