"""Owner, repository and branch stand in one place, and every link of ours follows from there."""

import shutil
from pathlib import Path

import badges
import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = '[project.urls]\nRepository = "https://github.com/ada/notes"\n[tool.kpp]\nbranch = "course"\n'
LINKS = """[Colab](https://colab.research.google.com/github/old/place/blob/main/notebooks/00_a.ipynb)
[Binder](https://mybinder.org/v2/gh/old/place/main?urlpath=lab/tree/notebooks/00_a.ipynb)
source = "kpp-lib @ git+https://github.com/old/place@main"
git clone https://github.com/old/place kpp
repository-code: https://github.com/old/place
[a key to drag](https://old.github.io/place/explorer.html)
[someone else's](https://github.com/old/place/issues/3)
"""
FOLLOWED = """[Colab](https://colab.research.google.com/github/ada/notes/blob/course/notebooks/00_a.ipynb)
[Binder](https://mybinder.org/v2/gh/ada/notes/course?urlpath=lab/tree/notebooks/00_a.ipynb)
source = "kpp-lib @ git+https://github.com/ada/notes@course"
git clone https://github.com/ada/notes kpp
repository-code: https://github.com/ada/notes
[a key to drag](https://ada.github.io/notes/explorer.html)
[someone else's](https://github.com/old/place/issues/3)
"""


@pytest.fixture
def course(tmp_path):
    """A repository with one notebook in two files."""
    (tmp_path / "notebooks" / "py").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    for name in ("README.md", "notebooks/py/00_a.py", "notebooks/00_a.ipynb"):
        (tmp_path / name).write_text(LINKS)
    return tmp_path


def test_the_links_of_this_repository_follow_from_pyproject():
    assert badges.problems(ROOT) == []


def test_every_link_of_ours_is_rewritten_and_no_other(course):
    changed = badges.rewrite(course)
    assert sorted(changed) == ["README.md", "notebooks/00_a.ipynb", "notebooks/py/00_a.py"]
    assert all((course / name).read_text() == FOLLOWED for name in changed)
    assert badges.rewrite(course) == [] and badges.problems(course) == []


def test_a_link_to_another_place_is_named_with_its_line(course):
    badges.rewrite(course)
    readme = course / "README.md"
    readme.write_text(readme.read_text().replace("gh/ada/notes/course", "gh/eve/notes/course"))
    [line] = badges.problems(course)
    assert line.startswith("README.md, line 2: ") and "eve/notes" in line and "ada/notes" in line


@pytest.mark.parametrize("lost", ["colab", "mybinder", "git+https"])
@pytest.mark.parametrize("file", ["00_a.ipynb", "py/00_a.py"])
def test_a_notebook_without_one_of_its_links_is_named(course, lost, file):
    badges.rewrite(course)
    notebook = course / "notebooks" / file
    notebook.write_text("".join(line for line in notebook.open().readlines() if lost not in line))
    [line] = badges.problems(course)
    assert line.startswith(f"notebooks/{file}: ")


def test_a_notebook_whose_link_opens_another_one_is_named(course):
    badges.rewrite(course)
    shutil.copy(course / "notebooks" / "00_a.ipynb", course / "notebooks" / "01_b.ipynb")
    lines = badges.problems(course)
    assert len(lines) == 2 and all(line.startswith("notebooks/01_b.ipynb: ") for line in lines)  # Colab and Binder


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("https://github.com/ada/notes", "https://example.org/ada/notes", "project.urls.Repository"),
        ("https://github.com/ada/notes", "https://github.com/ada/notes/tree/x", "project.urls.Repository"),
        ('branch = "course"', 'branch = "a/b"', "tool.kpp.branch"),  # Binder and Colab split their addresses at /
        ("Repository", "Homepage", "project.urls.Repository"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(course, old, new, named):
    (course / "pyproject.toml").write_text(PYPROJECT.replace(old, new))
    with pytest.raises(ValueError, match=f"{named}.*expected"):
        badges.place(course)


def test_the_command_line_says_what_is_wrong_and_puts_it_right(course, capsys):
    assert badges.main(["--check", "--root", str(course)]) == 1
    assert "tools/badges.py" in capsys.readouterr().err
    assert badges.main(["--root", str(course)]) == 0
    assert badges.main(["--check", "--root", str(course)]) == 0
