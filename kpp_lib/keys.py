"""The keys: q(Y|X) from the embeddings, and the squash from a key to a window of the memory (eq. 6, Appendix A)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from .bound import gaussian
from .config import Config
from .layers import dense


def squash(y: Tensor, kind: str = "tanh", window: float = 0.25) -> Tensor:
    """Key [..., 3] -> window (s, x, y) [..., 3] in the frame of the memory.

    Keys are Gaussian, but the paper bounds {s, x, y} to [-1, 1] (Appendix A) and does not say how. Raw N(0, 1) keys
    would read 60 % of their grid outside the memory.
      none      as it is
      tanh      all three through tanh: closest to the text; s < 0 mirrors the block, and windows can leave the frame
      clip      y / 3, clipped to [-1, 1]
      in_frame  s = sigmoid, centre = tanh * (1 - s): the window lies inside the memory whatever the key
      fixed     s = `window` always, centre = tanh * (1 - s); the first number of the key is then not used
    """
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
    elif kind == "fixed":
        half = torch.full_like(s, window)
    else:
        raise ValueError(f"kind: got {kind!r}, expected one of tanh, in_frame, fixed, clip, none")
    return torch.cat([half, torch.tanh(centre) * (1 - half)], dim=-1)


class KeyModel(nn.Module):
    """f_key: e [B, T, F] -> q(y_t | X), K keys of 3 numbers each; batch shape [B, T], event shape [K, 3].

    keys="content"     means and log-variances from a dense net on e_t (the paper)
    keys="content_bn"  means batch-normalised over the images, so that all keys together keep the spread of p(Y)
                       and cannot collapse onto one point (after Zhu et al., ACL 2020); ours
    keys="slots"       means start from a table over positions t, plus an offset from e_t that starts at zero; ours
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.net = dense(config.embed, 6 * config.reads, config.dense_width, config.dense_layers, config.spectral_norm)
        if config.keys == "content_bn":
            self.norm = nn.BatchNorm1d(3 * config.reads, affine=False)
        if config.keys == "slots":
            self.table = nn.Parameter(slot_table(config.length, config.reads))
            nn.init.zeros_(self.net[-1].weight)
            nn.init.zeros_(self.net[-1].bias)

    def forward(self, e: Tensor) -> Independent:
        c = self.config
        mean, log_var = self.net(e).chunk(2, dim=-1)  # [B, T, 3K] each
        if c.keys == "content_bn":
            mean = c.key_spread * self.norm(mean.flatten(0, 1)).view_as(mean)
        mean, log_var = (v.unflatten(-1, (c.reads, 3)) for v in (mean, log_var))  # [B, T, K, 3]
        if c.keys == "slots":
            mean = mean + self._positions(e.shape[1])
        return gaussian(mean, log_var + c.key_log_var, c.key_log_var_range, event_dims=2)

    def _positions(self, length: int) -> Tensor:
        if length > len(self.table):
            raise ValueError(
                f"x: got an episode of {length} images, expected at most {len(self.table)}, the positions in "
                "the table of keys='slots'"
            )
        return self.table[:length]


def slot_table(length: int, reads: int) -> Tensor:
    """Start of the slot means, [T, K, 3]: the cells of a square grid over the frame, before the tanh of the squash."""
    side = math.ceil(math.sqrt(length))
    ticks = torch.atanh(torch.linspace(-0.95, 0.95, side)) if side > 1 else torch.zeros(1)
    cells = torch.stack([torch.zeros(side * side), ticks.repeat(side), ticks.repeat_interleave(side)], dim=-1)
    return cells[:length, None].repeat(1, reads, 1)
