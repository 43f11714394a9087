"""What makes training fast on the device at hand: one dataclass of switches, and what each of them does."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields

import torch
from torch import nn

from ..config import Config
from ..data.episodes import seeded
from ..data.images import Images
from .meter import Meter

LONG = 10_000  # steps from which a minute of compilation is paid back


@dataclass(frozen=True)
class Speed:
    """The switches of the engine; `Speed.of(device)` has those that pay there. Off, each leaves the plain PyTorch way.

    KPP_SPEED overrides any of them: `KPP_SPEED="bf16=off compile=on" kpp train ...`. What each one gains is measured by
    leaving it out, or adding it, in one run: `make bench` does so, and docs/performance.md has the numbers.

    | switch | on by default | what it does |
    |---|---|---|
    | resident | CUDA | the training images stay on the device as uint8 or bits; drawn, binarized and moved there |
    | bf16 | CUDA that has it | convolutions and dense layers in bfloat16; keys, KLs, likelihoods in float32 |
    | channels_last | CUDA, CPU | weights and maps in NHWC. A CPU sums a batch norm less exactly then |
    | fused | CUDA | one kernel for AdamW (and the Adam in LARS), no number fetched |
    | products | CUDA | blocks read as two matrix products, up to memories of 128 x 128; see `memory.read_blocks` |
    | repeatable | CUDA | cuDNN takes repeatable algorithms. Off: those that it finds fastest, by trying |
    | tf32 | CUDA | what is left in float32 multiplies with 10 bits of mantissa while training |
    | graphs | CUDA, one process, keys not allocated | forward and backward captured once, replayed as CUDA graphs |
    | compile | CUDA, from 10,000 steps, keys not allocated | torch.compile, graphs inside; a minute or more to begin |
    | still_gc | CUDA | Python's garbage collector rests in the loop: its pauses are longer than a step |
    """

    device: torch.device
    resident: bool = False
    bf16: bool = False
    channels_last: bool = False
    fused: bool = False
    products: bool = False
    repeatable: bool = False
    tf32: bool = False
    graphs: bool = False
    compile: bool = False
    still_gc: bool = False

    @classmethod
    def of(cls, device: str | torch.device, steps: int = 0) -> Speed:
        """What pays on `device` in a run of `steps`, as KPP_SPEED changes it.

        On a CPU only the layout, and on an Apple GPU nothing: what else gains there costs a first-time user a minute of
        compilation, or changes numbers. Raises ValueError for a switch that does not exist.
        """
        device = torch.device(device)
        on = dict.fromkeys(SWITCHES, device.type == "cuda") | {"channels_last": device.type in ("cuda", "cpu")}
        if device.type == "cuda":
            on |= {"bf16": torch.cuda.is_bf16_supported(), "compile": steps >= LONG}
        return cls(device, **(on | _asked(os.environ.get("KPP_SPEED", ""))))

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
        """The model on the device, in the layout of its convolutions, with its way to read blocks."""
        model.products = self.products and model.config.memory_size <= 128  # beyond, they cost more than they bring
        return model.to(
            self.device, memory_format=torch.channels_last if self.channels_last else torch.contiguous_format
        )

    def meter(self, config: Config, devices: int) -> Meter:
        """What reads images a second, and on a GPU the share of its peak in this precision."""
        return Meter(config, self.device, self.bf16, devices)

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Around the steps: what is set for the whole process is set here, and put back."""
        collecting, cudnn = gc.isenabled(), torch.backends.cudnn
        before = torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high" if self.tf32 else "highest")
            cudnn.deterministic, cudnn.benchmark = self.repeatable, not self.repeatable
        if self.still_gc:
            gc.collect()
            gc.freeze()
            gc.disable()
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            cudnn.deterministic, cudnn.benchmark = before[1:]
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
