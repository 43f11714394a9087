"""Diagnostics: is the memory read, what for, and does a cue find its image? Functions of (model, x, generator).

The bound alone cannot tell: a model that ignores its memory can have a good total and fine pictures. Scores are [B, T].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, kl_divergence

from ..baselines import VAE
from ..bound import bound_terms, importance_bound, log_weight, sample
from ..config import Config
from ..data.noise import flipped
from ..doors import images_of
from ..draws import draw
from ..inputs import Words, check_generator, check_kind, wrong
from ..keys import SlotKeys
from ..model import KanervaPlusPlus
from ..posterior import Posterior

Score = Callable[..., Tensor]  # of (model, x, generator)


def memory_swap(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total with the memory of the next episode of the batch, nats. Equal to the total: the memory is not read."""
    if x.shape[0] < 2:
        raise ValueError(f"x: got {x.shape[0]} episode, expected at least 2 to swap memories between")
    return model.bound(x, model.write(x).roll(-1, dims=0), generator).total


def prior_keys(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """recon + KL_Z with keys y ~ p(Y) in place of q(Y|X), nats. Equal to the total less KL_Y: the keys say nothing."""
    q = model.infer(x)
    p_y = model.p_y(*x.shape[:2])
    memory, y = model.write(x, q), sample(p_y, generator)
    p_z = model.prior(memory, y)
    q_z = model.z_posterior(q, p_z)
    bound = bound_terms(x, model.decode(sample(q_z, generator), memory, y), q_z, p_z, p_y, p_y)
    return bound.recon + bound.kl_z


def even_places(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total with p(Y) an even mixture over the places of the memory in place of N(0, I), nats: an address costs at most
    ln T. A bound of that other model (ours), of the same weights; for keys that come from a table only."""
    q = model.infer(x)
    memory, y, places = model.write(x, q), sample(q.q_y, generator), model.key_model.slots()
    p_z = model.prior(memory, y)
    q_z = model.z_posterior(q, p_z)
    even = Categorical(logits=torch.zeros(places.batch_shape, device=y.device), validate_args=False)
    p_y = MixtureSameFamily(even, places, validate_args=False)
    bound = bound_terms(x, model.decode(sample(q_z, generator), memory, y), q_z, p_z, q.q_y, model.p_y(*x.shape[:2]))
    return bound.recon + bound.kl_z + q.q_y.log_prob(y) - p_y.log_prob(y)


def mean_decoding(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """The three terms at the means of z and y, nats. NOT a bound: it takes no noise and pays for some (what the public
    code of the paper's author computes in eval mode)."""
    q = model.infer(x)
    memory, y = model.write(x, q), q.q_y.mean
    p_z = model.prior(memory, y)
    q_z = model.z_posterior(q, p_z)
    return bound_terms(x, model.decode(q_z.mean, memory, y), q_z, p_z, q.q_y, model.p_y(*x.shape[:2])).total


def leave_one_out(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator, share: float = 0.25) -> Tensor:
    """Total with the memory that the others of the episode write, re-encoded without the image, nats.

    The posteriors are those of the whole episode; only the memory lacks the image. Close to the total: the memory holds
    what images have in common, not this one. It takes a memory per image, so a random `share` of each episode is
    scored, the rest NaN. Raises ValueError for episodes of one image.
    """
    b, t = x.shape[:2]
    if t < 2:
        raise ValueError(f"x: got episodes of {t} image, expected at least 2 to leave one out")
    left = _shuffled(t, x, generator)[: max(1, round(share * t))].sort().values  # [n]
    others = torch.arange(t - 1, device=x.device)
    others = others + (others >= left[:, None])  # [n, T - 1]: all but the one
    memory = torch.cat([model.write(images[others]) for images in x])  # [B*n, C, S, S]
    cues = _alone(x[:, left])
    seen = model.encode(x).regroup(b * t, 1).rows(_flat(left, b, t))
    total = model.terms(cues, model.find(cues, seen, memory), memory, generator).total.view(b, -1)
    return torch.full((b, t), float("nan"), device=x.device).index_copy(1, left, total)


def shuffled_cues(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total when the episode is shown in another order than it was written in, nats; scores stay with their images."""
    order = _order(x, generator)
    return model.bound(x[:, order], model.write(x), generator).total[:, order.argsort()]


def single_cues(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """Total when each image is presented alone, to the memory of its episode, nats."""
    memory = model.write(x)
    return model.terms(x, _seen_alone(model, x, memory), memory, generator).total


def importance(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator, samples: int = 50) -> Tensor:
    """The importance-weighted bound with `samples` draws of (y, z), nats; tighter than the total."""
    q = model.infer(x)
    memory, p_y = model.write(x, q), model.p_y(*x.shape[:2])

    def weight() -> Tensor:
        p_z = model.prior(memory, y := sample(q.q_y, generator))
        q_z = model.z_posterior(q, p_z)
        return log_weight(x, z := sample(q_z, generator), y, model.decode(z, memory, y), q_z, p_z, q.q_y, p_y)

    return importance_bound(torch.stack([weight() for _ in range(samples)]))


def retrieval_top1(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """1 where the picture read from memory alone is closest to its own image among the T written, else 0.

    z ~ p(z|M_hat, y). Distance: summed squared pixel differences.
    """
    return _retrieved(model.reconstruct(x, model.write(x), generator), x)


def retrieval_shuffled(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """`retrieval_top1` with the cues in another order than written, so that a position gives nothing away."""
    order = _order(x, generator)
    return _retrieved(model.reconstruct(x[:, order], model.write(x), generator)[:, order.argsort()], x)


def retrieval_single(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator) -> Tensor:
    """`retrieval_top1` with each cue presented alone."""
    memory = model.write(x)
    y = sample(_seen_alone(model, x, memory).q_y, generator)
    return _retrieved(model.read_images(memory, y, generator), x)


def retrieval_noisy(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator, flips: float = 0.1) -> Tensor:
    """`retrieval_shuffled` with a share `flips` of each cue's bits flipped."""
    order = _order(x, generator)
    cues = flipped(x, flips, generator)[:, order]
    return _retrieved(model.reconstruct(cues, model.write(x), generator)[:, order.argsort()], x)


def retrieval_salted(model: KanervaPlusPlus, x: Tensor, generator: torch.Generator, strength: float = 0.3) -> Tensor:
    """`retrieval_shuffled` with salt & pepper noise on the cues, a share `strength` of the pixels drawn anew."""
    order = _order(x, generator)
    hit, salt = (draw(torch.rand, x.shape, generator, device=x.device) for _ in range(2))
    cues = torch.where(hit < strength, (salt < 0.5).to(x), x)[:, order]
    return _retrieved(model.reconstruct(cues, model.write(x), generator)[:, order.argsort()], x)


def _order(x: Tensor, generator: torch.Generator) -> Tensor:
    return _shuffled(x.shape[1], x, generator)


def _shuffled(count: int, x: Tensor, generator: torch.Generator) -> Tensor:
    """An order of `count` things on the device of x, drawn where the generator is."""
    return torch.randperm(count, generator=generator, device=generator.device).to(x.device)


def _alone(x: Tensor) -> Tensor:
    return x.flatten(0, 1)[:, None]  # [B*T, 1, C, H, W]


def _seen_alone(model: KanervaPlusPlus, x: Tensor, memory: Tensor) -> Posterior:
    """What is inferred from each image without its neighbours, [B, T]."""
    return model.find(x, model.encode(_alone(x)).regroup(*x.shape[:2]), memory)


def _flat(left: Tensor, b: int, t: int) -> Tensor:
    """Rows of the images `left` of each of b episodes among all b*t."""
    return (torch.arange(b, device=left.device)[:, None] * t + left).flatten()


def _retrieved(pictures: Tensor, x: Tensor) -> Tensor:
    nearest = torch.cdist(pictures.flatten(2), x.flatten(2)).argmin(dim=-1)  # [B, T]
    return (nearest == torch.arange(x.shape[1], device=x.device)).float()


def vae_mean_decoding(model: VAE, x: Tensor, generator: torch.Generator) -> Tensor:
    """`mean_decoding` of a memory-free VAE."""
    q_z = model.infer(x)
    return -model.decoder(q_z.mean).log_prob(x) + kl_divergence(q_z, model.p_z(q_z.mean))


def vae_importance(model: VAE, x: Tensor, generator: torch.Generator, samples: int = 50) -> Tensor:
    """`importance` of a memory-free VAE: on -ln p(x)."""
    q_z = model.infer(x)
    p_z = model.p_z(q_z.mean)

    def weight() -> Tensor:
        z = sample(q_z, generator)
        return model.decoder(z).log_prob(x) + p_z.log_prob(z) - q_z.log_prob(z)

    return importance_bound(torch.stack([weight() for _ in range(samples)]))


def door(score: Score, kind: type = KanervaPlusPlus) -> Score:
    """The same score, which says in a sentence what is wrong with the model, x [B, T, C, H, W] or the generator."""

    @wraps(score)
    def checked(model: KanervaPlusPlus | VAE, x: Tensor, generator: torch.Generator, **how: Any) -> Tensor:
        check_kind("model", model, kind, "a model with a memory" if kind is KanervaPlusPlus else "a memory-free VAE")
        check_generator("generator", generator, needed=True)
        if score is even_places and not isinstance(model.key_model, SlotKeys):
            raise wrong("model", Words(f"keys={model.config.keys!r}"), "a table of places, keys='allocated' or 'slots'")
        return score(model, images_of(model, "x", x), generator, **how)

    return checked


SCORES: dict[str, Score] = {
    "memory_swap": door(memory_swap),
    "prior_keys": door(prior_keys),
    "mean_decoding": door(mean_decoding),
    "shuffled_cues": door(shuffled_cues),
    "single_cues": door(single_cues),
    "iw": door(importance),
    "retrieval_top1": door(retrieval_top1),
    "leave_one_out": door(leave_one_out),
    "retrieval_shuffled": door(retrieval_shuffled),
    "retrieval_single": door(retrieval_single),
    "retrieval_noisy": door(retrieval_noisy),
    "even_places": door(even_places),
    "retrieval_salted": door(retrieval_salted),  # at the end: a score's noise is numbered by its place
}
VAE_SCORES: dict[str, Score] = {"mean_decoding": door(vae_mean_decoding, VAE), "iw": door(vae_importance, VAE)}


def scores_of(config: Config) -> dict[str, Score]:
    """The scores that make sense for a model: those of a memory need one, those of places a table of them."""
    if config.write == "none":
        return VAE_SCORES
    tabled = config.keys in ("slots", "allocated")
    return SCORES if tabled else {k: v for k, v in SCORES.items() if k != "even_places"}
