"""How fast a run is: images a second, the share of the GPU's peak, and how many steps there is time for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from ..config import Config
from ..models import make_model

# Dense peaks of NVIDIA's data sheets, 1e12 operations a second: (bfloat16, float32 as TF32). The first name that a
# device's name contains counts, so longer names stand first.
PEAKS = {
    "B200": (2250, 1125),
    "H200": (989, 494),
    "H100 PCIe": (756, 378),
    "H100": (989, 494),
    "A100": (312, 156),
    "A10G": (70, 35),
    "A10": (125, 62),
    "L40S": (362, 183),
    "L4": (121, 60),
    "RTX 4090": (165, 83),
    "RTX 3090": (71, 36),
}


def peak(device: torch.device, bf16: bool) -> float | None:
    """Operations a second that the device could do at best; None for what is no GPU, or none of `PEAKS`."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((1e12 * pair[0 if bf16 else 1] for known, pair in PEAKS.items() if known in name), None)


def step_flops(config: Config) -> int:
    """Operations of one training step, forward and backward: two a multiplication in convolutions and matrix products.

    Counted on tensors that have shapes and nothing in them, so it takes a second and no memory.
    """
    from torch.utils.flop_counter import FlopCounterMode  # a twelfth of the time that the package takes to import

    with torch.device("meta"):
        model = make_model(config)
        x = torch.zeros(config.episodes, config.length, config.channels, config.image_size, config.image_size)
        with FlopCounterMode(display=False) as counter:
            model(x, model.noise(x), x if config.cue_noise else None).mean().weighted().backward()
    return counter.get_total_flops()


class Meter:
    """Images a second, and the share of the peak of `devices` devices (MFU), since the last reading."""

    def __init__(self, config: Config, device: torch.device, bf16: bool, devices: int = 1) -> None:
        self.images, self.since = config.episodes * config.length, None
        best = peak(device, bf16)
        self.share = None if best is None else step_flops(config) / (best * devices)  # of the peak, at a step a second

    def start(self, step: int) -> None:
        """Begin to count before `step`, unless it is done already."""
        self.since = self.since or (step, time.monotonic())

    def read(self, done: int) -> dict[str, float]:
        """`images_per_second` since the start, and `mfu` where the peak is known; starts anew."""
        (step, began), now = self.since or (done, 0.0), time.monotonic()
        self.since = (done, now)
        if done == step or now == began:
            return {}
        speed = (done - step) / (now - began)  # steps a second
        rates = {"images_per_second": speed * self.images}
        return rates if self.share is None else rates | {"mfu": speed * self.share}

    def pause(self) -> None:
        """What comes now, a validation or a save, is no training."""
        self.since = None


def steps_for(
    seconds: float,
    short_run: Callable[..., Any],
    eval_every: int,
    save_every: float = math.inf,
    at_once: int = 3,
    of_main: Callable[[int], int] = lambda value: value,
) -> int:
    """How many steps, with their validations and saves, fit into `seconds`, by trying.

    `short_run(steps, on_log)` trains that many steps in a folder that is thrown away, and validates and saves at the
    end. First `at_once` steps, then, if they took less than a fiftieth of the time, as many as fit into that.
    `of_main`: several processes do what the first one finds. Raises ValueError where there is no time for one step.
    """
    began = time.monotonic()
    cost = _tried(short_run, at_once)
    more = of_main(min(200, int(seconds / 50 / cost["step"])))
    if more > 2 * at_once:
        cost = _tried(short_run, more)
    closing = cost["valid"] + cost["save"]
    left = seconds - (time.monotonic() - began) - cost["setup"] - closing
    each = (cost["step"] + closing / eval_every) * (1 + cost["save"] / save_every)
    steps = of_main(int(0.97 * left / each))  # a machine is not always as fast as in its first seconds
    if steps < 1:
        raise ValueError(
            f"minutes: got {seconds / 60:.3g}, expected more: one step takes {each:.1f} s here, to start and to end "
            f"{cost['setup'] + closing:.1f} s"
        )
    return steps


def _tried(short_run: Callable[..., Any], steps: int) -> dict[str, float]:
    """Seconds that a run takes to start, for a step, for a validation, and for a save."""
    began, rows = time.monotonic(), []
    short_run(steps, lambda step, split, numbers: rows.append((step, split, time.monotonic())))
    if not rows:  # another process than the first: it is told what that one finds
        return dict(setup=0.0, step=math.inf, valid=0.0, save=0.0)
    ended, trained = time.monotonic(), [(step, at) for step, split, at in rows if split == "train"]
    (first, start), (last, stop) = trained[0], trained[-1]
    valid = next(at for _, split, at in rows if split == "valid")
    step = (stop - start) / max(1, last - first)
    return dict(setup=start - began, step=max(step, 1e-6), valid=valid - stop, save=ended - valid)
