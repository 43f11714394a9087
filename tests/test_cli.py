"""`kpp` as a stranger types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import bar_set, tiny

import kpp_lib as kpp
from kpp_lib import arguments, cli, commands
from kpp_lib.evaluation.diagnostics import SCORES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def with_bars(monkeypatch):
    monkeypatch.setattr(commands, "load_for", lambda *args, **how: bar_set())


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
        (["train", "--out", "x", "--set", "speed=3"], "--set: Config field: got 'speed', expected one of"),
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


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--out", "x", "--device", "gpu"], "--device: got 'gpu', expected a device of this machine: cpu"),
        (["train", "--out", "x", "--device", "xpu"], "--device: got 'xpu'"),
        (["train", "--out", "x", "--device", "cuda:9"], "--device: got 'cuda:9'"),
        (["evaluate", "--checkpoint", "mnist-cpu", "--device", "meta"], "--device: got 'meta'"),
        (["study", "capacity", "--checkpoint", "mnist-cpu", "--device", ""], "--device: got ''"),
        (["train", "--out", ""], "--out: got '', expected a folder of its own"),
        (["train", "--out", "."], "--out: got '.', expected a folder of its own"),
        (["train", "--out", "/"], "--out: got '/', expected a folder of its own"),
        (["train", "--out", __file__], "is a file"),
        (["train", "--out", f"{__file__}/run"], "is a file"),
        (["train", "--out", "x", "--eval-every", "0"], "--eval-every: got 0, expected a whole number of at least 1"),
        (["train", "--out", "x", "--eval-every", "often"], "--eval-every: got 'often'"),
        (["train"], "--out"),
        (["train", "--out", "x", "--dataset", "cifar"], "got 'cifar', expected one of mnist, fashion_mnist, omniglot"),
        (["trane"], "'trane'"),
        (["evaluate", "--checkpoint", ""], "--checkpoint: got ''"),
        (["evaluate", "--checkpoint", "mnist-cpu", "--orders", "0"], "--orders: got 0"),
        (["evaluate", "--checkpoint", "mnist-cpu", "--out", str(Path(__file__).parent)], "the name of a file"),
        (["evaluate", "--checkpoint", "mnist-cpu", "--out", f"{__file__}/x.json"], "is a file"),
        (["sweep", "nowhere.toml"], "nowhere.toml: No such file"),
        (["sweep", "nowhere.toml", "--minutes", "0"], "--minutes: got 0.0, expected a finite number above 0"),
        (["sweep", "nowhere.toml", "--workers", "1.5"], "--workers: got '1.5'"),
    ],
)
def test_what_is_typed_is_checked_before_any_work(argv, message, capsys, monkeypatch):
    def no_work(*args, **options):
        raise AssertionError("no data is read for a mistake")

    for name in ("load_for", "load_model", "fit"):
        monkeypatch.setattr(commands, name, no_work)
    try:
        status = cli.main(argv)
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and error.count("\n") == 1 and "Traceback" not in error


@pytest.mark.parametrize(("text", "flag"), [("False", False), ("false", False), ("True", True)])
def test_a_flag_is_what_was_typed(text, flag):
    assert arguments.overrides([f"spectral_norm={text}"]) == {"spectral_norm": flag}


@pytest.mark.parametrize("pair", ["widths=8", "spectral_norm=maybe", "steps=True", "lr=inf"])
def test_an_override_of_the_wrong_kind_is_one_line(pair, capsys):
    assert cli.main(["train", "--out", "x", "--set", pair]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"kpp train: --set: {pair.split('=')[0]}: got") and error.count("\n") == 1


def test_the_environment_names_a_device_too(capsys, monkeypatch):
    monkeypatch.setenv("KPP_DEVICE", "gpu")
    assert cli.main(["train", "--out", "x"]) == 2
    assert "KPP_DEVICE: got 'gpu', expected a device of this machine: cpu" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "x"), ValueError("two\nlines")])
def test_what_a_user_can_mend_is_one_line(error, monkeypatch, capsys):
    def fails(*args, **options):
        raise error

    monkeypatch.setattr(commands, "load_report", fails)
    assert cli.main(["table", "x"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("kpp table: ") and printed.count("\n") == 1


def test_ctrl_c_is_one_line_and_status_130(monkeypatch, capsys):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "load_model", interrupted)
    assert cli.main(["evaluate", "--checkpoint", "mnist-cpu"]) == 130
    assert capsys.readouterr().err == "kpp evaluate: stopped\n"


def test_weights_that_do_not_fit_their_card_are_one_line(tmp_path, capsys):
    folder = kpp.save_model(tiny(), tmp_path / "m")
    card = json.loads((folder / "model.json").read_text())
    card["config"]["latent"] += 1
    (folder / "model.json").write_text(json.dumps(card))
    assert cli.main(["evaluate", "--checkpoint", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(folder) in error


REPORT = ROOT / "results" / "mnist-cpu.json"


def test_out_beside_the_arrow(tmp_path, capsys, with_bars):
    kpp.save_model(tiny(), tmp_path / "m")
    file = tmp_path / "new" / "report.json"
    argv = ["evaluate", "--checkpoint", str(tmp_path / "m"), "--orders", "1", "--scores", "memory_swap"]
    assert cli.main([*argv, "--out", str(file)]) == 0
    assert "nats/image" in capsys.readouterr().out and json.loads(file.read_text())["orders"] == 1
    assert cli.main(["table", str(file), "--out", str(tmp_path / "table.md")]) == 0
    assert "| total |" in (tmp_path / "table.md").read_text(encoding="utf-8") and capsys.readouterr().out == ""
    argv = ["study", "perturbation", "--checkpoint", str(tmp_path / "m"), "--out", str(tmp_path / "study.json")]
    assert cli.main(argv) == 0 and json.loads((tmp_path / "study.json").read_text())["study"] == "perturbation"
    assert sorted(f.name for f in tmp_path.iterdir()) == ["m", "new", "study.json", "table.md"]


def python(*argv, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONIO", "PYTHONUTF8"))}
    environment |= options.pop("env", {})
    return subprocess.run([sys.executable, *argv], cwd=ROOT, env=environment, capture_output=True, **options)


ALL_THAT_PRINTS = f"""
import contextlib, io, sys
from kpp_lib import cli
commands = "tour train evaluate study sweep speedrun table".split()
for argv in ([["--help"]] + [[c, "--help"] for c in commands]
             + [["table", {str(REPORT)!r}], ["sweep", "experiments/smoke.toml", "--list"], ["table", "\u00b1.json"]]):
    try:
        print(argv[-1].isascii(), cli.main(argv))
    except SystemExit as stop:
        print(stop.code)
