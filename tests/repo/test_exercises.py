"""The exercises: one source each, notebooks in step with it, stubs that let a notebook run through."""

import re
import shutil

import pytest

import exercises
from kpp_lib.course import checks

SOURCES = exercises.sources()
SOURCE = '''import torch

# %% [markdown]
# **Exercise: twice.** Write it.

# %%
def twice(x):
    """Double."""
    # <solution>
    return 2 * x
    # </solution>


checks.twice(twice)

# %% [markdown]
# Or `x + x`.
'''
NOTEBOOK = """# %% [markdown]
# # Title

# %% [markdown] tags=["exercise:twice"]
# here

# %%
print(1)
"""


@pytest.fixture
def course(tmp_path):
    """A repository with one notebook and one exercise that is not written into it yet."""
    (tmp_path / "exercises").mkdir()
    (tmp_path / "notebooks" / "py").mkdir(parents=True)
    (tmp_path / "exercises" / "00_twice.py").write_text(SOURCE)
    (tmp_path / "notebooks" / "py" / "00_a.py").write_text(NOTEBOOK)
    return tmp_path


def test_notebooks_and_sources_are_in_step():
    assert exercises.problems() == []


@pytest.mark.parametrize("path", exercises.notebooks(exercises.ROOT), ids=lambda path: path.stem)
def test_every_notebook_has_two_exercises_at_least(path):
    assert sum(e.notebook == path.stem[:2] for e in SOURCES.values()) >= 2


@pytest.mark.parametrize("name", SOURCES)
def test_a_stub_is_not_written_yet_and_its_cell_is_short(name, capsys):
    exercise = SOURCES[name]
    space = exercises.imports(exercises.notebook_of(exercise))
    exec(exercise.stub, space)  # as the notebook does: the call of the check included
    assert capsys.readouterr().out == f"{name}: not written yet. Fill in the cell, and run it again.\n"
    assert len(exercise.stub.strip().splitlines()) <= 15
    assert getattr(checks, name).judge(space[name]).state == "not written yet"


@pytest.mark.parametrize("name", SOURCES)
def test_a_solution_needs_nothing_but_what_its_notebook_imports(name):
    exercise = SOURCES[name]
    space = exercises.imports(exercises.notebook_of(exercise))
    exec(exercise.solution, space)
    assert getattr(checks, name).judge(space[name])


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_runs_on_its_own(name, capsys):
    exercise = SOURCES[name]
    path = exercises.ROOT / "exercises" / f"{exercise.notebook}_{name}.py"
    exec(compile(path.read_text(), path.name, "exec"), {})
    assert capsys.readouterr().out.startswith(f"{name}: passed")


@pytest.mark.parametrize("name", SOURCES)
def test_a_stub_gives_nothing_away(name):
    exercise = SOURCES[name]
    written = exercises.WRITTEN.search(exercise.code).group(2).strip().splitlines()
    longest = max(written, key=len).strip()
    assert longest in exercise.solution and longest not in exercise.stub and "<solution>" not in exercise.solution
    assert exercise.task.startswith("**Exercise: ")


def test_the_tag_becomes_task_stub_and_folded_solution(course):
    assert len(exercises.problems(course)) == 1
    assert exercises.write(course) == ["00_a.py"]
    text = (course / "notebooks" / "py" / "00_a.py").read_text()
    assert text.count('tags=["exercise:twice"]') == 3 and text.startswith("# %% [markdown]\n# # Title\n")
    assert '    """Double."""\n    ...  # your lines\n\n\nchecks.twice(twice)\n' in text
    assert "#     return 2 * x\n# ```\n#\n# Or `x + x`.\n#\n# </details>\n\n# %%\nprint(1)\n" in text
    assert exercises.problems(course) == [] and exercises.write(course) == []


@pytest.mark.parametrize(
    ("old", "new"), [("your lines", "2 * x"), ("Or `x + x`", "Or not"), ("**Exercise: twice.**", "**Exercise.**")]
)
def test_an_edit_in_the_notebook_is_found_and_undone(course, old, new):
    exercises.write(course)
    path = course / "notebooks" / "py" / "00_a.py"
    right = path.read_text()
    assert old in right
    path.write_text(right.replace(old, new))
    assert "00_a.py" in exercises.problems(course)[0] and exercises.main(["--check", "--root", str(course)]) == 1
    assert exercises.main(["--root", str(course)]) == 0 and path.read_text() == right


def test_an_exercise_in_no_notebook_or_in_two_is_named(course):
    shutil.copy(course / "exercises" / "00_twice.py", course / "exercises" / "00_thrice.py")
    path = course / "exercises" / "00_thrice.py"
    path.write_text(path.read_text().replace("twice", "thrice"))
    exercises.write(course)
    assert ["thrice" in line and "no notebook" in line for line in exercises.problems(course)] == [True]
    path.unlink()
    shutil.copy(course / "notebooks" / "py" / "00_a.py", course / "notebooks" / "py" / "01_b.py")
    assert len(exercises.problems(course)) == 1


def test_a_tag_without_a_source_is_named(course):
    (course / "exercises" / "00_twice.py").unlink()
    [line] = exercises.problems(course)
    assert "exercise:twice has no source" in line


@pytest.mark.parametrize(
    ("old", "new"),
    [("# <solution>", "# solution"), ("checks.twice(twice)", "checks.twice()"), ("# %% [markdown]\n# **Ex", "# **Ex")],
)
def test_a_source_that_is_not_built_as_agreed_is_refused(course, old, new):
    path = course / "exercises" / "00_twice.py"
    assert old in SOURCE
    path.write_text(SOURCE.replace(old, new, 1))
    with pytest.raises(ValueError, match="00_twice.py: .*expected"):
        exercises.read(path)


@pytest.mark.parametrize("name", SOURCES)
def test_no_other_cell_of_the_notebook_depends_on_an_exercise(name):
    """It may stay unwritten, so its name must not be one that the notebook uses."""
    path = exercises.notebook_of(SOURCES[name])
    text = path.read_text()
    others = text.replace(SOURCES[name].cells(), "")
    assert others != text and not exercises.uses(others, name)


def test_readme_map_and_heads_agree_on_the_minutes():
    """To read, and for the exercises, of every notebook."""
    readme = (exercises.ROOT / "README.md").read_text()
    paths = exercises.notebooks(exercises.ROOT)
    told = dict(re.findall(r"(?m)^\| \[(\d\d) .* \| (\d+ \+ \d+) \|", readme))
    first = paths[0].read_text()
    mapped = re.findall(r"(?m)^# \| \[?(\d\d) .* \| (\d+) \| (\d+) \|$", first)
    heads = {}
    for path in paths:
        [(read, more)] = re.findall(
            r"\*\*Minutes on CPU:\*\*.* (\d+) to read.*?, (\d+) for the exercises", path.read_text()
        )
        heads[path.stem[:2]] = f"{read} + {more}"
    assert told == heads == {number: f"{read} + {more}" for number, read, more in mapped}
    assert sum(int(n) for both in heads.values() for n in both.split(" + ")) <= 6 * 60  # "six hours"
