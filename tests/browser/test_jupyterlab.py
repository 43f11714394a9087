"""The widgets of the notebooks in a real browser: their cells run, sliders move, pictures change, no error is shown."""

from pathlib import Path

import nbformat
import pytest
from lab import ROOT, VIEW, Notebook, serve
from needed import cells_needed

pytestmark = pytest.mark.timeout(2400)
WITH_WIDGETS = [p for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if "widgets." in p.read_text()]


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """The cells that the widgets of all notebooks need, one after another in one page and one kernel, and run."""
    folder = tmp_path_factory.mktemp("notebooks")
    notebooks = [nbformat.read(path, as_version=4) for path in WITH_WIDGETS]
    together = nbformat.v4.new_notebook(metadata=notebooks[0].metadata)
    together.cells = [cell for notebook in notebooks for cell in cells_needed(notebook.cells)]
    nbformat.write(together, folder / "widgets.ipynb")
    with serve(folder, tmp_path_factory.mktemp("home")) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, url("widgets.ipynb"))
        notebook.run_all(seconds=2400)
        yield notebook
        notebook.close()


def boxes_of(path: Path) -> int:
    return path.read_text().count(f'"{VIEW}"')


def test_every_cell_runs_and_shows_its_widget(opened):
    assert opened.failures() == []
    assert len(opened.boxes()) == sum(map(boxes_of, WITH_WIDGETS))  # as in the whole notebooks


@pytest.mark.parametrize("path", WITH_WIDGETS, ids=lambda path: path.stem)
def test_a_reader_moves_everything(path, opened, shots):
    first = sum(map(boxes_of, WITH_WIDGETS[: WITH_WIDGETS.index(path)]))
    for i, box in enumerate(opened.boxes()[first : first + boxes_of(path)]):
        box.locator.scroll_into_view_if_needed()
        for slider in range(box.sliders.count()):
            assert box.changed(lambda b=box, s=slider: b.press(s)), f"box {i}, slider {slider}: arrow keys"
            assert box.changed(lambda b=box, s=slider: b.drag(s)), f"box {i}, slider {slider}: mouse"
        for menu in range(box.menus.count()):
            assert box.changed(lambda b=box, m=menu: b.choose(m)), f"box {i}, menu {menu}"
        box.settle()
        assert box.error() == ""
        box.locator.screenshot(path=shots / f"{path.stem}-{i}.png")
    assert opened.failures() == []
