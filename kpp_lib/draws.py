"""Random draws with a generator, whole or, where several processes share a batch, the rows of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """What process `rank` of `size` draws with: the noise of the whole batch, of which it keeps its rows.

    So the noise of an episode is the same whichever process computes it, and one process and eight do the same run.
    """

    generator: torch.Generator
    rank: int
    size: int

    @property
    def device(self) -> torch.device:
        """Where the draws are made."""
        return self.generator.device


def draw(
    law: Callable[..., Tensor], shape: tuple[int, ...], generator: torch.Generator | Share | None = None, **how: Any
) -> Tensor:
    """`law` (torch.rand, torch.randn) of `shape` [B, ...] on the generator's own device; of a Share, its rows of B."""
    if isinstance(generator, Share):
        rows, start = shape[0], generator.rank * shape[0]
        return draw(law, (rows * generator.size, *shape[1:]), generator.generator, **how)[start : start + rows]
    if generator is not None:
        how["device"] = generator.device
    return law(shape, generator=generator, **how)
