"""What makes training fast on the device at hand: one dataclass of switches, and what each of them does."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace

import torch
from torch import nn

from ..config import Config
from ..data.episodes import seeded
from ..data.images import Images
from .meter import Meter


@dataclass(frozen=True)
class Speed:
    """The switches of the engine; `Speed.of(device)` has those that pay there. Off, each leaves the plain PyTorch way.

    KPP_SPEED overrides any of them: KPP_SPEED="bf16=off compile=on" kpp train ... `make bench` measures the gains.
    """

    device: torch.device
    resident: bool = False  # the whole split on the device as uint8; drawn, binarized and moved there
    bf16: bool = False  # autocast: convolutions and dense layers in bfloat16; keys, KLs, likelihoods stay in float32
    channels_last: bool = False  # NHWC weights and maps, which tensor cores want
    fused: bool = False  # AdamW (and Adam in LARS) as one kernel
    still_gc: bool = False  # Python's garbage collector is off in the loop: its pauses are longer than a step

    @classmethod
    def of(cls, device: str | torch.device) -> Speed:
        """What pays on `device`, as KPP_SPEED changes it. Raises ValueError for a switch that does not exist."""
        device = torch.device(device)
        fast = device.type == "cuda"
        speed = cls(
            device,
            resident=fast,
            bf16=fast and torch.cuda.is_bf16_supported(),
            channels_last=fast,
            fused=fast,
            still_gc=fast,
        )
        return replace(speed, **_asked(os.environ.get("KPP_SPEED", "")))

    def autocast(self) -> AbstractContextManager:
        """The precision of a forward pass. No cache of casts: a weight is used once, and a CUDA graph needs its own."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16, cache_enabled=False)

    def generator(self, *numbers: int) -> torch.Generator:
        """`seeded` on the device where data is drawn: on CUDA noise is made where it is used, elsewhere on the CPU."""
        return seeded(*numbers, device=self.device if self.device.type == "cuda" else "cpu")

    def place(self, images: Images) -> Images:
        """The split where its batches are drawn."""
        return images.to(self.device) if self.resident else images

    def lay_out(self, model: nn.Module) -> nn.Module:
        """The model on the device, in the layout of its convolutions."""
        return model.to(self.device, memory_format=torch.channels_last if self.channels_last else torch.preserve_format)

    def meter(self, config: Config, devices: int) -> Meter:
        """What reads images a second, and on a GPU the share of its peak in this precision."""
        return Meter(config, self.device, self.bf16, devices)

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Around the steps: what is set for the whole process is set here, and put back."""
        collecting = gc.isenabled()
        if self.still_gc:
            gc.collect()
            gc.freeze()
            gc.disable()
        try:
            yield
        finally:
            if self.still_gc and collecting:
                gc.enable()
                gc.unfreeze()


SWITCHES = tuple(f.name for f in fields(Speed) if f.type == "bool")


def best_device() -> str:
    """KPP_DEVICE, else the best there is."""
    if named := os.environ.get("KPP_DEVICE"):  # for notebooks, which name none: an Apple GPU may lack an operation
        return named
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _asked(text: str) -> dict[str, bool]:
    """ "bf16=off compile=on" -> {"bf16": False, "compile": True}."""
    asked = {}
    for word in text.replace(",", " ").split():
        name, _, value = word.partition("=")
        if name not in SWITCHES or value not in ("on", "off"):
            raise ValueError(f"KPP_SPEED: got {word!r}, expected NAME=on or NAME=off with one of {', '.join(SWITCHES)}")
        asked[name] = value == "on"
    return asked
