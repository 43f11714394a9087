"""The doors of the model, its scores, its parts and the key space, each with the check of its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from surface import Door, plain
from surface_pools import (
    RECIPES,
    SIDE,
    B,
    K,
    L,
    S,
    T,
    bads,
    config,
    count,
    double,
    flag,
    generator,
    images,
    keys,
    maybe,
    memory,
    model,
    models,
    normal,
    number,
    odd,
    tensor,
    values,
    windows,
    word,
)
from torch import Tensor

import kpp_lib as kpp
from kpp_lib.course import keyspace
from kpp_lib.data import noise
from kpp_lib.evaluation.diagnostics import SCORES
from kpp_lib.keys import SQUASHES, squash
from kpp_lib.memory import place_blocks, read_blocks, window_grid


def finite(*shape: int):
    """A check: finite numbers of a shape."""

    def check(result: Tensor, **args: Any) -> None:
        assert tuple(result.shape) == shape, tuple(result.shape)
        assert bool(torch.isfinite(result).all()), "not finite"

    return check


# --- the model -------------------------------------------------------------------------------------------------------

ANY, TABLE = models(*RECIPES), models("allocated", "cells", "slots")
SELF, TABLED = (ANY[0], ANY[0]), (TABLE[0], TABLE[0])  # the object of a method is never a strange one


def right_bound(result: kpp.Bound, x: Tensor, **args: Any) -> None:
    for term in (result.recon, result.kl_z, result.kl_y):
        assert term.shape == (B, T) and bool(torch.isfinite(term).all()) and float(term.min()) > -1e-3


def right_cleaning(result: Tensor, x: Tensor, steps: int, **args: Any) -> None:
    assert result.shape == (steps + 1, B, T, 1, SIDE, SIDE) and float(result.min()) >= 0 and float(result.max()) <= 1
    assert torch.equal(result[0], x.float())


def gaussians(*shape: int):
    """A check: a distribution with finite means of a shape."""
    return lambda result, **args: finite(*shape)(result.mean.detach())


def pictures_of(*shape: int):
    """A check: pictures in [0, 1]."""

    def check(result: Tensor, **args: Any) -> None:
        finite(*shape)(result)
        assert float(result.min()) >= 0 and float(result.max()) <= 1

    return check


PICTURES = pictures_of(B, T, 1, SIDE, SIDE)
MODEL = [
    Door(
        "model.bound",
        lambda m, x, memory, generator, cue, by_position: m.bound(x, memory, generator, cue, by_position),
        {
            "m": SELF,
            "x": images(),
            "memory": maybe(memory()),
            "generator": generator(),
            "cue": maybe(images(grey=True)),
            "by_position": flag(),
        },
        right_bound,
        weight=8,
    ),
    Door("model.write", lambda m, x: m.write(x), {"m": SELF, "x": images()}, finite(B, 3, S, S), weight=8),
    Door(
        "model.infer",
        lambda m, x, memory: m.infer(x, memory).q_y,
        {"m": SELF, "x": images(True), "memory": maybe(memory())},
        gaussians(B, T, K, 3),
        weight=8,
    ),
    Door("model.encode", lambda m, x: m.encode(x).q_z, {"m": SELF, "x": images(True)}, gaussians(B, T, L)),
    Door(
        "model.read",
        lambda m, memory, y: m.read(memory, y),
        {"m": SELF, "memory": memory(), "y": keys(B, T, K)},
        finite(B, T, K, 3, 4, 4),
    ),
    Door(
        "model.prior",
        lambda m, memory, y: m.prior(memory, y),
        {"m": SELF, "memory": memory(), "y": keys(B, T, K)},
        gaussians(B, T, L),
    ),
    Door("model.window", lambda m, y: m.window(y), {"m": SELF, "y": keys(B, T, K, anyhow=True)}, finite(B, T, K, 3)),
    Door("model.p_y", lambda m, batch, length: m.p_y(batch, length), {"m": SELF, "batch": count(), "length": count()}),
    Door("model.decode", lambda m, z: m.decode(z).mean, {"m": SELF, "z": tensor(B, T, L)}, PICTURES),
    Door(
        "model.look_up",
        lambda m, x, memory: m.look_up(x, memory),
        {"m": TABLED, "x": images(True), "memory": memory()},
        gaussians(B, T, K, 3),
    ),
    Door(
        "model.slot_pictures",
        lambda m, memory: m.slot_pictures(memory),
        {"m": TABLED, "memory": memory(anyhow=True)},
        PICTURES,
    ),
    Door(
        "model.reconstruct",
        lambda m, x, memory, generator: m.reconstruct(x, memory, generator),
        {"m": SELF, "x": images(True), "memory": maybe(memory()), "generator": generator()},
        PICTURES,
    ),
    Door(
        "model.read_images",
        lambda m, memory, y, generator, sampled: m.read_images(memory, y, generator, sampled),
        {"m": SELF, "memory": memory(), "y": keys(B, T, K), "generator": generator(), "sampled": flag()},
        PICTURES,
    ),
    Door(
        "model.generate",
        lambda m, memory, n, generator: m.generate(memory, n, generator),
        {"m": SELF, "memory": memory(), "n": count(), "generator": generator()},
        lambda result, n, **args: pictures_of(B, n, 1, SIDE, SIDE)(result),
    ),
    Door(
        "model.perturb",
        lambda m, memory, keys, std, n, generator: m.perturb(memory, keys, std, n, generator),
        {
            "m": SELF,
            "memory": memory(),
            "keys": keys(B, T, K),
            "std": number(0, 2, -1.0),
            "n": count(most=3),
            "generator": generator(),
        },
        lambda result, n, **args: pictures_of(B, T, n, 1, SIDE, SIDE)(result),
    ),
    Door(
        "model.iterate",
        lambda m, x, memory, steps, generator, sampled: m.iterate(x, memory, steps, generator, sampled),
        {
            "m": SELF,
            "x": images(True),
            "memory": memory(),
            "steps": count(most=3),
            "generator": generator(),
            "sampled": flag(),
        },
        right_cleaning,
        weight=8,
    ),
    Door(
        "vae.bound",
        lambda x, generator, cue: model("vae").bound(x, generator, cue),
        {"x": images(), "generator": generator(), "cue": maybe(images(True))},
        right_bound,
    ),
    Door(
        "vae.iterate",
        lambda x, steps: model("vae").iterate(x, steps),
        {"x": images(True), "steps": count(most=3)},
        right_cleaning,
    ),
    Door(
        "vae.generate",
        lambda n, generator: model("vae").generate(n, generator),
        {"n": count(), "generator": generator()},
        lambda result, n, **args: pictures_of(1, n, 1, SIDE, SIDE)(result),
    ),
    Door("vae.infer", lambda x: model("vae").infer(x), {"x": images(True)}, gaussians(B, T, L)),
    Door(
        "vae.reconstruct",
        lambda x, generator: model("vae").reconstruct(x, generator),
        {"x": images(True), "generator": generator()},
        PICTURES,
    ),
    Door(
        "kpp.KanervaPlusPlus",
        lambda config: type(kpp.KanervaPlusPlus(config)).__name__,
        {"config": (values(config("paper")), st.one_of(odd(), bads(config("vae"))))},
        also=("write",),
        weight=1,
    ),
]
# Generators are never None where noise is drawn: an answer without a seed has no second one to be compared with.

SCORED = [
    Door(
        f"SCORES[{name!r}]",
        lambda model, x, generator, score=score: score(model, x, generator),
        {"model": TABLE if name == "even_places" else ANY, "x": images(), "generator": generator(needed=True)},
        lambda result, name=name, **args: _right_score(name, result),
        weight=1,
    )
    for name, score in SCORES.items()
]


def _right_score(name: str, result: Tensor) -> None:
    assert result.shape == (B, T)
    known = result[~result.isnan()] if name == "leave_one_out" else result
    assert len(known) and bool(torch.isfinite(known).all())
    assert not name.startswith("retrieval") or bool(((known == 0) | (known == 1)).all())


# --- the parts -------------------------------------------------------------------------------------------------------


def right_blocks(
    result: Tensor, memory: Tensor, window: Tensor, size: int, mode: str, padding: str, align: bool
) -> None:
    for b, t, k in ((0, 0, 0), (1, 1, 1)):
        s, x, y = window[b, t, k].float()
        theta = torch.tensor([[[s, 0, x], [0, s, y]]])
        at = F.affine_grid(theta, [1, 1, size, size], align_corners=align)
        one = F.grid_sample(memory[b : b + 1].float(), at, mode=mode, padding_mode=padding, align_corners=align)[0]
        assert torch.allclose(result[b, t, k].float(), one, atol=1e-4)


def right_grid(result: Tensor, window: Tensor, size: int, align: bool) -> None:
    steps = torch.linspace(-1, 1, size) if align and size > 1 else (2 * torch.arange(size) + 1) / size - 1
    x = window[:, 1, None] + window[:, :1] * steps
    assert torch.allclose(result[:, 0, :, 0].float(), x.float(), atol=1e-5)


def right_squash(result: Tensor, y: Tensor, kind: str, window: float) -> None:
    y, got = y.double().numpy(), result.double().numpy()
    if kind in ("in_frame", "fixed", "centre"):
        s = 0.05 + 0.9 / (1 + np.exp(-y[..., :1])) if kind == "in_frame" else np.full_like(y[..., :1], window)
        wanted = np.concatenate([s, np.tanh(y[..., 1:]) * (1 if kind == "centre" else 1 - s)], -1)
    else:
        wanted = {"none": y, "tanh": np.tanh(y), "clip": np.clip(y / 3, -1, 1)}[kind]
    assert np.allclose(got, wanted, atol=1e-5)


def right_noise(result: Tensor, x: Tensor, kind: str, strength: float, **args: Any) -> None:
    assert result.shape == x.shape and float(result.min()) >= 0 and float(result.max()) <= 1
    assert strength > 0 or torch.allclose(result, x.float())


def right_importance(result: Tensor, log_w: Tensor) -> None:
    w = log_w.double().numpy()
    assert np.allclose(result.double().numpy(), -np.log(np.exp(w).mean(0)), atol=1e-4)


PARTS = [
    Door(
        "memory.read_blocks",
        lambda memory, window, size, mode, padding, align: read_blocks(memory, window, size, mode, padding, align),
        {
            "memory": memory(double=True),
            "window": windows(B, T, K),
            "size": count(most=9),
            "mode": word("bilinear"),
            "padding": word("zeros", "border", "reflection"),
            "align": flag(),
        },
        right_blocks,
        also=("align_corners",),
        weight=8,
    ),
    Door(
        "memory.place_blocks",
        lambda blocks, window, size, floor: place_blocks(blocks, window, size, floor),
        {
            "blocks": double(tensor(B, T, K, 3, 4, 4)),
            "window": windows(B, T, K),
            "size": count(1, 20),
            "floor": number(0.01, 1, 0.0, -1.0),
        },
        lambda result, size, **args: finite(B, 3, size, size)(result),
    ),
    Door(
        "memory.window_grid",
        lambda window, size, align: window_grid(window, size, align),
        {"window": windows(5), "size": count(), "align": flag()},
        right_grid,
        also=("align_corners",),
    ),
    Door(
        "keys.squash",
        lambda y, kind, window: squash(y, kind, window),
        {"y": keys(B, T, K, anyhow=True), "kind": word(*SQUASHES), "window": number(0.05, 1, 0.0, -0.5, 1.5)},
        right_squash,
    ),
    Door(
        "noise.add_noise",
        lambda x, kind, strength, generator: noise.add_noise(x, kind, strength, generator),
        {
            "x": images(True, anyhow=True),
            "kind": word(*noise.KINDS),
            "strength": number(0, 1, -0.5),
            "generator": generator(True),
        },
        right_noise,
    ),
    Door(
        "kpp.importance_bound",
        lambda log_w: kpp.importance_bound(log_w),
        {
            "log_w": (
                st.integers(0, 40).map(lambda n: plain(f"normal({n})", lambda: normal(n, 5, B, T))),
                st.one_of(
                    odd(), bads(torch.zeros(0, 2), torch.tensor(1.0), torch.full((2, 2), torch.nan), torch.ones(3) > 0)
                ),
            )
        },
        right_importance,
    ),
]

# --- the key space ---------------------------------------------------------------------------------------------------

ONE = memory(1)
KIND = word("tanh", "in_frame", "fixed", "none", none=True)
KEYSPACE = [
    Door(
        "keyspace.look",
        lambda model, memory, y, kind: keyspace.look(model, memory, y, kind),
        {"model": models(*RECIPES, also=("vae",)), "memory": ONE, "y": keys(K), "kind": KIND},
        lambda result, **args: finite(1, SIDE, SIDE)(result.picture),
    ),
    Door(
        "keyspace.pictures",
        lambda model, memory, y, kind: keyspace.pictures(model, memory, y, kind),
        {"model": models(*RECIPES, also=("vae",)), "memory": ONE, "y": keys(5, K), "kind": KIND},
        pictures_of(5, 1, SIDE, SIDE),
    ),
    Door(
        "keyspace.read_and_way",
        lambda memory, window, target: keyspace.read_and_way(memory, window, target),
        {"memory": memory(1, double=True), "window": windows(), "target": double(tensor(3, 4, 4))},
        lambda result, **args: finite(3)(result[2]),
    ),
    Door(
        "keyspace.key_at",
        lambda window, kind: keyspace.key_at(window, kind),
        {
            "window": (
                windows(6)[0].map(lambda g: plain(g.words, lambda: g.make() * torch.tensor([1.0, 0.5, 0.5]))),
                windows(6)[1].filter(lambda g: g.means is None and g.words != "a dimension more"),
            ),
            "kind": word("tanh", "in_frame", "none"),
        },
        lambda result, window, kind: right_squash(window, result, kind, 0.25),
    ),
    Door(
        "keyspace.plane",
        lambda y, head, centres, kind, window: keyspace.plane(y, head, centres, kind, window),
        {
            "y": double(keys(K)),
            "head": count(0, 1, limit=1),
            "centres": tensor(5, 2, scale=0.05),
            "kind": word("tanh", "in_frame", "fixed", "none"),
            "window": number(0.1, 0.4),
        },
        finite(5, K, 3),
    ),
    Door(
        "keyspace.mesh",
        lambda n, reach: keyspace.mesh(n, reach),
        {"n": count(2), "reach": number(0.1, 2, 0.0, -1.0)},
        lambda result, n, **args: finite(n * n, 2)(result),
    ),
]
