"""Notebook 01: the KL of two Gaussians, the three terms of equation 4, importance weights, and the floor ln T."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from ...bound import importance_bound
from .check import Case, Check, Mistake


def _kl(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> Tensor:
    q, p = (Independent(Normal(m, s), 1) for m, s in ((mean_q, std_q), (mean_p, std_p)))
    return kl_divergence(q, p)


def _kl_each(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> Tensor:
    return kl_divergence(Normal(mean_q, std_q), Normal(mean_p, std_p))


def _kl_cases() -> list[Case]:
    one, g = torch.ones(1), torch.Generator().manual_seed(0)
    many = [torch.randn(3, 4, generator=g), *(0.5 + torch.rand(3, 4, generator=g) for _ in range(3))]
    return [
        Case("q = p = N(0, 1)", (0 * one, one, 0 * one, one)),
        Case("q = N(1, 1), p = N(0, 1)", (one, one, 0 * one, one)),
        Case("q = N(0, 0.5^2), p = N(0, 1)", (0 * one, 0.5 * one, 0 * one, one)),
        Case("three Gaussians of four numbers each", (many[0], many[1], many[2], many[3])),
    ]


kl_gaussians = Check(
    "kl_gaussians(mean_q, std_q, mean_p, std_p)",
    _kl,
    _kl_cases,
    [
        Mistake(
            "The half is missing: the exponent of a Gaussian is -(x - mean)^2 / (2 std^2), and the 2 stays.",
            lambda a, s, b, t: (torch.log(t / s) + (s**2 + (a - b) ** 2) / t**2 - 1).sum(-1),
        ),
        Mistake(
            "The half is missing from everything: with a logarithm of *variances*, all of it is halved.",
            lambda a, s, b, t: 2 * _kl(a, s, b, t),
        ),
        Mistake(
            "q and p are swapped. KL[q || p] averages under q: divide by the variance of p.",
            lambda a, s, b, t: _kl(b, t, a, s),
        ),
        Mistake(
            "A standard deviation was taken for a variance: square it in the quotient.",
            lambda a, s, b, t: _kl(a, s.sqrt(), b, t.sqrt()),
        ),
        Mistake(
            "The -1/2 is missing: it makes KL[q || q] zero.", lambda a, s, b, t: (_kl_each(a, s, b, t) + 0.5).sum(-1)
        ),
        Mistake(
            "The logarithm of the two spreads is missing: without it, a sharp q would cost nothing.",
            lambda a, s, b, t: (((s**2 + (a - b) ** 2) / t**2 - 1) / 2).sum(-1),
        ),
        Mistake(
            "It was averaged over the numbers. They are independent, so their KLs add up: a sum over the last "
            "dimension.",
            lambda a, s, b, t: _kl_each(a, s, b, t).mean(-1),
        ),
        Mistake("Not summed yet: one KL for all the numbers of the last dimension together.", _kl_each),
    ],
)


def _terms(x: Tensor, z: Tensor, y: Tensor, q_z: Tensor, q_y: Tensor) -> dict[str, Tensor]:
    return {"recon": -x.mean(0), "kl_z": (q_z - z).mean(0), "kl_y": (q_y - y).mean(0)}


def _parts(
    x: Tensor, z: Tensor, y: Tensor, q_z: Tensor, q_y: Tensor, over: int = 0, **change: float
) -> dict[str, Tensor]:
    terms = {"recon": -x.mean(over), "kl_z": (q_z - z).mean(over), "kl_y": (q_y - y).mean(over)}
    return {name: value * change.get(name, 1) for name, value in terms.items()}


def _draws(seed: int, draws: int, images: int) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(centre + torch.randn(draws, images, generator=g) for centre in (-80.0, -60.0, -4.0, -50.0, 1.0))


three_terms = Check(
    "three_terms(log_p_x, log_p_z, log_p_y, log_q_z, log_q_y)",
    _terms,
    lambda: [
        Case(
            "one draw, one image: -80, -60, -4, -50, 1",
            tuple(torch.full((1, 1), v) for v in (-80.0, -60.0, -4.0, -50.0, 1.0)),
        ),
        Case("S = 3 draws of T = 2 images", _draws(0, 3, 2)),
        Case("S = 2 draws of T = 2 images", _draws(1, 2, 2)),
    ],
    [
        Mistake(
            "The KLs are turned round: KL[q || p] is the mean of ln q - ln p under q, not of ln p - ln q.",
            lambda *v: _parts(*v, kl_z=-1, kl_y=-1),
        ),
        Mistake(
            "recon has the wrong sign: it is a cost, -ln p(x|z).",
            lambda *v: _parts(*v, recon=-1),
        ),
        Mistake(
            "All three have the sign of equation 4, which is maximised. We print its negative, where lower is better.",
            lambda *v: _parts(*v, recon=-1, kl_z=-1, kl_y=-1),
        ),
        Mistake(
            "The mean is over the images. The expectation is over draws, the first dimension; each image keeps its "
            "own.",
            lambda *v: _parts(*v, over=1),
        ),
        Mistake(
            "The KLs were divided by T. They are per image already: one pair of KLs for each x_t, as there is one "
            "recon.",
            lambda *v: _parts(*v, kl_z=1 / v[0].shape[1], kl_y=1 / v[0].shape[1]),
        ),
        Mistake(
            "kl_y is missing: a key has a price even if the block that it reads is perfect.",
            lambda *v: _parts(*v, kl_y=0),
        ),
    ],
)


def _weights() -> list[Case]:
    g = torch.Generator().manual_seed(0)
    return [
        Case("one draw, ln w = -70: equation 4 itself", (torch.full((1, 1), -70.0),)),
        Case("S = 2 draws, ln w = -2 and -4", (torch.tensor([[-2.0], [-4.0]]),)),
        Case("S = 5 draws of T = 3 images", (-3 + 2 * torch.randn(5, 3, generator=g),)),
        Case("ln w around -900: an image of many pixels", (-900 + torch.randn(4, 2, generator=g),)),
    ]


importance_weighted = Check(
    "importance_weighted(log_w)",
    importance_bound,
    _weights,
    [
        Mistake(
            "That is the mean of the logarithms: equation 4 again, however many draws. The mean of the *weights* comes "
            "first, then one logarithm.",
            lambda w: -w.mean(0),
        ),
        Mistake(
            "The sum of the weights, not their mean: ln S is missing, and the number falls below the truth as S grows.",
            lambda w: -torch.logsumexp(w, 0),
        ),
        Mistake(
            "exp(-900) is 0 in floating point, and its logarithm is minus infinity. Take torch.logsumexp: it takes the "
            "largest out first.",
            lambda w: -torch.log(w.exp().mean(0)),
        ),
        Mistake("The sign: it is a cost, -ln of the mean weight.", lambda w: -importance_bound(w)),
        Mistake("The mean over images, not over draws: S is the first dimension.", lambda w: importance_bound(w.mT)),
    ],
)


def _found(stored: Tensor, p_slot: Tensor, x: Tensor) -> Tensor:
    """p(x_t | M), [T]: the slots that hold x_t."""
    same = (x[:, None] == stored[None]).all(-1).to(p_slot)  # [T, N]
    return same @ p_slot


def _first_slot(stored: Tensor, p_slot: Tensor, x: Tensor) -> Tensor:
    same = (x[:, None] == stored[None]).all(-1)
    return p_slot[same.to(torch.int64).argmax(1)]


def _table_cases() -> list[Case]:
    images = torch.tensor([[1.0, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]])
    even, uneven = torch.full((4,), 0.25), torch.tensor([0.4, 0.3, 0.2, 0.1])
    twice = images[[0, 1, 0, 2]]
    return [
        Case("four different images, four even slots", (images, even, images)),
        Case("four different images, slots with probabilities 0.4, 0.3, 0.2, 0.1", (images, uneven, images)),
        Case("the same table, asked for the last and the first image", (images, uneven, images[[3, 0]])),
        Case("an episode with one image twice, even slots", (twice, even, twice)),
    ]


table_total = Check(
    "table_total(stored, p_slot, x)",
    lambda stored, p_slot, x: -_found(stored, p_slot, x).log().mean(),
    _table_cases,
    [
        Mistake(
            "Image t need not be in slot t: search the table for it.",
            lambda stored, p_slot, x: -p_slot[: len(x)].log().mean(),
        ),
        Mistake(
            "An image that is stored twice is found in either slot: its probabilities add up. (That is how a mean "
            "falls below ln T: the images are not distinct.)",
            lambda stored, p_slot, x: -_first_slot(stored, p_slot, x).log().mean(),
        ),
        Mistake(
            "The mean of the probabilities came first. Each image pays its own -ln p; Jensen's inequality goes the "
            "other way.",
            lambda stored, p_slot, x: -_found(stored, p_slot, x).mean().log(),
        ),
        Mistake(
            "These are bits: log2. A nat is ln.",
            lambda stored, p_slot, x: -_found(stored, p_slot, x).log2().mean(),
        ),
        Mistake(
            "That is the sum over the episode: nats per image is its mean.",
            lambda stored, p_slot, x: -_found(stored, p_slot, x).log().sum(),
        ),
        Mistake(
            "That is ln of the number of slots. It is what even slots cost; uneven ones cost more, repeated images "
            "less.",
            lambda stored, p_slot, x: torch.tensor(math.log(len(p_slot))),
        ),
    ],
)
