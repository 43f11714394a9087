"""evaluate: the protocol behind every number that we report.

Latents are sampled, with the sigma that the KL is charged for; BatchNorm uses its running statistics; every image of
the split is scored exactly once per order, in seeded shuffled episodes of T. Mean and standard deviation are over the
orders.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from tqdm import tqdm

from ..baselines import VAE
from ..config import Config
from ..data.episodes import Batch, Episodes, seeded
from ..data.images import Images, ImageSet
from ..data.windows import whole_walks
from ..inputs import Words, check_count, check_flag, check_kind, trusted, wrong
from ..likelihood import bits_per_dim, scores_bits
from ..model import KanervaPlusPlus
from ..models import Model
from ..training.arguments import check_scored
from ..training.provenance import commit, data_card, hardware
from .diagnostics import SCORES, scores_of
from .once import once

TERMS = ("total", "recon", "kl_z", "kl_y")
PARTIAL = ("leave_one_out",)  # scores of some of the images
EACH_ORDER = (
    "memory_swap",
    "shuffled_cues",
    "retrieval_shuffled",
)  # beside the bound; the others in the first order only
NUMBERS = {name: i for i, name in enumerate(SCORES)}  # a score's noise does not depend on which others are asked for
NOTES = {
    "memory_gain": "total of the memory-free baseline that was given, minus total",
    "leave_one_out": "memory written without the image; a quarter of the images in each order",
    "bits_per_dim": "total / (C H W ln 2)",
    "total": "a bound on -ln p(x|M), M written from the same episode: at least ln T, no match for ln p(x)",
    "memory_swap": "total with another episode's memory; the same as total where the memory is not read",
    "prior_keys": "recon + KL_Z with y ~ p(Y)",
    "mean_decoding": "not a bound",
    "shuffled_cues": "shown in another order than written",
    "single_cues": "each shown alone",
    "iw": "50 importance samples",
    "retrieval_top1": "read from memory alone: nearest to its own image",
    "retrieval_shuffled": "cues shuffled",
    "retrieval_single": "each cue alone",
    "even_places": "total with p(Y) an even mixture over the places of the memory, not N(0, I)",
    "retrieval_noisy": "cues shuffled, a tenth of their bits flipped (of grey values: 1 - x)",
    "retrieval_salted": "cues shuffled, salt & pepper on 0.3 of their pixels",
}
VAE_NOTES = {"total": "a bound on -ln p(x): no memory has seen the image"}


@torch.no_grad()
def evaluate(
    model: Model,
    images: Images | ImageSet,
    length: int | None = None,
    orders: int = 5,
    episodes: int | None = None,
    scores: tuple[str, ...] | None = None,
    limit: int | None = None,
    quiet: bool = True,
    baseline: Model | None = None,
) -> dict[str, Any]:
    """Score `images` (a split, or an ImageSet: then its test split) and return a report that is JSON as it stands.

    length: T, the model's own by default. scores: names from `diagnostics.SCORES`; by default all that fit the model,
    which takes half an hour for 10,000 images on a CPU. The bound, `memory_gain` and those of EACH_ORDER are scored in
    every order, the others in the first: their `std` is None. With likelihood="logistic_mixture" the total is there as
    `bits_per_dim`, too. episodes: at a time; None takes 8, on a GPU 32. limit:
    score a fixed random `limit` of the images only, and say so. baseline: a memory-free model; its total minus ours is
    `memory_gain`.
    Report: `scores` = {name: {"mean", "std"}} in nats per image (retrieval: a fraction), `T`, `orders`, `images`, and
    what was scored on what. On a GPU data and noise are there, the noise another than a CPU's. Raises ValueError,
    naming the argument, for images that the model's likelihood does not score or of another size, an unknown score,
    fewer than two episodes, a baseline that has a memory or another likelihood, and for what is no whole number of at
    least 1 (episodes: 2).
    """
    check_kind("model", model, Model, "a KanervaPlusPlus or a VAE, such as kpp.load_pretrained('mnist-cpu')")
    split = images.test if isinstance(images, ImageSet) else images
    check_split(split, model.config)
    scores = _check_scores(model, scores, baseline)
    device = next(model.parameters()).device
    episodes = (32 if device.type == "cuda" else 8) if episodes is None else check_count("episodes", episodes, least=2)
    orders = check_count("orders", orders)
    length = model.config.length if length is None else check_count("length", length)
    limit, quiet = None if limit is None else check_count("limit", limit), check_flag("quiet", quiet)
    available = len(split)
    total = min(available, limit or available)
    if total < 2 * length:
        raise ValueError(f"length: got T = {length} for {total} images, expected at least two episodes' worth")
    split = _part(split, total)
    Episodes(split, length)  # says so where T is longer than the split's walks
    split = split.to(device) if device.type == "cuda" else split
    model = model.holding(length) if isinstance(model, KanervaPlusPlus) else model
    was_training, began, code = model.training, time.monotonic(), commit()
    model.eval()
    if baseline is not None:
        baseline.eval()
    with trusted():  # the split was looked at; a second look in each score would wait for the device
        rows = [
            _one_order(model, split, length, episodes, order, _scores_in(order, scores), quiet, baseline)
            for order in range(orders)
        ]
    model.train(was_training)
    report = {name: _over_orders([row[name] for row in rows if name in row]) for name in rows[0]}
    return {
        "scores": report,
        "T": length,
        "orders": orders,
        "images": total,
        "of": available,
        "recipe": model.config.recipe_name,
        "preset": model.config.preset_name,
        "data": data_card(images) if isinstance(images, ImageSet) else None,
        "commit": code,
        "hardware": hardware(device),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - began, 1),
        "notes": {k: v for k, v in (NOTES | (VAE_NOTES if isinstance(model, VAE) else {})).items() if k in report},
    }


def check_split(split: Images, config: Config, grey: bool = False) -> None:
    """ValueError unless `images` are a split of the model's size that its likelihood scores, or, if `grey`, grey."""
    check_kind("images", split, Images, "a split of a data set, or an ImageSet")
    c, size = config, list(split.pixels.shape[1:])
    if size != [c.channels, c.image_size, c.image_size]:
        raise wrong("images", size, f"[{c.channels}, {c.image_size}, {c.image_size}], as the model was built for")
    if not grey:
        check_scored("images", split, config)
    elif split.binary or split.redraw:
        raise wrong("images", Words("binary ones"), "grey images, binarize='none'")


