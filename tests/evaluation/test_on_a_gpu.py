"""Scores on a GPU: no batch waits for the one before, and nothing is left on the CPU. Tried without a GPU, as in
tests/training/test_no_step_waits.py."""

import pytest
import torch
from tiny_model import bar_set, episodes, tiny
from torch._subclasses.fake_tensor import FakeTensorMode
from waiting import Calls, Copies, Counter, Nowhere, fake_on_gpu, undirected

import kpp_lib as kpp
from kpp_lib.evaluation import diagnostics
from kpp_lib.evaluation.diagnostics import SCORES, VAE_SCORES
from kpp_lib.inputs import trusted
from kpp_lib.training.fit import new_model

ALL = [("slots", name) for name in SCORES] + [("vae", name) for name in VAE_SCORES]
PLACED = [(r, n) for r in ("allocated", "cells") for n in ("memory_swap", "single_cues", "retrieval_shuffled")]
ALL += [("paper", name) for name in ("memory_swap", "single_cues", "leave_one_out")]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def model_and_score(recipe, name):
    model = new_model(kpp.Config.preset("tiny", recipe)).eval()
    return model, diagnostics.scores_of(model.config)[name]


@torch.no_grad()
@pytest.mark.parametrize(("recipe", "name"), ALL)
def test_a_score_asks_for_no_number(recipe, name):
    (model, score), x, found = model_and_score(recipe, name), episodes(3), []
    with trusted(), Counter(found), Calls(found):
        score(model, x, kpp.seeded(0))
    assert found == []


@torch.no_grad()
@pytest.mark.parametrize(("recipe", "name"), PLACED)
def test_an_allocator_is_waited_for_and_nothing_else(recipe, name):
    """Its assignment is solved on the CPU."""
    (model, score), x, found = model_and_score(recipe, name), episodes(3), []
    with trusted(), Counter(found), Calls(found):
        score(model, x, kpp.seeded(0))
    assert "cpu" in found and set(found) <= {"cpu", "numpy", "lift_fresh"}


@torch.no_grad()
@pytest.mark.parametrize(("recipe", "name"), ALL + PLACED)
def test_a_score_stays_on_its_device(monkeypatch, recipe, name):
    """But for the assignment, which is made up here."""
    (model, score), moved = model_and_score(recipe, name), []
    undirected(monkeypatch)
    monkeypatch.setattr("kpp_lib.allocate.assigned", lambda at, *_: at.new_zeros(at.shape[:2], dtype=torch.long))
    for module in ("kpp_lib.model", "kpp_lib.reading", "kpp_lib.baselines.vae", "kpp_lib.evaluation.diagnostics"):
        monkeypatch.setattr(f"{module}.check_generator", lambda *of, **needed: None)
    with FakeTensorMode(allow_non_fake_inputs=False):
        model, x = fake_on_gpu(model), torch.empty(3, 4, 1, 28, 28, device="cuda")
        with trusted(), Copies(moved):
            values = score(model, x, Nowhere())
    assert values.device.type == "cuda" and values.shape == (3, 4) and moved == []


def test_what_was_checked_at_a_door_is_not_looked_at_again_inside():
    model, grey = tiny(), episodes(2) / 2
    with pytest.raises(ValueError, match="x: got values in"):
        model.bound(grey)
    with trusted(), torch.no_grad():
        model.bound(grey)
    with pytest.raises(ValueError, match="x: got values in"):
        model.bound(grey)


@GPU
def test_a_gpu_scores_as_a_cpu_does():
    """Other noise, so within what noise does: five standard deviations of the orders."""
    a, b = (kpp.evaluate(tiny().to(d), bar_set(), length=4, orders=5)["scores"] for d in ("cpu", "cuda"))
    for name, score in a.items():
        spread = 5 * ((score["std"] or 0.1) ** 2 + (b[name]["std"] or 0.1) ** 2) ** 0.5
        assert abs(score["mean"] - b[name]["mean"]) < spread + 1e-2, name
