"""Noise on grey images for clean-up (section 4.1, Figure 6): salt & pepper, speckle, Poisson; and on cues in training.

The paper shows the three by name and gives no strengths. Ours is one number per kind, 0 for none; pictures stay in [0,
1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..draws import Share, draw


def salt_and_pepper(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Each pixel is replaced with probability `strength`, in [0, 1], by 0 or 1, one as likely as the other."""
    _check(x, strength, most=1.0)
    draw = torch.rand(x.shape, generator=generator)
    salt = (torch.rand(x.shape, generator=generator) < 0.5).to(x)
    return torch.where(draw.to(x.device) < strength, salt, x)


def speckle(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiplicative noise, x (1 + strength * N(0, 1)), clipped: ink is disturbed, blank paper stays blank."""
    _check(x, strength)
    return (x * (1 + strength * torch.randn(x.shape, generator=generator).to(x.device))).clamp(0, 1)


def poisson(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Shot noise, strength * Poisson(x / strength), clipped: `strength` is the grey value of one photon."""
    _check(x, strength)
    if strength == 0:
        return x.clone()
    return (strength * torch.poisson((x / strength).cpu(), generator=generator).to(x.device)).clamp(0, 1)


KINDS = {"salt & pepper": salt_and_pepper, "speckle": speckle, "poisson": poisson}


def add_noise(x: Tensor, kind: str, strength: float, generator: torch.Generator) -> Tensor:
    """`x` [..., C, H, W] in [0, 1] with noise of a kind from `KINDS`, drawn from `generator` (CPU); the same shape, in
    [0, 1].

    Raises ValueError for an unknown kind, pictures outside [0, 1], a negative strength, or a probability above 1.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    return KINDS[kind](x, strength, generator)


def noisy_cue(x: Tensor, most: float, generator: torch.Generator | Share) -> Tensor | None:
    """Binary images [B, T, C, H, W] with a share of their bits flipped, uniform in [0, most] per image; None for most =
    0.
    """
    if most == 0:
        return None
    share = most * draw(torch.rand, x.shape[:2], generator)[:, :, None, None, None]
    flips = draw(torch.rand, x.shape, generator) < share
    return (x - flips.to(x)).abs()


def _check(x: Tensor, strength: float, most: float = float("inf")) -> None:
    if not torch.all((x >= 0) & (x <= 1)):
        raise ValueError(f"x: got values in [{x.min():.3g}, {x.max():.3g}], expected grey values in [0, 1]")
    if not 0 <= strength <= most:
        limit = "" if most == float("inf") else f" of at most {most:g}"
        raise ValueError(f"strength: got {strength!r}, expected a number of at least 0{limit}")
