"""What the draws of `surface.py` are drawn from: for each kind of argument the plain values, and the strange ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from surface import Given, Pool, bad, plain
from torch import Tensor, nn

import kpp_lib as kpp
from kpp_lib.baselines import VAE

B, T, K, L, SIDE, S = 2, 4, 2, 36, 12, 16  # of every drawn episode and memory; L: of a vector, or of maps [4, 3, 3]
RECIPES = ("allocated", "cells", "slots", "content", "paper")


@cache
def config(recipe: str) -> kpp.Config:
    """The tiny preset at 12 x 12 pixels, with K keys and L latents whatever the recipe."""
    sizes = dict(image_size=SIDE, length=T, reads=K, latent=L)
    return kpp.Config.preset("tiny", recipe, steps=2, episodes=B, **sizes)


@cache
def model(recipe: str) -> Any:
    """A tiny model in eval mode; the VAE for recipe vae."""
    torch.manual_seed(0)
    return (VAE if recipe == "vae" else kpp.KanervaPlusPlus)(config(recipe)).eval()


def episode(seed: int, density: float = 0.4) -> Tensor:
    """Binary images [B, T, 1, SIDE, SIDE]."""
    return (torch.rand(B, T, 1, SIDE, SIDE, generator=kpp.seeded(seed)) < density).float()


def normal(seed: int, *shape: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=kpp.seeded(seed))


# --- anything at all -------------------------------------------------------------------------------------------------

ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None, "'x'": lambda: "x", "''": lambda: "", "b'x'": lambda: b"x", "object()": object,
    "{}": dict, "[]": list, "[[1.0]]": lambda: [[1.0]], "1j": lambda: 1j, "len": lambda: len, "int": lambda: int,
    "set": set, "Linear": lambda: nn.Linear(1, 1), "str array": lambda: np.array(["a", "b"]),
    "object array": lambda: np.array([None, 1], dtype=object), "complex": lambda: torch.ones(2, dtype=torch.complex64),
}  # fmt: skip
NUMBERS: dict[str, Callable[[], Any]] = {
    "True": lambda: True, "False": lambda: False, "nan": lambda: math.nan, "inf": lambda: math.inf,
    "-inf": lambda: -math.inf, "10**400": lambda: 10**400, "np.bool_": lambda: np.bool_(True),
    "tensor(1)": lambda: torch.tensor(1), "tensor(True)": lambda: torch.tensor(True), "array(2)": lambda: np.array(2),
}  # fmt: skip


def odd(*but: str, numbers: bool = True) -> Pool:
    """Things that are no value for most arguments."""
    things = {k: v for k, v in (ODD | (NUMBERS if numbers else {})).items() if k not in but}
    return st.sampled_from([bad(k, v) for k, v in things.items()])


def values(*choices: Any) -> Pool:
    """Plain values."""
    return st.sampled_from([plain(repr(c), lambda c=c: c) for c in choices])


def bads(*choices: Any) -> Pool:
    """Values that must be refused."""
    return st.sampled_from([bad(repr(c), lambda c=c: c) for c in choices])


# --- numbers and words -----------------------------------------------------------------------------------------------


def count(least: int = 1, most: int = 6, limit: int | None = None) -> tuple[Pool, Pool]:
    """Whole numbers of at least `least`; `limit`: the largest that is allowed."""
    whole = st.integers(least, most)
    over = [] if limit is None else [limit + 1, 10**30]
    near = st.one_of(
        whole.map(lambda n: Given(f"np.int64({n})", lambda: np.int64(n), lambda: n)),
        whole.map(lambda n: bad(f"{n}.0", lambda: float(n))),
        whole.map(lambda n: bad(f"'{n}'", lambda: str(n))),
        bads(least - 1, least - 2, -(10**30), 2.5, *over),
        odd(),
    )
    return whole.map(lambda n: plain(str(n), lambda: n)), near


# Numbers are those of float32, so that a NumPy one means the same.
def number(low: float, high: float, *wrong: float) -> tuple[Pool, Pool]:
    """Finite numbers from low to high; `wrong`: others that must be refused."""
    real = st.floats(low, high, allow_subnormal=False).map(lambda v: float(np.float32(v)))
    near = st.one_of(
        real.map(lambda v: Given(f"np.float32({v})", lambda: np.float32(v), lambda: v)),
        real.map(lambda v: Given(f"np.float64({v})", lambda: np.float64(v), lambda: v)),
        bads(*wrong) if wrong else odd(),
        odd(),
    )
    return real.map(lambda v: plain(str(v), lambda: v)), near


def flag() -> tuple[Pool, Pool]:
    """True or False."""
    strange = st.one_of(bads(0, 1, "False", "true", 2.0), odd("True", "False", "np.bool_"))
    np_true = st.just(Given("np.bool_", lambda: np.bool_(True), lambda: True))
    return values(True, False), st.one_of(strange, np_true, odd_numbers())


def odd_numbers() -> Pool:
    """Numbers where none is expected."""
    return bads(0, 1.0, math.nan)


def word(*choices: str, none: bool = False) -> tuple[Pool, Pool]:
    """One of some words; None too where `none`."""
    return values(*choices, *([None] if none else [])), st.one_of(
        bads("heap", choices[0].upper() + "x", 0), odd("None" if none else "")
    )


def seed() -> tuple[Pool, Pool]:
    """A seed."""
    whole = st.integers(0, 2**63 - 1)
    return whole.map(lambda n: plain(str(n), lambda: n)), st.one_of(bads(-1, 2**63, 1.0, "0"), odd())


def generator(needed: bool = False) -> tuple[Pool, Pool]:
    """A torch.Generator, or None."""
    usual = st.integers(0, 99).map(lambda n: plain(f"seeded({n})", lambda: kpp.seeded(n)))
    strange = st.one_of(bads(0, 1, *([None] if needed else [])), odd("None"), bads(np.random.default_rng(0)))
    return usual, strange


# --- tensors ---------------------------------------------------------------------------------------------------------

Make = Callable[[], Tensor]


def _alike(make: Make, images: bool) -> dict[str, tuple[Callable[[], Any], Make]]:
    """Other forms of the same values: (as given, what they mean)."""
    forms: dict[str, tuple[Callable[[], Any], Make]] = {
        "numpy float32": (lambda: make().numpy(), make),
        "numpy float64": (lambda: make().double().numpy(), make),
        "float64": (lambda: make().double(), make),
        "half": (lambda: make().half(), lambda: make().half().float()),
        "bfloat16": (lambda: make().bfloat16(), lambda: make().bfloat16().float()),
        "not contiguous": (lambda: torch.stack([make(), make()], -1)[..., 0], make),
        "with gradient": (lambda: make().requires_grad_(), make),
        "fortran order": (lambda: np.asfortranarray(make().numpy()), make),
        "negative strides": (lambda: make().numpy()[::-1][::-1], make),
        "other bytes": (lambda: make().numpy().astype(">f4"), make),
        "read-only": (lambda: _frozen(make().numpy().copy()), make),
        "parameter": (lambda: nn.Parameter(make()), make),
    }
    if images:
        forms |= {
            "bool": (lambda: make() > 0.5, lambda: (make() > 0.5).float()),
            "numpy bool": (lambda: make().numpy() > 0.5, lambda: (make() > 0.5).float()),
            "uint8 0/1": (lambda: (make() > 0.5).byte(), lambda: (make() > 0.5).float()),
            "int64 0/1": (lambda: (make() > 0.5).long(), lambda: (make() > 0.5).float()),
            "numpy uint16 0/1": (lambda: (make().numpy() > 0.5).astype(np.uint16), lambda: (make() > 0.5).float()),
        }
    else:
        forms["int64"] = (lambda: (4 * make()).long(), lambda: (4 * make()).long().float())
    return forms


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _broken(make: Make) -> dict[str, Callable[[], Any]]:
    """The same with something wrong that every door must see."""

    def spoiled(value: float) -> Callable[[], Tensor]:
        def one() -> Tensor:
            v = make().clone()
            v.view(-1)[v.numel() // 2] = value
            return v

        return one

    return {
        "NaN": spoiled(math.nan), "inf": spoiled(math.inf), "-inf": spoiled(-math.inf),
        "numpy NaN": lambda: spoiled(math.nan)().numpy(), "1e300": lambda: make().double() * 0 + 1e300,
        "empty": lambda: make()[:0], "a dimension more": lambda: make()[None],
        "complex": lambda: make().to(torch.complex64), "sparse": lambda: make().to_sparse(),
        "meta": lambda: make().to("meta"), "masked": lambda: np.ma.masked_array(make().numpy()),
        "list": lambda: make().tolist(), "quantised": lambda: torch.quantize_per_tensor(make(), 0.1, 0, torch.qint8),
        "numpy objects": lambda: make().numpy().astype(object), "text": lambda: make().numpy().astype(str),
    } | ({"flat": lambda: make().flatten()} if make().dim() > 1 else {})  # fmt: skip


def _pool(forms: dict, broken: dict, wrong: dict) -> Pool:
    alike = [Given(k, v, m) for k, (v, m) in forms.items()]
    faulty = [bad(k, v) for k, v in (broken | wrong).items()]
    return st.one_of(st.sampled_from(alike), st.sampled_from(faulty), odd("complex"))


ANY_SHAPE = ("a dimension more", "another size", "two channels", "one image", "1e300")


def images(grey: bool = False, anyhow: bool = False) -> tuple[Pool, Pool]:
    """Episodes [B, T, 1, SIDE, SIDE], binary; grey ones in [0, 1] where they are taken, else refused.

    anyhow: any [..., C, H, W] is taken.
    """

    def usual(n: int) -> Given:
        return plain(f"episode({n})", lambda: episode(n))

    def strange(n: int) -> Pool:
        def bits() -> Tensor:
            return episode(n)

        def shades() -> Tensor:
            return torch.rand(B, T, 1, SIDE, SIDE, generator=kpp.seeded(n))

        wrong: dict[str, Callable[[], Any]] = {
            "2x": lambda: 2 * bits(), "-x": lambda: -bits(), "255x uint8": lambda: 255 * bits().byte(),
            "another size": lambda: bits()[..., :-1], "two channels": lambda: bits().repeat(1, 1, 2, 1, 1),
            "1.5 on a pixel": lambda: bits() + torch.eye(SIDE) * 0.5, "no T": lambda: bits()[:, :0],
            "one image": lambda: bits()[0, 0],
        }  # fmt: skip
        forms = _alike(bits, images=True)
        if grey:
            forms |= {"grey": (shades, shades), "grey float64": (lambda: shades().double(), shades)}
        else:
            wrong |= {"grey": shades}
        broken = _broken(bits) | wrong
        return _pool(forms, {k: v for k, v in broken.items() if not anyhow or k not in ANY_SHAPE or k == "1e300"}, {})

    return st.integers(0, 40).map(usual), st.integers(0, 40).flatmap(strange)


def tensor(
    *shape: int, scale: float = 1.0, wrong: dict[str, Callable[[Tensor], Any]] | None = None, anyhow: bool = False
) -> tuple[Pool, Pool]:
    """Normal numbers of one shape; `wrong`: further ways to spoil them. anyhow: any dimensions and float64."""

    def make(n: int) -> Make:
        return lambda: scale * normal(n, *shape)

    def strange(n: int) -> Pool:
        more = {k: (lambda f=f: f(make(n)())) for k, f in (wrong or {}).items()}
        more["bool"] = lambda: make(n)() > 0
        broken = {k: v for k, v in _broken(make(n)).items() if not anyhow or k not in ANY_SHAPE}
        return _pool(_alike(make(n), images=False), broken, more)

    return st.integers(0, 40).map(lambda n: plain(f"normal({n})", make(n))), st.integers(0, 40).flatmap(strange)


def double(pools: tuple[Pool, Pool]) -> tuple[Pool, Pool]:
    """The same where float64 stays float64, so that 1e300 is a number like others."""
    return pools[0], pools[1].filter(lambda g: g.words != "1e300")


def maybe(pools: tuple[Pool, Pool]) -> tuple[Pool, Pool]:
    """The same for an argument that may be left out: None is a plain value."""
    return st.one_of(pools[0], st.just(plain("None", lambda: None))), pools[1].filter(lambda g: g.words != "None")


def memory(b: int = B, double: bool = False, anyhow: bool = False) -> tuple[Pool, Pool]:
    """Memories [b, 3, S, S]; `double`: of any float type and number of channels; `anyhow`: any number of them."""
    wrong = {
        "of another number": lambda v: v.repeat(2, 1, 1, 1)[: b + 1], "of another size": lambda v: v[..., :-1],
        "of fewer channels": lambda v: v[:, :2], "of one episode": lambda v: v[0],
    }  # fmt: skip
    usual, strange = tensor(b, 3, S, S, scale=0.5, wrong=wrong)
    fine = (("1e300", "of fewer channels") if double else ()) + (("of another number",) if double or anyhow else ())
    return usual, strange.filter(lambda g: g.words not in fine)


def keys(*shape: int, anyhow: bool = False) -> tuple[Pool, Pool]:
    """Keys [*shape, 3]."""
    return tensor(
        *shape,
        3,
        wrong={"without s": lambda v: v[..., 1:], "of four numbers": lambda v: torch.cat([v, v[..., :1]], -1)},
        anyhow=anyhow,
    )


def windows(*shape: int) -> tuple[Pool, Pool]:
    """Windows [*shape, 3] with s above 0."""

    def make(n: int) -> Make:
        return lambda: torch.cat(
            [0.1 + 0.3 * torch.rand(*shape, 1, generator=kpp.seeded(n)), 0.5 * normal(n, *shape, 2).tanh()], -1
        )

    def strange(n: int) -> Pool:
        forms = {k: v for k, v in _alike(make(n), images=False).items() if k != "int64"}
        return _pool(
            forms,
            {k: v for k, v in _broken(make(n)).items() if k != "1e300"},
            {"without s": lambda: make(n)()[..., 1:], "bool": lambda: make(n)() > 0},
        )

    return st.integers(0, 40).map(lambda n: plain(f"windows({n})", make(n))), st.integers(0, 40).flatmap(strange)


def models(*recipes: str, also: tuple[str, ...] = ()) -> tuple[Pool, Pool]:
    """Models of some recipes; those of `also` and things that are no model are refused."""
    wrong = [bad(f"model {r}", lambda r=r: model(r)) for r in also]
    return (
        st.sampled_from([plain(f"model {r}", lambda r=r: model(r)) for r in recipes]),
        st.one_of(st.sampled_from(wrong), odd()) if wrong else odd(),
    )
