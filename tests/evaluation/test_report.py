"""Reports as text and table; and the README's table, which must be what `kpp table` prints."""

import json
import re
import shlex
from pathlib import Path

import pytest
from tiny_model import bar_set, tiny

import kpp_lib as kpp
from kpp_lib import cli
from kpp_lib.evaluation.report import (
    load_report,
    load_study,
    markdown,
    number,
    over_seeds,
    study_markdown,
    text,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = sorted((ROOT / "results").glob("*.json"))


@pytest.fixture
def report():
    return kpp.evaluate(tiny(), bar_set(), length=4, orders=2, scores=("retrieval_top1",)) | {"checkpoint": "mine"}


def test_text_and_table_show_every_score_with_its_unit(report):
    report["scores"]["total"] = {"mean": 101.234, "std": 0.056}
    report["scores"]["retrieval_top1"] = {"mean": 0.5, "std": 0.25}
    assert number(report, "total") == "101.23 ± 0.06" and number(report, "retrieval_top1") == "50.0 ± 25.0 %"
    for shown in (text(report), markdown([report])):
        assert "101.23 ± 0.06" in shown and "50.0 ± 25.0 %" in shown and "T = 4, 22 images, 2 orders" in shown
    other = report | {"data": {"name": "b", "bits": "seeded", "source": "folder"}, "checkpoint": "yours"}
    tables = markdown([report, other, report]).split("| b |")
    assert "| bars | mine | mine |" in tables[0] and tables[1].startswith(" yours |")
    assert {line.count("|") for line in tables[0].splitlines() if line.startswith("|")} == {4}


def test_a_part_is_called_a_part():
    report = kpp.evaluate(tiny(), bar_set(), length=4, orders=1, limit=16)
    assert "16 of 22 images" in text(report) and "±" not in text(report).splitlines()[1]


def test_only_reports_are_taken(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"scores": {}}))
    for name in ("a.json", "missing.json"):
        with pytest.raises(ValueError, match=f"reports: got .*{name}.* expected the output"):
            load_report(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_report_is_read_as_shells_write_it(encoding, tmp_path):
    words = (ROOT / "results" / "mnist-cpu.json").read_text(encoding="utf-8")
    (tmp_path / "r.json").write_bytes(words.encode(encoding))
    assert load_report(tmp_path / "r.json") == json.loads(words)


@pytest.mark.parametrize(
    "damage", ["[]", "null", "3", "{", "[" * 10_000, '{"scores": []}', b"\xff\xfe\x00".decode("latin-1")]
)
def test_a_file_that_is_no_report_is_named(damage, tmp_path):
    (tmp_path / "r.json").write_text(damage, encoding="latin-1")
    with pytest.raises(ValueError, match="reports: got .*r.json .* expected the output"):
        load_report(tmp_path / "r.json")


@pytest.mark.parametrize("change", [{"T": None}, {"scores": {"total": {"mean": "12", "std": None}}}, {"scores": {}}])
def test_a_report_has_what_a_table_needs(change, tmp_path):
    report = json.loads((ROOT / "results" / "mnist-cpu.json").read_text(encoding="utf-8")) | change
    (tmp_path / "r.json").write_text(json.dumps({k: v for k, v in report.items() if v is not None}))
    with pytest.raises(ValueError, match="reports: got .*r.json"):
        load_report(tmp_path / "r.json")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_text(tmp_path / "a", "± first\n")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_text(tmp_path / "a", "second")
    assert [f.read_bytes() for f in tmp_path.iterdir()] == ["± first\n".encode()]


FLAGS = {"--over-seeds", "--by-run"}


def commands_of(page):
    """The files, rows and flags of each `kpp table` line of a page."""
    for line in re.findall(r"^kpp table ((?!results/studies).*)$", page, re.M):
        words = shlex.split(line, comments=True)
        files, _, rows = " ".join(w for w in words if w not in FLAGS).partition(" --scores ")
        yield [ROOT / f for f in expand(files)], rows.split() or None, FLAGS & set(words)


def expand(files):
    """results/{a,b}.json and results/*.json, as bash does it."""
    if "*" in files:
        return [file.relative_to(ROOT) for file in sorted(ROOT.glob(files))]
    start, names, end = re.fullmatch(r"(.*)\{(.*)\}(.*)", files).groups()
    return [f"{start}{name}{end}" for name in names.split(",")]


@pytest.mark.parametrize("file", sorted((ROOT / "results" / "studies").glob("*.json")), ids=lambda f: f.stem)
def test_a_study_says_what_it_is(file):
    study = json.loads(file.read_text())
    assert study["data"]["digest"] and study["rows"] and not study["commit"].endswith("+")


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_the_pages_print_the_tables_of_studies(page):
    """Below the line that prints them, `kpp table results/studies/...`."""
    page = (ROOT / page).read_text()
    for file in re.findall(r"^kpp table (results/studies/\S+\.json)", page, re.M):
        assert study_markdown(load_study(ROOT / file)) in page, file


def test_a_study_is_a_table_too(tmp_path, capsys):
    rows = [{"T": 8, "near": "all", "found": {"0.1": 0.98765}}, {"T": 1024, "error": [1.0, 2.5], "name": "x"}]
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"study": "search", "checkpoint": "mine", "command": "kpp study search", "rows": rows}))
    assert cli.main(["table", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| T | near | found 0.1 | error | name |"
    assert lines[2:4] == ["| 8 | all | 0.988 | - | - |", "| 1,024 | - | - | 1, 2.5 | x |"]
    assert lines[-1] == "- kpp study search"
    file.write_text(json.dumps({"study": "search", "rows": []}))
    assert load_study(file) is None


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/fair_trial.md"])
def test_the_pages_print_what_their_commands_print(name):
    page = (ROOT / name).read_text()
    shown = list(commands_of(page))
    assert sorted(shown[0][0]) == RESULTS or name == "docs/fair_trial.md"
    for files, rows, flags in shown:
        reports = [load_report(file) for file in files]
        reports = over_seeds(reports) if "--over-seeds" in flags else reports
        assert markdown(reports, rows, "--by-run" in flags) in page


def test_the_fair_trial_says_how_much_of_each_memory_is_the_episodes():
    page = (ROOT / "docs" / "fair_trial.md").read_text()
    studies = sorted((ROOT / "results" / "studies").glob("*-memories.json"))
    for file in studies:
        written, read = (row["share"] for row in json.loads(file.read_text())["rows"])
        run = file.stem.removesuffix("-memories")
        of_trial = run.startswith("fair-")
        name = f"{run.removeprefix('fair-')}-seed0" if of_trial else run
        assert f"| {name} | {written:.2f} % | {read:.2f} % |" in page
        assert written < 0.2 or not of_trial  # as the text says of all of them
    assert len(studies) > 9


def test_what_is_no_bits_is_not_called_so(report):
    data = {"name": "cifar10", "bits": "grey", "source": "folder"}
    assert "cifar10, as it is, from folder; T = " in markdown([report | {"data": report["data"] | data}])


def test_a_row_per_run_shows_the_settings_in_which_they_differ(report, capsys, tmp_path):
    command = "kpp train --preset tiny --recipe {} --dataset bars --set {}steps=20 --out runs/{}"
    sets = {"a": ("paper", ""), "b": ("paper", "'shift=\"none\"' "), "c": ("vae", "")}
    files = []
    for run, (recipe, more) in sets.items():
        one = report | {"run": run, "train_command": command.format(recipe, more, run)}
        one["scores"] = {"total": {"mean": 9.0, "std": None}} | ({"kl_y": one["scores"]["kl_y"]} if run == "c" else {})
        files.append(tmp_path / f"{run}.json")
        files[-1].write_text(json.dumps(one))
    assert cli.main(["table", *map(str, files), "--by-run", "--scores", "total", "kl_y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| bars | settings | total | KL_Y |" and lines[1] == "|---|---|---:|---:|"
    assert lines[2] == "| a | `recipe=paper` | 9.00 | - |"
    assert lines[3] == '| b | `recipe=paper`, `shift="none"` | 9.00 | - |'
    assert lines[4].startswith("| c | `recipe=vae` | 9.00 |")
    assert lines[6:] == [f"- a, b, c: {markdown([report]).splitlines()[-1].removeprefix('- mine: ')}"]


def test_rows_can_be_chosen(report):
    table = markdown([report], ["recon", "total"])
    assert table.index("| recon") < table.index("| total") and "KL_Z" not in table
    with pytest.raises(ValueError, match="scores: got totals, expected some of total, bits_per_dim, recon"):
        markdown([report], ["totals"])


def test_seeds_of_one_run_are_one_column(report):
    """Mean and spread over seeds of each seed's mean, whatever the spreads over orders."""
    seeds = [
        report
        | {
            "name": "mine",
            "run": f"mine-seed{i}",
            "seed": i,
            "config": {"seed": i},
            "scores": {"total": {"mean": v, "std": 5.0}},
        }
        for i, v in enumerate((10.0, 12.0, 14.0))
    ]
    other = seeds[0] | {"name": "yours"}
    mine, yours = over_seeds([seeds[0], other, *seeds[1:]])
    assert mine["run"] == "mine, 3 seeds" and yours["run"] == "yours, 1 seed"
    assert mine["scores"]["total"] == {"mean": 12.0, "std": 2.0} and yours["scores"]["total"]["std"] is None
    with pytest.raises(ValueError, match="reports: got runs mine of different T, expected them to differ in the seed"):
        over_seeds([seeds[0], seeds[1] | {"T": 8}])
    with pytest.raises(ValueError, match="reports: got runs mine of seeds \\[0, 0\\], expected results of"):
        over_seeds([seeds[0], seeds[0]])


def test_seeds_before_and_after_a_new_field_are_one_column(report):
    """An older config lacks the field, which had its default value then."""
    new = kpp.Config.preset("tiny").to_dict()
    old = {k: v for k, v in new.items() if k != "mixture"}
    seeds = [report | {"name": "a", "seed": i, "config": c | {"seed": i}} for i, c in enumerate((new, old))]
    assert over_seeds(seeds)[0]["run"] == "a, 2 seeds"
    with pytest.raises(ValueError, match="of different config"):
        over_seeds([seeds[0], seeds[1] | {"config": old | {"mixture": 3}}])


@pytest.mark.parametrize("file", RESULTS, ids=lambda f: f.stem)
def test_a_result_says_what_it_is(file):
    report = load_report(file)
    assert report["data"]["digest"] and report["commit"] != "unknown" and not report["commit"].endswith("+")
    assert report["orders"] == 5 and report["images"] == report["of"]
    assert report["checkpoint"] == file.stem and report["checkpoint"] in kpp.pretrained_names()
