"""What a model lets in: images, memories and keys of its own shapes, on its device; a ValueError for the rest."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .inputs import check_images, check_tensor
from .likelihood import likelihood_of


def images_of(model: nn.Module, name: str, x: Any, grey: bool = False, like: Tensor | None = None) -> Tensor:
    """Images [B, T, C, H, W] for a model, or those of the shape of `like`: what its likelihood scores, or, where `grey`
    is allowed, any in [0, 1]; see `inputs.check_images`."""
    c, at = model.config, next(model.parameters())
    b, t = ("B", "T") if like is None else like.shape[:2]
    values = "grey" if grey else likelihood_of(c).values
    return check_images(name, x, (b, t, c.channels, c.image_size, c.image_size), at.device, at.dtype, values)


def memory_of(model: nn.Module, memory: Any, episodes: int | None = None) -> Tensor:
    """Memories [B, 3, S, S] for a model, one per episode where their number is given; see `inputs.check_tensor`."""
    c, at, b = model.config, next(model.parameters()), "B" if episodes is None else episodes
    shape = (b, c.memory_channels, c.memory_size, c.memory_size)
    return check_tensor("memory", memory, shape, at.device, at.dtype)


def keys_of(model: nn.Module, name: str, y: Any, episodes: int) -> Tensor:
    """Keys [B, T, K, 3] for as many episodes; see `inputs.check_tensor`."""
    at = next(model.parameters())
    return check_tensor(name, y, (episodes, "T", model.config.reads, 3), at.device, at.dtype)
