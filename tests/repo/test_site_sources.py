"""What the site is built from: pictures with a text, links that stay inside, nothing of other hosts."""

from pathlib import Path, PurePosixPath

import badges
import build_site
import nbformat
import pytest
import site_notebooks
import site_pages
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLACE = badges.place(ROOT)
HERE = ROOT / "notebooks" / "00_x.ipynb"  # no file: links are looked up from its folder
PNG = {"image/png": "aGVsbG8=", "text/plain": "<Figure size 1x1>"}


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def drawn(*datas, source="fig"):
    outputs = [nbformat.v4.new_output("display_data", data=dict(data)) for data in datas or [PNG]]
    return nbformat.v4.new_code_cell(source, outputs=outputs)


def test_every_picture_gets_its_words_and_one_without_is_named():
    cells = [text("Picture: of another."), drawn(), text("*Picture:* one."), drawn(source="lonely()"), text("None.")]
    [problem] = site_notebooks.describe(cells)
    assert "cell 3" in problem and "lonely()" in problem
    assert cells[1].metadata["mystnb"]["image"]["alt"] == "one." and "mystnb" not in cells[3].metadata


def test_widgets_and_records_are_left_out_but_pictures_and_prints_stay():
    widget = {"application/vnd.jupyter.widget-view+json": {}, **PNG}
    record = {"application/vnd.kpp.metric+json": {}, "text/plain": "kl_z = 3"}
    kept = [site_notebooks.plain(output) for output in drawn(widget, record).outputs]
    assert kept[0].data == {"image/png": PNG["image/png"]} and kept[1] is None
    printed = nbformat.v4.new_output("stream", text="hello")
    assert site_notebooks.plain(printed) == printed


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[home](../README.md#the-course)", "[home](../index.md#the-course)"),
        ("[next](01_elbo.ipynb)", "[next](01_elbo.ipynb)"),
        ("[words](../docs/glossary.md)", "[words](../docs/glossary.md)"),
        ("[a](../kpp_lib/config.py)", f"[a](https://github.com/{PLACE.repository}/blob/{PLACE.branch}/kpp_lib/config.py)"),
        ("[a](../kpp_lib)", f"[a](https://github.com/{PLACE.repository}/tree/{PLACE.branch}/kpp_lib)"),
        ("[paper](https://arxiv.org/abs/2103.03905)", "[paper](https://arxiv.org/abs/2103.03905)"),
        (f"[key](https://{PLACE.pages}/explorer.html)", "[key](../explorer.md)"),
        ("[![Open](https://a.b/c.svg)](https://mybinder.org/v2/x)\n[![O](https://a.b/d.svg)](https://e.f/g)",
         "Run it: [Binder](https://mybinder.org/v2/x) · [e.f](https://e.f/g)"),
    ],
)  # fmt: skip
def test_links_and_badges(written, expected):
    assert site_pages.rewrite(written, HERE, ROOT) == expected


def test_the_front_page_is_the_readme_with_every_page_in_its_contents():
    front = site_pages.page(ROOT / "README.md", ROOT)
    listed = set(front.splitlines())
    assert {"explorer", "docs/glossary", "CONTRIBUTING"} <= listed
    assert {f"notebooks/{p.stem}" for p in (ROOT / "notebooks").glob("*.ipynb")} <= listed
    assert site_pages.staged(PurePosixPath("README.md")).name == "index.md"


def test_the_committed_notebooks_can_all_be_staged(tmp_path):
    assert build_site.stage(ROOT, tmp_path / "source") == []
    shown = nbformat.read(tmp_path / "source" / "notebooks" / "06_key_space.ipynb", 4)
    places = [i for i, cell in enumerate(shown.cells) if "kpp-explorer" in cell.source]
    assert len(places) == 1 and "widgets.explore(" in shown.cells[places[0] - 2].source
    assert "widget-view" not in nbformat.writes(shown) and "badge" not in nbformat.writes(shown)


def test_a_notebook_that_lost_the_explorers_place_is_named():
    [problem] = site_notebooks.add_explorer([text("nothing")], "06_x.ipynb")
    assert "06_x.ipynb" in problem


@pytest.mark.parametrize(
    ("html", "named"),
    [
        ('<img src="a.png">', "alternative text: a.png"),
        ('<img src="a.png" alt=" ">', "alternative text"),
        ('<script src="https://cdn.example.org/x.js"></script>', "cdn.example.org"),
        ('<link rel="stylesheet" href="//fonts.example.org/x">', "fonts.example.org"),
        ('<script src="gone.js?v=1"></script>', "gone.js"),
        ('<a href="gone.html#part">gone</a>', "leads to gone.html"),
    ],
)
def test_a_finished_page_is_held_to_the_rules(tmp_path, html, named):
    (tmp_path / "a.png").touch()
    page = tmp_path / "page.html"
    page.write_text(html)
    [problem] = site_pages.problems(page, tmp_path)
    assert problem.startswith("page.html: ") and named in problem
    page.write_text(
        '<img src="a.png" alt="a"> <a href="https://example.org">a link to follow</a> <a href="a.png#x">here</a>'
    )
    assert site_pages.problems(page, tmp_path) == []


@pytest.mark.parametrize("out", [".", "..", "tools"])
def test_a_folder_with_other_things_is_never_built_into(out, capsys):
    with pytest.raises(SystemExit):
        build_site.main([str(ROOT / out)])
    assert "expected a folder of its own" in capsys.readouterr().err


def test_the_server_builds_and_publishes_what_make_builds():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text())["jobs"]
    steps = jobs["build"]["steps"]
    assert any(step.get("run") == "make site" for step in steps)
    assert {"path": "build/site"} in [step.get("with") for step in steps]
    assert jobs["publish"]["needs"] == "build"
