"""The door of `fit`: what is wrong with a run is said before it starts, and before anything is on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..config import Config
from ..data.bits import SPLITS
from ..data.episodes import Episodes
from ..data.images import Images, ImageSet
from ..inputs import Words, check_count, check_flag, check_kind, wrong
from ..likelihood import scores_bits
from .distributed import World


def check_scored(name: str, images: Images, config: Config, where: str = "") -> None:
    """ValueError, with what to set, unless the pixels of a split are such as the config's likelihood scores."""
    bits = images.binary or images.redraw
    if bits and not scores_bits(config):
        expected = "grey ones with likelihood='logistic_mixture': binarize='none'; or likelihood='bernoulli'"
        raise wrong(name, Words(f"binary images{where}"), expected)
    if not bits and scores_bits(config):
        expected = "binary ones with likelihood='bernoulli': binarize='fixed' or 'dynamic'; or likelihood="
        raise wrong(name, Words(f"grey images{where}"), f"{expected}'logistic_mixture'")


def check_run(config: Any, data: Any, out: Any, counts: dict[str, Any], flags: dict[str, Any]) -> Path:
    """`out` as a Path; ValueError where an argument of `fit` is not what it must be, or the data do not fit the config.

    counts and flags: arguments by name that are whole numbers of at least 1, or True or False.
    """
    check_kind("config", config, Config, "a Config, such as Config.preset('cpu')")
    check_kind("data", data, ImageSet, "an ImageSet of train, valid and test, such as kpp.load_dataset('mnist')")
    check_kind("out", out, (str, os.PathLike), "the path of a folder")
    for name, value in counts.items():
        check_count(name, value)
    for name, value in flags.items():
        check_flag(name, value)
    size, given = [config.channels, config.image_size, config.image_size], list(data.train.pixels.shape[1:])
    if given != size:
        those = f"a config with channels={given[0]} and image_size={given[2]}"
        raise wrong("data", Words(f"images of {given}"), f"{size}, as the config says, or {those}")
    for split in SPLITS[:2]:
        check_scored("data", getattr(data, split), config, f" in {split}")
    fits = min(len(getattr(data, split)) for split in SPLITS) // 2
    if fits < config.length:
        counts = Words(", ".join(f"{len(getattr(data, split))} {split} images" for split in SPLITS))
        most = f"; length={fits} is the most that fits" if fits else ""
        raise wrong("data", counts, f"two episodes of T = {config.length} in each{most}")
    if config.lengths == "mixed" and World.now().size > 1:  # an episode may be all images of a step
        raise wrong("lengths", config.lengths, "'fixed' or 'growing' with several processes, which share episodes out")
    for split in SPLITS:
        Episodes(getattr(data, split), config.length)  # says so where T is longer than a split's walks
    if not len(Episodes(data.train, config.length, config.episodes)):
        expected = f"at least {config.episodes} episodes of {config.length}; set fewer episodes or a smaller length"
        raise wrong("data", Words(f"{len(data.train)} training images"), expected)
    return Path(out)
