"""Grey images -> bits: drawn once, drawn anew at every access, or cut at one half."""

from __future__ import annotations

from typing import Any

import torch

from .sources import HALF, Labelled

SPLITS = ("train", "valid", "test")


def binarized(
    grey: dict[str, Labelled],
    binarize: str,
    seed: int,
    threshold: bool = False,
    fixed: dict[str, Labelled] | None = None,
    redrawn: Labelled | None = None,
) -> tuple[dict[str, dict[str, Any]], str]:
    """The fields of each split's `Images`, and the name of the bits.

    threshold: "fixed" bits are a threshold, not a draw. fixed: bits that were released. redrawn: what "dynamic" trains
    on, where it is not `grey["train"]`.
    """
    if binarize == "none":
        return _fields(grey, binary=False), "grey"
    if binarize == "threshold" or (threshold and fixed is None):
        fixed, bits = {split: at_half(grey[split]) for split in SPLITS}, "threshold 0.5"
    elif fixed is not None:
        bits = "released"
    else:
        fixed, bits = _drawn(grey, seed), f"seeded draw {seed}"
    splits = _fields(fixed, binary=True)
    if binarize == "dynamic":
        train = grey["train"] if redrawn is None else redrawn
        fields = _fields({"train": train}, binary=False)["train"]
        splits["train"] = fields | {"redraw": True, "drawings": train.drawings}
        bits += "; train redrawn"
    return splits, bits


def _fields(splits: dict[str, Labelled], binary: bool) -> dict[str, dict[str, Any]]:
    return {name: {"pixels": s.pixels, "labels": s.labels, "binary": binary} for name, s in splits.items()}


def at_half(images: Labelled) -> Labelled:
    """Grey -> bits: 1 where grey is above one half."""
    return Labelled((images.pixels > HALF).to(torch.uint8), images.labels)


def _drawn(grey: dict[str, Labelled], seed: int) -> dict[str, Labelled]:
    # A generator per split: the test bits depend on the seed and the test images alone.
    return {
        split: Labelled(bernoulli(grey[split].pixels, stream(seed, number)).to(torch.uint8), grey[split].labels)
        for number, split in enumerate(SPLITS)
    }


def stream(seed: int, number: int) -> torch.Generator:
    """A generator of a seed: streams 0 to 2 draw the bits of the splits, 3 shuffles."""
    return torch.Generator().manual_seed((4 * seed + number) % 2**63)


def bernoulli(grey: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bits, bool, with p = grey / 255. rand lies in [0, 1): grey 0 is never ink, grey 255 always."""
    return torch.rand(grey.shape, generator=generator, device=generator.device).to(grey.device) * 255 < grey
