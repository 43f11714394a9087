"""Training and evaluation on a GPU, by `fit` and `evaluate`: images/s, MFU, minutes for 500 epochs, switches."""

from __future__ import annotations

import contextlib
import inspect
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from bench_rows import Row, now, row
from bench_step import IMAGES, ours, pixels

import kpp_lib as kpp
from kpp_lib import Config, Images, ImageSet
from kpp_lib.training.device import SWITCHES, Speed
from kpp_lib.training.fit import new_model
from kpp_lib.training.runlog import RunLog

GOAL_MINUTES, GOAL_EVALUATION = 3.0, 60.0
# Dense bf16 peaks of the makers' data sheets, in FLOP/s.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "4090": 165e12, "T4": 65e12}


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


def stretch(config: Config, data: ImageSet, device: str, every: int, count: int, warm: int = 3) -> list[float]:
    """Seconds a step of `fit`, loop and all: `count` values over `every` steps each, after `warm` times as many."""
    marks: list[float] = []

    def on_log(row: dict[str, Any]) -> None:
        if row.get("split", "train") == "train":
            marks.append(now(device) if device.startswith("cuda") else time.perf_counter())

    with tempfile.TemporaryDirectory() as out, watching(on_log) as watch:
        options = dict(device=device, log_every=every, eval_every=10**9, quiet=True) | watch
        kpp.fit(config.replace(steps=every * (warm + count)), data, Path(out) / "run", **options)
    return [(b - a) / every for a, b in zip(marks[warm - 1 :], marks[warm:], strict=False)]


@contextlib.contextmanager
def watching(on_log: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
    """The option of `fit` that calls `on_log` at every report."""
    if "on_log" in inspect.signature(kpp.fit).parameters:
        yield {"on_log": lambda step, split, numbers: on_log({"split": split})}
        return
    write = RunLog.write
    with mock.patch.object(RunLog, "write", lambda *a, **k: (write(*a, **k), on_log({"split": a[2]}))):
        yield {}


def flops(config: Config, device: str) -> float:
    """Floating-point operations of a training step, matrix products and convolutions only."""
    from torch.utils.flop_counter import FlopCounterMode

    small = config.replace(episodes=2)
    step = ours(small, Speed(torch.device(device)), pixels(2 * config.length).to(device))
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() * config.episodes / 2


def peak(device: str) -> float | None:
    """FLOP/s of the card in bf16, None where it is not in the list."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return next((value for part, value in PEAKS.items() if part in name), None)


def training(device: str, config: Config, data: ImageSet, every: int, count: int) -> list[Row]:
    """Images/s, share of the card's peak, and the time of all its steps, from a measured stretch."""
    took = stretch(config, data, device, every, count)
    batch, what = config.episodes * config.length, f"{config.preset_name}/{config.recipe_name}"
    rows = [row("gpu", f"{what}, {batch} images a step", [batch / t for t in took], "images/s")]
    if top := peak(device):
        done = flops(config, device)
        rows.append(row("gpu", f"{what}, MFU of bf16's peak", [100 * done / t / top for t in took], "%"))
    minutes = [t * config.steps / 60 for t in took]
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


def gains(device: str, config: Config, data: ImageSet, every: int, count: int) -> list[Row]:
    """What each switch that is on here gains in `fit`: seconds a step without it over seconds with all of them."""
    speed, rows = Speed.of(device), []
    base = stretch(config, data, device, every, count)
    for name in (name for name in SWITCHES if getattr(speed, name)):
        with asked(f"{name}=off"):
            off = stretch(config, data, device, every, count)
        typical = statistics.median(base)
        rows.append(row("switches", f"{name} (on here)", [t / typical for t in off], "x faster with it"))
    return rows


def rows(device: str, quick: bool) -> list[Row]:
    """All of them; `quick` takes a tiny model, to see that it runs."""
    preset, every, count, images = ("tiny", 2, 3, 64) if quick else ("paper", 20, 15, 10_000)
    data, config = made(IMAGES * 4 if quick else 50_000), Config.preset(preset, "paper")
    found = training(device, config, data, every, count)
    found += training(device, Config.preset(preset, "associative"), data, every, count)
    found.append(evaluation(device, Config.preset(preset, "associative"), images))
    return found + gains(device, config, data, every, count)


def short(device: str) -> list[Row]:
    """What fits two minutes of a lent GPU, most wanted first: preset paper, recipe paper; its evaluation; the gains."""
    data, config = made(50_000), Config.preset("paper", "paper")
    found = training(device, config, data, every=10, count=15)
    found.append(evaluation(device, Config.preset("paper", "associative"), images=2_048))
    return found + gains(device, config, data, every=10, count=9)
