"""The doors of a memory with cells: adding, freeing, finding, and memories on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from surface import Door, Pool, bad, plain
from surface_doors import PICTURES, finite, gaussians, right_bound
from surface_pools import (
    SIDE,
    B,
    K,
    S,
    T,
    count,
    flag,
    generator,
    images,
    keys,
    maybe,
    memory,
    model,
    models,
    odd,
    values,
)
from torch import Tensor

import kpp_lib as kpp

CELLED = (models("allocated")[0], models("allocated")[0])  # the object of a method is never a strange one


def own_memory() -> tuple[Pool, Pool]:
    """Memories with two free cells, as the model writes them."""

    def written(n: int) -> Tensor:
        x = (torch.rand(B, 2, 1, SIDE, SIDE, generator=kpp.seeded(n)) < 0.4).float()
        return model("allocated").write(x).detach()

    return st.integers(0, 9).map(lambda n: plain(f"written({n})", lambda: written(n))), memory()[1].filter(
        lambda g: g.means is None
    )


def one_image() -> tuple[Pool, Pool]:
    """Episodes of one image each; of T there are too many for the cells that are free."""
    usual = st.integers(0, 9).map(
        lambda n: plain(f"image({n})", lambda: (torch.rand(B, 1, 1, SIDE, SIDE, generator=kpp.seeded(n)) < 0.4).float())
    )
    grey = bad("grey", lambda: torch.rand(B, 1, 1, SIDE, SIDE, generator=kpp.seeded(0)))
    many = bad("more than fit", lambda: torch.zeros(B, T, 1, SIDE, SIDE))
    return usual, st.one_of(st.sampled_from([grey, many]), odd())


def right_margin(result: Any, **args: Any) -> None:
    finite(B, T, K, 3)(result.keys)
    finite(B, T)(result.margin)
    assert ((result.p_value > 0) & (result.p_value <= 1)).all()
    assert result.cell.shape == (B, T) and 0 <= int(result.cell.min()) <= int(result.cell.max()) < T


def right_taken(result: Tensor, **args: Any) -> None:
    assert result.shape == (B, T) and result.dtype == torch.bool


def kept(model: Any, memory: Any) -> Tensor:
    """A memory through a file, as it comes back."""
    with tempfile.TemporaryDirectory() as folder:
        return kpp.load_memory(model, kpp.save_memory(model, memory, Path(folder) / "memory"))


def loaded(file: Any) -> Tensor:
    """`load_memory` of a file that is there, or of something else."""
    with tempfile.TemporaryDirectory() as folder:
        there = kpp.save_memory(model("allocated"), torch.zeros(B, 3, S, S), Path(folder) / "memory")
        return kpp.load_memory(model("allocated"), there if isinstance(file, str) and file == "a memory" else file)


HEAP = [
    Door("model.add", lambda m, memory, x: m.add(memory, x), {"m": CELLED, "memory": own_memory(), "x": one_image()},
         finite(B, 3, S, S)),
    Door("model.free", lambda m, memory, key: m.free(memory, key), {"m": CELLED, "memory": memory(), "key": keys(B, T, K)},
         finite(B, 3, S, S)),
    Door("model.taken", lambda m, memory: m.taken(memory), {"m": CELLED, "memory": memory(anyhow=True)}, right_taken),
    Door("model.locate", lambda m, x, memory: m.locate(x, memory), {"m": CELLED, "x": images(True), "memory": memory()},
         right_margin),
    Door("model.holding", lambda m, length: m.holding(length).config.length, {"m": CELLED, "length": count(most=40)},
         lambda result, **args: None),
    Door("model.look_up near", lambda m, x, memory, near: m.look_up(x, memory, near=near),
         {"m": CELLED, "x": images(True), "memory": memory(), "near": maybe(count())}, gaussians(B, T, K, 3)),
    Door("model.bound of cells", lambda m, x, memory, generator, by_position: m.bound(x, memory, generator, None, by_position),
         {"m": CELLED, "x": images(), "memory": maybe(memory()), "generator": generator(), "by_position": flag()},
         right_bound),
    Door("model.reconstruct of cells", lambda m, x, memory, generator: m.reconstruct(x, memory, generator),
         {"m": CELLED, "x": images(True), "memory": maybe(memory()), "generator": generator()}, PICTURES),
    Door("kpp.save_memory", kept,
         {"model": (models("allocated", "paper")[0], odd("Linear")), "memory": memory(anyhow=True)}, weight=2),
    Door("kpp.load_memory", loaded, {"file": (values("a memory"), odd())}, finite(B, 3, S, S), also=("x", ""), weight=1),
]  # fmt: skip
