"""What a step costs as T, K and the memory grow, and how much memory training takes."""

from __future__ import annotations

import os
import subprocess
import sys

import torch
from bench_rows import Row, in_turn, row, slopes
from bench_step import ours, pixels

from kpp_lib import Config
from kpp_lib.memory import read_unchecked
from kpp_lib.tour.memory import peak_of
from kpp_lib.training.device import Speed
from kpp_lib.training.fit import new_model

LENGTHS, READS, SIDES = (32, 64, 128, 256, 512), (2, 4, 8, 16, 32), (32, 64, 128, 256, 512)
LINEAR = 1.1  # exponent of seconds ~ size^p: 1 is linear, 2 quadratic; the margin is for caches and for noise
FLAT = 0.2  # the same exponent for seconds ~ cells^p, where 0 is independent: 256 times the cells cost 3 times at most


def by_length(device: str, repeats: int, recipe: str, preset: str = "cpu", lengths=LENGTHS) -> Row:
    """Forward and backward of one episode of T images."""
    speed, acts = Speed.of(device), {}
    for t in lengths:
        images = pixels(t).to(speed.device)
        acts[t] = ours(Config.preset(preset, recipe, length=t), speed, images)
    fits = slopes(in_turn(acts, repeats, device))
    return row("cost", f"step as T grows, {sizes(lengths)}, {preset}/{recipe}", fits, "exponent", LINEAR)


def by_reads(device: str, repeats: int, recipe: str, preset: str = "cpu", reads=READS) -> Row:
    """The prior of T images, read with K keys each: forward and backward."""
    acts = {}
    for k in reads:
        config = Config.preset(preset, recipe, reads=k)
        model, side = new_model(config).to(device), config.memory_size
        memory = torch.randn(2, config.memory_channels, side, side, device=device, requires_grad=True)
        y = torch.randn(2, config.length, k, 3, device=device, requires_grad=True)

        def act(model=model, memory=memory, y=y):
            model.prior(memory, y).mean.sum().backward()

        acts[k] = act
    fits = slopes(in_turn(acts, repeats, device))
    return row("cost", f"prior as K grows, {sizes(reads)}, {preset}/{recipe}", fits, "exponent", LINEAR)


def by_memory(device: str, repeats: int, sides=SIDES) -> list[Row]:
    """Reading 2 x 32 x 2 blocks of 16 x 16, as a training step does, without and with the backward pass.

    The arithmetic is the same for every memory. What a larger one adds are misses of the cache, and, in the backward
    pass, the zeros of its gradient.
    """
    window = torch.rand(2, 32, 2, 3, generator=torch.Generator().manual_seed(0)).to(device) - 0.5
    window[..., 0] = 0.25
    forward, both = {}, {}
    for side in sides:
        memory = torch.randn(2, 3, side, side, device=device, requires_grad=True)
        key = window.clone().requires_grad_()
        forward[side**2] = lambda m=memory: _read(m.detach(), window)
        both[side**2] = lambda m=memory, y=key: torch.autograd.grad(_read(m, y).sum(), (m, y))
    rows = []
    for name, acts in (("read", forward), ("read and its backward pass", both)):
        fits = slopes(in_turn(acts, repeats, device, warm=5))
        rows.append(row("cost", f"{name} as the memory grows, {sizes(sides)} a side", fits, "exponent of cells", FLAT))
    return rows


def _read(memory: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    return read_unchecked(memory, window, 16, "bilinear", "zeros", False)


def sizes(values) -> str:
    """(8, 16, 32) -> "8 to 32"."""
    return f"{values[0]} to {values[-1]}"


CHILD = """
import sys
import torch
from bench_cost import resident
torch.set_num_threads(1)
print(resident(*sys.argv[1:]))
"""


def resident(preset: str, recipe: str, device: str) -> float:
    """MiB that training takes at its peak, in this process: on a GPU torch's, else of the process less its imports."""
    config, speed = Config.preset(preset, recipe), Speed.of(device)
    images = pixels(config.length * config.episodes).to(speed.device)
    ours(Config.preset("tiny"), speed, images[:16])()  # what torch loads at its first step is no part of the model
    before = peak(device)
    step = ours(config, speed, images)
    for _ in range(2):
        step()
    return peak(device) - before


def peak(device: str) -> float:
    """The most memory so far, in MiB."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    import psutil

    return peak_of(psutil.Process()) / 2**20


def memory(device: str, names: tuple[tuple[str, str], ...]) -> list[Row]:
    """A row for each preset and recipe, each in a process of its own, at the batch of the preset."""
    rows = []
    for preset, recipe in names:
        config = Config.preset(preset, recipe)
        command = [sys.executable, "-c", CHILD, preset, recipe, device]
        path = os.pathsep.join(filter(None, sys.path))  # tools/, and the package that is measured here
        environment = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"memory of {preset}/{recipe}: {done.stderr.strip()[-500:]}")
        name = f"training, {preset}/{recipe}, {config.episodes} x {config.length} images a step"
        rows.append(row("memory", name, [float(done.stdout.split()[-1])], "MiB"))
    return rows
