"""Compiled and captured steps: the same numbers as plain ones, and a plain run where they fail."""

import pytest
import torch
from tiny_model import bar_set

import kpp_lib as kpp
from kpp_lib.training import compiled
from kpp_lib.training.compiled import Terms, faster
from kpp_lib.training.device import Speed
from kpp_lib.training.fit import new_model

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CPU = torch.device("cpu")


def parts(recipe, **overrides):
    """A new model of the tiny preset and its training batches."""
    config = kpp.Config.preset("tiny", recipe, episodes=2, **overrides)
    return new_model(config), kpp.Episodes(bar_set().train, config.length, config.episodes)


@pytest.mark.parametrize(("recipe", "cue"), [("paper", False), ("content", True), ("vae", False)])
def test_noise_from_outside_is_the_noise_from_inside(recipe, cue):
    model, batches = parts(recipe)
    x = batches.batch(0).x
    fast = compiled._drawn(model, Terms(model, model))
    a, b = (f(x, kpp.seeded(3), x.flip(1) if cue else None) for f in (fast, new_model(model.config)))
    assert torch.equal(a.recon, b.recon) and torch.equal(a.kl_z, b.kl_z) and torch.equal(a.kl_y, b.kl_y)


@pytest.mark.parametrize("likelihood", ["bernoulli", "logistic_mixture"])
def test_a_compiled_step_has_the_plain_gradients_and_the_trial_leaves_no_trace(monkeypatch, likelihood):
    """Through dynamo and autograd's capture; the backend that writes C++ takes a minute more."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    model, batches = parts("slots", likelihood=likelihood, mixture=2)
    plain = new_model(model.config)
    fast = faster(Speed(CPU, compile=True), model, model, batches)
    assert fast is not model
    for a, b in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert all(p.grad is None for p in model.parameters())
    for forward in (fast, plain):
        forward(batches.batch(1).x, kpp.seeded(0)).mean().weighted().backward()
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize("name", ["torch.compile", "CUDA graphs"])
def test_what_fails_says_so_in_one_line_and_the_run_is_plain(monkeypatch, capsys, name):
    def fails(*of, **options):
        raise RuntimeError("no compiler here\nand more that nobody reads")

    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fails)
    model, batches = parts("slots")
    speed = Speed(CPU, compile=name == "torch.compile", graphs=name == "CUDA graphs")
    assert faster(speed, model, model, batches) is model
    assert capsys.readouterr().err == f"{name} failed, going on without it: no compiler here\n"


def test_without_switches_nothing_is_tried():
    model, _ = parts("vae")
    assert faster(Speed(CPU), model, model, None) is model


@GPU
@pytest.mark.parametrize("recipe", ["paper", "slots", "content", "vae"])
def test_captured_steps_are_plain_steps(recipe):
    model, batches = parts(recipe)
    speed = Speed(torch.device("cuda"), graphs=True)
    model, plain = speed.lay_out(model), speed.lay_out(new_model(model.config))
    fast = faster(speed, model, model, batches)
    assert fast is not model
    for step in range(3):
        x, bounds = batches.batch(step).x.cuda(), []
        for forward, m in ((fast, model), (plain, plain)):
            m.zero_grad()
            bounds.append(forward(x, speed.generator(step), x if m.config.cue_noise else None).mean())
            bounds[-1].weighted(0.5, 0.5).backward()
        torch.testing.assert_close(bounds[0].total, bounds[1].total, rtol=1e-3, atol=1e-3)
        for p, q in zip(model.parameters(), plain.parameters(), strict=True):
            if q.grad is not None:
                torch.testing.assert_close(p.grad, q.grad, rtol=1e-2, atol=1e-3)


@GPU
def test_two_runs_on_a_gpu_are_the_same_run(tmp_path):
    config = kpp.Config.preset("tiny", "paper", steps=30)
    a, b = (kpp.fit(config, bar_set(), tmp_path / name, device="cuda", quiet=True) for name in "ab")
    for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(p, q)
