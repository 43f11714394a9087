"""Notebook 04: the weight of a KL while it is phased in, one training step, and reading an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...bound import Bound
from ...training.optim import kl_weight
from .check import Case, Check, Mistake

# --- the weight -----------------------------------------------------------------------------------------------------

STEPS = {
    "step 0 of 100, warm-up over a quarter": (0, 100, 0.25),
    "step 10 of 100, warm-up over a quarter": (10, 100, 0.25),
    "step 25 of 100, warm-up over a quarter": (25, 100, 0.25),
    "step 90 of 100, warm-up over a quarter": (90, 100, 0.25),
    "step 150 of 600, warm-up over half": (150, 600, 0.5),
    "step 0, no warm-up at all (0): the paper's recipe": (0, 100, 0.0),
}
warmup_weight = Check(
    "warmup_weight(step, steps, warmup)",
    kl_weight,
    lambda: [Case(name, values) for name, values in STEPS.items()],
    [
        Mistake(
            "It rises over all the steps. `warmup` is the share of the steps that it rises over: warmup * steps.",
            lambda step, steps, warmup: step / steps,
        ),
        Mistake(
            "It goes on rising above 1. From the end of the warm-up on it is 1: otherwise the loss is no bound.",
            lambda step, steps, warmup: step / (warmup * steps) if warmup else 1.0,
        ),
        Mistake(
            "It stays at 0 and then jumps to 1. A straight line in between lets the price come in slowly.",
            lambda step, steps, warmup: float(step >= warmup * steps),
        ),
        Mistake(
            "It falls. The KLs are free at first and fully paid for at the end.",
            lambda step, steps, warmup: 1 - kl_weight(step, steps, warmup),
        ),
        Mistake(
            "No warm-up means full price from the start: 0 / 0 has to be a case of its own.",
            lambda step, steps, warmup: min(1.0, step / (warmup * steps)),
        ),
    ],
)

# --- a step ---------------------------------------------------------------------------------------------------------


class _Toy(nn.Module):
    """Three numbers to train, and a bound in which each term pulls at its own."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Bound:
        noise = 0.1 * torch.randn(x.shape[:2], generator=generator)
        recon = (x.flatten(2).sum(-1) - self.w[0] + noise) ** 2  # [B, T]
        return Bound(recon, self.w[1] ** 2 + 0 * recon, self.w[2] ** 2 + 0 * recon)


