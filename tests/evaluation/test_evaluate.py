"""The protocol: coverage, seeds, sampled latents, and diagnostics that say what they mean."""

import json
import math

import pytest
import torch
from tiny_model import bar_set, bars, episodes, tiny

import kpp_lib as kpp
from kpp_lib.bound import sample
from kpp_lib.evaluation import diagnostics
from kpp_lib.evaluation.once import once
from kpp_lib.training.fit import new_model


def test_report_is_json_with_mean_and_std_of_the_three_terms_and_every_score():
    data = bar_set()
    report = kpp.evaluate(tiny(), data, length=4, orders=3)
    again = json.loads(json.dumps(report))
    assert set(again["scores"]) == {"total", "recon", "kl_z", "kl_y", *diagnostics.SCORES}
    s = {k: v["mean"] for k, v in again["scores"].items()}
    assert s["total"] == pytest.approx(s["recon"] + s["kl_z"] + s["kl_y"], abs=1e-4)
    assert all(v["std"] is None or v["std"] >= 0 for v in again["scores"].values())
    assert (again["T"], again["orders"], again["images"]) == (4, 3, 22)
    assert again["data"]["digest"] == data.digest and again["commit"] and again["hardware"]


def test_same_call_same_numbers_and_evaluation_leaves_no_trace():
    model = tiny().train()
    a, b = (kpp.evaluate(model, bars(22), length=4, orders=1)["scores"] for _ in range(2))
    assert a == b and model.training


def test_every_image_counts_once_with_fillers_left_out(monkeypatch):
    """With a number of the image itself as its score, the mean is that of the split; a filler would shift it."""
    images, ramp, shapes = bars(22), torch.arange(28.0), []

    def place(model, x, generator):
        shapes.append(x.shape[:2])
        return (x * ramp).sum(dim=(2, 3, 4))

    monkeypatch.setitem(diagnostics.SCORES, "memory_swap", place)
    report = kpp.evaluate(tiny(), images, length=4, orders=1, episodes=2)
    expected = (images.pixels * ramp).sum(dim=(1, 2, 3)).mean().item()
    assert report["scores"]["memory_swap"]["mean"] == pytest.approx(expected, rel=1e-6)
    assert sum(b * t for b, t in shapes) == 24 and min(b for b, _ in shapes) >= 2  # two fillers


def test_latents_are_sampled():
    model, x = tiny(), episodes()
    totals = {model.bound(x, generator=kpp.seeded(i)).total.sum().item() for i in range(3)}
    assert len(totals) == 3


