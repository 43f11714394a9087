"""The protocol: coverage, seeds, sampled latents, and diagnostics that say what they mean."""

import json

import pytest
import torch
from tiny_model import bar_set, bars, episodes, tiny

import kpp_lib as kpp
from kpp_lib import diagnostics
from kpp_lib.bound import sample


def test_report_is_json_with_mean_and_std_of_the_three_terms_and_the_swap():
    data = bar_set()
    report = kpp.evaluate(tiny(), data, length=4, orders=3)
    again = json.loads(json.dumps(report))
    assert set(again["scores"]) == {"total", "recon", "kl_z", "kl_y", "memory_swap"}
    s = {k: v["mean"] for k, v in again["scores"].items()}
    assert s["total"] == pytest.approx(s["recon"] + s["kl_z"] + s["kl_y"], abs=1e-4)
    assert all(v["std"] >= 0 for v in again["scores"].values())
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
        ({"scores": ("swap",)}, "scores: got swap, expected some of memory_swap"),
        ({"length": 12}, "length: got T = 12 for 22 images, expected at least two episodes"),
        ({"length": 4, "orders": 0}, "orders: got 0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        kpp.evaluate(tiny(), bars(22), **options)


@pytest.mark.parametrize("name", diagnostics.SCORES)
def test_every_score_is_finite_and_follows_its_generator(name):
    model, x = tiny(), episodes()
    with torch.no_grad():
        a, b = (diagnostics.SCORES[name](model, x, kpp.seeded(0)) for _ in range(2))
    assert a.shape == (2, 4) and torch.isfinite(a).all() and torch.equal(a, b)


def test_swap_is_the_total_for_a_model_that_ignores_its_memory():
    model, x = tiny(), episodes()
    torch.nn.init.zeros_(model.prior_net.layers[-1].weight)
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
        tiny("associative", key_log_var=-14.0, key_log_var_range=(-14.0, 2.0), log_var_range=(-6.0, -5.9)),
        episodes(),
    )
    with torch.no_grad():
        q = model.infer(x)
        alone = model.infer(x.flatten(0, 1)[:, None])
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


def test_mean_decoding_is_below_the_sampled_total_of_the_same_model():
    model, x = tiny(), episodes(8)
    with torch.no_grad():
        total = torch.stack([model.bound(x, generator=kpp.seeded(i)).total for i in range(20)]).mean()
        assert diagnostics.mean_decoding(model, x, kpp.seeded(0)).mean() < total


def test_importance_weighting_tightens():
    model, x = tiny(), episodes(4)
    with torch.no_grad():
        scores = [diagnostics.importance(model, x, kpp.seeded(0), samples=s).mean().item() for s in (1, 5, 50)]
    assert scores[0] > scores[1] > scores[2]


def test_retrieval_is_one_for_a_model_that_hands_the_image_back(monkeypatch):
    model, x = tiny(), episodes()
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x, memory, generator: x)
    assert diagnostics.retrieved(model, x, kpp.seeded(0)).mean() == 1
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x, memory, generator: x.roll(1, 1))
    assert diagnostics.retrieved(model, x, kpp.seeded(0)).mean() < 0.5
