"""The training step's forward and backward pass through torch.compile, or captured as CUDA graphs.

Both take out what a GPU waits for: thousands of small kernels launched one by one from Python. Neither can draw with a
generator of ours, so noise comes in from outside (`KanervaPlusPlus.noise`); neither may fail a run: what they cannot
do, plain PyTorch does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..bound import Bound
from ..data.episodes import Episodes
from ..models import Model
from .device import Speed

Forward = Callable[..., Bound]  # of x [B, T, C, H, W], generator, cue (or None)

BACKEND = "inductor"  # torch.compile's; a test that has no C++ compiler takes another


def faster(speed: Speed, model: Model, wrapped: nn.Module, episodes: Episodes, mine: slice = slice(None)) -> Forward:
    """`wrapped(x, generator, cue)`, as fast as `speed` asks for; `wrapped` is `model`, or what DDP makes of it.

    Tried on the first batch before the first step: weights, BatchNorm's statistics and random states are left as they
    were. What fails says so in one line on stderr, and the next best is taken.
    """
    ways = []
    if model.config.keys == "allocated":  # SciPy's assignment, in the middle of the step
        return wrapped
    if speed.compile:
        ways.append(("torch.compile", _compiled))
    # graphs under DDP have to be captured before it wraps the model; they take one shape
    if speed.graphs and wrapped is model and model.config.lengths == "fixed":
        ways.append(("CUDA graphs", _captured))
    for name, way in ways:
        x, cue = episodes.batch(0).x[mine].to(speed.device), model.config.cue_noise > 0
        try:
            with _untouched(model), speed.autocast():
                forward = way(speed, model, wrapped, x, cue)
                for _ in range(3):  # a compiler records in the second call, and replays in the third
                    forward(x, speed.generator(0), x if cue else None).mean().weighted().backward()
            return forward
        except Exception as error:  # whatever compilers and drivers of any version raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            print(f"{name} failed, going on without it: {reason}", file=sys.stderr)
    return wrapped


class Terms(nn.Module):
    """The model with its noise as tensors and its bound as a tuple: what compilers and graphs take."""

    def __init__(self, model: Model, wrapped: nn.Module) -> None:
        super().__init__()
        self.wrapped, self.noises = wrapped, 1 if model.config.write == "none" else 2

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        bound = self.wrapped(x, rest[: self.noises], rest[self.noises] if len(rest) > self.noises else None)
        return bound.recon, bound.kl_z, bound.kl_y


def _compiled(speed: Speed, model: Model, wrapped: nn.Module, x: Tensor, cue: bool) -> Forward:
    graphs = speed.graphs and speed.device.type == "cuda" and wrapped is model
    options = {"mode": "reduce-overhead"} if graphs else {}
    return _drawn(model, torch.compile(Terms(model, wrapped), backend=BACKEND, dynamic=False, **options), graphs)


def _captured(speed: Speed, model: Model, wrapped: nn.Module, x: Tensor, cue: bool) -> Forward:
    given = (x, *model.noise(x, speed.generator(0)), *([x.clone()] if cue else []))
    # a parameter that a recipe does not use has no gradient
    return _drawn(model, torch.cuda.make_graphed_callables(Terms(model, wrapped), given, allow_unused_input=True))


def _drawn(model: Model, fast: Callable[..., tuple[Tensor, ...]], marked: bool = False) -> Forward:
    def forward(x: Tensor, generator: torch.Generator, cue: Tensor | None = None) -> Bound:
        if marked:  # what the step before left in the graph's memory is not needed any more
            torch.compiler.cudagraph_mark_step_begin()
        return Bound(*fast(x, *model.noise(x, generator), *([] if cue is None else [cue])))

    return forward


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """What is inside may run the model in training mode: buffers come back in place, gradients are dropped."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        model.zero_grad()
