"""Small building blocks that several networks share: EvoNorm-S0, conv-transpose stacks, dense nets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class EvoNormS0(nn.Module):
    """EvoNorm-S0 (Liu et al., 2020), normalisation and activation in one: x sigmoid(v x) / std_group(x) weight + bias.

    The variance is over each group's channels and pixels of one image (biased, epsilon inside the root), so nothing
    depends on the batch. Groups: 32, or as many as leave at least two channels each (a 1x1 map needs two).
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups = _groups(channels)
        self.eps = eps
        self.v = nn.Parameter(torch.ones(channels))
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        c = x.shape[1]
        # no reshape: of maps in channels_last it would be a copy
        var = x.unflatten(1, (self.groups, -1)).var(dim=(2, 3, 4), unbiased=False)  # [N, G]
        scale = self.weight * (var + self.eps).rsqrt().repeat_interleave(c // self.groups, dim=1)  # [N, C]
        # in the precision of the maps: one float32 factor would make all that follows float32
        v, bias, scale = (p.view(-1, c, 1, 1).to(x.dtype) for p in (self.v, self.bias, scale))
        return torch.addcmul(bias, x * torch.sigmoid(v * x), scale)


def _groups(channels: int) -> int:
    limit = min(32, max(1, channels // 2))
    return max(g for g in range(1, limit + 1) if channels % g == 0)


class Residual(nn.Module):
    """x + two 3x3 convolutions, each after BatchNorm and ReLU (He et al., 2016, "pre-activation"). [N, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class UpStack(nn.Module):
    """Conv-transpose network from a vector to an image: 1x1 -> s0 -> ... -> size, channels halved per layer.

    [N, inputs] -> [N, outputs, size, size]. Each step doubles the side, or doubles it less one where the target is odd
    (28 <- 14 <- 7 <- 4). EvoNorm-S0 follows every layer but the last (Appendix E); with `linear` nothing does.
    """

    def __init__(self, inputs: int, base: int, outputs: int, size: int, linear: bool = False) -> None:
        super().__init__()
        sides = up_sides(size)
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, base, sides[0])]
        width = base
        for side in sides[1:]:
            narrower = max(8, width // 2) if side < size else outputs
            layers += [*([] if linear else [EvoNormS0(width)]), doubling(width, narrower, odd=side % 2 == 1)]
            width = narrower
        if len(sides) == 1:  # an image of at most 4x4: a layer to go from `base` to `outputs`
            layers += [*([] if linear else [EvoNormS0(width)]), nn.Conv2d(width, outputs, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, v: Tensor) -> Tensor:
        return self.layers(v[:, :, None, None])


def up_sides(size: int) -> list[int]:
    """The sides of the maps on the way up to `size` pixels, the first at most 4: 28 -> [4, 7, 14, 28]."""
    sides = [size]
    while sides[0] > 4:
        sides.insert(0, (sides[0] + 1) // 2)
    return sides


def doubling(inputs: int, outputs: int, odd: bool) -> nn.Module:
    """A conv-transpose layer that doubles the side of maps, or doubles it less one."""
    return nn.ConvTranspose2d(inputs, outputs, 3 if odd else 4, stride=2, padding=1)


def dense(inputs: int, outputs: int, width: int, layers: int, spectral: bool) -> nn.Sequential:
    """A dense net with `layers` linear layers and ReLU between (Appendix E: three of 512, spectral norm).

    Spectral normalisation is on the hidden layers only: on the last it would bound the means and spreads themselves.
    """
    norm = spectral_norm if spectral else (lambda layer: layer)
    sizes = [inputs] + [width] * (layers - 1)
    hidden = [m for a, b in zip(sizes, sizes[1:], strict=False) for m in (norm(nn.Linear(a, b)), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))
