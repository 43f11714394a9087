"""Baselines: the memory-free VAE."""

import pytest
import torch
from tiny_model import bar_set, bars, episodes

import kpp_lib as kpp
from kpp_lib.baselines import VAE
from kpp_lib.models import make_model


def vae():
    torch.manual_seed(0)
    return make_model(kpp.Config.preset("tiny", "vae")).eval()


def test_bound_is_the_elbo():
    model, x = vae(), episodes()
    assert isinstance(model, VAE)
    bound, q = model.bound(x, kpp.seeded(0)), model.infer(x)
    closed = 0.5 * (q.variance + q.mean**2 - 1 - q.variance.log()).sum(-1)
    torch.testing.assert_close(bound.kl_z, closed, atol=1e-3, rtol=1e-4)
    assert bound.total.shape == (2, 4) and torch.all(bound.kl_y == 0)
    bound.total.mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_image_is_scored_by_itself():
    model, x = vae(), episodes()
    torch.testing.assert_close(model.infer(x).mean[:, 2:3], model.infer(x[:, 2:3]).mean)


def test_pictures():
    model = vae()
    assert model.reconstruct(episodes(), kpp.seeded(0)).shape == (2, 4, 1, 28, 28)
    assert model.generate(3, kpp.seeded(0)).shape == (1, 3, 1, 28, 28)


def test_iterating_encodes_and_decodes_the_last_picture():
    model, x = vae(), episodes()
    pictures = model.iterate(x, steps=2)
    by_hand = model.decoder(model.infer(model.decoder(model.infer(x).mean).mean).mean).mean
    assert pictures.shape == (3, *x.shape) and torch.equal(pictures[0], x)
    torch.testing.assert_close(pictures[2], by_hand)
    with pytest.raises(ValueError, match="steps: got 0"):
        model.iterate(x, steps=0)


def test_it_trains_and_is_evaluated_like_the_rest(tmp_path):
    config = kpp.Config.preset("tiny", "vae", steps=4, episodes=2)
    model = kpp.fit(config, bar_set(), tmp_path, quiet=True, eval_every=2, device="cpu")
    assert isinstance(model, VAE)
    report = kpp.evaluate(kpp.load_model(tmp_path), bars(22), orders=1)
    assert set(report["scores"]) == {"total", "recon", "kl_z", "kl_y", "mean_decoding", "iw"}
    with pytest.raises(ValueError, match="scores: got memory_swap for recipe vae"):
        kpp.evaluate(model, bars(22), scores=("memory_swap",))


def test_a_memory_model_needs_a_write():
    with pytest.raises(ValueError, match="write: got 'none', expected one of pooled, placed"):
        kpp.KanervaPlusPlus(kpp.Config.preset("tiny", "vae"))
