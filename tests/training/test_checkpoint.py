"""Checkpoints: round trip, damage, and that a good one is never lost."""

import errno
import json
import os

import pytest
import torch
from tiny_model import ALL_RECIPES, episodes, tiny

import kpp_lib as kpp
from kpp_lib.training import atomic
from kpp_lib.training import checkpoint as ckpt


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_round_trip(tmp_path, recipe):
    model, x = tiny(recipe), episodes()
    kpp.save_model(model, tmp_path / "m", {"note": "mine"})
    again = kpp.load_model(tmp_path / "m")
    assert again.config == model.config and not again.training
    assert torch.equal(again.bound(x, generator=kpp.seeded(0)).total, model.bound(x, generator=kpp.seeded(0)).total)
    assert kpp.load_card(tmp_path / "m")["note"] == "mine"
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [ckpt.CARD, ckpt.WEIGHTS]


def test_half_precision_is_half_the_size_and_nearly_the_same(tmp_path):
    model, x = tiny(), episodes()
    sizes = [
        (kpp.save_model(model, tmp_path / str(half), half=half) / ckpt.WEIGHTS).stat().st_size for half in (False, True)
    ]
    assert sizes[1] < 0.65 * sizes[0]
    totals = [kpp.load_model(tmp_path / str(h)).bound(x, generator=kpp.seeded(0)).total.mean() for h in (False, True)]
    assert abs(totals[0] - totals[1]) < 0.5


def test_nothing_executable_is_read(tmp_path):
    folder = kpp.save_model(tiny(), tmp_path / "m")
    torch.save({"a": 1}, folder / ckpt.WEIGHTS)  # a pickle under the name of the weights
    with pytest.raises(kpp.CheckpointError, match="sha256"):
        kpp.load_model(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / ckpt.WEIGHTS).write_bytes((f / ckpt.WEIGHTS).read_bytes()[:-10]),
            "weights.safetensors: sha256 .* damaged",
        ),
        (lambda f: (f / ckpt.WEIGHTS).unlink(), "weights.safetensors: missing"),
        (lambda f: (f / ckpt.CARD).write_text("{"), "model.json: not JSON"),
        (lambda f: (f / ckpt.CARD).write_text(json.dumps({"format": 99, "config": {}})), "format 99, expected 2"),
        (lambda f: (f / ckpt.CARD).unlink(), "no model.json here"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    folder = kpp.save_model(tiny(), tmp_path / "m")
    damage(folder)
    with pytest.raises(kpp.CheckpointError, match=message):
        kpp.load_model(folder)


def test_a_failing_save_leaves_the_old_one(tmp_path, monkeypatch):
    """A full disk: one clear error, the old checkpoint as it was, and nothing half-written beside it."""
    old = kpp.save_model(tiny(), tmp_path / "m", {"note": "old"})

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(
        kpp.CheckpointError, match="m: not saved: No space left on device; what was there before is kept"
    ):
        kpp.save_model(tiny("paper"), old, {"note": "new"})
    monkeypatch.undo()
    assert kpp.load_card(old)["note"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    kpp.load_model(old)


def test_a_swap_cut_off_between_its_renames_is_found_again(tmp_path):
    folder = kpp.save_model(tiny(), tmp_path / "m", {"note": "old"})
    folder.rename(tmp_path / ".m.kpp-old")
    assert kpp.load_card(tmp_path / "m")["note"] == "old"
    kpp.load_model(tmp_path / "m")


def test_saving_again_replaces(tmp_path):
    for note in ("one", "two"):
        kpp.save_model(tiny(), tmp_path / "m", {"note": note})
    assert kpp.load_card(tmp_path / "m")["note"] == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_optimizer_state_survives_packing():
    model = tiny("slots")
    optimizer = torch.optim.AdamW(model.parameters())
    model.bound(episodes(), generator=kpp.seeded(0)).total.mean().backward()
    optimizer.step()
    state = optimizer.state_dict()
    fresh = torch.optim.AdamW(model.parameters())
    ckpt.unpack_optimizer(ckpt.pack_optimizer(optimizer), fresh)
    again = fresh.state_dict()["state"]
    assert again.keys() == state["state"].keys()
    assert all(torch.equal(again[i][k], v) for i, values in state["state"].items() for k, v in values.items())


def test_unknown_names():
    with pytest.raises(ValueError, match="name: got 'mnist-huge', expected one of"):
        kpp.load_pretrained("mnist-huge")
    with pytest.raises(kpp.CheckpointError, match="nowhere: no model.json"):
        kpp.load_model("nowhere")


@pytest.mark.parametrize("name", kpp.pretrained_names())
def test_shipped_weights_load(name):
    model = kpp.load_pretrained(name)
    card = kpp.load_card(name)
    assert model.config == kpp.Config.from_dict(card["config"])
    assert sum(f.stat().st_size for f in (ckpt.PRETRAINED / name).iterdir()) <= 6 * 2**20
