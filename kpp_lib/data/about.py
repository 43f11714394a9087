"""`kpp data NAME`: what a data set is, where it comes from, whose it is, and a sheet of its images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .bits import SPLITS
from .episodes import seeded
from .images import Images, ImageSet

SOURCES = {  # who made it, and on which terms it is given
    "mnist": (
        "LeCun, Cortes and Burges, 1998; bits: Larochelle and Murray, 2011",
        "commonly given as CC BY-SA 3.0; for the bits none is stated",
    ),
    "fashion_mnist": ("Xiao, Rasul and Vollgraf, 2017, zalandoresearch/fashion-mnist", "MIT"),
    "omniglot": ("Lake, Salakhutdinov and Tenenbaum, 2015, brendenlake/omniglot", "MIT"),
    "omniglot28": (
        "Lake, Salakhutdinov and Tenenbaum, 2015, at 28x28 by Burda, Grosse and Salakhutdinov, 2016",
        "MIT for the drawings; for this release none is stated",
    ),
    "cifar10": ("Krizhevsky, 2009, from 80 Million Tiny Images", "none stated; cite the report"),
    "mazes": ("rendered here, by kpp_lib.data.mazes", "that of this package"),
}
OWN = ("your own files", "yours to know")
SIDE = 10  # images along each side of a sheet
GAP = 2  # pixels between them


def about(data: ImageSet) -> str:
    """Lines on a data set: counts and digest, pixels, classes, entropy floor, source and licence."""
    _, channels, high, wide = data.train.pixels.shape
    rows = {"pixels": f"{high}x{wide}, {channels} channel{'s' * (channels > 1)}; mean {_means(data)}"}
    if data.train.labels is not None:
        rows["classes"] = ", ".join(f"{split} {_classes(getattr(data, split))}" for split in SPLITS)
    if data.train.walks is not None:
        rows["walks"] = ", ".join(f"{split} {len(getattr(data, split).walks.unique()):,}" for split in SPLITS)
    if not data.test.binary and channels == 1:
        rows["floor"] = (
            f"{entropy(data.test.pixels):.2f} nats/image: entropy of bits drawn from the grey test images. No total is "
            "lower of a model that has not seen the draw, or that is scored on grey as probabilities"
        )
    rows["source"], rows["licence"] = SOURCES.get(data.name, OWN)
    return "\n".join([data.describe(), *(f"{name:8s} {text}" for name, text in rows.items())])


def _means(data: ImageSet) -> str:
    top = 1 if data.test.binary else 255
    return ", ".join(f"{split} {getattr(data, split).pixels.double().mean() / top:.4f}" for split in SPLITS)


def _classes(images: Images) -> str:
    return "unknown" if images.labels is None else f"{len(images.labels.unique()):,}"


def entropy(grey: Tensor) -> float:
    """Mean entropy of a Bernoulli draw with p = grey / 255 of each pixel: uint8 [N, C, H, W] -> nats/image."""
    p = torch.arange(256, dtype=torch.float64) / 255
    of_grey = -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p))  # [256]
    counts = torch.bincount(grey.flatten(), minlength=256).double()
    return float(counts @ of_grey) / len(grey)


def sheet(images: Images, seed: int = 0) -> Tensor:
    """Up to 100 images drawn with `seed`, side by side: uint8 [C, H, W]. Of walks, the first images of some of them, a
    row each."""
    generator = seeded(seed)
    if images.walks is None:
        rows = torch.randperm(len(images), generator=generator)[: SIDE**2]
    else:
        _, lengths = images.walks.unique_consecutive(return_counts=True)
        starts = lengths.cumsum(0) - lengths
        chosen = starts[lengths >= SIDE]
        chosen = chosen[torch.randperm(len(chosen), generator=generator)[:SIDE]]
        rows = (chosen[:, None] + torch.arange(SIDE)).flatten()
    x = images.pixels[rows] * (255 if images.binary else 1)  # [n, C, H, W]
    x = torch.cat([x, x.new_full((-len(x) % SIDE, *x.shape[1:]), 255)])
    x = torch.nn.functional.pad(x, (0, GAP, 0, GAP), value=255)
    return x.unflatten(0, (-1, SIDE)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)[:, :-GAP, :-GAP]


def write_sheet(images: Images, file: Path) -> None:
    """The sheet as a PNG file; folders around it are made."""
    from PIL import Image  # comes with torchvision

    pixels = sheet(images).permute(1, 2, 0).numpy()  # [H, W, C]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
