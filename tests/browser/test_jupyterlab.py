"""The notebooks with widgets in a real browser: all cells run, sliders move, pictures change, no error is shown."""

import papermill
import pytest
from lab import ROOT, Notebook, serve

WITH_WIDGETS = [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if "widgets." in p.read_text()]
# Fewer repetitions behind averages that no widget shows: the same cells, sooner.
FEWER = {
    "02_block_reads": {"random_keys": 2000, "timing_runs": 3, "field_side": 9},
    "03_write_and_read": {"episodes_scored": 2},
    "05_iterative_inference": {"measured": 2, "patience": 10},
    "06_key_space": {"side": 9, "draws": 4},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for name in WITH_WIDGETS:
        source, copy = ROOT / "notebooks" / f"{name}.ipynb", folder / f"{name}.ipynb"
        papermill.execute_notebook(source, copy, FEWER.get(name, {}), prepare_only=True)
    with serve(folder, tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", WITH_WIDGETS)
def test_a_reader_runs_it_and_moves_everything(name, lab, browser, shots):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    notebook = Notebook(page, lab(f"{name}.ipynb"))
    notebook.run_all(seconds=1200)
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
        box.settle()
        assert box.error() == ""
        box.locator.screenshot(path=shots / f"{name}-{i}.png")
    assert notebook.failures() == []
    notebook.close()
