"""A training step of K++ over that of torchvision's bare ResNet-18 on the same images, and what each switch gains."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter

import torch
from bench_rows import Row, now, row
from torch import Tensor, nn

from kpp_lib import Config
from kpp_lib.config import PRESETS, RECIPES
from kpp_lib.data.noise import noisy_cue
from kpp_lib.training.device import Speed
from kpp_lib.training.fit import new_model
from kpp_lib.training.optim import make_optimizer

IMAGES, LENGTH = 64, 32  # two episodes of 32
GOALS = {("paper", "paper"): 1.95, ("cpu", "allocated"): 0.40}


def pixels(n: int = IMAGES, size: int = 28) -> Tensor:
    """Made bits [n, 1, size, size]: what a step costs does not depend on what the images show."""
    return (torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0)) < 0.2).float()


class Step:
    """One training step, timed in two parts: forward and backward, then clipping and the optimiser."""

    def __init__(self, model: nn.Module, loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, speed: Speed):
        self.model, self.loss, self.optimizer, self.speed = model, loss, optimizer, speed

    def __call__(self) -> tuple[float, float]:
        """Seconds of forward and backward, and of the whole step."""
        device = str(self.speed.device)
        start = now(device)
        with self.speed.autocast():
            loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        middle = now(device)
        nn.utils.clip_grad_norm_(self.model.parameters(), 50.0)
        self.optimizer.step()
        return middle - start, now(device) - start


def ours(config: Config, speed: Speed, images: Tensor) -> Step:
    """The step that `fit` takes, without its data, its schedule and its log."""
    model = speed.lay_out(new_model(config)).train()
    x, generator = images.view(-1, config.length, *images.shape[1:]), speed.generator(0)

    def loss() -> Tensor:
        return model(x, generator, noisy_cue(x, config.cue_noise, generator)).mean().weighted()

    return Step(model, loss, make_optimizer(model, config, speed.fused), speed)


def bare(speed: Speed, images: Tensor) -> Step:
    """torchvision's ResNet-18 as it comes, ImageNet stem and all, but for the one channel of grey images."""
    from torchvision.models import resnet18

    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    net = speed.lay_out(net).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=speed.fused or None)
    return Step(net, lambda: net(images).square().mean(), optimizer, speed)


def rounds(steps: list[tuple[Step, Step]], repeats: int, warm: int = 2) -> Iterator[list[tuple[tuple, tuple]]]:
    """Seconds of both of every pair, the two one after the other; the first rounds are left out."""
    for i in range(warm + repeats):
        measured = [(first(), second()) for first, second in steps]
        if i >= warm:
            yield measured


def over_resnet(
    device: str, repeats: int, presets: tuple[str, ...] = ("paper", "cpu"), count: int = IMAGES
) -> list[Row]:
    """Two rows for each preset and recipe: the whole step, and forward and backward alone, over ResNet-18's."""
    speed, names = Speed.of(device), [(p, r) for p in presets for r in RECIPES]
    images = pixels(count).to(speed.device)
    base = bare(speed, images)
    configs = [Config.preset(p, r, length=LENGTH if p != "tiny" else PRESETS[p]["length"]) for p, r in names]
    pairs = [(ours(config, speed, images), base) for config in configs]
    measured = list(rounds(pairs, repeats))
    rows = []
    for i, name in enumerate(names):
        for part, what in ((1, "whole step"), (0, "forward and backward")):
            ratios = [r[i][0][part] / r[i][1][part] for r in measured]
            goal = GOALS.get(name) if part == 1 else None
            speeds = [count / r[i][0][part] for r in measured]
            note = f"{statistics.median(speeds):.0f} images/s"
            rows.append(row("step", f"{'/'.join(name)}, {what}", ratios, "x ResNet-18", goal, note))
    return rows


def switches(device: str, repeats: int, config: Config, candidates: tuple[str, ...]) -> list[Row]:
    """What each switch of `Speed` gains or loses in a step: seconds without it over seconds with it.

    Where the device has it on, the engine as it stands is held against the same with the switch off; where it is off,
    against the same with it on.
    """
    speed = Speed.of(device)
    images, rows = pixels().to(speed.device), []
    for name in candidates:
        on = getattr(speed, name)
        other = replace(speed, **{name: not on})
        pair = (ours(config, speed, images), ours(config, other, images))
        measured = [r[0] for r in rounds([pair], repeats)]
        gains = [b[1] / a[1] if on else a[1] / b[1] for a, b in measured]
        rows.append(row("switches", f"{name} ({'on' if on else 'off'} here)", gains, "x faster with it"))
    return rows


def compiled(device: str, repeats: int, config: Config) -> list[Row]:
    """What `torch.compile` of the model gains in a step, and after how many steps it has made up for compiling.

    None where it cannot compile (no C++ compiler, or a Python that this torch does not support yet).
    """
    speed = Speed.of(device)
    images = pixels().to(speed.device)
    plain, quick = ours(config, speed, images), ours(config, speed, images)
    model, x, generator = torch.compile(quick.model), images.view(-1, config.length, 1, 28, 28), speed.generator(0)
    quick.loss = lambda: model(x, generator).mean().weighted()
    plain()
    start = perf_counter()
    try:
        quick()
    except Exception as error:  # of many kinds, by what is missing
        print(f"torch.compile: {type(error).__name__}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
        return []
    waited = perf_counter() - start
    measured = [r[0] for r in rounds([(plain, quick)], repeats)]
    name = f"torch.compile of {config.preset_name}/{config.recipe_name}"
    rows = [row("switches", f"{name} (no switch here)", [a[1] / b[1] for a, b in measured], "x faster with it")]
    saved = statistics.median(a[1] - b[1] for a, b in measured)
    if saved > 0:
        rows.append(row("switches", f"{name}: compiling costs what so many steps save", [waited / saved], "steps"))
    return rows
