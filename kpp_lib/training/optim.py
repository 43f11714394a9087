"""The paper's optimiser and schedule (Appendix E): Adam, optionally in LARS; warm-up, then cosine."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..config import Config
from ..data.episodes import seeded


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weights with decay; biases and norm affines (all parameters of one dimension) without.

    EvoNorm's v, weight and bias have one dimension here and are not decayed; the paper names batch norm's affines only.
    """
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    spared = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


class LARS(Optimizer):
    """Wraps an optimiser and rescales the gradient of each decayed tensor before it steps.

    g <- g + weight_decay * w;  g <- g * trust * |w| / |g|;  then `base` steps, without decay of its own (You et al.,
    2017). Around Adam, which is blind to a constant scale, this is a per-tensor gradient normalisation and no
    layer-wise learning rate. Groups with weight_decay 0 are left alone.
    """

    def __init__(self, base: Optimizer, trust: float = 1e-3, eps: float = 0.0) -> None:
        self.base, self.trust, self.eps = base, trust, eps
        self.decays = [group["weight_decay"] for group in base.param_groups]
        for group in base.param_groups:
            group["weight_decay"] = 0.0
        # shared, not copied: a scheduler that sets our learning rates sets the base's
        self.param_groups, self.state, self.defaults = base.param_groups, base.state, base.defaults

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """One step of the base on rescaled gradients."""
        for group, decay in zip(self.param_groups, self.decays, strict=True):
            pairs = [(p, p.grad) for p in group["params"] if decay and p.grad is not None]
            if not pairs:
                continue
            weights, grads = zip(*pairs, strict=True)
            torch._foreach_add_(grads, weights, alpha=decay)
            norm_w, norm_g = (torch.stack(torch._foreach_norm(v)) for v in (weights, grads))
            ratio = self.trust * norm_w / (norm_g + self.eps)
            ratio = torch.where((norm_w > 0) & (norm_g > 0), ratio, torch.ones_like(ratio))
            torch._foreach_mul_(grads, ratio.unbind())
        self.base.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    def state_dict(self) -> dict:
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        self.base.load_state_dict(state_dict)
        for group in self.base.param_groups:
            group["weight_decay"] = 0.0
        self.param_groups, self.state = self.base.param_groups, self.base.state


def make_optimizer(model: nn.Module, config: Config, fused: bool = False) -> Optimizer:
    """AdamW with decoupled decay, or LARS around Adam (coupled decay, as published for the author's other models).

    fused: all tensors in one kernel, where the device has one. The learning rate stays a Python number: the optimiser
    runs outside of what is compiled or captured, so a new one costs nothing.
    """
    groups = parameter_groups(model, config.weight_decay)
    if config.optimizer == "lars":
        return LARS(torch.optim.Adam(groups, lr=config.lr, fused=fused or None))
    return torch.optim.AdamW(groups, lr=config.lr, fused=fused or None)


def match_layout(optimizer: Optimizer) -> None:
    """Lay the state of a loaded optimiser out as its parameters: files keep NCHW, and a fused step wants all alike."""
    for p, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == p.shape and value.stride() != p.stride():
                state[name] = torch.empty_like(p, dtype=value.dtype, requires_grad=False).copy_(value)


def lr_factor(step: int, steps: int, warmup: float) -> float:
    """Learning rate of `step` as a fraction of the peak: linear up to 1 over `warmup` of the steps, then cosine to 0.

    Per step and from a value above 0: stepping per epoch would spend the first epoch at learning rate 0.
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))


def make_schedule(optimizer: Optimizer, config: Config, start: int = 0) -> LambdaLR:
    """`lr_factor` as a scheduler, standing at step `start`."""
    for group in optimizer.param_groups:
        group["initial_lr"] = config.lr
    return LambdaLR(optimizer, lambda step: lr_factor(step, config.steps, config.lr_warmup), last_epoch=start - 1)


def length_at(step: int, config: Config) -> int:
    """T at a step of `length * episodes` images. lengths="growing": 2, 4, 8 ... up to `length`, in equal shares of the
    first half; "mixed": `length` times 1, 2, 4 ... as the seed and the step draw, one episode at most."""
    if config.lengths == "fixed":
        return config.length
    if config.lengths == "mixed":
        doublings = (config.episodes & -config.episodes).bit_length()  # T divides the images of a step
        return config.length << int(torch.randint(doublings, (), generator=seeded(config.seed, step, 1)))
    doublings = max(1, math.ceil(math.log2(config.length)))
    return min(config.length, 2 ** (1 + int(2 * step / config.steps * doublings)))


def kl_weight(step: int, steps: int, warmup: float) -> float:
    """Weight of a KL term at `step`: linear from 0 to 1 over `warmup` of the steps, 1 from then on."""
    return 1.0 if warmup == 0 else min(1.0, step / (warmup * steps))
