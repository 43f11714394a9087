"""The memory as a heap: one image more, one image gone, is this one there? Figure 1's malloc and free.

Cells do not overlap, and empty memory is zero: which cells are taken can be seen, and nothing else moves.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .allocate import assigned, in_plane
from .doors import images_of, keys_of, memory_of
from .inputs import Words, wrong
from .keys import squash_unchecked
from .likelihood import scores_bits


class Located(NamedTuple):
    """Where images were found, and how surely."""

    keys: Tensor  # [B, T, K, 3]: what to read with
    cell: Tensor  # [B, T], numbers of cells, row by row
    # [B, T], nats: ln p of the image as a noisy copy of what the cell holds, above its ln p as one like all held ones
    margin: Tensor
    p_value: Tensor  # [B, T]: how often an image that is not stored has so large a margin


class Heap:
    """The part of `KanervaPlusPlus` that takes images in and out; for keys="allocated", ValueError for others."""

    def add(self, memory: Tensor, x: Tensor) -> Tensor:
        """`memory` [B, 3, S, S] with the images x [B, N, C, H, W] in its free cells nearest to their codes.

        What is stored already is neither encoded again nor changed. Raises ValueError where fewer than N cells are
        free, beside what `write` raises.
        """
        memory, x = self._heap(memory), images_of(self, "x", x)
        memory, taken = memory_of(self, memory, len(x)), self.taken(memory)
        most = int((~taken).sum(1).min())
        if x.shape[1] > most:
            raise wrong("x", Words(f"{x.shape[1]} images"), f"at most {most}: so many cells are free in each memory")
        posterior, keys = self._encode(x), self.key_model
        full = 100.0 * taken[:, None].expand(-1, x.shape[1], -1)  # dearer than any distance
        place = keys.at(assigned(in_plane(posterior.code), keys.places, full)).mean
        return memory + self._write(x, posterior._replace(place=place))

    def free(self, memory: Tensor, key: Tensor) -> Tensor:
        """`memory` [B, 3, S, S] without what the cells hold that keys [B, N, K, 3] point at; all else stays."""
        memory = self._heap(memory)
        at = squash_unchecked(keys_of(self, "key", key, len(memory))[:, :, 0], self.config.squash, self.config.window)
        cell = torch.cdist(at[..., 1:], self.key_model.places.expand(len(memory), -1, -1)).argmin(-1)  # [B, N]
        emptied = torch.zeros(len(memory), len(self.key_model.places), dtype=torch.bool, device=memory.device)
        return memory.masked_fill(emptied.scatter(1, cell, True)[:, self._cell_of_pixel()][:, None], 0.0)

    def taken(self, memory: Tensor) -> Tensor:
        """Which cells hold an image: [B, 3, S, S] -> [B, N], bool, row by row."""
        memory, cells = self._heap(memory), len(self.key_model.places)
        ink = (memory != 0).any(1).flatten(1).float()  # [B, S*S]
        pixels = ink.new_zeros(len(memory), cells).index_add_(1, self._cell_of_pixel().flatten(), ink)
        return pixels > 0

    @torch.no_grad()
    def locate(self, x: Tensor, memory: Tensor) -> Located:
        """Where the images x [B, T, C, H, W], binary or grey, are in `memory` [B, 3, S, S], and how surely.

        The p-value is calibrated on the memory itself (after conformal prediction; Vovk et al., 2005): the share of its
        pictures that, looked for among the others, have a margin as large as x has among the same others; x counts as
        one. For images of one kind a verdict "stored" at p <= a is wrong for about a share a of those that are not.
        With n images stored p is at least 1 / (n + 1), and mostly 2 / (n + 1) for a clean copy, which ties with its
        own picture. A noisy cue has a smaller margin, so a larger p.
        """
        x = images_of(self, "x", x, grey=True)
        memory = memory_of(self, self._heap(memory), len(x))
        held, taken = self.slot_pictures(memory), self.taken(memory)
        cell, margin = self._margins(x, held[:, None], self._filled(memory)[:, None])
        like_x = held.round() if scores_bits(self.config) else held  # images as they would come
        absent = self._margins_without(like_x, held, taken).diagonal(dim1=1, dim2=2)  # [B, N]
        as_large = (absent[:, None] >= self._margins_without(x, held, taken)) & taken[:, None]  # [B, T, N]
        p_value = (1 + as_large.sum(-1)) / (1 + taken.sum(1, keepdim=True))
        return Located(self.key_model.at(cell).mean, cell, margin, p_value)

    def _margins_without(self, x: Tensor, held: Tensor, taken: Tensor) -> Tensor:
        """Margin of each x among the pictures held [B, N, C, H, W] but one, for each: [B, T, N]; -inf for none."""
        match = self._match(x, held[:, None]).masked_fill(~taken[:, None], -torch.inf)  # [B, T, N]
        best, second = F.pad(match, (0, 1), value=-torch.inf).topk(2, dim=-1).values.unbind(-1)
        at = match.argmax(-1, keepdim=True)
        without = best[..., None].expand_as(match).scatter(-1, at, second[..., None])
        some = taken.to(held)[..., None, None, None]
        others = (some.sum(1, keepdim=True) - some).clamp(min=1)
        like_others = (((some * held).sum(1, keepdim=True) - some * held) / others).clamp(0, 1)
        return without - self._match(x, like_others[:, None])

    def _filled(self, memory: Tensor) -> Tensor:
        """The cells to search, [B, N]: those that hold an image; in an empty memory all, which are alike."""
        taken = self.taken(memory)
        return taken | ~taken.any(1, keepdim=True)

    def _cell_of_pixel(self) -> Tensor:
        """The number of the cell that each pixel of a memory belongs to: [S, S]."""
        size, side, device = self.config.memory_size, self.key_model.side, self.key_model.log_var.device
        ticks = ((torch.arange(size, device=device) + 0.5) * side / size).long()
        return ticks[:, None] * side + ticks

    def _heap(self, memory: Tensor) -> Tensor:
        if self.config.keys != "allocated":
            raise wrong("keys", self.config.keys, "a model with keys='allocated': others have no cells to free")
        return memory_of(self, memory)
