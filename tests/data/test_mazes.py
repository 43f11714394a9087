"""The set of mazes: splits, poses, what is kept in the cache, and a run on it."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from kpp_lib import Config, fit, load_dataset
from kpp_lib.data import layouts
from kpp_lib.data import mazes as module
from kpp_lib.data.cache import cache_folder
from kpp_lib.data.layouts import layout
from kpp_lib.data.mazes import mazes
from kpp_lib.data.raycast import render
from kpp_lib.data.textures import dressed

pytestmark = pytest.mark.usefixtures("no_sources")
few = partial(mazes, 16, counts=(3, 1, 2), frames=10, side=9, layouts="ours", quiet=True)


def files():
    folder = cache_folder() / "decoded"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_shapes_labels_and_poses(capsys):
    data = few(quiet=False)
    assert [len(getattr(data, s)) for s in ("train", "valid", "test")] == [30, 10, 20]
    assert data.train.pixels.shape == (30, 3, 16, 16) and not data.train.binary and data.bits == "grey"
    assert data.train.labels.unique().tolist() == [0, 1, 2] and data.valid.labels.unique().tolist() == [3]
    assert torch.equal(data.test.walks, data.test.labels) and data.test.poses.shape == (20, 3)
    said = capsys.readouterr().err
    assert "mazes from our renderer: train 30" in said and "our mazes, our renderer; not DeepMind Lab's frames" in said


def test_a_view_is_what_is_seen_from_its_pose():
    data = few(seed=5)
    plan, rows = layout(9, module._number(5, 1), "ours"), data.train.labels == 1  # the second maze
    seen = render(dressed(plan, module._number(5, 1)), data.train.poses[rows].numpy(), 16)
    assert np.array_equal(seen, data.train.pixels[rows].numpy())


def test_no_maze_is_in_two_splits(monkeypatch):
    plans = []
    monkeypatch.setattr(module, "layout", lambda *args: layouts.layout(args[0], args[1] % 3, "ours"))
    monkeypatch.setattr(module, "walk", lambda plan, *args: plans.append(plan.walls.tobytes()) or np.zeros((10, 3)))
    monkeypatch.setattr(module, "render", lambda *args: 0)
    few(counts=(1, 1, 1))  # of three seeds: layouts that were seen are passed over
    assert len(set(plans)) == len(plans) == 3
    with pytest.raises(ValueError, match="side: got 9, expected a larger one, for 4 mazes"):
        few(counts=(2, 1, 1))


def test_a_seed_repeats_bit_for_bit_and_decides_on_everything(monkeypatch, tmp_path):
    first = few()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    again = few()
    assert first.digest == again.digest and torch.equal(first.test.poses, again.test.poses)
    assert few(seed=1).digest != first.digest and few(stride=2).digest != first.digest
    assert len(first.train.pixels.flatten(1).unique(dim=0)) == 30


def test_what_was_rendered_is_kept_and_found_again(monkeypatch):
    first = few()
    assert len(files()) == 1 and files()[0].name == "mazes-v1-ours-side9-3-1-2-10frames-stride4-seed0-16px.npz"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_made", None)  # a call would fail
        assert few().digest == first.digest and torch.equal(few().train.poses, first.train.poses)
    files()[0].write_bytes(files()[0].read_bytes()[:1000])  # damaged: rendered again
    assert few().digest == first.digest and files()[0].stat().st_size > 1000
    with np.load(files()[0]) as file:
        arrays = dict(file)
    for name in arrays:  # whole as a file, but not what was rendered
        np.savez(files()[0], **arrays | {name: arrays[name][:-1]})
        assert few().digest == first.digest and torch.equal(few().train.poses, first.train.poses)
    np.savez(files()[0], **{"train.pixels": arrays["train.pixels"]})
    assert few().digest == first.digest
    monkeypatch.setattr(module, "VERSION", 2)
    few()
    assert len(files()) == 2


def test_grey_and_bits():
    colour, grey, bits = few(), few(grey=True), few(binarize="threshold", grey=True)
    red, green, blue = colour.test.pixels.double().unbind(1)
    assert (grey.test.pixels[:, 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).abs().max() <= 0.501
    assert torch.equal(bits.test.pixels, (grey.test.pixels > 127).byte()) and bits.test.binary
    assert torch.equal(bits.train.poses, colour.train.poses)
    dynamic = few(binarize="dynamic", grey=True).train
    assert dynamic.redraw and dynamic.walks is not None
    assert few(binarize="fixed").train.pixels.shape[1] == 3
    assert len(files()) == 1  # all of them are the same views


def test_the_door(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_made", partial(fewer, module._made))
    monkeypatch.setenv("KPP_DATA", str(tmp_path))  # mazes are made, not looked for
    data = load_dataset("mazes", "none", size=16, quiet=True)
    assert data.name == "mazes" and data.train.pixels.shape[1:] == (3, 16, 16) and data.source == "our renderer"
    assert load_dataset("mazes", "fixed", size=16, grey=True, quiet=True).train.pixels.shape[1:] == (1, 16, 16)
    assert load_dataset("mazes", quiet=True).train.pixels.shape[1:] == (3, 32, 32)


def fewer(made, size, seed, counts, frames, stride, side, layouts):
    return made(size, seed, [2, 1, 1], 10, stride, 9, "ours")


def test_labmaze_layouts_are_said_to_be_so(monkeypatch):
    monkeypatch.setattr(layouts.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(layouts.importlib.metadata, "version", lambda name: "1.0.6")
    monkeypatch.setattr(layouts, "_theirs", lambda size, seed: dataclasses.replace(layout(size, seed, "ours")))
    data = few(layouts=None)
    assert "labmaze layouts, our renderer; not DeepMind Lab's frames" == data.note
    assert "labmaze-1.0.6" in files()[0].name


def stopped(step, split, numbers):
    if step == 3:
        raise KeyboardInterrupt


def test_a_run_on_walks_goes_on_as_if_never_stopped(tmp_path):
    config = Config.preset("tiny", image_size=16, length=4, episodes=2, steps=4)
    data = few(binarize="fixed", grey=True, frames=12)
    options = {"quiet": True, "device": "cpu", "log_every": 1, "eval_every": 100}
    whole = fit(config, data, tmp_path / "a", **options)
    with pytest.raises(KeyboardInterrupt):
        fit(config, data, tmp_path / "b", on_log=stopped, **options)
    resumed = fit(config, data, tmp_path / "b", **options)
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True))
    with pytest.raises(ValueError, match="length: got T = 13 for walks of 12"):
        fit(config.replace(length=13, episodes=1), few(binarize="fixed", grey=True, frames=12, counts=(4, 4, 4)),
            tmp_path / "d", **options)  # fmt: skip
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [({"size": 15}, "size: got 15"), ({"size": 6}, "size: got 6"), ({"counts": (1, 2)}, "counts: got"),
     ({"counts": (0, 1, 1)}, "counts: got 0"), ({"frames": 0}, "frames: got 0"), ({"stride": 0}, "stride: got 0"),
     ({"side": 8}, "side: got 8"), ({"layouts": "theirs"}, "layouts: got 'theirs'"), ({"grey": 1}, "grey: got 1"),
     ({"binarize": "bits"}, "binarize: got 'bits'"), ({"seed": -1}, "seed: got -1")],
)  # fmt: skip
def test_errors(given, message):
    with pytest.raises(ValueError, match=message):
        mazes(**({"size": 16, "counts": (1, 1, 1), "frames": 4, "side": 9, "quiet": True} | given))
    assert files() == []
