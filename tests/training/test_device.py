"""The switches of the engine, and where a run goes when no device is named."""

import contextlib
import gc

import pytest
import torch
from tiny_model import bar_set

import kpp_lib as kpp
from kpp_lib.training.device import SWITCHES, Speed, best_device
from kpp_lib.training.watch import Watch


@pytest.mark.parametrize(("device", "on"), [("cpu", {"channels_last"}), ("mps", set())])
def test_elsewhere_only_the_layout_is_on(monkeypatch, device, on):
    monkeypatch.delenv("KPP_SPEED", raising=False)
    speed = Speed.of(device)
    assert {name for name in SWITCHES if getattr(speed, name)} == on


def test_a_model_is_loaded_in_the_layout_in_which_it_is_fast(tmp_path):
    model = kpp.KanervaPlusPlus(kpp.Config.preset("tiny")).eval()
    kpp.save_model(model, tmp_path / "m")
    loaded = kpp.load_model(tmp_path / "m")
    weights = [w for w in loaded.parameters() if w.dim() == 4]
    assert weights and all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


@pytest.mark.parametrize(
    ("steps", "compiled", "bf16"), [(100, False, True), (29_000, True, True), (29_000, True, False)]
)
def test_on_cuda_all_are_on_but_what_does_not_pay(monkeypatch, steps, compiled, bf16):
    monkeypatch.delenv("KPP_SPEED", raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    speed = Speed.of("cuda", steps)
    on = {name for name in SWITCHES if getattr(speed, name)}
    assert set(SWITCHES) - on == {name for name, there in (("compile", compiled), ("bf16", bf16)) if not there}


def test_a_switch_is_turned_by_name_and_a_wrong_one_is_named(monkeypatch):
    monkeypatch.setenv("KPP_SPEED", "bf16=on, fused=off")
    assert (Speed.of("cpu").bf16, Speed.of("cpu").fused) == (True, False)
    for wrong in ("bf16", "bf16=yes", "warp=on"):
        monkeypatch.setenv("KPP_SPEED", wrong)
        with pytest.raises(ValueError, match=f"KPP_SPEED: got '{wrong}', expected NAME=on or NAME=off"):
            Speed.of("cpu")


def test_a_run_in_channels_last_with_a_fused_optimiser_goes_on_as_if_never_stopped(tmp_path, monkeypatch):
    """As on CUDA. Files keep NCHW; a fused step on a state that is laid out otherwise would fail, or mix it up."""
    monkeypatch.setenv("KPP_SPEED", "fused=on")
    config, see = kpp.Config.preset("tiny", "paper", steps=4, episodes=2), Watch.see
    options = dict(device="cpu", quiet=True, log_every=4, eval_every=2)

    def stops(watch, step, bound, norm):
        if step == 3:
            raise KeyboardInterrupt
        see(watch, step, bound, norm)

    whole = kpp.fit(config, bar_set(), tmp_path / "whole", **options)
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Watch, "see", stops)
        kpp.fit(config, bar_set(), tmp_path / "parts", **options)
    parts = kpp.fit(config, bar_set(), tmp_path / "parts", **options)
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_collector_rests_in_the_loop_only():
    with Speed(torch.device("cpu"), still_gc=True).loop():
        assert not gc.isenabled() and gc.get_freeze_count() > 0
    assert gc.isenabled() and gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("named", "cuda", "mps", "chosen"),
    [(None, True, True, "cuda:0"), (None, False, True, "mps"), (None, False, False, "cpu"), ("cpu", True, True, "cpu")],
)
def test_the_best_device_unless_one_is_named(monkeypatch, named, cuda, mps, chosen):
    monkeypatch.setenv("KPP_DEVICE", named) if named else monkeypatch.delenv("KPP_DEVICE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == chosen