def _two_steps(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """What two steps of SGD did to the toy's three numbers, and what the step returned."""

    def facts(beta_z: float, beta_y: float, clip: float) -> dict[str, Any] | None:
        model = _Toy()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x = torch.arange(4.0).view(2, 2, 1, 1, 1)
        start, after, losses = model.w.detach().clone(), [], []
        for seed in range(2):
            losses.append(
                train_step(model, optimizer, x.clone(), torch.Generator().manual_seed(seed), beta_z, beta_y, clip)
            )
            after.append(model.w.detach().clone())
        if losses[0] is None and torch.equal(after[-1], start):
            return None
        return {"weights after one step": after[0], "weights after two": after[1], "first loss": losses[0]}

    return facts


def _step(
    *, zero: bool = True, clip: str = "after backward", weigh: bool = True, sign: int = 1, move: bool = True, mean=True
) -> Callable[..., Any]:
    """A training step, whole or with one thing wrong."""

    def train_step(model, optimizer, x, generator, beta_z, beta_y, limit):
        bound = model(x, generator)
        bound = bound.mean() if mean else Bound(bound.recon.sum(), bound.kl_z.sum(), bound.kl_y.sum())
        loss = sign * (bound.weighted(beta_z, beta_y) if weigh else bound.total)
        if zero:
            optimizer.zero_grad()
        if clip == "before backward":
            nn.utils.clip_grad_norm_(model.parameters(), limit)
        loss.backward()
        if clip == "after backward":
            nn.utils.clip_grad_norm_(model.parameters(), limit)
        if clip == "by value":
            nn.utils.clip_grad_value_(model.parameters(), limit)
        if move:
            optimizer.step()
        return loss.item()

    return train_step


train_step = Check(
    "train_step(model, optimizer, x, generator, beta_z, beta_y, clip)",
    _two_steps(_step()),
    lambda: [
        Case("full price (1, 1), a clip far above the gradient's norm", (1.0, 1.0, 1e6)),
        Case("free keys: beta_z = 0.5, beta_y = 0", (0.5, 0.0, 1e6)),
        Case("full price, gradient norm clipped to 1", (1.0, 1.0, 1.0)),
    ],
    [
        Mistake(
            "The gradients of the step before are still there: backward *adds*. optimizer.zero_grad() comes first.",
            _two_steps(_step(zero=False)),
        ),
        Mistake(
            "The gradient was not clipped. clip_grad_norm_ acts on gradients that are there: after backward(), before "
            "step().",
            _two_steps(_step(clip="before backward")),
        ),
        Mistake(
            "Each number of the gradient was clipped by itself, which turns its direction. clip_grad_norm_ scales all "
            "of it.",
            _two_steps(_step(clip="by value")),
        ),
        Mistake(
            "The plain total was minimised. While the KLs are phased in, the loss is bound.weighted(beta_z, beta_y).",
            _two_steps(_step(weigh=False)),
        ),
        Mistake(
            "It went uphill. `total` is a cost already, the negative of equation 4: minimise it as it is.",
            _two_steps(_step(sign=-1)),
        ),
        Mistake("The weights did not move: optimizer.step() is missing.", _two_steps(_step(move=False))),
        Mistake(
            "The sum over all images: then the gradient, and what a clip means, grow with the batch. Take "
            "bound.mean().",
            _two_steps(_step(mean=False)),
        ),
    ],
    adapt=_two_steps,
)

# --- an evaluation --------------------------------------------------------------------------------------------------


def _judge(scores: dict[str, float]) -> dict[str, Any]:
    swap = scores["memory_swap"] - scores["total"]
    key = scores["prior_keys"] + scores["kl_y"] - scores["total"]
    return _as(swap, key)


def _as(swap: float, key: float) -> dict[str, Any]:
    word = "ornament" if swap < 1 else "not addressed" if key < 1 else "used"
    return {"swap_gap": swap, "key_gap": key, "word": word}


def _scores(total: float, kl_y: float, swap: float, prior: float) -> tuple[dict[str, float]]:
    return ({"total": total, "kl_y": kl_y, "memory_swap": swap, "prior_keys": prior},)


used_or_ornament = Check(
    "used_or_ornament(scores)",
    _judge,
    lambda: [
        Case("total 68, KL_Y 12, swap 1285, prior keys 700", _scores(68.0, 12.0, 1285.0, 700.0)),
        Case("total 91.5, KL_Y 0, swap 91.6, prior keys 91.5", _scores(91.5, 0.0, 91.6, 91.5)),
        Case("total 90, KL_Y 6, swap 90.2, prior keys 95", _scores(90.0, 6.0, 90.2, 95.0)),
        Case("total 80, KL_Y 0, swap 95, prior keys 80.1", _scores(80.0, 0.0, 95.0, 80.1)),
        Case("total 85, KL_Y 9, swap 99, prior keys 77", _scores(85.0, 9.0, 99.0, 77.0)),
    ],
    [
        Mistake(
            "KL_Y is missing from the key gap. `prior_keys` infers no keys and so leaves their price out; to compare, "
            "give it back: prior_keys + kl_y - total.",
            lambda s: _as(s["memory_swap"] - s["total"], s["prior_keys"] - s["total"]),
        ),
        Mistake(
            "The gaps have the wrong sign: the score without the right memory, or the right key, less the total.",
            lambda s: {**_judge(s), "swap_gap": s["total"] - s["memory_swap"], "key_gap": -_judge(s)["key_gap"]},
        ),
        Mistake(
            "The word looks at the keys alone. Sharp keys can be a code of the content, in any memory: if a stranger's "
            "memory costs nothing, this one is an ornament.",
            lambda s: {**_judge(s), "word": "used" if _judge(s)["key_gap"] >= 1 else "ornament"},
        ),
        Mistake(
            "The word looks at the swap alone. If a random key reads as well, something is read, but nothing is "
            "addressed.",
            lambda s: {**_judge(s), "word": "used" if _judge(s)["swap_gap"] >= 1 else "ornament"},
        ),
    ],
)
