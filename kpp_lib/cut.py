"""A standard normal cut to an interval: what p(y) says of a key that is known to lie in a cell. Ours.

Its KL from N(0, 1) is -ln of the interval's probability: the price of naming the interval, and of nothing else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, constraints, register_kl

ROOT2 = math.sqrt(2)
NEAR_ONE = 1 - 1e-7  # erfinv(1) is infinite
ONE = torch.Size()  # a single draw


class CutNormal(Distribution):
    """N(0, 1) given that it lies between `low` and `high`, of one shape; they may be infinite.

    For intervals that hold some of its mass, and within five standard deviations: cells of up to 64 on a side.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = True

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self.low, self.high = low, high
        self.below, self.mass = _cdf(low), _cdf(high) - _cdf(low)
        super().__init__(low.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (_density(self.low) - _density(self.high)) / self.mass

    @property
    def variance(self) -> Tensor:
        ends = [torch.where(v.isinf(), 0.0, v * _density(v)) for v in (self.low, self.high)]
        return 1 + (ends[0] - ends[1]) / self.mass - self.mean.square()

    def at(self, noise: Tensor) -> Tensor:
        """What N(0, 1) noise becomes: the point at the same quantile, inside the interval."""
        quantile = self.below + self.mass * _cdf(noise)
        y = ROOT2 * torch.erfinv((2 * quantile - 1).clamp(-NEAR_ONE, NEAR_ONE))
        margin = 1e-5 * (self.high - self.low).clamp(max=1)  # rounding may not leave the cell
        return torch.minimum(torch.maximum(y, self.low + margin), self.high - margin)

    def rsample(self, sample_shape: torch.Size = ONE) -> Tensor:
        return self.at(torch.randn(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device))

    def log_prob(self, value: Tensor) -> Tensor:
        inside = (value >= self.low) & (value <= self.high)
        density = -0.5 * value.square() - 0.5 * math.log(2 * math.pi) - self.mass.log()
        return torch.where(inside | value.isnan(), density, -torch.inf)

    def expand(self, batch_shape: torch.Size, _instance: CutNormal | None = None) -> CutNormal:
        return CutNormal(self.low.expand(batch_shape), self.high.expand(batch_shape))


def cut_normal(low: Tensor, high: Tensor, event_dims: int) -> Independent:
    """`CutNormal` whose last `event_dims` dimensions are one event."""
    return Independent(CutNormal(low, high), event_dims)


@register_kl(CutNormal, Normal)
def _kl(q: CutNormal, p: Normal) -> Tensor:
    """E_q[ln q - ln p]; -ln of the interval's probability where p is N(0, 1)."""
    second = q.variance + q.mean.square()
    of_p = q.variance + (q.mean - p.loc).square()
    return p.scale.log() - q.mass.log() + 0.5 * (of_p / p.scale.square() - second)


def _cdf(v: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(v / ROOT2))


def _density(v: Tensor) -> Tensor:
    return torch.exp(-0.5 * v.square()) / math.sqrt(2 * math.pi)
