"""Does a picture show something of the kind that was learned? Two witnesses, trained on labelled real images.

A small classifier is sure of nearly everything, noise included; so its word counts only where the nearest real image
says the same.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.episodes import seeded
from ..data.images import Images
from ..inputs import Words, check_count, check_images, check_kind, check_seed, wrong

SURE = 0.9  # probability from which the classifier is called sure
REAL = 2000  # labelled images among which the nearest is looked for


class Judge:
    """Says which pictures are recognised: a sure classifier and the nearest real image name the same class."""

    @torch.enable_grad()
    def __init__(self, images: Images, steps: int = 600, seed: int = 0) -> None:
        """Train on a labelled split, `steps` steps of 128 images. Raises ValueError for a split without labels."""
        check_kind("images", images, Images, "a labelled split, such as kpp.load_dataset('mnist', 'dynamic').train")
        if images.labels is None or len(images) < 2:
            raise wrong("images", Words("no labels"), "a split of at least two images with labels")
        steps, generator = check_count("steps", steps), seeded(check_seed("seed", seed))
        classes, labels = images.labels.unique(return_inverse=True)
        rest = torch.randperm(len(images), generator=generator)
        nearest, rest = rest[:REAL], rest[REAL:] if len(rest) > REAL + 128 else rest
        self.real, self.labels = bits_of(images, nearest, generator).flatten(1), labels[nearest]
        self.shape = tuple(images.pixels.shape[1:])
        self.net = classifier(self.shape, len(classes), seed)
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=2e-3)
        for _ in range(steps):
            index = rest[torch.randint(len(rest), (128,), generator=generator)]
            loss = F.cross_entropy(self.net(bits_of(images, index, generator)), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.net.eval()

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [N, C, H, W] in [0, 1], seen as bits (above 0.5) -> recognised, bool [N], and the distance to the
        nearest real image, share of the bits, [N]."""
        pictures = check_images("pictures", pictures, ("N", *self.shape), values="grey")
        bits = (pictures.to(self.real.device) > 0.5).float()
        far, at = torch.cdist(bits.flatten(1), self.real, p=1).min(-1)
        sure, named = self.net(bits).softmax(-1).max(-1)
        return ((sure >= SURE) & (named == self.labels[at])).to(pictures.device), (far / bits[0].numel()).to(
            pictures.device
        )


def bits_of(images: Images, index: Tensor, generator: torch.Generator) -> Tensor:
    """Images of a split as bits, grey ones above one half: [n, C, H, W]."""
    return (images.draw(index, generator) > 0.5).float()


def classifier(shape: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """Two convolutions and a linear layer, with seeded weights: [N, C, H, W] -> logits [N, classes]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(shape[0], 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * (shape[1] // 4) * (shape[2] // 4), classes),
        )  # fmt: skip
