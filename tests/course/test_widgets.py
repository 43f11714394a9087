"""Widgets, driven as a hand would: a slider moves, the picture changes, nothing queues up, nothing is raised."""

import asyncio
import re
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import bench_widgets
import matplotlib.figure
import matplotlib.pyplot as plt
import pytest
import torch
from tiny_model import episodes, tiny

import kpp_lib as kpp
from kpp_lib.course import boards, widgets
from kpp_lib.course.keyspace import read_and_way
from kpp_lib.data.noise import add_noise
from kpp_lib.memory import read_blocks


@pytest.fixture(scope="module")
def scene():
    model, x = tiny(), episodes(1)
    with torch.no_grad():
        return model, model.write(x), model.encode(x).place[0]  # where the images lie


def line(a):
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.plot([0, a])
    plt.close(fig)
    return fig


def test_a_move_changes_the_picture():
    box = widgets.live(line, a=(0.0, 1.0, 0.5))
    before = box.picture.value
    assert bytes(before).startswith(b"\x89PNG") and box.draws == 1
    box.controls["a"].value = 0.9
    assert box.picture.value != before and box.draws == 2 and box.error.value == ""


def test_a_burst_of_moves_is_one_picture_of_the_last():
    async def drag():
        box = widgets.live(line, a=(0.0, 1.0, 0.5))
        for step in range(50):
            box.controls["a"].value = step / 50
        await asyncio.sleep(5 * widgets.PAUSE)
        return box

    box = asyncio.run(drag())
    assert box.draws == 2
    assert box.picture.value == widgets.live(line, a=(0.0, 1.0, 49 / 50)).picture.value


def test_an_error_shows_under_the_picture_and_goes_away():
    def draw(a):
        if a > 0.8:
            raise ValueError("a: too <far>")
        return line(a)

    box = widgets.live(draw, a=(0.0, 1.0, 0.5))
    with pytest.raises(ValueError, match="too <far>"):
        box.controls["a"].value = 0.9
    assert "ValueError" in box.error.value and "&lt;far&gt;" in box.error.value
    box.controls["a"].value = 0.2
    assert box.error.value == ""


def test_a_page_without_a_kernel_gets_the_picture():
    bundle = widgets.live(line, a=(0.0, 1.0, 0.5))._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "image/png" in data and "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize("spec", [(1.0, 0.0, 0.5), (0.0, 1.0, 2.0), (0.0, 1.0), "a", {}])
def test_controls_of_another_form_are_refused(spec):
    with pytest.raises(ValueError, match="a: got .* expected"):
        widgets.live(line, a=spec)


def test_explore_moves_the_key(scene):
    model, memory, keys = scene
    box = widgets.explore(model, memory, keys[0])
    assert set(box.controls) == {"scale", "x", "y"}
    assert len(set(moved(box, x=1.5, y=-1.0))) == 3


def test_of_two_keys_a_menu_chooses():
    model, x = tiny(reads=2), episodes(1)
    with torch.no_grad():
        box = widgets.explore(model, model.write(x), model.encode(x).place[0, 0])
    assert set(box.controls) == {"key", "scale", "x", "y"}
    assert len(set(moved(box, x=1.5, y=-1.0, key=1))) == 4


def test_walk_and_shake(scene):
    model, memory, keys = scene
    for box, name, value in ((widgets.walk(model, memory, keys[0], keys[1]), "place", 1.0),
                             (widgets.shake(model, memory, keys[0], n=4), "log10_std", 0.4)):  # fmt: skip
        before = box.picture.value
        box.controls[name].value = value
        assert box.picture.value != before


def moved(box, **values):
    """The pictures after each of the moves, the first one before all."""
    seen = [bytes(box.picture.value)]
    for name, value in values.items():
        box.controls[name].value = value
        seen.append(bytes(box.picture.value))
    assert box.error.value == ""
    return seen


def test_perturb_draws_around_either_place(scene):
    model, memory, keys = scene
    box = widgets.perturb(model, memory, keys[0])
    assert len(set(moved(box, draw=2, std=0.5, around=True))) == 4
    seen = moved(box, std=0.0, draw=3)  # without noise the draw makes no difference
    assert seen[1] == seen[2] == widgets.png(widgets.view(model, memory, keys[0]))


def test_read_points_home(scene):
    """Where the target was read there is no mismatch; next to it the way leads back."""
    _, memory, _ = scene
    smooth = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)  # a slope along x
    home = torch.tensor([0.25, 0.0, 0.0])
    target = read_blocks(smooth, home.view(1, 1, 1, 3), 8)[0, 0, 0]
    assert read_and_way(smooth, home, target)[1] == 0
    _, mismatch, way = read_and_way(smooth, home + torch.tensor([0.0, 0.2, 0.0]), target)
    assert mismatch > 0 and way[1] < 0 and way[1].abs() > 10 * way[2].abs()
    assert len(set(moved(widgets.read(memory, home, 8), s=0.5, x=-0.4, y=0.3))) == 4
    with pytest.raises(ValueError, match="window: got .* expected"):
        read_and_way(smooth, home[None], target)


def test_written_shows_each_image_where_it_lies(scene):
    model, _, _ = scene
    other = tiny()
    box = widgets.written({"one": model, "other": other}, episodes(2))
    assert len(set(moved(box, image=1, episode=2))) == 3
    box.controls["model"].value = other
    assert box.error.value == ""


