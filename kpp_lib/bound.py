"""The conditional bound of equation 4. Knows distributions, not models.

Everything is per image and in nats, and lower is better: `total = recon + kl_z + kl_y >= -ln p(x_t | M)` on average
over the samples. One standard deviation serves both the sample and its KL: eq. 6 writes sigma^2 * epsilon, but the
Gaussian that it describes has to be sampled with sigma * epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from .cut import CutNormal, cut_normal
from .draws import Share, draw
from .inputs import check_log_weights


@dataclass(frozen=True)
class Bound:
    """The three terms of equation 4, each [B, T] (or one number after `mean`), in nats per image."""

    recon: Tensor  # -ln p(x_t | z_t), summed over pixels
    kl_z: Tensor  # KL[q(z_t | X) || p(z_t | M_hat, y_t)]
    kl_y: Tensor  # KL[q(y_t | X) || p(y_t)], summed over the K keys
    code: Tensor | None = None  # in training with keys="allocated": what trains the content code; no part of the total

    @property
    def total(self) -> Tensor:
        """recon + kl_z + kl_y: the negative of equation 4's bound, nats per image."""
        return self.recon + self.kl_z + self.kl_y

    def weighted(self, beta_z: float = 1.0, beta_y: float = 1.0) -> Tensor:
        """The training loss with KL weights in [0, 1]; a bound only where both are 1."""
        loss = self.recon + beta_z * self.kl_z + beta_y * self.kl_y
        return loss if self.code is None else loss + self.code

    def mean(self) -> Bound:
        """The terms averaged over all images."""
        code = None if self.code is None else self.code.mean()
        return Bound(self.recon.mean(), self.kl_z.mean(), self.kl_y.mean(), code)

    def __str__(self) -> str:
        m = self.mean()
        return f"total {m.total:.2f} = recon {m.recon:.2f} + kl_z {m.kl_z:.2f} + kl_y {m.kl_y:.2f} nats/image"


def gaussian(mean: Tensor, log_var: Tensor, log_var_range: tuple[float, float], event_dims: int = 1) -> Independent:
    """N(mean, exp(log_var)) with the log-variance kept in a range; the last `event_dims` dimensions are one event.

    The range is ours (the paper gives none): it keeps the learned prior from becoming arbitrarily sharp.
    """
    std = torch.exp(0.5 * soft_clamp(full(log_var), *log_var_range))
    return normal(full(mean).contiguous(), std, event_dims)  # half of a network's output: a copy that can be saved


def normal(mean: Tensor, std: Tensor, event_dims: int) -> Independent:
    """N(mean, std^2). Its arguments are not looked at: a look would wait for a GPU, sixteen times a step.

    A spread is an exponential here; what is no number any more, `training.watch` sees.
    """
    return Independent(Normal(mean, std, validate_args=False), event_dims)


def full(v: Tensor) -> Tensor:
    """`v` in float32 where autocast made it shorter: keys, spreads and log-likelihoods need more than 8 bits."""
    return v.float() if v.dtype in (torch.bfloat16, torch.float16) else v


def exact(device: torch.device) -> AbstractContextManager:
    """No autocast inside: for keys and for what they point at (8 bits would move a window by a quarter of a pixel)."""
    return torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda") else nullcontext()


def soft_clamp(v: Tensor, low: float, high: float) -> Tensor:
    """`v` bent smoothly into (low, high) (Chua et al., 2018, appendix A.1).

    A hard clamp has no gradient outside: a spread that left the range while its KL was still cheap would never come
    back.
    """
    v = high - F.softplus(high - v)
    return low + F.softplus(v - low)


def standard_normal(shape: tuple[int, ...], event_dims: int, like: Tensor) -> Independent:
    """N(0, I) of the given shape, on the device and dtype of `like`: p(Y) of section 3.2."""
    zeros = torch.zeros(shape, dtype=like.dtype, device=like.device)
    return normal(zeros, torch.ones_like(zeros), event_dims)


def sample(p: Independent, generator: torch.Generator | Share | Tensor | None = None) -> Tensor:
    """A reparameterised draw mean + sigma * epsilon (eq. 6, with sigma where it prints sigma^2).

    `torch.distributions` takes no generator, hence this function. The noise is drawn on the generator's own device, so
    a CPU generator gives the same draw whatever device the model is on. In place of a generator: epsilon itself. A cut
    normal takes its draw at the quantile of the same epsilon.
    """
    noise = generator if isinstance(generator, Tensor) else epsilon(p.mean.shape, p.mean, generator)
    return p.base_dist.at(noise) if isinstance(p.base_dist, CutNormal) else p.mean + p.stddev * noise


def epsilon(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | Share | None) -> Tensor:
    """N(0, 1) noise of a shape, with the device and dtype of `like`."""
    return draw(torch.randn, shape, generator, device=like.device, dtype=like.dtype).to(like.device)


def rows(p: Independent, which: slice | Tensor) -> Independent:
    """The part of a batch of Gaussians, whole or cut, that `which` takes along its first dimension."""
    return _each(p, lambda v: v[which])


def regroup(p: Independent, b: int, t: int) -> Independent:
    """The same Gaussians in another batch shape [b, t], such as each image as an episode of its own."""
    return _each(p, lambda v: v.reshape(b, t, *v.shape[2:]))


def _each(p: Independent, change: Callable[[Tensor], Tensor]) -> Independent:
    """The same kind of distribution with its two parameters changed."""
    base, dims = p.base_dist, p.reinterpreted_batch_ndims
    if isinstance(base, CutNormal):
        return cut_normal(change(base.low), change(base.high), dims)
    return normal(change(base.mean), change(base.stddev), dims)


def product(p: Independent, q: Independent) -> Independent:
    """The Gaussian proportional to p times q: precisions add, means are weighted with them."""
    by_p, by_q = p.variance.reciprocal(), q.variance.reciprocal()
    variance = (by_p + by_q).reciprocal()
    return normal((p.mean * by_p + q.mean * by_q) * variance, variance.sqrt(), p.reinterpreted_batch_ndims)


def bound_terms(
    x: Tensor, p_x: Distribution, q_z: Distribution, p_z: Distribution, q_y: Distribution, p_y: Distribution
) -> Bound:
    """Equation 4, negated, from its distributions; `p_x` at a sample of z, `p_z` at a sample of y.

    x: [B, T, C, H, W]; every distribution has batch shape [B, T].
    """
    return Bound(-p_x.log_prob(x), kl_divergence(q_z, p_z), kl_divergence(q_y, p_y))


def log_weight(
    x: Tensor,
    z: Tensor,
    y: Tensor,
    p_x: Distribution,
    q_z: Distribution,
    p_z: Distribution,
    q_y: Distribution,
    p_y: Distribution,
) -> Tensor:
    """ln w = ln p(x|z) + ln p(z|M_hat,y) + ln p(y) - ln q(z) - ln q(y), [B, T], at samples z ~ q(z), y ~ q(y)."""
    return p_x.log_prob(x) + p_z.log_prob(z) + p_y.log_prob(y) - q_z.log_prob(z) - q_y.log_prob(y)


def importance_bound(log_w: Tensor) -> Tensor:
    """-ln (1/S) sum_s w_s, nats: the importance-weighted bound (Burda et al., 2016). log_w: [S, ...] -> [...].

    Raises ValueError for what is no tensor of numbers with at least one sample, and for NaN.
    """
    log_w = check_log_weights("log_w", log_w)
    return math.log(log_w.shape[0]) - torch.logsumexp(log_w, dim=0)
