"""Key space: what the memory gives at one key, at many, and the key that lands on a given window.

Two frames. A *key* y = (scale, x, y) is Gaussian and unbounded; p(Y) = N(0, I) lives here. A *window* (s, x, y) is what
the squash makes of it, in the frame of the memory (`memory.py`). Distances and densities differ between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bound import gaussian
from ..doors import memory_of
from ..inputs import check_choice, check_count, check_kind, check_number, check_tensor, wrong
from ..keys import SQUASHES, squash
from ..memory import read_blocks
from ..model import KanervaPlusPlus


@dataclass(frozen=True)
class KeyView:
    """One read of a memory, part by part."""

    key: Tensor  # [K, 3], before the squash
    window: Tensor  # [K, 3], (s, x, y) in the frame of the memory
    blocks: Tensor  # [K, C, g, g], M_hat of eq. 5
    mean: Tensor  # [L], of p(z | M_hat, y)
    std: Tensor  # [L]
    picture: Tensor  # [C, H, W], decoded from that mean
    log_p: float  # ln p(y), nats, all K keys together


@torch.no_grad()
def look(model: KanervaPlusPlus, memory: Tensor, y: Tensor, kind: str | None = None) -> KeyView:
    """Read `memory` [1, C, S, S] at the K keys y [K, 3]: key -> window -> blocks -> prior -> picture (section 3.4).

    kind: another squash than the model's own (`keys.squash`). Raises ValueError for other shapes or an unknown squash.
    """
    c = check_kind("model", model, KanervaPlusPlus, "a model with a memory").config
    y = check_tensor("y", y, (c.reads, 3))
    kind = c.squash if kind is None else check_choice("kind", kind, SQUASHES)
    blocks, mean, std = _read(model, memory, y[None], kind)
    p_y = model.p_y(1, 1)
    return KeyView(
        y,
        squash(y, kind, c.window),
        blocks[0],
        mean[0],
        std[0],
        model.decode(mean[None]).mean[0, 0],
        float(p_y.log_prob(y[None, None].to(p_y.mean))),
    )


def read_and_way(memory: Tensor, window: Tensor, target: Tensor) -> tuple[Tensor, float, Tensor]:
    """A block [C, g, g] of `memory` [1, C, S, S] at `window` [3], its mean squared mismatch with `target` [C, g, g],
    and minus the gradient of that with respect to (s, x, y), [3]: which way the window should go (eq. 9).
    Raises ValueError for other shapes, and for NaN.
    """
    memory = check_tensor("memory", memory, (1, "C", "S", "S"))
    window = check_tensor("window", window, (3,), memory.device, memory.dtype)
    target = check_tensor("target", target, (memory.shape[1], "g", "g"), memory.device, memory.dtype)
    if target.shape[1] != target.shape[2]:
        raise wrong("target", list(target.shape), "a square block, [C, g, g]")
    with torch.enable_grad():
        at = window.detach().clone().requires_grad_()
        block = read_blocks(memory.detach(), at.view(1, 1, 1, 3), target.shape[-1])[0, 0, 0]
        mismatch = (block - target).square().mean()
        (gradient,) = torch.autograd.grad(mismatch, at)
    return block.detach(), mismatch.item(), -gradient


@torch.no_grad()
def pictures(model: KanervaPlusPlus, memory: Tensor, y: Tensor, kind: str | None = None) -> Tensor:
    """What the memory [1, C, S, S] holds at many keys y [N, K, 3]: [N, C, H, W], decoded from the prior's means.

    Raises ValueError as `look` does.
    """
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    at = next(model.parameters())
    y = check_tensor("y", y, ("N", model.config.reads, 3), at.device, at.dtype)
    kind = model.config.squash if kind is None else check_choice("kind", kind, SQUASHES)
    return model.decode(_read(model, memory, y, kind)[1][None]).mean[0]


def _read(model: KanervaPlusPlus, memory: Tensor, y: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Keys [N, K, 3] -> blocks [N, K, C, g, g], mean and standard deviation [N, L] of the prior."""
    c = model.config
    memory = memory_of(model, memory, 1)
    window = squash(y[None], kind, c.window)  # [1, N, K, 3]
    blocks = read_blocks(memory, window, c.block_size, c.read_mode, c.read_padding, c.align_corners)
    p_z = gaussian(*model.prior_net(blocks), c.log_var_range)
    return blocks[0], p_z.mean[0], p_z.stddev[0]


def key_at(window: Tensor, kind: str) -> Tensor:
    """The key [..., 3] whose squash is `window` [..., 3]: the inverse of `keys.squash` for tanh, in_frame, fixed,
    centre and none.

    With "fixed" and "centre" the first number of the key is not determined; 0, the mode of p(Y), is returned.
    Raises ValueError for a window that no key reaches, and for another kind.
    """
    window = check_tensor("window", window, ("...", 3))
    check_choice("kind", kind, ("tanh", "in_frame", "fixed", "centre", "none"))
    s, centre = window[..., :1], window[..., 1:]
    if kind == "none":
        return window.clone()
    if kind == "tanh":
        return _atanh(window, kind)
    if kind == "in_frame":
        first, room = (s - 0.05) / 0.9, 1 - s  # squash: half-width 0.05 + 0.9 sigmoid
        if bool(((first <= 0) | (first >= 1)).any()):
            raise ValueError(
                "window: in_frame reaches half-widths s between 0.05 and 0.95 only, "
                f"got {float(s.min()):g} to {float(s.max()):g}"
            )
        first = torch.logit(first)
    else:  # fixed, centre
        first, room = torch.zeros_like(s), 1 - s if kind == "fixed" else torch.ones_like(s)
    return torch.cat([first, _atanh(centre / room, kind)], dim=-1)


def _atanh(value: Tensor, kind: str) -> Tensor:
    if bool((value.abs() >= 1).any()):
        raise ValueError(
            f"window: no key reaches it with squash {kind!r}; expected a centre inside the frame "
            "(|x|, |y| < 1 - s for fixed and in_frame, < 1 for centre, all three numbers in (-1, 1) for tanh)"
        )
    return torch.atanh(value)


def plane(y: Tensor, head: int, centres: Tensor, kind: str, window: float) -> Tensor:
    """Keys [N, K, 3]: the K keys y [K, 3] with the one of `head` (from 0) moved to window centres [N, 2] of half-width
    `window`. Raises ValueError for another head, and for a window that no key reaches.
    """
    y = check_tensor("y", y, ("K", 3))
    centres = check_tensor("centres", centres, ("N", 2), dtype=y.dtype)  # 1e300 is no float32
    head, window = check_count("head", head, least=0, most=len(y) - 1), check_number("window", window)
    moved = y.repeat(len(centres), 1, 1)
    moved[:, head] = key_at(torch.cat([torch.full_like(centres[:, :1], window), centres], dim=-1), kind)
    return moved


def mesh(n: int, reach: float) -> Tensor:
    """n x n points of a square grid over [-reach, reach]^2, row by row from the top left: [n*n, 2] as (x, y).

    Raises ValueError for fewer than 2 points a side, and a reach that is not above 0.
    """
    n, reach = check_count("n", n, least=2), check_number("reach", reach, above=0)
    ticks = torch.linspace(-reach, reach, n)
    return torch.stack([ticks.repeat(n), ticks.repeat_interleave(n)], dim=-1)
