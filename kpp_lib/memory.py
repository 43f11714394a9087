"""The memory: f_mem writes it, a spatial transformer reads blocks of it (section 3.3, Appendix A).

A *window* is (s, x, y): half-width as a fraction of the memory's, and centre in [-1, 1] x [-1, 1] with (0, 0) the
centre of the memory, x to the right and y down. A read samples a g x g grid over the window; a placed write is its
inverse.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config
from .inputs import check_choice, check_count, check_flag, check_number, check_tensor, wrong
from .layers import EvoNormS0, UpStack


def window_grid(window: Tensor, size: int, align_corners: bool = False) -> Tensor:
    """Sampling points of each window: [N, 3] -> [N, size, size, 2], (x, y) coordinates in the frame of the memory.

    Equation 8 with theta = [[s, 0, x], [0, s, y]]. The paper calls the map source to target; what a sampler needs is
    the place in the memory for each pixel of the block, which is this. Raises ValueError for windows that are no finite
    numbers [N, 3], or a size below 1.
    """
    window = check_tensor("window", window, ("N", 3))
    return grid_unchecked(window, check_count("size", size), check_flag("align_corners", align_corners))


def grid_unchecked(window: Tensor, size: int, align_corners: bool) -> Tensor:
    """`window_grid` for the inside of a training step, where a look at the values would wait for a GPU."""
    s, x, y = window.unbind(-1)
    zero = torch.zeros_like(s)
    theta = torch.stack([torch.stack([s, zero, x], -1), torch.stack([zero, s, y], -1)], dim=1)  # [N, 2, 3]
    return F.affine_grid(theta, [window.shape[0], 1, size, size], align_corners=align_corners)


def read_blocks(
    memory: Tensor,
    window: Tensor,
    size: int,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """m_tk = f_ST(M, y_tk), equations 5 and 9: [B, C, S, S], [B, T, K, 3] -> [B, T, K, C, size, size].

    All windows of an episode are stacked into one tall grid, so the memory is sampled once and never copied T*K times.
    Raises ValueError for other shapes, devices or modes, for NaN, and for a memory that is not square.
    """
    memory = check_memory(memory)
    window = check_tensor("window", window, (len(memory), "T", "K", 3), memory.device, memory.dtype)
    check_choice("mode", mode, ("bilinear", "nearest"))
    check_choice("padding", padding, ("zeros", "border", "reflection"))
    size, align_corners = check_count("size", size), check_flag("align_corners", align_corners)
    return read_unchecked(memory, window, size, mode, padding, align_corners)


def check_memory(memory: Tensor) -> Tensor:
    """Memories [B, C, S, S] of any size: finite numbers, square."""
    memory = check_tensor("memory", memory, ("B", "C", "S", "S"))
    if memory.shape[2] != memory.shape[3]:
        raise wrong("memory", list(memory.shape), "a square one, [B, C, S, S]")
    return memory


def read_unchecked(memory: Tensor, window: Tensor, size: int, mode: str, padding: str, align_corners: bool) -> Tensor:
    """`read_blocks` for the inside of a training step, where a look at the values would wait for a GPU."""
    b, t, k, _ = window.shape
    grid = grid_unchecked(window.reshape(-1, 3), size, align_corners).view(b, t * k * size, size, 2)
    tall = F.grid_sample(memory, grid, mode=mode, padding_mode=padding, align_corners=align_corners)  # [B, C, TKg, g]
    return tall.view(b, -1, t, k, size, size).permute(0, 2, 3, 1, 4, 5)  # [B, T, K, C, g, g]


def tents(centre: Tensor, half: Tensor, cells: int, size: int) -> Tensor:
    """Equation 9's weights along one axis: N windows -> [N, size, cells], max(0, 1 - |i - n|) for pixel i and cell n.

    A window is axis-parallel, so the bilinear weight of a pixel is such a factor along x times one along y.
    """
    pixel = (
        2 * torch.arange(size, device=centre.device, dtype=centre.dtype) + 1
    ) / size - 1  # centres, align_corners=False
    inside = (pixel - centre[:, None]) / half[:, None]  # the memory's pixels in the frame of the block
    place = ((inside + 1) * cells - 1) / 2  # in units of its cells
    return torch.clamp(1 - (place[:, :, None] - torch.arange(cells, device=centre.device)).abs(), min=0)


def place_blocks(blocks: Tensor, window: Tensor, size: int, floor: float = 0.1) -> Tensor:
    """Write each block at its window by the inverse of the read, overlaps averaged: -> memory [B, C, size, size].

    blocks: [B, T, K, C, g, g]; window: [B, T, K, 3] with s > 0. Not in the paper: ours, after its picture of a heap
    (Figure 1: write at a pointer, read at the same pointer). `floor` is added to the summed masks, so empty memory is
    0. Equal to `grid_sample` of each block over the inverse affine grid (align_corners=False, zeros), in two matrix
    products. Raises ValueError for other shapes or devices, NaN, a window without width, and a floor that is not
    above 0.
    """
    blocks = check_tensor("blocks", blocks, ("B", "T", "K", "C", "g", "g"))
    if blocks.shape[4] != blocks.shape[5]:
        raise wrong("blocks", list(blocks.shape), "square ones, [B, T, K, C, g, g]")
    window = check_tensor("window", window, (*blocks.shape[:3], 3), blocks.device, blocks.dtype)
    if not bool((window[..., 0] > 0).all()):
        raise wrong("window", float(window[..., 0].min()), "half-widths s above 0: no block fits into none")
    return place_unchecked(blocks, window, check_count("size", size), check_number("floor", floor, above=0))


def place_unchecked(blocks: Tensor, window: Tensor, size: int, floor: float) -> Tensor:
    """`place_blocks` for the inside of a training step, where a look at the values would wait for a GPU."""
    b, t, k, c, g, _ = blocks.shape
    s, x, y = window.reshape(-1, 3).unbind(-1)
    across, down = (tents(v, s, g, size).view(b, t * k, size, g) for v in (x, y))  # [B, TK, S, g]
    rows = torch.einsum("bncij,bnxj->bncix", blocks.flatten(1, 2), across)  # [B, TK, C, g, S]
    summed = torch.einsum("bnyi,bncix->bcyx", down, rows)
    mask = torch.einsum("bny,bnx->byx", down.sum(-1), across.sum(-1))[:, None]  # what blocks of ones would leave
    return summed / (mask + floor)


class PooledWriter(nn.Module):
    """The paper's write: M = f_mem(mean_t e_t), a conv-transpose network on the pooled embedding (Appendix E).

    The paper does not name its pooling; the mean does not depend on the order of the episode.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = UpStack(
            config.embed, config.writer_base, config.memory_channels, config.memory_size, config.writer_linear
        )

    def forward(self, e: Tensor, window: Tensor) -> Tensor:
        return self.up(e.mean(dim=1))  # [B, T, F] -> [B, F] -> [B, C, S, S]


