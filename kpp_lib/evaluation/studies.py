"""Studies: one quantity varied, the weights fixed. How much a memory holds, how well it cleans, how far a key may move.

Each returns rows that are JSON as they stand; `kpp study` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..baselines import VAE
from ..data.episodes import Episodes, seeded
from ..data.images import Images
from ..data.noise import KINDS, add_noise
from ..inputs import Words, check_choice, check_count, check_kind, check_number, wrong
from ..likelihood import scores_bits
from ..model import KanervaPlusPlus
from .evaluate import check_split, evaluate

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STRENGTHS = {  # in the units of kpp_lib.data.noise
    "salt & pepper": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "speckle": (0.0, 0.3, 0.6, 1.2, 2.4),
    "poisson": (0.0, 0.1, 0.3, 0.6, 1.2),
}
STDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, None)  # of a key's perturbation; None: a fresh key y ~ p(Y)


def capacity(
    model: KanervaPlusPlus, images: Images, lengths: Sequence[int] = LENGTHS, limit: int = 1024
) -> list[dict[str, Any]]:
    """The same weights with memories written from T images, for each T: the terms of the bound (nats) and retrieval.

    One order of `limit` images. Beyond the T of its training a model with slots shares them. Raises ValueError as
    `evaluate` does.
    """
    rows = []
    for length in several("lengths", lengths):
        report = evaluate(model, images, length, orders=1, scores=("retrieval_shuffled",), limit=limit)
        rows.append({"T": length} | {name: score["mean"] for name, score in report["scores"].items()})
    return rows


@torch.no_grad()
def clean_up(
    model: KanervaPlusPlus,
    images: Images,
    baseline: VAE | None = None,
    strengths: dict[str, Sequence[float]] | None = None,
    steps: int = 10,
    episodes: int = 8,
) -> list[dict[str, Any]]:
    """Bit error in % against the clean image, after each step of iterative reading (eq. 7), means fed back.

    images: grey. Memories are written from the clean bits (grey > 0.5); with likelihood="logistic_mixture" from the
    clean images, and the error is the mean absolute one, in % of full ink. Cues are shown in another order than
    written. A row per kind, strength and reader: "its own memory", "another memory" (that of the next episode), "vae"
    (`VAE.iterate`), each with `error` = [noisy cue, step 1, ...]; the first number is
    what doing nothing leaves. Raises ValueError for another kind of argument, and for binary images.
    """
    if baseline is not None:
        check_kind("baseline", baseline, VAE, "a model without a memory, recipe vae")
    strengths = STRENGTHS if strengths is None else check_kind("strengths", strengths, Mapping, "{kind: strengths}")
    strengths = {check_choice("strengths", k, KINDS): several("strengths", v) for k, v in strengths.items()}
    steps = check_count("steps", steps)
    grey, rows = episodes_of(images, model, episodes, grey=True), []
    for kind, levels in strengths.items():
        for strength in levels:
            for reader, error in _cleaned(model, baseline, grey, kind, strength, steps).items():
                rows.append({"kind": kind, "strength": strength, "reader": reader, "error": error.tolist()})
    return rows


def _cleaned(
    model: KanervaPlusPlus, baseline: VAE | None, grey: Tensor, kind: str, strength: float, steps: int
) -> dict[str, Tensor]:
    """Error per step [steps + 1] of each reader, on episodes `grey` [B, T, C, H, W]."""
    bits = scores_bits(model.config)
    clean = (grey > 0.5).float() if bits else grey
    order = torch.randperm(grey.shape[1], generator=seeded(1))
    cue = add_noise(grey[:, order], kind, strength, seeded(2))
    memory = model.write(clean)
    read = {
        "its own memory": model.iterate(cue, memory, steps),
        "another memory": model.iterate(cue, memory.roll(-1, dims=0), steps),
    }
    if baseline is not None:
        read["vae"] = baseline.iterate(cue, steps)
    shown = {name: (p > 0.5).float() if bits else p for name, p in read.items()}
    return {name: 100 * (p - clean[:, order]).abs().flatten(1).mean(1) for name, p in shown.items()}


@torch.no_grad()
def memories(model: KanervaPlusPlus, images: Images, episodes: int = 8) -> list[dict[str, Any]]:
    """How much of what is written, and of what is read, is the episode's: the rest is the same table for all episodes.

    images: as the likelihood scores them. Two rows, `share` in %. "memory": variance between the memories of `episodes`
    episodes, of their mean square. "mean of p(z)": variance between memories of the prior's mean at one and the same
    key, of its variance over keys and memories; the keys are those of the images. Raises ValueError for another kind of
    argument, for fewer than two episodes, and for other images.
    """
    episodes = check_count("episodes", episodes, least=2)
    x = episodes_of(images, model, episodes)
    memory = model.write(x)
    y = model.infer(x, memory).q_y.mean  # [B, T, K, 3]
    means = torch.stack([model.prior(memory.roll(-s, dims=0), y).mean for s in range(episodes)])  # [B, B, T, L]
    written = memory.var(0, unbiased=False).mean() / memory.square().mean()
    read = means.var(0, unbiased=False).mean() / means.flatten(0, 2).var(0, unbiased=False).mean()
    rows = {"memory": written, "mean of p(z)": read}
    return [{"what": what, "share": 100 * float(share)} for what, share in rows.items()]


@torch.no_grad()
def perturbation(
    model: KanervaPlusPlus, images: Images, stds: Sequence[float | None] = STDS, episodes: int = 8
) -> list[dict[str, Any]]:
    """How far a picture moves when its key does: mean absolute change in % of full ink, prior and keys at their means.

    images: as the likelihood scores them. A row per standard deviation of the perturbation (section 4.1.1); None stands
    for fresh random keys. Raises ValueError for another kind of argument, and for other images.
    """
    stds = [None if s is None else check_number("stds", s, least=0) for s in several("stds", stds)]
    x = episodes_of(images, model, episodes)
    memory = model.write(x)
    y = model.infer(x, memory).q_y.mean
    home, noise = model.read_images(memory, y, sampled=False), torch.randn(y.shape, generator=seeded(3)).to(y)
    moved = [model.read_images(memory, noise if std is None else y + std * noise, sampled=False) for std in stds]
    return [{"std": s, "change": 100 * (m - home).abs().mean().item()} for s, m in zip(stds, moved, strict=True)]


def several(name: str, values: Any) -> list[Any]:
    """A list of at least one item, from any sequence but a word."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not values:
        raise wrong(name, values, "a list of at least one")
    return list(values)


def episodes_of(images: Images, model: KanervaPlusPlus, episodes: int, grey: bool = False) -> Tensor:
    """The first `episodes` episodes of the model's length in a fixed order, [B, T, C, H, W]."""
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    check_split(images, model.config, grey)
    check_count("episodes", episodes, least=2)  # a control reads another episode's memory
    if len(images) < model.config.length:
        raise wrong(
            "images", Words(f"{len(images)} images"), f"at least T = {model.config.length}, as the model has it"
        )
    batch = next(Episodes(images, model.config.length, episodes, seed=0).cover())
    return batch.x.to(next(model.parameters()).device)
