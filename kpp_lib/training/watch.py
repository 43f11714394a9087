"""A loss that is no longer a number: which term, at which step. Seen on the device, so that no step waits for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bound import Bound

TERMS = ("recon", "kl_z", "kl_y", "gradient")


class Watch:
    """Keeps the first step at which each term, or the norm of the gradient, was not finite.

    `see` takes a step in; on a CPU it looks at once, elsewhere every `every` steps, for a look waits for the device.
    `check` is called before anything is saved: weights are finite if all gradients so far were.
    """

    def __init__(self, device: torch.device, every: int) -> None:
        self.every = 1 if device.type == "cpu" else every
        self.first = torch.full((len(TERMS),), math.inf, device=device)  # step, exact in float32 up to 16 million
        self.value = torch.zeros(len(TERMS), device=device)

    def see(self, step: int, bound: Bound, norm: Tensor) -> None:
        """Take in the bound (one number a term) and the gradient norm of `step`."""
        now = torch.stack([bound.recon, bound.kl_z, bound.kl_y, norm]).detach().float()
        fresh = ~now.isfinite() & self.first.isinf()
        self.first = self.first.masked_fill(fresh, step)
        self.value = torch.where(fresh, now, self.value)
        if (step + 1) % self.every == 0:
            self.check()

    def check(self) -> None:
        """Raises FloatingPointError with the first bad step, its term and its value."""
        first, values = torch.stack([self.first, self.value]).tolist()
        step = min(first)
        if math.isfinite(step):
            term = first.index(step)
            raise FloatingPointError(
                f"step {int(step)}: {TERMS[term]} is {values[term]}; the last checkpoint is kept. Try a lower lr or "
                "clip_norm"
            )
