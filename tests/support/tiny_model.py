"""A tiny model and tiny binary data for the tests of model, training and evaluation."""

import torch

from kpp_lib import Config, Images, ImageSet, KanervaPlusPlus, seeded
from kpp_lib.config import RECIPES

ALL_RECIPES = [name for name in RECIPES if name != "vae"]  # those with a memory


def tiny(recipe="allocated", **overrides):
    """The tiny preset, in eval mode, with seeded weights."""
    torch.manual_seed(0)
    return KanervaPlusPlus(Config.preset("tiny", recipe, **overrides)).eval()


def bars(n, seed=0):
    """n binary 28 x 28 images of a random bright square on black: easy to learn."""
    g = seeded(seed)
    images = torch.zeros(n, 1, 28, 28, dtype=torch.uint8)
    for image, (top, left) in zip(images, torch.randint(0, 16, (n, 2), generator=g).tolist(), strict=True):
        image[:, top : top + 10, left : left + 10] = 1
    return Images(images, None, binary=True)


def bar_set():
    """An ImageSet of `bars`."""
    return ImageSet(name="bars", train=bars(96), valid=bars(16, 1), test=bars(22, 2), source="made", binarize="fixed",
                    bits="made", note="")  # fmt: skip


def episodes(b=2, t=4, seed=3):
    """[b, t, 1, 28, 28] of `bars`."""
    return bars(b * t, seed).pixels.float().view(b, t, 1, 28, 28)
