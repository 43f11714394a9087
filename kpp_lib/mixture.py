"""A distribution over 256 grey values: the discretised mixture of logistics of PixelCNN++ (Salimans et al., 2017).

The paper models what is not binary with it (section 4). A pixel has one mixture for all its channels; each component is
a logistic per channel, cut into 256 bins, one a grey value, of which the first and the last take the whole tails.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from .draws import Share, draw
from .inputs import Words, check_images, check_tensor, wrong

TOP = 255  # the highest grey value; x = grey / 255
# ln of a scale in grey values: narrower, no probability changes any more, and wider, hardly; keeps exp in float32
LOG_SCALES = (-40.0, math.log(1000 * TOP))
# Quantiles of the channels before, over which `mean` averages: a Fibonacci lattice, which fills a square evenly
NODES, STEP = 8, 5


class DiscretisedLogisticMixture(Distribution):
    """p(x) of images x [*batch, C, H, W] whose values are multiples of 1/255 in [0, 1].

    P(grey k) = sum over components of weight * (F((k + 1/2 - 255 mean) / 255 scale) - F((k - 1/2 - ...) / ...)), F the
    logistic function; with F = 0 below grey 0 and 1 above grey 255. Given the component, channels are independent, or,
    with `coefficients`, the mean of a channel moves linearly with the channels before it (red, green, blue):
    mean_c + sum_j a_cj (x_j - 1/2).

    logits [*batch, M, H, W]: of the M components. means, log_scales [*batch, M, C, H, W]: in units of x, so a mean of 1
    is white, and the logarithm natural; a scale above 1000 counts as 1000. coefficients [*batch, M, C (C - 1) / 2, H,
    W]: a_10, a_20, a_21, or None.
    Raises ValueError, unless validate_args is False, for parameters of other shapes, or that are no finite numbers.
    """

    arg_constraints = {}
    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        means: Tensor,
        log_scales: Tensor,
        coefficients: Tensor | None = None,
        validate_args: bool = True,
    ) -> None:
        if validate_args:
            logits, means, log_scales, coefficients = _checked(logits, means, log_scales, coefficients)
        self.logits, self.means, self.log_scales, self.coefficients = logits, means, log_scales, coefficients
        super().__init__(means.shape[:-4], means.shape[-3:], validate_args=False)
        self.validate = validate_args

    def log_prob(self, value: Tensor) -> Tensor:
        """ln p(x), nats per image, [*batch]: x [..., C, H, W], values that are multiples of 1/255, as `Images.draw` has
        them. ValueError for other values, unless validate_args is False."""
        if self.validate:
            value = check_images("value", value, ("...", *self.event_shape), values="levels", dtype=self.means.dtype)
        grey = (TOP * value).round().unsqueeze(-4).unbind(-3)  # C times [..., 1, H, W]
        log_scales = self._log_scale().unbind(-3)  # C times [..., M, H, W]
        each = [_log_bin(grey[c], self._centre(c, grey), log_scales[c]) for c in range(len(grey))]
        return torch.logsumexp(self.logits.log_softmax(-3) + sum(each), -3).sum((-1, -2))

    def sample(self, sample_shape: tuple[int, ...] = (), generator: torch.Generator | Share | None = None) -> Tensor:
        """Images [*sample_shape, *batch, C, H, W], multiples of 1/255, drawn on the generator's own device."""
        channels = self.event_shape[0]
        with torch.no_grad():
            shape = (*sample_shape, *self.batch_shape, 1 + channels, *self.event_shape[1:])
            u = draw(torch.rand, shape, generator, device=self.means.device, dtype=self.means.dtype)
            u = u.to(self.means.device).clamp(1e-7, 1 - 1e-7)
            below = u[..., :1, :, :] > self.logits.softmax(-3).cumsum(-3)  # [..., M, H, W]
            which = below.sum(-3, keepdim=True).clamp(max=self.logits.shape[-3] - 1)  # [..., 1, H, W]
            spread, grey = self._log_scale().exp(), []
            for c in range(channels):
                centre = self._centre(c, [g.unsqueeze(-3) for g in grey]).expand_as(below).gather(-3, which)
                scale = spread[..., c, :, :].expand_as(below).gather(-3, which)
                drawn = (centre + scale * u[..., c + 1, :, :].unsqueeze(-3).logit()).squeeze(-3)  # [..., H, W]
                grey.append(drawn.round().clamp(0, TOP))
            return torch.stack(grey, -3) / TOP

    @property
    def mean(self) -> Tensor:
        """E[x], [*batch, C, H, W], in [0, 1]: to half a grey value, that of logistics cut to [0, 1] but not rounded.

        With `coefficients`, averaged over `NODES` quantiles of the channels before: over 400 random laws off by 0.003
        on average, and by 0.025 at most.
        """
        weight, spread = self.logits.softmax(-3), self._log_scale().exp()
        nodes = torch.arange(NODES, device=spread.device)
        before, means = [], []
        for c in range(self.event_shape[0]):
            centre, scale = self._centre(c, before), spread[..., c, :, :]  # [NODES, ..., M, H, W] but for the first
            cut = _cut_mean(centre, scale)
            means.append((weight * (cut.mean(0) if before else cut)).sum(-3) / TOP)
            if self.coefficients is not None:
                u = (((STEP**c * nodes) % NODES + 0.5) / NODES).to(spread).view(-1, *[1] * scale.dim())
                before.append((centre + scale * u.logit()).clamp(0, TOP))
        return torch.stack(means, -3)

    def _centre(self, channel: int, before: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
        """Means of a channel in grey values, [..., M, H, W], given the grey values of those before it."""
        centre = TOP * self.means[..., channel, :, :]
        if self.coefficients is not None:
            first = channel * (channel - 1) // 2  # of the coefficients a_cj, row by row
            for j in range(channel):
                centre = centre + self.coefficients[..., first + j, :, :] * (before[j] - TOP / 2)
        return centre

    def _log_scale(self) -> Tensor:
        """ln of the scales in grey values, [*batch, M, C, H, W]."""
        return (self.log_scales + math.log(TOP)).clamp(*LOG_SCALES)


def _log_bin(grey: Tensor, centre: Tensor, log_scale: Tensor) -> Tensor:
    """ln of a logistic's probability of the bin of a grey value; all in grey values.

    F(a) - F(b) = F(a) F(-b) (1 - exp(b - a)): three factors, each with a logarithm that neither underflows nor cancels.
    PixelCNN++ takes the difference, and the density in its place where that is 0. The border of two bins is one number,
    k + 1/2, so that all bins together have probability 1 however narrow the logistic.
    """
    per_scale = torch.exp(-log_scale)  # a - b: a bin is one grey value wide
    below = F.logsigmoid((grey + 0.5 - centre) * per_scale)  # ln F(a)
    above = F.logsigmoid((centre - (grey - 0.5)) * per_scale)  # ln F(-b)
    inside = below + above + torch.log(-torch.expm1(-per_scale))
    return torch.where(grey < 0.5, below, torch.where(grey > TOP - 0.5, above, inside))


def _cut_mean(centre: Tensor, scale: Tensor) -> Tensor:
    """Mean of a logistic whose tails are put on grey 0 and 255; all in grey values.

    1 - F integrated from 0 to 255: the part that is left as the scale goes to 0, and the rest.
    """
    low, high = ((centre - edge).abs() / scale for edge in (0, TOP))
    return centre.clamp(0, TOP) + scale * (F.softplus(-low) - F.softplus(-high))


def _checked(
    logits: Tensor, means: Tensor, log_scales: Tensor, coefficients: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The parameters as tensors of finite numbers whose shapes fit the means'."""
    means = check_tensor("means", means, ("...", "M", "C", "H", "W"))
    *batch, m, c, h, w = means.shape
    logits = check_tensor("logits", logits, (*batch, m, h, w), means.device, means.dtype)
    log_scales = check_tensor("log_scales", log_scales, tuple(means.shape), means.device, means.dtype)
    if coefficients is None:
        return logits, means, log_scales, None
    if c == 1:
        raise wrong("coefficients", Words("some for one channel"), "None: there is no channel before the first")
    shape = (*batch, m, c * (c - 1) // 2, h, w)
    return logits, means, log_scales, check_tensor("coefficients", coefficients, shape, means.device, means.dtype)