class SlotPooledWriter(nn.Module):
    """Ours: bind each embedding to its position before pooling, M = f_mem(sum_t code_t (x) u(e_t)).

    A plain mean cannot tell the images apart; the outer product with a learned code per position can.
    """

    width = 32  # of u(e_t)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.eye(config.length))  # [T, T], starts one-hot
        self.project = nn.Linear(config.embed, self.width)
        self.up = UpStack(
            config.length * self.width,
            config.writer_base,
            config.memory_channels,
            config.memory_size,
            config.writer_linear,
        )

    def forward(self, e: Tensor, window: Tensor) -> Tensor:
        if e.shape[1] > len(self.codes):
            raise ValueError(
                f"x: got an episode of {e.shape[1]} images, expected at most {len(self.codes)}, the positions "
                "that write='slot_pooled' was built with"
            )
        bound = torch.einsum("ts,btu->bsu", self.codes[: e.shape[1]], self.project(e))  # [B, T, 32]
        return self.up(bound.flatten(1))


class PlacedWriter(nn.Module):
    """Ours: each image writes its own K blocks, placed at its key means by the inverse of the read transform."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.up = UpStack(
            config.embed,
            config.writer_base,
            config.reads * config.memory_channels,
            config.block_size,
            config.writer_linear,
        )

    def forward(self, e: Tensor, window: Tensor) -> Tensor:
        c = self.config
        blocks = self.up(e.flatten(0, 1))  # [B*T, K*C, g, g]
        blocks = blocks.view(*e.shape[:2], c.reads, c.memory_channels, c.block_size, c.block_size)
        return place_unchecked(blocks, window, c.memory_size, c.place_floor)


WRITERS = {"pooled": PooledWriter, "slot_pooled": SlotPooledWriter, "placed": PlacedWriter}


class PriorNet(nn.Module):
    """The convolutional encoder of p(Z | M_hat, Y): K blocks stacked on channels -> mean and log-variance (Appendix E).

    [B, T, K, C, g, g] -> ([B, T, L], [B, T, L]). It sees the keys only through what they read.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, side = config.reads * config.memory_channels, config.block_size
        for i in range(max(1, min(3, side.bit_length() - 2))):  # halve down to 2x2, at most three times
            layers += [
                nn.Conv2d(width, config.prior_base * 2**i, 4, stride=2, padding=1),
                EvoNormS0(config.prior_base * 2**i),
            ]
            width, side = config.prior_base * 2**i, side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side * side, 2 * config.latent))

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        b, t = blocks.shape[:2]
        mean, log_var = self.layers(blocks.flatten(0, 1).flatten(1, 2)).view(b, t, -1).chunk(2, dim=-1)
        return mean, log_var