def test_a_part_is_a_fixed_random_part_and_says_so():
    report = kpp.evaluate(tiny(), bars(60), length=4, orders=1, limit=20)
    assert (report["images"], report["of"]) == (20, 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": ("swap",)}, "scores: got swap for recipe allocated, expected some of memory_swap"),
        ({"length": 12}, "length: got T = 12 for 22 images, expected at least two episodes"),
        ({"length": 4, "orders": 0}, "orders: got 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        kpp.evaluate(tiny(), bars(22), **options)


@pytest.mark.parametrize(("recipe", "alone", "shared"), [("allocated", 4, 1), ("content", 5, 2)])
def test_what_scores_share_is_computed_once_and_no_number_changes(monkeypatch, recipe, alone, shared):
    model, x, passes = tiny(recipe), episodes(), []
    see = type(model.encoder).see
    monkeypatch.setattr(type(model.encoder), "see", lambda self, x: passes.append(x) or see(self, x))
    scores, counts = [], []
    for m in (model, once(model)):
        with torch.no_grad():
            names = ("memory_swap", "prior_keys", "retrieval_noisy")
            scores.append([diagnostics.SCORES[name](m, x, kpp.seeded(1)) for name in names])
        counts.append(len(passes))
        passes.clear()
    assert all(map(torch.equal, *scores)) and counts == [alone, shared]


@pytest.mark.parametrize("recipe", ["allocated", "cells"])
@pytest.mark.parametrize("name", diagnostics.SCORES)
def test_every_score_is_finite_and_follows_its_generator(name, recipe):
    model, x = tiny(recipe), episodes()
    with torch.no_grad():
        a, b = (diagnostics.SCORES[name](model, x, kpp.seeded(0)) for _ in range(2))
    scored = ~a.isnan() if name == "leave_one_out" else torch.ones(2, 4, dtype=torch.bool)
    assert a.shape == (2, 4) and torch.isfinite(a[scored]).all() and torch.equal(a[scored], b[scored])
    assert scored.sum() >= 2


def test_swap_is_the_total_for_a_model_that_ignores_its_memory():
    model, x = tiny(), episodes()
    torch.nn.init.zeros_(model.prior_net.head.weight)
    with torch.no_grad():
        torch.testing.assert_close(
            diagnostics.memory_swap(model, x, kpp.seeded(0)), model.bound(x, generator=kpp.seeded(0)).total
        )
        q = model.infer(x)
        read = model.prior(model.write(x, q), sample(q.q_y, kpp.seeded(1)))
    assert torch.equal(read.mean[0, 0], read.mean[1, 3])


def test_swap_takes_the_next_episodes_memory():
    model, x = tiny(), episodes(3)
    with torch.no_grad():
        swapped = model.bound(x, model.write(x)[[1, 2, 0]], kpp.seeded(0)).total
        assert torch.equal(diagnostics.memory_swap(model, x, kpp.seeded(0)), swapped)
    with pytest.raises(ValueError, match="x: got 1 episode, expected at least 2"):
        diagnostics.memory_swap(model, x[:1], kpp.seeded(0))


def test_cues_in_another_order_or_alone_cost_an_unshifted_model_nothing():
    model, x = (
        tiny("allocated", key_log_var=-14.0, key_log_var_range=(-14.0, 2.0), log_var_range=(-6.0, -5.9)),
        episodes(),
    )
    with torch.no_grad():
        q = model.infer(x)
        alone = model.infer(x.flatten(0, 1)[:, None], model.write(x).repeat_interleave(4, dim=0))
        torch.testing.assert_close(alone.q_y.mean.view_as(q.q_y.mean), q.q_y.mean, atol=1e-5, rtol=1e-4)
        total = model.bound(x, generator=kpp.seeded(0)).total
        for name in ("shuffled_cues", "single_cues"):
            assert (diagnostics.SCORES[name](model, x, kpp.seeded(0)) - total).abs().mean() < 0.05 * total.mean()


def test_shuffled_cues_cost_slots_their_keys():
    """Keys by position read another image's block; each score is still at its own image's place."""
    model, x = tiny("slots"), episodes()
    with torch.no_grad():
        order = torch.randperm(4, generator=kpp.seeded(5))
        expected = model.infer(x[:, order]).q_y.mean
        assert not torch.allclose(expected, model.infer(x).q_y.mean[:, order], atol=1e-2)


@torch.no_grad()
def test_an_even_prior_over_cells_charges_ln_of_their_number():
    """q(y) of cells do not overlap: of N cells, the mixture is 1/N of the one that y lies in."""
    model, x = tiny("cells"), episodes()
    bound, cells = model.bound(x, generator=kpp.seeded(0)), len(model.key_model.places)
    score = diagnostics.even_places(model, x, kpp.seeded(0))
    torch.testing.assert_close(score, bound.recon + bound.kl_z + math.log(cells), atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_an_even_prior_over_places_charges_at_most_ln_t_for_an_address():
    model, x = tiny("slots"), episodes()
    q, g = model.infer(x), kpp.seeded(0)
    bound, y = model.bound(x, generator=kpp.seeded(0)), sample(q.q_y, g)  # the same draws of y and z
    density = torch.stack([model.key_model.at(torch.tensor(t)).log_prob(y).exp() for t in range(model.config.length)])
    charge = q.q_y.log_prob(y) - density.mean(0).log()
    score = diagnostics.even_places(model, x, kpp.seeded(0))
    torch.testing.assert_close(score, bound.recon + bound.kl_z + charge)
    assert (charge <= math.log(model.config.length) + 1e-5).all() and charge.max() > 0.1
    model.key_model.table.copy_(model.key_model.table[:1].expand_as(model.key_model.table))  # one place: no address
    bound = model.bound(x, generator=kpp.seeded(0))
    torch.testing.assert_close(diagnostics.even_places(model, x, kpp.seeded(0)), bound.recon + bound.kl_z)
    with pytest.raises(ValueError, match="got even_places for recipe content, expected some of memory_swap"):
        kpp.evaluate(tiny("content"), bars(22), length=4, scores=("even_places",))


def test_mean_decoding_takes_no_noise():
    """Equal to a bound whose latents have next to none, and the same for every generator."""
    still = dict(log_var_range=(-20.0, -19.9), key_log_var=-30.0, key_log_var_range=(-20.0, -19.9))
    model, x = tiny(**still), episodes(8)
    with torch.no_grad():
        a, b = (diagnostics.mean_decoding(model, x, kpp.seeded(i)) for i in range(2))
        assert torch.equal(a, b)
        torch.testing.assert_close(a, model.bound(x, generator=kpp.seeded(0)).total, rtol=1e-2, atol=1.0)


def test_a_score_that_is_not_a_number_shows(monkeypatch):
    def broken(model, x, generator):
        return torch.where(torch.arange(4) == 1, float("nan"), torch.ones(x.shape[:2]))

    for name, hidden in (("memory_swap", False), ("leave_one_out", True)):
        monkeypatch.setitem(diagnostics.SCORES, name, broken)
        mean = kpp.evaluate(tiny(), bars(22), length=4, orders=1, scores=(name,))["scores"][name]["mean"]
        assert (mean == 1) is hidden


def test_importance_weighting_tightens():
    model, x = tiny(), episodes(4)
    with torch.no_grad():
        scores = [diagnostics.importance(model, x, kpp.seeded(0), samples=s).mean().item() for s in (1, 5, 50)]
    assert scores[0] > scores[1] > scores[2]


def test_retrieval_is_one_for_a_model_that_hands_the_image_back(monkeypatch):
    model, x = tiny(), episodes()
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x, memory, generator: x)
    monkeypatch.setattr(
        type(model), "read_images", lambda self, memory, y, generator=None, sampled=True: x
    )  # single cues
    for name in ("top1", "shuffled", "single", "noisy", "salted"):
        assert diagnostics.SCORES[f"retrieval_{name}"](model, x, kpp.seeded(0)).mean() == 1
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x, memory, generator: x.roll(1, dims=1))
    assert diagnostics.retrieval_top1(model, x, kpp.seeded(0)).mean() < 0.5


def test_a_noisy_cue_has_a_tenth_of_its_bits_flipped(monkeypatch):
    model, x, seen = tiny(), episodes(8), []
    monkeypatch.setattr(type(model), "reconstruct", lambda self, cue, memory, generator: seen.append(cue) or cue)
    diagnostics.retrieval_noisy(model, torch.zeros_like(x), kpp.seeded(0))
    diagnostics.retrieval_salted(model, torch.zeros_like(x), kpp.seeded(0))
    assert seen[0].mean().item() == pytest.approx(0.1, abs=0.01)
    assert seen[1].mean().item() == pytest.approx(0.15, abs=0.01), "of 0.3 drawn anew half are ink"


def test_most_diagnostics_are_scored_in_the_first_order_only():
    scores = kpp.evaluate(tiny(), bars(22), length=4, orders=2, scores=("iw", "memory_swap"))["scores"]
    assert scores["iw"]["std"] is None and scores["memory_swap"]["std"] is not None
    alone = kpp.evaluate(tiny(), bars(22), length=4, orders=1, scores=("iw",))["scores"]["iw"]
    assert scores["iw"] == alone


@pytest.mark.parametrize("recipe", ["allocated", "slots", "paper"])
def test_leave_one_out_is_the_total_with_a_memory_that_never_saw_the_image(recipe):
    """Against the same by hand for one image of each episode, with noise too small to matter."""
    sharp = dict(key_log_var=-14.0, key_log_var_range=(-14.0, 2.0))
    model, x = tiny(recipe, **sharp), episodes(2)
    with torch.no_grad():
        scores = [diagnostics.leave_one_out(model, x, kpp.seeded(i), share=1.0) for i in range(50)]
        without = model.write(x[:, [0, 1, 3]])
        direct = [model.bound(x, without, kpp.seeded(1000 + i)).total[:, 2] for i in range(50)]
        a, b = torch.stack(scores)[:, :, 2], torch.stack(direct)
        spread = (a.var(0) / 50 + b.var(0) / 50).sqrt()
        assert torch.all((a.mean(0) - b.mean(0)).abs() < 5 * spread + 1e-3)
    with pytest.raises(ValueError, match="x: got episodes of 1 image"):
        diagnostics.leave_one_out(model, x[:, :1], kpp.seeded(0))


def test_memory_gain_is_the_baselines_total_minus_ours():
    vae = new_model(kpp.Config.preset("tiny", "vae"))
    a = kpp.evaluate(tiny(), bars(22), length=4, orders=2, scores=(), baseline=vae)["scores"]
    b = kpp.evaluate(vae, bars(22), length=4, orders=2)["scores"]
    assert a["memory_gain"]["mean"] == pytest.approx(b["total"]["mean"] - a["total"]["mean"], abs=1e-4)
    assert set(b) == {"total", "recon", "kl_z", "kl_y", "mean_decoding", "iw"}
    assert b["iw"]["mean"] < b["total"]["mean"]
    with pytest.raises(
        ValueError, match="baseline: got a model with write='placed', expected a model without a memory"
    ):
        kpp.evaluate(tiny(), bars(22), length=4, baseline=tiny())
    with pytest.raises(ValueError, match="scores: got memory_swap for recipe vae"):
        kpp.evaluate(vae, bars(22), length=4, scores=("memory_swap",))
