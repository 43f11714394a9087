"""p(x|z) of a config: outputs, where training starts, every size, what is scored and what is refused, and units."""

import math

import pytest
import torch

import kpp_lib as kpp
from kpp_lib.likelihood import BernoulliPixels, LogisticMixture, binarize_for, bits_per_dim, likelihood_of, scores_bits
from kpp_lib.models import make_model

MIXTURE = "logistic_mixture"


def config(recipe="allocated", **overrides):
    return kpp.Config.preset("tiny", recipe, **({"likelihood": MIXTURE, "length": 2} | overrides))


def levels(*shape, seed=0):
    """Images of random grey values, as multiples of 1/255."""
    return torch.randint(0, 256, shape, generator=kpp.seeded(seed)) / 255


def test_as_many_outputs_as_pixelcnn():
    assert [LogisticMixture(c, 10).outputs for c in (1, 3)] == [30, 100]
    assert LogisticMixture(3, 10, conditional=False).outputs == 70 and LogisticMixture(1, 5, False).outputs == 15
    assert [BernoulliPixels(c).outputs for c in (1, 3)] == [1, 3]
    assert likelihood_of(config(channels=3, mixture=4, channel_conditioning=False)) == LogisticMixture(3, 4, False)
    assert scores_bits(kpp.Config()) and not scores_bits(config())


def test_bernoulli_outputs_are_logits_of_bits():
    p_x = BernoulliPixels(1)(torch.tensor([-2.0, 0.0, 3.0, 0.0]).view(1, 1, 1, 2, 2))
    assert (p_x.batch_shape, p_x.event_shape) == ((1, 1), (1, 2, 2))
    torch.testing.assert_close(p_x.mean.flatten(), torch.tensor([-2.0, 0.0, 3.0, 0.0]).sigmoid())


def test_each_output_of_a_mixture_is_its_parameter():
    """Weights, means, log-scales, coefficients, in this order, component by component."""
    law, zeros = LogisticMixture(3, 2), torch.zeros(1, 1, 20, 1, 1)
    start, named = law(zeros), ("logits", "means", "log_scales", "coefficients")
    assert [getattr(start, k).numel() for k in named] == [2, 6, 6, 6]
    assert start.means.flatten().tolist() == [0.25] * 3 + [0.75] * 3
    for i in range(20):
        changed = law(zeros + torch.nn.functional.one_hot(torch.tensor(i), 20).float().view(1, 1, 20, 1, 1))
        moved = [(k, (getattr(changed, k) - getattr(start, k)).flatten().nonzero().flatten().tolist()) for k in named]
        name, place = [(k, at) for k, at in moved if at][0]
        assert [(k, at) for k, at in moved if at] == [(name, place)] and len(place) == 1
        first = {"logits": 0, "means": 2, "log_scales": 8, "coefficients": 14}[name]
        assert first + place[0] == i


@pytest.mark.parametrize("outputs", [-1e4, 0.0, 1e4])
def test_the_parameters_stay_where_the_loss_is_finite(outputs):
    maps = torch.full((1, 1, 100, 2, 2), outputs, requires_grad=True)
    p_x = LogisticMixture(3, 10)(maps)
    (-p_x.log_prob(levels(1, 1, 3, 2, 2))).sum().backward()
    assert torch.isfinite(maps.grad).all() and p_x.log_scales.min() >= -7 - math.log(2) - 1e-3
    assert p_x.coefficients.abs().max() <= 1 and p_x.log_scales.max() <= 1.01


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", ["allocated", "paper", "vae"])
def test_training_starts_near_eight_bits_a_dimension(recipe, channels):
    c = config(recipe, channels=channels)
    model = kpp.training.fit.new_model(c)
    with torch.no_grad():
        start = bits_per_dim(model(levels(2, 2, channels, 28, 28), kpp.seeded(0)).mean().recon.item(), c)
    assert 7.9 < start < 9.2


@pytest.mark.parametrize("likelihood", ["bernoulli", MIXTURE])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("recipe", ["allocated", "cells", "slots", "content", "paper", "vae"])
def test_every_size_has_shapes_and_a_gradient(recipe, size, channels, likelihood):
    c = config(recipe, image_size=size, channels=channels, likelihood=likelihood, mixture=2)
    torch.manual_seed(0)
    model, x = make_model(c), levels(2, 2, channels, size, size)
    x = x.round() if scores_bits(c) else x
    bound = model(x, kpp.seeded(0))
    assert bound.total.shape == (2, 2) and torch.isfinite(bound.total).all()
    bound.mean().weighted().backward()
    gradients = [p.grad for p in model.decoder.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients) and any(
        g.abs().max() > 0 for g in gradients
    )
    shown = model.eval().reconstruct(x)
    assert shown.shape == x.shape and 0 <= shown.min() and shown.max() <= 1