def test_clean_up_steps_as_iterate_does(scene):
    model, _, _ = scene
    x = episodes(2)
    with torch.no_grad():
        memory = model.write(x)
    box = widgets.clean_up(model, x[0], memory, steps=3)
    assert len(set(moved(box, noise="speckle", strength=0.8, image=1, step=0))) == 5
    box.controls["step"].value = 2
    cue = add_noise(x[0, 1], "speckle", box.controls["strength"].value, kpp.seeded(1))
    own, other = (model.iterate(cue[None, None], memory[[i]], steps=2)[-1, 0, 0] for i in (0, 1))
    named = {"noisy cue": cue, "step 2": own, "in another memory": other}
    title = f"speckle, strength {box.controls['strength'].value:.2f}"
    assert box.picture.value == widgets.png(boards.clean_view(x[0, 1], named, title))


def test_the_benchmark_moves_at_every_move():
    box = widgets.live(lambda a, b, c: line(a + b + c), a=(0.0, 1.0, 0.5), b=(1, 2, 1), c={"one": 1, "two": 2})
    for control in box.controls.values():
        targets = [control.value, *bench_widgets.values(control, 5)]
        assert all(after != before for before, after in zip(targets, targets[1:], strict=False))
        assert len(bench_widgets.moves(box, control, 5)) == 5
    with pytest.raises(RuntimeError, match="a: 2 moves, 0 pictures"):
        bench_widgets.moves(widgets.live(line, a=(0.0, 1.0, 0.5)), box.controls["a"], 2)


def test_the_benchmark_fails_above_its_limit(capsys, monkeypatch):
    monkeypatch.setattr(bench_widgets, "course", lambda: [("02 read", widgets.live(line, a=(0.0, 1.0, 0.5)))])
    assert bench_widgets.main(["--moves", "2", "--limit", "0.001"]) == 1
    assert "above 0.001 ms: 02 read a" in capsys.readouterr().out


def test_the_benchmark_covers_every_widget_of_the_notebooks(capsys):
    assert bench_widgets.main(["--moves", "1", "--limit", "5000"]) == 0
    printed = capsys.readouterr().out
    assert bench_widgets.main(["--moves", "1", "--limit", "0"]) == 1
    cells = [p.read_text() for p in (Path(__file__).parents[2] / "notebooks" / "py").glob("*.py")]
    used = set(re.findall(r"^widgets\.(\w+)\(", "\n".join(cells), re.M)) - {"view"}
    assert used == set(re.findall(r"^0\d (\w+) ", printed, re.M))


def test_a_move_draws_one_picture_and_decodes_once(scene, monkeypatch):
    """What a move costs, counted: it does not depend on the machine. `make bench` has it in milliseconds."""
    model, memory, keys = scene
    box, counts = widgets.explore(model, memory, keys[0]), {"pictures": 0, "decoded": 0}
    drawn = widgets.png
    monkeypatch.setattr(widgets, "png", lambda figure: counts.update(pictures=counts["pictures"] + 1) or drawn(figure))
    hook = model.decoder.register_forward_hook(lambda *_: counts.update(decoded=counts["decoded"] + 1))
    try:
        for i in range(5):
            box.controls["x"].value = i / 10 - 0.7
    finally:
        hook.remove()
    assert counts == {"pictures": 5, "decoded": 5}


SLOW = """
import time
from matplotlib.figure import Figure
import kpp_lib as kpp
from kpp_lib.course import boards, widgets
from kpp_lib.course.keyspace import read_and_way
from kpp_lib.memory import read_blocks
from kpp_lib.data.noise import add_noise
def draw(a):
    time.sleep(0.05)
    return Figure(figsize=(1, 1), facecolor=(a, a, a))
box = widgets.live(draw, a=(0.0, 1.0, 0.0))
box
"""
REPORT = "print(box.draws, box.picture.value == widgets.png(draw(1.0)), box.controls['a'].model_id)"


def test_a_real_kernel_merges_a_burst_and_hangs_on_nothing():
    """What a browser does when a slider is dragged: comm messages to a kernel, faster than it draws."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        printed = []

        def run(code):
            printed.clear()
            reply = client.execute_interactive(code, timeout=600, output_hook=lambda m: printed.append(m["content"]))
            assert reply["content"]["status"] == "ok", reply["content"]
            return "".join(content.get("text", "") for content in printed)

        run(SLOW)
        assert any("image/png" in content.get("data", {}) for content in printed), "no picture for plain pages"
        slider = run(REPORT).split()[-1]
        for step in range(1, 41):
            state = {"method": "update", "state": {"value": step / 40}, "buffer_paths": []}
            client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": slider, "data": state}))
        draws, newest, deadline = 0, "False", time.monotonic() + 120
        while newest == "False" and time.monotonic() < deadline:
            time.sleep(0.5)
            draws, newest, _ = run(REPORT).split()
        assert newest == "True", "the last move is not what is shown"
        assert 2 <= int(draws) <= 30, f"{draws} pictures for a burst of 40 moves"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_drawing_leaves_the_number_of_threads_alone():
    before = torch.get_num_threads()
    seen = []
    widgets.live(lambda a: seen.append(torch.get_num_threads()) or line(a), a=(0.0, 1.0, 0.5))
    assert seen == [1] and torch.get_num_threads() == before
