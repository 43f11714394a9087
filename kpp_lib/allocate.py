"""The allocator: an image is written where its content belongs, not where it stands in the episode. Ours.

Each image has a content code, two numbers spread like p(Y). The images of an episode are matched to the cells of the
memory so that the squared distances between codes and cells are least (a linear assignment): similar images become
neighbours, in every memory, and the order of an episode plays no part, as section 3.1 of the paper asks.

SciPy solves the assignment, in training too: it is exact. Nothing is differentiated through it. On a GPU the step waits
for it once.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent

from .config import Config, cells_for
from .cut import cut_normal
from .encoder import map_width
from .keys import ContentKeys, SlotKeys, cell_keys, cell_places, key_posterior


class AllocatedKeys(SlotKeys):
    """q(y_t) from the cell that an image is given: batch shape [B, T], event shape [K, 3].

    The cells are a square grid that fills the memory, with room for `config.length` images. Their spreads are learned;
    with more and smaller cells than in training they shrink as the cells do. In an episode of more images than cells,
    several share one; their blocks are averaged.
    """

    def __init__(self, config: Config) -> None:
        nn.Module.__init__(self)
        self.config, self.code = config, ContentCode(config)
        spreads = torch.zeros(cells_for(config.length) ** 2, config.reads, 3)
        if config.squash == "cells":  # theirs follow from the borders
            self.register_buffer("log_var", spreads, persistent=False)
        else:
            self.log_var = nn.Parameter(spreads)

    @property
    def side(self) -> int:
        """How many cells the memory has along its side."""
        return cells_for(self.config.length)

    def slots(self) -> Independent:
        """q(y) of every cell, batch shape [N]."""
        n, of_training, k = self.side, math.isqrt(len(self.log_var)), self.config.reads
        if self.config.squash == "cells":
            return within(n, k, self.log_var)
        log_var = self.log_var
        if n != of_training:
            grid = log_var.flatten(1).T.view(1, 3 * k, of_training, of_training)
            grid = F.interpolate(grid, size=(n, n), mode="bilinear", align_corners=True)
            log_var = grid.view(3 * k, n * n).T.view(-1, k, 3) + 2 * math.log(of_training / n)
        return key_posterior(cell_keys(self.places, k), log_var, self.config)

    @property
    def places(self) -> Tensor:
        """Centre of each cell, (x, y) in [-1, 1], row by row: [N, 2]."""
        return cell_places(self.side, self.log_var)

    def forward(self, maps: Tensor) -> Independent:
        return self.at(self.allocated(self.code(maps)))

    def allocated(self, code: Tensor) -> Tensor:
        """The cell of each image: codes [B, T, 2] -> numbers of cells [B, T]."""
        return assigned(in_plane(code), self.places)

    def nearest(self, code: Tensor, count: int) -> Tensor:
        """The `count` cells nearest to each code, nearest first: [B, T, 2] -> [B, T, count]."""
        return torch.cdist(in_plane(code), self.places.expand(len(code), -1, -1)).topk(count, largest=False).indices


def in_plane(code: Tensor) -> Tensor:
    """Codes spread like N(0, I) -> points spread evenly over [-1, 1] x [-1, 1]."""
    return torch.erf(code.detach() / math.sqrt(2))


def within(side: int, reads: int, like: Tensor) -> Independent:
    """q(y) of every cell of squash="cells", batch shape [side * side], event shape [K, 3]: p(y), cut to the cell.

    What is read does not change until a key leaves its cell, and this one never does. It costs -ln of the cell's
    probability under p(y), and no q(y) that stays in the cell costs less.
    """
    ticks = 2 * torch.arange(side + 1, device=like.device, dtype=like.dtype) / side - 1
    borders = torch.atanh(ticks)  # from -inf to inf
    low, high = (
        F.pad(torch.stack([v.repeat(side), v.repeat_interleave(side)], -1), (1, 0), value=rest)  # [N, 3]
        for v, rest in ((borders[:-1], -torch.inf), (borders[1:], torch.inf))
    )
    return cut_normal(*(v.unsqueeze(1).expand(-1, reads, -1) for v in (low, high)), 2)


class ContentCode(nn.Module):
    """Two numbers that say what an image is like: batch-normalised, so that all together are spread like N(0, I).

    It sees the encoder's maps without changing them, and is trained by a small decoder of its own from the two numbers,
    with noise, to the pixels.
    """

    noise = 0.1  # standard deviation: images of near codes have to look alike

    def __init__(self, config: Config) -> None:
        super().__init__()
        pixels = config.channels * config.image_size**2
        self.net = nn.Sequential(
            nn.Conv2d(map_width(config), 8, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * config.latent_side**2, 128),
            nn.ReLU(),
            nn.Linear(128, 2),
        )
        self.norm = nn.BatchNorm1d(2, affine=False)
        self.decoder = nn.Sequential(
            nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, pixels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        code = self.norm(self.net(maps.detach().flatten(0, 1)))
        return code.unflatten(0, maps.shape[:2])

    def loss(self, code: Tensor, epsilon: Tensor, x: Tensor) -> Tensor:
        """-ln p(x | code + noise), [B, T], nats: trains the code, and is no part of the bound. epsilon [B, T, 2]."""
        logits = self.decoder(code + self.noise * epsilon)
        return F.binary_cross_entropy_with_logits(logits, x.flatten(2), reduction="none").sum(-1)


def assigned(at: Tensor, places: Tensor, extra: Tensor | None = None) -> Tensor:
    """The place of each image, so that the sum of squared distances is least: at [B, T, 2], places [N, 2] -> [B, T].

    No place is given twice before all are given once: a second round costs more than any distance. extra: what a place
    costs an image beside the distance, [B, T, N].
    """
    from scipy.optimize import linear_sum_assignment

    if at.is_meta:  # numbers that are only counted
        return torch.zeros(at.shape[:2], dtype=torch.long, device="meta")
    rounds = -(-at.shape[1] // len(places))
    cost = torch.cdist(at, places.expand(len(at), -1, -1)).square()  # [B, T, N]
    cost = (cost if extra is None else cost + extra).repeat(1, 1, rounds)  # [B, T, N * rounds]
    cost = cost + 100.0 * torch.arange(cost.shape[-1], device=at.device).div(len(places), rounding_mode="floor")
    cells = [torch.from_numpy(linear_sum_assignment(c)[1]) for c in cost.detach().cpu().numpy()]
    return torch.stack(cells).to(at.device) % len(places)


def make_keys(config: Config) -> nn.Module:
    """The key model of `config.keys`."""
    if config.keys == "allocated":
        return AllocatedKeys(config)
    return SlotKeys(config) if config.keys == "slots" else ContentKeys(config)
