"""The notebooks with widgets in a real browser: all cells run, sliders move, pictures change, no error is shown."""

import shutil

import pytest
from lab import ROOT, Notebook, serve

WITH_WIDGETS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if "widgets." in p.read_text()]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for name in WITH_WIDGETS:
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    with serve(folder, tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WITH_WIDGETS)
def test_a_reader_runs_it_and_moves_everything(name, lab, browser, shots):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    notebook = Notebook(page, lab(f"{name}.ipynb"))
    notebook.run_all(seconds=300)
    assert notebook.failures() == []
    boxes = notebook.boxes()
    assert boxes
    for i, box in enumerate(boxes):
        box.locator.scroll_into_view_if_needed()
        for slider in range(box.sliders.count()):
            assert box.changed(lambda b=box, s=slider: b.press(s)), f"box {i}, slider {slider}: arrow keys"
            assert box.changed(lambda b=box, s=slider: b.drag(s)), f"box {i}, slider {slider}: mouse"
        for menu in range(box.menus.count()):
            assert box.changed(lambda b=box, m=menu: b.choose(m)), f"box {i}, menu {menu}"
        assert box.error() == ""
        box.locator.screenshot(path=shots / f"{name}-{i}.png")
    assert notebook.failures() == []
    notebook.close()
