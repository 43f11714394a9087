"""Noise on grey images for clean-up (section 4.1, Figure 6): salt & pepper, speckle, Poisson; and on cues in training.

The paper shows the three by name and gives no strengths. Ours is one number per kind, 0 for none; pictures stay in [0,
1].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..draws import Share, draw
from ..inputs import check_choice, check_generator, check_images, check_kind, check_number


def salt_and_pepper(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Each value, of colour each channel of a pixel by itself, is replaced with probability `strength`, in [0, 1], by 0
    or 1, one as likely as the other."""
    x, strength = _checked(x, strength, generator, most=1.0)
    draw = torch.rand(x.shape, generator=generator)
    salt = (torch.rand(x.shape, generator=generator) < 0.5).to(x)
    return torch.where(draw.to(x.device) < strength, salt, x)


def speckle(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiplicative noise, x (1 + strength * N(0, 1)), clipped: ink is disturbed, blank paper stays blank."""
    x, strength = _checked(x, strength, generator)
    return (x * (1 + strength * torch.randn(x.shape, generator=generator).to(x.device))).clamp(0, 1)


def poisson(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Shot noise, strength * Poisson(x / strength), clipped: `strength` is the grey value of one photon."""
    x, strength = _checked(x, strength, generator)
    if strength == 0:
        return x.clone()
    return (strength * torch.poisson((x / strength).cpu(), generator=generator).to(x.device)).clamp(0, 1)


KINDS = {"salt & pepper": salt_and_pepper, "speckle": speckle, "poisson": poisson}


def add_noise(x: Tensor, kind: str, strength: float, generator: torch.Generator) -> Tensor:
    """`x` [..., C, H, W] in [0, 1] with noise of a kind from `KINDS`, drawn from `generator` (CPU); the same shape, in
    [0, 1].

    Raises ValueError for an unknown kind, pictures outside [0, 1], a negative strength, a probability above 1, or no
    generator.
    """
    return KINDS[check_choice("kind", kind, KINDS)](x, strength, generator)


def noisy_cue(x: Tensor, most: float, generator: torch.Generator | Share) -> Tensor | None:
    """Images [B, T, C, H, W] with a share of their values `flipped`, uniform in [0, most] per image; None for most = 0.
    The noise of the training step: x is not looked at. Raises ValueError for another `most`, or no generator.
    """
    if check_number("most", most, least=0, most=1) == 0:
        return None
    check_kind("generator", generator, (torch.Generator, Share), "a torch.Generator, such as kpp.seeded(0)")
    share = most * draw(torch.rand, x.shape[:2], generator)[:, :, None, None, None]
    return flipped(x, share, generator)


def flipped(x: Tensor, share: float | Tensor, generator: torch.Generator | Share) -> Tensor:
    """Images in [0, 1], each value x turned into 1 - x with probability `share`, a number or a tensor that broadcasts
    to x. Of a bit that is the other one; of grey or colour the negative, each channel by itself."""
    hit = draw(torch.rand, x.shape, generator).to(x.device)
    return (x - (hit < share).to(x)).abs()


def _checked(x: Tensor, strength: float, generator: torch.Generator, most: float = math.inf) -> tuple[Tensor, float]:
    check_generator("generator", generator, "cpu", needed=True)
    strength = check_number("strength", strength, least=0, most=most)
    return check_images("x", x, ("...", "C", "H", "W"), values="grey"), strength
