"""Diagnostics: is the memory read, what for, and does a cue find its image? Functions of (model, x, generator).

The bound alone cannot tell: a model that ignores its memory can have a good total and fine pictures. Scores are [B, T].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .bound import bound_terms, importance_bound, log_weight, sample
from .model import KanervaPlusPlus

Score = Callable[[KanervaPlusPlus, Tensor, torch.Generator], Tensor]


def memory_swap(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total with the memory of the next episode of the batch, nats. Equal to the total: the memory is not read."""
    if x.shape[0] < 2:
        raise ValueError(f"x: got {x.shape[0]} episode, expected at least 2 to swap memories between")
    return model.bound(x, model.write(x).roll(-1, dims=0), generator).total


def prior_keys(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """recon + KL_Z with keys y ~ p(Y) in place of q(Y|X), nats. Equal to the total less KL_Y: the keys say nothing."""
    q = model.infer(x)
    p_y = model.p_y(*x.shape[:2])
    p_z = model.prior(model.write(x, q), sample(p_y, generator))
    bound = bound_terms(x, model.decode(sample(q.q_z, generator)), q.q_z, p_z, p_y, p_y)
    return bound.recon + bound.kl_z


def mean_decoding(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """The three terms at the means of z and y, nats. NOT a bound: it takes no noise and pays for some (what the public
    code of the paper's author computes in eval mode)."""
    q = model.infer(x)
    p_z = model.prior(model.write(x, q), q.q_y.mean)
    return bound_terms(x, model.decode(q.q_z.mean), q.q_z, p_z, q.q_y, model.p_y(*x.shape[:2])).total


def shuffled_cues(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total when the episode is shown in another order than it was written in, nats; scores stay with their images."""
    order = torch.randperm(x.shape[1], generator=generator).to(x.device)
    total = model.bound(x[:, order], model.write(x), generator).total
    return total[:, order.argsort()]


def single_cues(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total when each image is presented alone, to the memory of its episode, nats."""
    b, t = x.shape[:2]
    alone = x.flatten(0, 1)[:, None]  # [B*T, 1, C, H, W]
    memory = model.write(x).repeat_interleave(t, dim=0)
    return model.bound(alone, memory, generator).total.view(b, t)


def importance(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator, samples: int = 50) -> Tensor:
    """The importance-weighted bound with `samples` draws of (y, z), nats; tighter than the total."""
    q = model.infer(x)
    memory, p_y = model.write(x, q), model.p_y(*x.shape[:2])

    def draw() -> Tensor:
        y, z = sample(q.q_y, generator), sample(q.q_z, generator)
        return log_weight(x, z, y, model.decode(z), q.q_z, model.prior(memory, y), q.q_y, p_y)

    return importance_bound(torch.stack([draw() for _ in range(samples)]))


def retrieved(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """1 where the picture read from memory alone is closest to its own image among the T written, else 0.

    z ~ p(z|M_hat, y), and the cues are shuffled, so a position gives nothing away. Distance: summed squared pixel
    differences.
    """
    order = torch.randperm(x.shape[1], generator=generator).to(x.device)
    pictures = model.reconstruct(x[:, order], model.write(x), generator).flatten(2)  # [B, T, D]
    nearest = torch.cdist(pictures, x.flatten(2)).argmin(dim=-1)  # [B, T]
    return (nearest == order).float()[:, order.argsort()]


SCORES: dict[str, Score] = {
    "memory_swap": memory_swap,
    "prior_keys": prior_keys,
    "mean_decoding": mean_decoding,
    "shuffled_cues": shuffled_cues,
    "single_cues": single_cues,
    "iw": importance,
    "retrieval_top1": retrieved,
}