"""


def test_an_ascii_terminal_stops_at_no_character():
    """Every command's help, a table, the list of a sweep, and an error that repeats what was typed."""
    done = python("-c", ALL_THAT_PRINTS, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr.decode()
    printed = done.stdout.decode("ascii")
    total = json.loads(REPORT.read_text())["scores"]["total"]
    assert f"{total['mean']:.2f} +- {total['std']:.2f}" in printed and "(default: " in printed
    assert done.stderr.decode("ascii").startswith("kpp table: reports: got +-.json")


@pytest.mark.skipif(sys.platform == "win32", reason="shells there redirect otherwise")
@pytest.mark.parametrize(
    ("to", "words"),
    [(">&-", "stdout: got a closed one"), ("> /dev/full", "No space left on device")],
)
def test_a_stdout_that_takes_nothing_is_one_line(to, words):
    if "/dev/full" in to and not Path("/dev/full").exists():
        pytest.skip("/dev/full is Linux's")
    line = f"exec {sys.executable} -m kpp_lib table {REPORT} {to}"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["sweep", "--help"], ["tour", "--help"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(command)
    assert stop.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) >= 8


def test_overrides_are_what_their_fields_read():
    assert arguments.overrides(["steps=5", "widths=[8,8,8,8]", "write=pooled"]) == {
        "steps": 5,
        "widths": (8, 8, 8, 8),
        "write": "pooled",
    }


def test_the_package_needs_nothing_but_what_it_says():
    """Importing it, and training, on a box with torch, torchvision, numpy, scipy, safetensors and tqdm alone."""
    blocked = (
        "matplotlib",
        "ipywidgets",
        "IPython",
        "mlxtend",
        "papermill",
        "nbformat",
        "yaml",
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
