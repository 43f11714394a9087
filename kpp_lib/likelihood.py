"""p(x|z): what a decoder's output means. Bernoulli for bits, a mixture of logistics for grey or colour (section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent

from .bound import full, soft_clamp
from .config import Config
from .inputs import check_choice, wrong
from .mixture import DiscretisedLogisticMixture

# ln of a component's scale in units of x, kept by a soft clamp. PixelCNN++: -7 where x is in [-1, 1], and no upper end
LOG_SCALES = (-7 - math.log(2), 1.0)
WAYS = {"bernoulli": ("fixed", "dynamic", "threshold"), "logistic_mixture": ("none",)}  # data of each likelihood
Nats = TypeVar("Nats", float, Tensor)


def bernoulli(logits: Tensor) -> Independent:
    """Independent Bernoulli pixels for logits [B, T, C, H, W]; `log_prob` is in nats per image."""
    return Independent(Bernoulli(logits=full(logits), validate_args=False), 3)  # the doors check x, and once


@dataclass(frozen=True)
class BernoulliPixels:
    """Each value 0 or 1 by itself; C outputs a pixel, its logits."""

    channels: int
    values = "bits"  # what images that are scored have to be, in the words of `inputs.check_images`

    @property
    def outputs(self) -> int:
        """Numbers that the decoder puts out for a pixel."""
        return self.channels

    def __call__(self, outputs: Tensor) -> Independent:
        """Logits [B, T, C, H, W] -> p(x|z), event [C, H, W]; `log_prob` is in nats per image."""
        return bernoulli(outputs)


@dataclass(frozen=True)
class LogisticMixture:
    """One of 256 grey values by M logistics: for a pixel M weights, for each of its channels M means and log-scales.

    conditional: and M coefficients for each pair of channels, as PixelCNN++ has it: 100 outputs for M = 10 and colour.
    """

    channels: int
    components: int = 10
    conditional: bool = True
    values = "levels"

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """How many outputs of a pixel are weights, means, log-scales and coefficients."""
        m, c = self.components, self.channels
        return m, m * c, m * c, m * c * (c - 1) // 2 if self.conditional else 0

    @property
    def outputs(self) -> int:
        """Numbers that the decoder puts out for a pixel."""
        return sum(self.parts)

    def __call__(self, outputs: Tensor) -> DiscretisedLogisticMixture:
        """Outputs [B, T, N, H, W] -> p(x|z), event [C, H, W]; `log_prob` is in nats per image.

        Outputs of 0 are M even means in [0, 1], of scale 1/M: grey values are about alike, so that training starts near
        8 bits/dim, and no two components begin as the same one. Ours; PixelCNN++ starts from weights that it scales to
        the data.
        """
        m, outputs = self.components, full(outputs)
        logits, means, log_scales, coefficients = outputs.split(self.parts, dim=-3)
        even = (torch.arange(m, device=outputs.device, dtype=outputs.dtype) + 0.5) / m
        means = even.view(m, 1, 1, 1) + means.unflatten(-3, (m, -1)) / 2  # [B, T, M, C, H, W]
        log_scales = soft_clamp(log_scales.unflatten(-3, (m, -1)) - math.log(m), *LOG_SCALES)
        between = coefficients.unflatten(-3, (m, -1)).tanh() if self.parts[-1] else None
        return DiscretisedLogisticMixture(logits, means, log_scales, between, validate_args=False)


Likelihood = BernoulliPixels | LogisticMixture


def likelihood_of(config: Config) -> Likelihood:
    """p(x|z) as `config` has it."""
    if config.likelihood == "bernoulli":
        return BernoulliPixels(config.channels)
    return LogisticMixture(config.channels, config.mixture, config.channel_conditioning)


def scores_bits(config: Config) -> bool:
    """Whether the images that a model scores are binary."""
    return likelihood_of(config).values == "bits"


def binarize_for(likelihood: str, binarize: str | None, usual: str = "fixed") -> str:
    """`binarize` as data for a likelihood are loaded with: as given, or, for None, `usual` where images become bits.

    Raises ValueError, with what to set, where the two do not fit.
    """
    ways = WAYS[check_choice("likelihood", likelihood, WAYS)]
    binarize = binarize or (usual if usual in ways else ways[0])
    if binarize not in ways:
        other = next(name for name in WAYS if name != likelihood)
        words = repr(ways[0]) if len(ways) == 1 else f"one of {', '.join(ways)}"
        raise wrong("binarize", binarize, f"{words} with likelihood={likelihood!r}, or likelihood={other!r}")
    return binarize


def bits_per_dim(nats: Nats, config: Config) -> Nats:
    """Nats per image as bits/dim: nats / (C H W ln 2)."""
    return nats / (config.channels * config.image_size**2 * math.log(2))