def _check_scores(model: Model, scores: tuple[str, ...] | None, baseline: Model | None) -> tuple[str, ...]:
    known = scores_of(model.config)
    scores = tuple(known) if scores is None else scores
    if not isinstance(scores, list | tuple | set) or not all(isinstance(name, str) for name in scores):
        raise wrong("scores", scores, f"a list of some of {', '.join(known)}")
    unknown = sorted(set(scores) - set(known))
    if unknown:
        recipe = model.config.recipe_name
        raise ValueError(f"scores: got {', '.join(unknown)} for recipe {recipe}, expected some of {', '.join(known)}")
    if baseline is not None:
        check_kind("baseline", baseline, Model, "a model without a memory, recipe vae")
        if baseline.config.write != "none":
            raise wrong("baseline", Words(f"a model with write={baseline.config.write!r}"), "a model without a memory")
        if baseline.config.likelihood != model.config.likelihood:
            got = Words(f"a model with likelihood={baseline.config.likelihood!r}")
            raise wrong("baseline", got, f"one with {model.config.likelihood!r}, as the model has it")
    return scores


def _scores_in(order: int, scores: tuple[str, ...]) -> tuple[str, ...]:
    return scores if order == 0 else tuple(name for name in scores if name in EACH_ORDER)


def _over_orders(values: list[float]) -> dict[str, float | None]:
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else None}


def _part(split: Images, count: int) -> Images:
    if count == len(split):
        return split
    if split.walks is not None:  # of single frames there is no window
        return split.part(whole_walks(split.walks, seeded(0))[:count])
    # at random: the released test bits are sorted by class
    return split.part(torch.randperm(len(split), generator=seeded(0))[:count])


def _one_order(
    model: Model,
    split: Images,
    length: int,
    episodes: int,
    order: int,
    scores: tuple[str, ...],
    quiet: bool,
    baseline: Model | None,
) -> dict[str, float]:
    device, known, parts = next(model.parameters()).device, scores_of(model.config), []
    on = device if device.type == "cuda" else "cpu"  # noise of a GPU is other noise, made where it is used

    def noise(*numbers: int) -> torch.Generator:
        return seeded(order, *numbers, device=on)

    batches = list(_whole_pairs(Episodes(split, length, episodes).cover(order)))
    for i, batch in enumerate(tqdm(batches, desc=f"order {order}", disable=quiet, unit="batch")):
        x, same = batch.x.to(device), once(model) if isinstance(model, KanervaPlusPlus) else model
        bound = same.bound(x, generator=noise(i))
        values = {name: getattr(bound, name) for name in TERMS}
        values |= {name: known[name](same, x, noise(i, NUMBERS[name])) for name in scores}
        if baseline is not None:
            values["memory_gain"] = baseline.bound(x, generator=noise(i)).total - bound.total
        parts.append({name: v.flatten() for name, v in values.items()})
    keep = torch.cat([batch.scored.flatten() for batch in batches]).cpu()
    # fetched once, at the end: no batch waits for the one before
    values = {name: torch.cat([p[name] for p in parts]).cpu()[keep].double() for name in parts[0]}
    # only there is a NaN an image that was not scored; anywhere else it has to show
    means = {name: float(v.nanmean() if name in PARTIAL else v.mean()) for name, v in values.items()}
    if scores_bits(model.config):
        return means
    return {"total": means["total"], "bits_per_dim": bits_per_dim(means["total"], model.config)} | means


def _whole_pairs(batches) -> list[Batch]:
    """Join a last batch of one episode to the one before: a memory can only be swapped between two."""
    batches = list(batches)
    if len(batches) > 1 and batches[-1].x.shape[0] == 1:
        last: Batch = batches.pop()
        batches[-1] = Batch(*(torch.cat([a, b]) for a, b in zip(batches[-1], last, strict=True)))
    return batches
