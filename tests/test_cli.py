"""`kpp` as a stranger types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import bar_set, tiny

from kpp_lib import arguments, cli, commands
from kpp_lib.evaluation.diagnostics import SCORES


@pytest.fixture
def with_bars(monkeypatch):
    monkeypatch.setattr(commands, "load_dataset", lambda name, binarize, quiet=False: bar_set())


def test_train_then_evaluate(tmp_path, capsys, with_bars):
    out = str(tmp_path / "run")
    assert (
        cli.main(
            [
                "train",
                "--preset",
                "tiny",
                "--recipe",
                "paper",
                "--out",
                out,
                "--set",
                "steps=3",
                "episodes=2",
                "--quiet",
            ]
        )
        == 0
    )
    assert f"kpp evaluate --checkpoint {out}" in capsys.readouterr().out
    assert cli.main(["evaluate", "--checkpoint", out, "--orders", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    scores = {"total", "recon", "kl_z", "kl_y", *SCORES} - {"even_places"}
    assert set(report["scores"]) == scores and report["recipe"] == "paper"
    assert cli.main(["evaluate", "--checkpoint", out, "--orders", "1", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "nats/image" in printed and "retrieval_top1" in printed and "not a bound" in printed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--out", "x", "--set", "speed=3"], "--set: got 'speed=3', expected FIELD=VALUE"),
        (["train", "--out", "x", "--set", "lr"], "--set: got 'lr'"),
        (["train", "--out", "x", "--set", "lr=fast"], "lr: got 'fast', expected a finite number above 0"),
        (["evaluate", "--checkpoint", "nowhere"], "nowhere: no model.json"),
    ],
)
def test_mistakes_are_one_line_and_status_2(argv, message, capsys, with_bars):
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_minutes_and_tensorboard_reach_the_run(tmp_path, monkeypatch, with_bars):
    seen = {}
    monkeypatch.setattr(commands, "fit", lambda config, data, out, **options: seen.update(options) or tiny())
    assert cli.main(["train", "--out", str(tmp_path), "--minutes", "8", "--tensorboard"]) == 0
    assert seen["minutes"] == 8.0 and seen["tensorboard"] is True


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["evaluate", "--help"], ["tour", "--help"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8


def test_overrides_are_json_or_words():
    assert arguments.overrides(["steps=5", "widths=[8,8,8,8]", "write=pooled"]) == {
        "steps": 5,
        "widths": [8, 8, 8, 8],
        "write": "pooled",
    }


def test_the_package_needs_nothing_but_what_it_says():
    """Importing it, and training, on a box with torch, torchvision, numpy, safetensors and tqdm alone."""
    blocked = (
        "matplotlib",
        "ipywidgets",
        "IPython",
        "mlxtend",
        "papermill",
        "nbformat",
        "yaml",
        "scipy",
        "pandas",
        "sklearn",
        "timm",
    )
    code = f"""
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import kpp_lib, kpp_lib.cli
sys.path.insert(0, "tests/support")
from tiny_model import episodes, tiny
tiny().bound(episodes())
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    """`kpp table ... | head -1`: no traceback on stderr."""
    report = Path(__file__).resolve().parents[1] / "results" / "mnist-cpu.json"
    kpp_table = [sys.executable, "-m", "kpp_lib", "table", *[str(report)] * 2000]
    with subprocess.Popen(kpp_table, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 1
