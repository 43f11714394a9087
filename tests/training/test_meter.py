"""Images a second, operations of a step against a count by hand, steps that fit into a time."""

import pytest
import torch
from tiny_model import bar_set
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import kpp_lib as kpp
from kpp_lib.config import RECIPES
from kpp_lib.training import meter
from kpp_lib.training.fit import new_model
from kpp_lib.training.meter import Meter, peak, step_flops, steps_for


class Clock:
    """A time that passes only when told so."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(meter.time, "monotonic", lambda: self.now)


@pytest.mark.parametrize("recipe", RECIPES)
def test_operations_are_those_of_a_real_step(recipe):
    config = kpp.Config.preset("tiny", recipe)
    model = new_model(config)
    x = torch.zeros(config.episodes, config.length, 1, 28, 28)
    cue = x if config.cue_noise else None
    with FlopCounterMode(display=False) as counter:
        model(x, kpp.seeded(0), cue).mean().weighted().backward()
    assert step_flops(config) == counter.get_total_flops() > 1e6


def test_operations_are_three_passes_through_the_layers():
    """Multiplications of each layer from its sizes; the backward pass costs two forward ones."""
    model, forward = new_model(kpp.Config.preset("paper", "paper", episodes=1, length=2)), []

    def multiplications(layer, given, out):
        if isinstance(layer, nn.ConvTranspose2d):
            forward.append(given[0].numel() * layer.out_channels * layer.kernel_size[0] ** 2)
        else:
            forward.append(out.numel() * layer.weight[0].numel())

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(multiplications)
    model(torch.zeros(1, 2, 1, 28, 28), kpp.seeded(0))
    assert step_flops(model.config) == pytest.approx(2 * 3 * sum(forward), rel=0.01)


def test_the_peak_is_found_by_name(monkeypatch):
    for name, best in (("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L40S", 362e12)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert peak(torch.device("cuda"), bf16=True) == best
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-40GB")
    assert peak(torch.device("cuda"), bf16=False) == 156e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another card")
    assert peak(torch.device("cuda"), bf16=True) is None and peak(torch.device("cpu"), bf16=True) is None


def test_a_validation_is_no_training_time(monkeypatch):
    clock, config = Clock(monkeypatch), kpp.Config.preset("tiny", episodes=2)  # of 4 images
    m = Meter(config, torch.device("cpu"), bf16=False)
    m.start(0)
    clock.now += 2
    assert m.read(4) == {"images_per_second": 4 * 8 / 2}
    m.pause()
    clock.now += 1000
    m.start(4)
    clock.now += 1
    m.start(5)
    clock.now += 1
    assert m.read(6) == {"images_per_second": 2 * 8 / 2}


def test_the_share_of_the_peak(monkeypatch):
    clock, config = Clock(monkeypatch), kpp.Config.preset("tiny")
    monkeypatch.setattr(meter, "peak", lambda device, bf16: 1e12)
    m = Meter(config, torch.device("cpu"), bf16=True, devices=2)
    m.start(0)
    clock.now += 0.5
    assert m.read(10)["mfu"] == pytest.approx(20 * step_flops(config) / 2e12)


def runs(clock, setup=5.0, step=0.5, valid=4.0, save=1.0):
    """What stands in for a short run of `fit` that takes these seconds."""

    def short_run(steps, on_log):
        short_run.steps.append(steps)
        clock.now += setup
        for i in range(steps):
            clock.now += step
            on_log(i + 1, "train", {})
        clock.now += valid
        on_log(steps, "valid", {})
        clock.now += save

    short_run.steps = []
    return short_run


def test_steps_with_their_validations_and_saves_fit_into_the_time(monkeypatch):
    clock = Clock(monkeypatch)
    short, began = runs(clock), clock.now
    steps = steps_for(480, short, eval_every=50, save_every=60)
    assert short.steps == [3, 19]  # a fiftieth of the time
    took = clock.now - began + 5.5 + steps * 0.5 + steps // 50 * 5 + steps * 0.5 / 60 + 5
    assert 0.95 * 480 < took < 480


def test_no_time_for_a_step_is_said(monkeypatch):
    with pytest.raises(ValueError, match="minutes: got 0.25, expected more: one step takes"):
        steps_for(15, runs(Clock(monkeypatch)), eval_every=50)


def test_minutes_set_the_steps_and_a_stopped_run_keeps_them(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(meter, "steps_for", lambda *of, **options: asked.append(of[0]) or 6)
    options = dict(device="cpu", quiet=True, log_every=1, eval_every=3)
    config = kpp.Config.preset("tiny", episodes=2, steps=99)
    in_time = kpp.fit(config, bar_set(), tmp_path / "in_time", minutes=2, **options)
    assert in_time.config.steps == 6 and 0 < asked[0] <= 120
    again = kpp.fit(config, bar_set(), tmp_path / "in_time", minutes=3, **options)
    assert again.config.steps == 6 and len(asked) == 1
    whole = kpp.fit(config.replace(steps=6), bar_set(), tmp_path / "whole", **options)
    for a, b in zip(whole.state_dict().values(), in_time.state_dict().values(), strict=True):
        assert torch.equal(a, b)  # what was tried left no trace


def test_a_machine_that_turns_slower_stops_in_time_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(meter, "steps_for", lambda *of, **options: 6)
    options = dict(device="cpu", quiet=True, log_every=1, eval_every=6)
    config, late = kpp.Config.preset("tiny", episodes=2), lambda step, split, numbers: slow(step)

    def slow(step):
        if step == 2:  # an hour passes
            now = meter.time.monotonic
            monkeypatch.setattr(meter.time, "monotonic", lambda: now() + 3600)

    kpp.fit(config, bar_set(), tmp_path, minutes=2, on_log=late, **options)
    assert kpp.load_card(tmp_path / "last")["step"] == 3  # the step under way is finished, validated and saved
    whole = kpp.fit(config.replace(steps=6), bar_set(), tmp_path / "whole", **options)
    again = kpp.fit(config, bar_set(), tmp_path, minutes=2, **options)
    assert kpp.load_card(tmp_path / "last")["step"] == 6
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), True, "8"])
def test_minutes_are_a_number_above_nothing(tmp_path, wrong):
    with pytest.raises(ValueError, match="minutes: got .* expected a finite number above 0"):
        kpp.fit(kpp.Config.preset("tiny"), bar_set(), tmp_path / "run", minutes=wrong)
    assert not (tmp_path / "run").exists()


def test_minutes_for_real(tmp_path):
    """Twelve seconds: the run is measured, and ends with the steps that it chose, or saved where its time was up."""
    model = kpp.fit(kpp.Config.preset("tiny", episodes=1), bar_set(), tmp_path, minutes=0.2, device="cpu", quiet=True)
    assert 1 <= kpp.load_card(tmp_path / "last")["step"] <= model.config.steps
