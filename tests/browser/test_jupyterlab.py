"""The widgets of the notebooks in a real browser: their cells run, sliders move, pictures change, no error is shown."""

import nbformat
import pytest
from lab import ROOT, VIEW, Notebook, serve
from needed import cells_needed

WITH_WIDGETS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if "widgets." in p.read_text()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for name in WITH_WIDGETS:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
        notebook.cells = cells_needed(notebook.cells)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with serve(folder, tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", WITH_WIDGETS)
def test_a_reader_moves_everything(name, lab, browser, shots):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    notebook = Notebook(page, lab(f"{name}.ipynb"))
    notebook.run_all(seconds=1200)
    assert notebook.failures() == []
    boxes = notebook.boxes()
    assert len(boxes) == (ROOT / f"notebooks/{name}.ipynb").read_text().count(f'"{VIEW}"')  # as in the whole notebook
    for i, box in enumerate(boxes):
        box.locator.scroll_into_view_if_needed()
        for slider in range(box.sliders.count()):
            assert box.changed(lambda b=box, s=slider: b.press(s)), f"box {i}, slider {slider}: arrow keys"
            assert box.changed(lambda b=box, s=slider: b.drag(s)), f"box {i}, slider {slider}: mouse"
        for menu in range(box.menus.count()):
            assert box.changed(lambda b=box, m=menu: b.choose(m)), f"box {i}, menu {menu}"
        box.settle()
        assert box.error() == ""
        box.locator.screenshot(path=shots / f"{name}-{i}.png")
    assert notebook.failures() == []
    notebook.close()
