"""Omniglot's drawings, 105x105 bits, as grey images of 28x28: averaged as they are, or moved a little first."""

from __future__ import annotations

import torch
import torch.nn.functional as F

PACKED = 1379  # bytes of one drawing, 105x105 bits


def averaged(packed: torch.Tensor) -> torch.Tensor:
    """Grey images uint8 [N, 1, 28, 28] of packed drawings [N, 1379]."""
    # in parts: all drawings at once would take a gigabyte as floats
    return torch.cat([average(unpacked_ink(part)) for part in packed.split(2000)])


def unpacked_ink(packed: torch.Tensor) -> torch.Tensor:
    """Ink float32 0/1 [N, 1, 105, 105] of packed drawings [N, 1379]."""
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)  # the first pixel is the highest bit
    bits = (packed[:, :, None] >> places).bitwise_and_(1).flatten(1)[:, :11025]  # [N, 1379] -> [N, 11025]
    return bits.float().view(-1, 1, 105, 105)


def average(ink: torch.Tensor) -> torch.Tensor:
    """Grey images uint8 [N, 1, 28, 28]: each pixel is the mean of the ink [N, 1, 105, 105] that it touches."""
    mean = F.adaptive_avg_pool2d(ink, 28)  # [N, 1, 105, 105] -> [N, 1, 28, 28]
    return (mean * 255).round().to(torch.uint8)


def moved(drawings: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey images uint8 [n, 1, 28, 28] of Omniglot's ``drawings`` [n, 1379], each moved a little, anew at every call.

    An affine map within what two drawers of one character differ by: turned by up to 0.15 rad, each side scaled by up
    to 10 %, shifted by up to 6 of the 105 pixels. Ours; without it 17,000 fixed drawings are learned by heart.
    """
    n = len(drawings)
    draws = torch.rand(5, n, generator=generator, device=generator.device).to(drawings.device)
    turn, wide, high, right, down = draws * 2 - 1  # [n] each, in [-1, 1]
    angle, scale = 0.15 * turn, 0.1 * torch.stack([wide, high], dim=-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=1)  # [n, 2, 2]
    shift = 6 / 52.5 * torch.stack([right, down], dim=-1)  # in half sides
    affine = torch.cat([turned * scale.exp()[:, :, None], shift[:, :, None]], dim=-1)  # [n, 2, 3]
    grid = F.affine_grid(affine, [n, 1, 105, 105], align_corners=False)
    return average(F.grid_sample(unpacked_ink(drawings), grid, mode="nearest", align_corners=False))
