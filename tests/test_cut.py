"""The cut normal against numbers summed on a fine grid, and against plain sampling."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from kpp_lib.bound import regroup, rows, sample, standard_normal
from kpp_lib.cut import CutNormal, cut_normal

INF = math.inf
ENDS = [(-INF, INF), (-INF, -0.8), (-0.3, 0.1), (0.8, INF), (1.2, 1.3)]
GRID = torch.linspace(-9, 9, 1_800_001, dtype=torch.float64)


def cut(low, high, dtype=torch.float64):
    return CutNormal(torch.tensor(low, dtype=dtype), torch.tensor(high, dtype=dtype))


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_density_moments_and_kl_are_those_of_the_sum(low, high):
    q, p = cut(low, high), Normal(torch.tensor(0.3, dtype=torch.float64), torch.tensor(1.7, dtype=torch.float64))
    inside = GRID[(GRID >= low) & (GRID <= high)]
    weight = q.log_prob(inside).exp() * (GRID[1] - GRID[0])
    assert weight.sum() == pytest.approx(1, abs=1e-3)
    mean = (weight * inside).sum()
    assert q.mean == pytest.approx(float(mean), abs=1e-3)
    assert q.variance == pytest.approx(float((weight * (inside - mean).square()).sum()), abs=1e-3)
    expected = (weight * (q.log_prob(inside) - p.log_prob(inside))).sum()
    assert kl_divergence(q, p) == pytest.approx(float(expected), abs=3e-3)
    if low > -INF:
        assert q.log_prob(torch.tensor(low - 0.1, dtype=torch.float64)) == -INF


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_against_a_standard_normal_it_costs_the_log_of_the_probability(low, high):
    std = Normal(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    mass = std.cdf(torch.tensor(high, dtype=torch.float64)) - std.cdf(torch.tensor(low, dtype=torch.float64))
    assert kl_divergence(cut(low, high), std) == pytest.approx(-math.log(mass), abs=1e-9)


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_draws_lie_inside_and_are_spread_like_it(low, high):
    torch.manual_seed(0)
    q = cut(low, high, torch.float32)
    y = q.rsample(torch.Size([200_000]))
    assert y.min() >= low and y.max() <= high and y.isfinite().all()
    assert y.mean() == pytest.approx(float(q.mean), abs=0.01)
    assert y.std() == pytest.approx(float(q.stddev), abs=0.01)
    plain = torch.randn(2_000_000)
    plain = plain[(plain >= low) & (plain <= high)]
    levels = torch.linspace(0.05, 0.95, 19)
    torch.testing.assert_close(y.quantile(levels), plain[:200_000].quantile(levels), atol=0.02, rtol=0)


def test_it_is_sampled_cut_up_and_grouped_like_a_gaussian():
    low = torch.tensor([[-1.0, 0.0, 1.0]]).expand(4, 3)
    p = cut_normal(low, low + 1, 1)
    noise = torch.randn(4, 3)
    y = sample(p, noise)
    assert torch.all((y > low) & (y < low + 1)) and torch.equal(sample(rows(p, slice(2)), noise[:2]), y[:2])
    assert torch.equal(sample(regroup(rows(p, torch.arange(4)[:, None]), 2, 2), noise.view(2, 2, 3)), y.view(2, 2, 3))
    assert sample(p.expand((5, 4)), torch.zeros(5, 4, 3)).shape == (5, 4, 3)
    whole = Independent(CutNormal(torch.full((2, 3), -INF), torch.full((2, 3), INF)), 1)
    torch.testing.assert_close(sample(whole, noise[:2]), noise[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(kl_divergence(whole, standard_normal((2, 3), 1, noise)), torch.zeros(2))
