"""The bound against definitions: KL against Monte Carlo and closed form, sampling with the sigma of the KL, importance
weights.
"""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from kpp_lib.bound import (
    Bound,
    bound_terms,
    gaussian,
    importance_bound,
    log_weight,
    sample,
    soft_clamp,
    standard_normal,
)
from kpp_lib.data.episodes import seeded
from kpp_lib.likelihood import bernoulli


def two_gaussians(event_dims=1):
    g = seeded(0)
    q = gaussian(torch.randn(2, 3, 4, generator=g), torch.randn(2, 3, 4, generator=g), (-6, 2), event_dims)
    p = gaussian(torch.randn(2, 3, 4, generator=g), torch.randn(2, 3, 4, generator=g), (-6, 2), event_dims)
    return q, p


def terms(q, p):
    x = torch.zeros(2, 3, 1, 2, 2)
    p_x = bernoulli(torch.zeros(2, 3, 1, 2, 2))
    q_y = standard_normal((2, 3, 2, 3), 2, x)
    return bound_terms(x, p_x, q, p, q_y, q_y)


def test_kl_z_is_the_monte_carlo_mean_of_the_log_ratio_under_our_own_samples():
    """Fails if the sample's sigma is not the one that the KL is charged for."""
    q, p = two_gaussians()
    g = seeded(1)
    draws = torch.stack([q.log_prob(z) - p.log_prob(z) for z in (sample(q, g) for _ in range(20_000))])
    error = draws.std(0) / math.sqrt(len(draws))
    assert torch.all((draws.mean(0) - terms(q, p).kl_z).abs() < 5 * error)


def test_half_the_sigma_in_the_sample_is_caught_by_that_test():
    q, p = two_gaussians()
    g = seeded(1)
    halved = (q.mean + 0.5 * q.stddev * torch.randn(q.mean.shape, generator=g) for _ in range(20_000))
    draws = torch.stack([q.log_prob(z) - p.log_prob(z) for z in halved])
    error = draws.std(0) / math.sqrt(len(draws))
    assert torch.any((draws.mean(0) - terms(q, p).kl_z).abs() > 5 * error)


def test_kl_in_closed_form_and_zero_on_itself():
    q, p = two_gaussians()
    var_q, var_p = q.variance, p.variance
    closed = 0.5 * (var_q / var_p + (q.mean - p.mean) ** 2 / var_p - 1 - (var_q / var_p).log()).sum(-1)
    torch.testing.assert_close(terms(q, p).kl_z, closed)
    assert torch.all(terms(q, q).kl_z.abs() < 1e-5)


def test_shapes_signs_and_units():
    q, p = two_gaussians()
    bound = terms(q, p)
    assert bound.recon.shape == bound.kl_z.shape == bound.kl_y.shape == (2, 3)
    torch.testing.assert_close(bound.recon, torch.full((2, 3), 4 * math.log(2)))  # four fair pixels, in nats
    torch.testing.assert_close(bound.total, bound.recon + bound.kl_z + bound.kl_y)
    assert bound.mean().total.shape == ()
    torch.testing.assert_close(bound.weighted(0.5, 0.0), bound.recon + 0.5 * bound.kl_z)
    assert "nats/image" in str(bound)


def test_sample_has_the_moments_of_its_distribution_and_is_reparameterised():
    mean, log_var = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([-1.0, 1.0], requires_grad=True)
    q = gaussian(mean, log_var, (-6, 2))
    draws = torch.stack([sample(q, g) for g in [seeded(3)] for _ in range(20_000)])
    torch.testing.assert_close(draws.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(draws.std(0), q.stddev, atol=0.03, rtol=0)
    draws.sum().backward()
    assert mean.grad is not None and log_var.grad.abs().min() > 0


def test_sample_follows_its_generator():
    q, _ = two_gaussians()
    assert torch.equal(sample(q, seeded(1)), sample(q, seeded(1)))
    assert not torch.equal(sample(q, seeded(1)), sample(q, seeded(2)))


def test_log_variance_keeps_its_range_and_its_gradient():
    q = gaussian(torch.zeros(2), torch.tensor([-100.0, 100.0]), (-6, 2))
    torch.testing.assert_close(q.stddev, torch.exp(torch.tensor([-3.0, 1.0])), atol=1e-3, rtol=0)
    log_var = torch.tensor([-9.0, -2.0, 4.0], requires_grad=True)
    bent = soft_clamp(log_var, -6, 2)
    assert torch.all((bent > -6) & (bent < 2.01)) and abs(bent[1] + 2) < 0.05
    bent.sum().backward()
    assert torch.all(log_var.grad > 0.04)


def test_importance_bound_of_a_gaussian_model_closes_on_the_exact_value():
    """p(z) = N(0,1), p(x|z) = N(z,1): -ln p(x) is known; the one-sample bound is above it, many samples reach it."""
    n, g = 40_000, seeded(5)
    x, ones = torch.full((n, 1), 0.7), torch.ones(n, 1)
    p_z, q_z = (Independent(Normal(m * ones, s * ones), 1) for m, s in ((0.0, 1.0), (0.2, 0.9)))
    nothing = Independent(Normal(0 * ones, ones), 1)
    exact = -Normal(0.0, math.sqrt(2)).log_prob(x[0]).item()
    z, y = sample(q_z, g), sample(nothing, g)
    log_w = log_weight(x, z, y, Independent(Normal(z, ones), 1), q_z, p_z, nothing, nothing)
    single, many = -log_w.mean().item(), importance_bound(log_w).item()
    assert single > exact + 0.01
    assert abs(many - exact) < 0.01
    nested = [importance_bound(log_w.view(-1, s).T).mean().item() for s in (1, 10, 100)]  # subsets of one draw
    assert nested[0] > nested[1] > nested[2] > exact - 0.005


def test_bernoulli_probabilities_of_all_images_sum_to_one():
    p_x = bernoulli(torch.randn(1, 1, 1, 2, 2, generator=seeded(0)))
    images = torch.tensor([[int(b) for b in f"{i:04b}"] for i in range(16)]).float().view(16, 1, 1, 2, 2)
    probabilities = torch.stack([p_x.log_prob(x[None]).exp() for x in images])
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


def test_bound_is_immutable():
    with pytest.raises(AttributeError):
        Bound(torch.zeros(1), torch.zeros(1), torch.zeros(1)).recon = 1
