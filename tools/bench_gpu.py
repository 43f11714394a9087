"""Training and evaluation on a GPU, by `fit` and `evaluate`: images/s, MFU, minutes for 500 epochs, switches."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from bench_rows import Row, row
from bench_step import IMAGES

import kpp_lib as kpp
from kpp_lib import Config, Images, ImageSet
from kpp_lib.training.device import SWITCHES, Speed
from kpp_lib.training.fit import new_model

GOAL_MINUTES, GOAL_EVALUATION = 3.0, 60.0


def made(n: int) -> ImageSet:
    """A grey set of MNIST's size, drawn anew at every access as MNIST's is: speed does not depend on what it shows."""
    grey = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = Images(grey, None, binary=False, redraw=True)
    bits = Images((grey[: max(64, n // 5)] > 127).to(torch.uint8), None, binary=True)
    return ImageSet(name="made", train=train, valid=bits, test=bits, source="made", binarize="dynamic",
                    bits="made", note="")  # fmt: skip


@contextlib.contextmanager
def asked(text: str) -> Iterator[None]:
    """KPP_SPEED for what is inside."""
    before = os.environ.get("KPP_SPEED")
    os.environ["KPP_SPEED"] = text
    try:
        yield
    finally:
        os.environ.pop("KPP_SPEED") if before is None else os.environ.update(KPP_SPEED=before)


def stretch(
    config: Config, data: ImageSet, device: str, every: int, count: int, warm: int = 3
) -> list[dict[str, float]]:
    """What `fit` reports of its speed, `count` times over `every` steps each, after `warm` times as many."""
    told: list[dict[str, float]] = []

    def on_log(step: int, split: str, numbers: dict[str, float]) -> None:
        if split == "train":
            told.append(numbers)

    with tempfile.TemporaryDirectory() as out:
        steps = every * (warm + count)
        options = dict(device=device, log_every=every, eval_every=steps, quiet=True, on_log=on_log)
        kpp.fit(config.replace(steps=steps), data, Path(out) / "run", **options)
    return told[warm:]


def rates(config: Config, *measured: Any) -> list[float]:
    """Images/s of a `stretch`."""
    return [numbers["images_per_second"] for numbers in stretch(config, *measured)]


def training(device: str, config: Config, data: ImageSet, every: int, count: int, compile: bool) -> list[Row]:
    """Images/s, share of the card's peak, and the time of all its steps, from a measured stretch."""
    with asked(f"compile={'on' if compile else 'off'}"):
        told = stretch(config, data, device, every, count)
    batch = config.episodes * config.length
    what = f"{config.preset_name}/{config.recipe_name}{', compiled' * compile}"
    speeds = [numbers["images_per_second"] for numbers in told]
    rows = [row("gpu", f"{what}, {batch} images a step", speeds, "images/s")]
    if "mfu" in told[0]:
        rows.append(row("gpu", f"{what}, MFU", [100 * numbers["mfu"] for numbers in told], "%"))
    minutes = [config.steps * batch / speed / 60 for speed in speeds]
    name = f"{what}, {config.steps} steps, extrapolated from {every * count}"  # 500 epochs of MNIST for preset paper
    goal = GOAL_MINUTES if config.preset_name == "paper" else None
    return [*rows, row("gpu", name, minutes, "minutes", goal)]


def evaluation(device: str, config: Config, images: int, of: int = 10_000) -> Row:
    """One order with every score that the model has, on `images` images, as long as `of` would take."""
    model, split = new_model(config).to(device).eval(), made(5 * images).test
    kpp.evaluate(model, split, orders=1, limit=2 * config.length)
    start = time.perf_counter()
    kpp.evaluate(model, split, orders=1, limit=images)
    took = (time.perf_counter() - start) * of / images
    name = f"evaluation of {of} images, all scores, {config.preset_name}/{config.recipe_name}"
    name += "" if images == of else f", from {images}"
    return row("gpu", name, [took], "s", GOAL_EVALUATION if config.preset_name == "paper" else None)


def gains(device: str, config: Config, data: ImageSet, every: int, count: int, compile: bool) -> list[Row]:
    """What each switch that is on here gains in `fit`: images/s with all of them over images/s without it.

    compile, which takes a minute to begin, is off while the others are measured, and a row of its own if asked for.
    """
    speed, rows = Speed.of(device), []
    with asked("compile=off"):
        typical = statistics.median(rates(config, data, device, every, count))
    for name in (name for name in SWITCHES if getattr(speed, name) and name != "compile"):
        with asked(f"compile=off {name}=off"):
            without = rates(config, data, device, every, count)
        rows.append(row("switches", f"{name} (on here)", [typical / r for r in without], "x faster with it"))
    if compile:
        with asked("compile=on"):
            faster = rates(config, data, device, every, count)
        rows.append(row("switches", "compile (on in long runs)", [r / typical for r in faster], "x faster with it"))
    return rows


def rows(device: str, quick: bool) -> list[Row]:
    """All of them; `quick` takes a tiny model, to see that it runs."""
    preset, every, count, images = ("tiny", 2, 2, 16) if quick else ("paper", 20, 15, 10_000)
    data, config = made(IMAGES * 4 if quick else 50_000), Config.preset(preset, "paper")
    compiled = Speed.of(device, config.steps).compile  # as a whole run of the preset would be
    found = training(device, config, data, every, count, compiled)
    found += training(device, Config.preset(preset, "allocated"), data, every, count, compiled)
    found.append(evaluation(device, Config.preset(preset, "allocated"), images))
    return found + gains(device, config, data, every, count, compiled)


def short(device: str) -> list[Row]:
    """What fits two minutes of a lent GPU, most wanted first; nothing is compiled, which alone takes as long."""
    data, config = made(50_000), Config.preset("paper", "paper")
    found = training(device, config, data, 10, 15, compile=False)
    found.append(evaluation(device, Config.preset("paper", "allocated"), images=2_048))
    return found + gains(device, config, data, 10, 9, compile=False)
