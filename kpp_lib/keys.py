"""The keys: q(Y|X) from the embeddings, and the squash from a key to a window of the memory (eq. 6, Appendix A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent

from .bound import gaussian, normal, rows
from .config import Config, cells_for
from .inputs import check_choice, check_number, check_tensor
from .layers import dense

SQUASHES = ("tanh", "in_frame", "fixed", "centre", "cells", "clip", "none")
FIXED = ("fixed", "centre", "cells")  # those whose windows are all of one width


def squash(y: Tensor, kind: str = "tanh", window: float = 0.25) -> Tensor:
    """Key [..., 3] -> window (s, x, y) [..., 3] in the frame of the memory.

    Keys are Gaussian, but the paper bounds {s, x, y} to [-1, 1] (Appendix A) and does not say how. Raw N(0, 1) keys
    would read 60 % of their grid outside the memory.
      none      as it is
      tanh      all three through tanh: closest to the text; s < 0 mirrors the block, and windows can leave the frame
      clip      y / 3, clipped to [-1, 1]
      in_frame  s = sigmoid, centre = tanh * (1 - s): the window lies inside the memory whatever the key
      fixed     s = `window` always, centre = tanh * (1 - s); the first number of the key is then not used
      centre    s = `window` always, centre = tanh: the centre lies in the memory, the rim of the window may not
      cells     the one of 1 / `window` x 1 / `window` cells of the memory that the tanh lies in; no gradient to y

    Raises ValueError for keys that are no finite numbers [..., 3], an unknown kind, or a window outside (0, 1].
    """
    y = check_tensor("y", y, ("...", 3))
    return squash_unchecked(y, check_choice("kind", kind, SQUASHES), check_number("window", window, above=0, most=1))


def squash_unchecked(y: Tensor, kind: str, window: float) -> Tensor:
    """`squash` for the inside of a training step, where a look at the values would wait for a GPU."""
    s, centre = y[..., :1], y[..., 1:]
    if kind == "none":
        return y
    if kind == "tanh":
        return torch.tanh(y)
    if kind == "clip":
        return (y / 3).clamp(-1, 1)
    if kind == "in_frame":
        # from 0.05: a window of no width cannot be written to
        half = 0.05 + 0.9 * torch.sigmoid(s)
    else:  # fixed, centre, cells
        half = torch.full_like(s, window)
    if kind == "cells":
        side = round(1 / window)
        number = ((torch.tanh(centre) + 1) / 2 * side).floor().clamp(max=side - 1)
        return torch.cat([half, (2 * number + 1) / side - 1], dim=-1)
    return torch.cat([half, torch.tanh(centre) * (1.0 if kind == "centre" else 1 - half)], dim=-1)


class ContentKeys(nn.Module):
    """f_key: e [B, T, F] -> q(y_t | X) from what the image is; batch shape [B, T], event shape [K, 3].

    keys="content"     means and log-variances from a dense net on e_t (the paper)
    keys="content_bn"  means batch-normalised over the images, so that all keys together keep the spread of p(Y)
                       and cannot collapse onto one point (after Zhu et al., ACL 2020); ours
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.net = dense(config.embed, 6 * config.reads, config.dense_width, config.dense_layers, config.spectral_norm)
        if config.keys == "content_bn":
            self.norm = nn.BatchNorm1d(3 * config.reads, affine=False)

    def forward(self, e: Tensor) -> Independent:
        c = self.config
        mean, log_var = self.net(e).chunk(2, dim=-1)  # [B, T, 3K] each
        if c.keys == "content_bn":
            mean = c.key_spread * self.norm(mean.flatten(0, 1)).view_as(mean)
        mean, log_var = (v.unflatten(-1, (c.reads, 3)) for v in (mean, log_var))  # [B, T, K, 3]
        return key_posterior(mean, log_var, c)


class SlotKeys(nn.Module):
    """q(y_t) from where the image stands in the episode: a learned table of T means and log-variances; ours.

    Image t is written to and read from slot t: a random-access memory. In an episode of more images than slots, image t
    shares slot t mod T with others; their blocks are averaged.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        cells = cell_keys(cell_places(cells_for(config.length), torch.empty(0)), config.reads)
        self.table = nn.Parameter(cells[: config.length].clone())  # [T, K, 3]
        self.log_var = nn.Parameter(torch.zeros_like(self.table))

    def slots(self) -> Independent:
        """q(y) of every slot, batch shape [T]."""
        return key_posterior(self.table, self.log_var, self.config)

    def forward(self, e: Tensor) -> Independent:
        slot = torch.arange(e.shape[1], device=e.device) % len(self.table)
        return self.at(slot.expand(e.shape[:2]))

    def at(self, slot: Tensor) -> Independent:
        """q(y) of the slots numbered `slot`, of any shape."""
        q = self.slots()
        return rows(q, slot)


def key_posterior(mean: Tensor, log_var: Tensor, config: Config) -> Independent:
    """N(mean, exp(log_var + key_log_var)), [..., K, 3]; a number that the squash does not use is left at p(Y), free."""
    q = gaussian(mean, log_var + config.key_log_var, config.key_log_var_range, event_dims=2)
    if config.squash not in FIXED:
        return q
    unused = torch.arange(3, device=mean.device) == 0  # s of (s, x, y); made on the device: copied, it would wait
    return normal(q.mean.masked_fill(unused, 0.0), q.stddev.masked_fill(unused, 1.0), 2)


def cell_places(side: int, like: Tensor) -> Tensor:
    """Centre of each cell of a grid that fills the memory, (x, y) in [-1, 1], row by row: [side * side, 2]."""
    ticks = (2 * torch.arange(side, device=like.device) + 1) / side - 1
    return torch.stack([ticks.repeat(side), ticks.repeat_interleave(side)], -1).to(like.dtype)


def cell_keys(places: Tensor, reads: int) -> Tensor:
    """Keys whose windows stand at places [N, 2] under squash="centre", the K of one image at one place: [N, K, 3]."""
    return F.pad(torch.atanh(places), (1, 0)).unsqueeze(1).expand(-1, reads, -1)
