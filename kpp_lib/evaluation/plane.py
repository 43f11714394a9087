"""The key space of a memory, in numbers: who are neighbours, and what stands where nobody wrote.

A study as in `studies`: rows that are JSON as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..baselines import VAE
from ..bound import sample
from ..data.episodes import seeded
from ..data.images import Images
from ..inputs import Words, check_count, check_kind, wrong
from ..likelihood import scores_bits
from ..model import KanervaPlusPlus
from .recognition import Judge
from .studies import episodes_of, several

STEPS = (0, 1, 2, 5, 10)
NEIGHBOURS = 3


@torch.no_grad()
def random_keys(
    model: KanervaPlusPlus,
    images: Images,
    judge: Judge,
    baseline: VAE | None = None,
    steps: Sequence[int] = STEPS,
    episodes: int = 32,
) -> list[dict[str, Any]]:
    """What a memory shows at keys drawn from p(Y), at once and after reading again (section 4.1.1, Figure 6).

    A row for each kind of picture: the images themselves, the images read back from memory, those at random keys after
    each number of `steps` of iterative reading, and samples of `baseline`. `recognised`: the share that `judge` names;
    `to_real`, `to_stored`: mean distance to the nearest of its real images, and to the nearest image of the episode,
    % of the bits. images: binary. Raises ValueError for another kind of argument, and for a model that scores no bits.
    """
    bits_only(model)
    check_kind("judge", judge, Judge, "a Judge, trained on labelled images")
    steps = sorted({check_count("steps", n, least=0) for n in several("steps", steps)})
    x, generator = episodes_of(images, model, episodes), seeded(5)
    memory = model.write(x)
    y = sample(model.p_y(len(x), x.shape[1]), generator)
    walk = model.iterate(model.read_images(memory, y, sampled=False), memory, max(1, *steps))
    kinds = {"images": x, "read back": model.read_images(memory, model.infer(x, memory).q_y.mean, sampled=False)}
    kinds |= {f"random keys, step {n}": walk[n] for n in steps}
    if baseline is not None:
        check_kind("baseline", baseline, VAE, "a model without a memory, recipe vae")
        kinds["samples of the VAE"] = baseline.generate(x[:, :, 0, 0, 0].numel(), generator).view_as(x)
    return [{"pictures": name} | _judged(pictures, x, judge) for name, pictures in kinds.items()]


def bits_only(model: KanervaPlusPlus) -> None:
    """ValueError for a model whose images are not binary: a judge sees bits, and distances count them."""
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    if not scores_bits(model.config):
        raise wrong("model", Words(f"likelihood={model.config.likelihood!r}"), "'bernoulli': this study counts bits")


def _judged(pictures: Tensor, x: Tensor, judge: Judge) -> dict[str, float]:
    named, far = judge(pictures.flatten(0, 1))
    bits = (pictures > 0.5).float().flatten(2)
    near = torch.cdist(bits, x.flatten(2), p=1).amin(-1).mean() / bits.shape[-1]
    return {
        "recognised": float(named.float().mean()),
        "to_real": 100 * float(far.mean()),
        "to_stored": 100 * float(near),
    }


@torch.no_grad()
def neighbours(model: KanervaPlusPlus, images: Images, episodes: int = 32, count: int = NEIGHBOURS) -> float:
    """By how much less the images at neighbouring places differ: mean difference between each image and the `count`
    written nearest to it (places of its first key), over the mean of all pairs of its episode. 1: a place says nothing.
    """
    x = episodes_of(images, model, episodes)
    if not check_count("count", count) < x.shape[1]:
        raise wrong("count", count, f"at most the T - 1 = {x.shape[1] - 1} others")
    place = model.window(model.encode(x).place)[:, :, 0, 1:]  # [B, T, 2]
    itself = torch.diag(torch.full((x.shape[1],), torch.inf, device=x.device))
    nearest = (torch.cdist(place, place) + itself).topk(count, largest=False).indices
    apart = torch.cdist(x.flatten(2), x.flatten(2), p=1)
    return float(apart.gather(-1, nearest).mean() / (apart.sum() / (apart.numel() - apart.shape[0] * apart.shape[1])))


def keys(
    model: KanervaPlusPlus, images: Images, labelled: Images, baseline: VAE | None = None, episodes: int = 32
) -> list[dict[str, Any]]:
    """`random_keys` with a judge trained on `labelled`, and the ratio of `neighbours` as a last row."""
    bits_only(model)
    if baseline is not None:
        check_kind("baseline", baseline, VAE, "a model without a memory, recipe vae")
    apart = neighbours(model, images, episodes)
    rows = random_keys(model, images, Judge(labelled), baseline, episodes=episodes)
    return [*rows, {"neighbours differ by": apart}]