@pytest.mark.parametrize("latents", ["vector", "maps"])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_papers_networks_have_both_kinds_of_latents(latents, size):
    c = config("vae", latents=latents, image_size=size, channels=3, mixture=2)
    x = levels(1, 2, 3, size, size)
    assert make_model(c)(x, kpp.seeded(0)).total.shape == (1, 2)


def test_a_decoder_that_sees_the_blocks_has_a_mixture_too():
    c = config(decoder_sees="z_and_blocks", channels=3, mixture=3)
    assert make_model(c)(levels(2, 2, 3, 28, 28), kpp.seeded(0)).total.shape == (2, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_under_autocast_a_mixture_is_float32(channels):
    model, x = make_model(config(channels=channels)), levels(2, 2, channels, 28, 28)
    with torch.no_grad():
        exact = model(x, kpp.seeded(0)).mean().recon.item()
        with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
            posterior = model.encode(x)
            p_x = model.decode(posterior.q_z.mean)
            short = model(x, kpp.seeded(0)).mean().recon
    given = (p_x.logits, p_x.means, p_x.log_scales, p_x.mean, short, p_x.log_prob(x))
    assert {v.dtype for v in given} == {torch.float32} and short.item() == pytest.approx(exact, rel=0.01)


# --- what is scored -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["allocated", "vae"])
def test_a_model_of_a_mixture_scores_levels_and_says_so(recipe):
    model, x = make_model(config(recipe)).eval(), levels(2, 2, 1, 28, 28)
    assert model.bound(x, generator=kpp.seeded(0)).total.shape == (2, 2)
    assert model.bound(x, generator=kpp.seeded(0), cue=x**0.7).total.shape == (2, 2)  # a cue may be any grey
    with pytest.raises(
        ValueError, match=r"x: got values in .* that are not all grey / 255.*\(255 \* x\).round\(\) / 255"
    ):
        model.bound(x**0.7)
    with pytest.raises(ValueError, match="x: got values in .*divide scans of 0 to 255 by 255"):
        model.bound(255 * x)
    with pytest.raises(ValueError, match="x: got shape"):
        model.bound(x.expand(-1, -1, 3, -1, -1))


def test_a_model_of_bits_refuses_grey_as_it_did():
    model = make_model(config(likelihood="bernoulli"))
    with pytest.raises(
        ValueError, match=r"x: got values in \[0, 1\] that are not all 0 or 1, expected binary images; load"
    ):
        model.bound(levels(2, 2, 1, 28, 28))


def test_images_are_found_and_freed_in_a_memory_of_colours():
    c = config(channels=3, length=4)
    model, x = make_model(c).eval(), levels(2, 4, 3, 28, 28)
    memory = model.write(x)
    found = model.locate(x, memory)
    assert found.cell.shape == (2, 4) and (found.p_value > 0).all() and torch.isfinite(found.margin).all()
    less = model.free(memory, found.keys[:, :1])
    assert (model.taken(less).sum(1) == 3).all() and (model.taken(model.add(less, x[:, :1])).sum(1) == 4).all()


def test_what_data_a_likelihood_takes():
    assert binarize_for("bernoulli", None) == "fixed" and binarize_for("bernoulli", None, "dynamic") == "dynamic"
    assert binarize_for(MIXTURE, None, "dynamic") == "none" == binarize_for(MIXTURE, "none")
    assert binarize_for("bernoulli", "threshold") == "threshold"
    with pytest.raises(
        ValueError, match="binarize: got 'none', expected one of fixed, .* or likelihood='logistic_mixture'"
    ):
        binarize_for("bernoulli", "none")
    with pytest.raises(ValueError, match="binarize: got 'fixed', expected 'none' with .* or likelihood='bernoulli'"):
        binarize_for(MIXTURE, "fixed")


def test_bits_per_dimension_by_hand():
    """256 values, all alike, are 8 bits."""
    c = config(channels=3, image_size=32)
    assert bits_per_dim(3 * 32 * 32 * math.log(256), c) == pytest.approx(8)
    assert bits_per_dim(torch.tensor([0.0]), c).tolist() == [0.0]
