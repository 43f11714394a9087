"""The doors of the data, of Config, and of what trains and scores a model."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from surface import Door, Given, Pool, bad, plain
from surface_pools import (
    SIDE,
    bads,
    config,
    count,
    flag,
    generator,
    maybe,
    model,
    models,
    odd,
    seed,
    values,
    word,
)
from torch import Tensor

import kpp_lib as kpp
from kpp_lib.config import PRESETS, RECIPES
from kpp_lib.evaluation import studies
from kpp_lib.evaluation.evaluate import TERMS

N = 24  # images of a split


def pixels(n: int = N, side: int = SIDE, number: int = 0) -> Tensor:
    """Bits uint8 [n, 1, side, side]."""
    return (torch.rand(n, 1, side, side, generator=kpp.seeded(number)) < 0.4).byte()


def poses() -> Tensor:
    """Where N views were seen from, float32 [N, 3]."""
    return torch.rand(N, 3, generator=kpp.seeded(1))


@cache
def split(kind: str = "binary") -> kpp.Images:
    """A split of N images: binary, grey, redrawn, of another size, too small, or frames of one walk."""
    if kind == "walks":
        return dataclasses.replace(split(), walks=torch.zeros(N, dtype=torch.int64), poses=poses())
    if kind == "grey" or kind == "redraw":
        return kpp.Images(
            255 * pixels() // (1 + torch.arange(N)[:, None, None, None] % 3).byte(), None, False, kind == "redraw"
        )
    return kpp.Images(
        pixels(*{"binary": (N,), "larger": (N, SIDE + 4), "few": (3,)}[kind]),
        torch.arange(24)[: 3 if kind == "few" else N],
        True,
    )


@cache
def image_set(kind: str = "binary") -> kpp.ImageSet:
    """An ImageSet of three such splits."""
    return kpp.ImageSet("made", split(kind), split(kind), split(kind), "made", "fixed", "made")


def splits(*kinds: str, wrong: tuple[str, ...] = ()) -> tuple[Pool, Pool]:
    """Splits of some kinds; others must be refused."""
    refused = [bad(f"{k} split", lambda k=k: split(k)) for k in wrong]
    strange = [odd(), st.sampled_from([bad("Dataset", lambda: torch.utils.data.TensorDataset(torch.zeros(3)))])]
    usual = st.sampled_from([plain(f"{k} split", lambda k=k: split(k)) for k in kinds])
    return usual, st.one_of(*strange, *([st.sampled_from(refused)] if refused else []))


# --- Images, ImageSet, Episodes --------------------------------------------------------------------------------------


def _pixels() -> tuple[Pool, Pool]:
    forms = {
        "numpy": (lambda: pixels().numpy(), pixels),
        "bool": (lambda: pixels().bool(), pixels),
        "numpy bool": (lambda: pixels().bool().numpy(), pixels),
        "strided": (lambda: pixels(2 * N)[::2], lambda: pixels(2 * N)[::2].clone()),
    }
    wrong = {
        "float": lambda: pixels().float(),
        "int64": lambda: pixels().long(),
        "0 and 255": lambda: 255 * pixels(),
        "numpy 0 and 255": lambda: (255 * pixels()).numpy(),
        "[N, H, W]": lambda: pixels()[:, 0],
        "empty": lambda: pixels()[:0],
        "list": lambda: pixels().tolist(),
        "no channels": lambda: pixels()[:, :0],
        "two": lambda: 2 * pixels(),
    }
    strange = [Given(k, v, m) for k, (v, m) in forms.items()] + [bad(k, v) for k, v in wrong.items()]
    return st.integers(0, 9).map(lambda n: plain(f"pixels({n})", lambda: pixels(number=n))), st.one_of(
        st.sampled_from(strange), odd()
    )


def _labels() -> tuple[Pool, Pool]:
    def own() -> Tensor:
        return torch.arange(N) % 10

    forms = {
        "list": lambda: own().tolist(),
        "tuple": lambda: tuple(own().tolist()),
        "numpy": lambda: own().numpy(),
        "uint8": lambda: own().byte(),
        "int32": lambda: own().int(),
    }
    wrong = {
        "floats": lambda: own().float(),
        "too few": lambda: own()[1:],
        "two dimensions": lambda: own()[None],
        "words": lambda: ["a"] * N,
        "bools": lambda: own() > 4,
        "list of bools": lambda: [True] * N,
    }
    strange = [Given(k, v, own) for k, v in forms.items()] + [bad(k, v) for k, v in wrong.items()]
    return st.sampled_from([plain("labels", own), plain("None", lambda: None)]), st.one_of(
        st.sampled_from(strange), odd("None", "tensor(1)")
    )


def _poses() -> tuple[Pool, Pool]:
    forms = {
        "numpy": (lambda: poses().numpy(), poses),
        "half": (lambda: poses().half(), lambda: poses().half().float()),
        "int64": (lambda: poses().long(), lambda: poses().long().float()),
        "double": (lambda: poses().double(), poses),
    }
    wrong = {
        "too few": lambda: poses()[1:],
        "x and y": lambda: poses()[:, :2],
        "NaN": lambda: poses() * float("nan"),
        "bools": lambda: poses() > 0.5,
        "list": lambda: poses().tolist(),
    }
    strange = [Given(k, v, m) for k, (v, m) in forms.items()] + [bad(k, v) for k, v in wrong.items()]
    return st.sampled_from([plain("poses", poses), plain("None", lambda: None)]), st.one_of(
        st.sampled_from(strange), odd("None")
    )


def _index() -> tuple[Pool, Pool]:
    some = st.lists(st.integers(0, N - 1), min_size=1, max_size=5)
    mask = st.lists(st.booleans(), min_size=N, max_size=N).filter(any)

    def forms(v: list) -> Pool:
        def own() -> Tensor:
            return torch.tensor(v)

        return st.sampled_from(
            [
                Given(f"list {v}", lambda: list(v), own),
                Given(f"tuple {v}", lambda: tuple(v), own),
                Given(f"numpy {v}", lambda: np.array(v), own),
                Given("int32", lambda: own().int(), own),
                Given("uint8", lambda: own().byte(), own),
            ]
        )

    masks = mask.flatmap(lambda m: st.sampled_from([
        Given("mask", lambda: torch.tensor(m), lambda: torch.tensor(m).nonzero()[:, 0]),
        Given("numpy mask", lambda: np.array(m), lambda: torch.tensor(m).nonzero()[:, 0]),
        Given("list mask", lambda: list(m), lambda: torch.tensor(m).nonzero()[:, 0]),
    ]))  # fmt: skip
    wrong = bads(
        [N],
        [-1],
        [[0]],
        [0.5],
        torch.tensor([0.0]),
        torch.tensor(3),
        [True, False],
        torch.ones(N - 1) > 0,
        [10**30],
        "01",
        [0, True],
    )
    return some.map(lambda v: plain(str(v), lambda: torch.tensor(v))), st.one_of(
        some.flatmap(forms), masks, wrong, odd("[]")
    )


def right_images(result: kpp.Images, pixels: Any, labels: Any, binary: bool, walks: Any, poses: Any) -> None:
    assert result.pixels.dtype == torch.uint8 and torch.equal(result.pixels, pixels)
    for kept, given in ((result.labels, labels), (result.walks, walks)):
        assert given is None or kept.dtype == torch.int64 and kept.tolist() == given.tolist()
    assert poses is None or result.poses.dtype == torch.float32 and len(result.poses) == N


def right_draw(result: Tensor, images: kpp.Images, index: Tensor, **args: Any) -> None:
    own = images.pixels[index].float()
    assert images.redraw and result.shape == own.shape or torch.allclose(result, own if images.binary else own / 255)


def right_batch(result: kpp.Batch, images: kpp.Images, length: int, episodes: int, **args: Any) -> None:
    assert result.x.shape == (episodes, length, 1, SIDE, SIDE) and len(result.index.unique()) == episodes * length
    assert torch.equal(result.x.flatten(0, 1), images.pixels[result.index.flatten()].float())


def right_cover(result: list[kpp.Batch], images: kpp.Images, **args: Any) -> None:
    seen = torch.cat([b.index[b.scored] for b in result])
    assert sorted(seen.tolist()) == list(range(len(images)))


def right_seed(result: torch.Generator, first: int, second: int) -> None:
    seed = 0
    for n in (first, second):
        seed = (seed * 1_000_003 + n + 1) % (2**63 - 1)
    assert result.initial_seed() == seed


def _own(*but: str) -> tuple[Pool, Pool]:
    """A reader's images, in any form that `from_tensors` takes."""

    def grey() -> Tensor:
        return 255 * pixels()

    forms = {
        "numpy": lambda: grey().numpy(),
        "[N, H, W]": lambda: grey()[:, 0],
        "[N, H, W, C]": lambda: grey().permute(0, 2, 3, 1).numpy(),
        "floats": lambda: pixels().float(),
        "doubles": lambda: pixels().double().numpy(),
        "bool": lambda: pixels().bool(),
        "int64": lambda: grey().long(),
        "bits": pixels,
        "strided": lambda: grey().repeat_interleave(2, 0)[::2],
    }
    wrong = {
        "floats to 255": lambda: grey().float(),
        "negative": lambda: -grey().long(),
        "NaN": lambda: pixels() * float("nan"),
        "complex": lambda: pixels().to(torch.complex64),
        "two channels": lambda: grey().expand(-1, 2, -1, -1),
        "not square": lambda: grey()[..., 1:],
        "one image": lambda: grey()[0, 0],
        "empty": lambda: grey()[:0],
        "list": lambda: grey().tolist(),
        "sparse": lambda: pixels().float().to_sparse(),
        "words": lambda: np.array(["a"] * N),
        "images and too few labels": lambda: (grey(), torch.arange(3)),
    }
    strange = [Given(k, v, grey) for k, v in forms.items()] + [bad(k, v) for k, v in wrong.items()]
    return st.sampled_from([plain("grey", grey)]), st.one_of(st.sampled_from(strange), odd(*but))


SPLIT = splits("binary", wrong=())
METHOD = (splits("binary", "grey", "redraw")[0],) * 2
DATA = [
    Door(
        "kpp.Images",
        lambda pixels, labels, binary, walks, poses: kpp.Images(pixels, labels, binary, walks=walks, poses=poses),
        {
            "pixels": _pixels(),
            "labels": _labels(),
            "binary": (values(True), bads("True", 1, None)),
            "walks": _labels(),
            "poses": _poses(),
        },
        right_images,
        weight=8,
    ),
    Door(
        "Images.draw",
        lambda images, index, generator: images.draw(index, generator),
        {"images": METHOD, "index": _index(), "generator": generator()},
        right_draw,
        weight=8,
    ),
    Door(
        "Images.part",
        lambda images, index: images.part(index).pixels,
        {"images": METHOD, "index": _index()},
        lambda result, images, index: right_draw(result.float(), Stored(images.pixels), index),
        weight=8,
    ),
    Door(
        "kpp.ImageSet",
        lambda train, valid, test, name: kpp.ImageSet(name, train, valid, test, "made", "fixed", "made").digest,
        {
            "train": SPLIT,
            "valid": splits("binary", wrong=("larger",)),
            "test": splits("binary", wrong=("larger",)),
            "name": (values("a"), bads(1, None, b"a")),
        },
        also=("valid", "test"),
    ),
    Door(
        "kpp.ImageSet.from_tensors",
        lambda train, valid, binarize, seed: kpp.ImageSet.from_tensors(
            train, valid, binarize=binarize, seed=seed, quiet=True
        ),
        {
            "train": _own(),
            "valid": (values(None), _own("None")[1]),
            "binarize": (values("fixed", "dynamic", "threshold", "none"), bads("bits", None, 1)),
            "seed": seed(),
        },
        lambda data, train, valid, binarize, seed: (
            len(data.train) + len(data.valid) + len(data.test) == len(train) + (0 if valid is None else len(valid))
        ),
        also=("train labels", "valid labels"),
    ),
    Door(
        "kpp.Episodes.batch",
        lambda images, length, episodes, seed, step: kpp.Episodes(images, length, episodes, seed).batch(step),
        {
            "images": splits("binary", "walks"),
            "length": count(1, 4, limit=N),
            "episodes": count(1, 4),
            "seed": seed(),
            "step": count(0, 50),
        },
        right_batch,
    ),
    Door(
        "kpp.Episodes.cover",
        lambda images, length, order: list(kpp.Episodes(images, length).cover(order)),
        {"images": splits("binary", "walks"), "length": count(1, 7, limit=N), "order": count(0, 9)},
        right_cover,
    ),
    Door(
        "kpp.episode",
        lambda images, length, seed: kpp.episode(images, length, seed),
        {"images": SPLIT, "length": count(1, 8, limit=N), "seed": seed()},
        lambda result, length, **args: _shape(result, 1, length, 1, SIDE, SIDE),
    ),
    Door(
        "kpp.seeded",
        lambda first, second: kpp.seeded(first, second),
        {"first": seed(), "second": seed()},
        right_seed,
        also=("numbers",),
    ),
    Door(
        "kpp.load_dataset",
        lambda name, binarize, seed, offline, folder: kpp.load_dataset(
            name, binarize, seed=seed, offline=offline, folder=folder, quiet=True
        ),
        {
            "name": (bads("nist", None, 1), odd()),
            "binarize": word("fixed", "none", none=True),
            "seed": seed(),
            "offline": (values(True), odd("None", "True", "False", "np.bool_")),
            "folder": (values(None), bads(1, b"x", True)),
        },
        also=("name",),
    ),
]


@dataclasses.dataclass
class Stored:
    """Stored pixels as they are, for `right_draw`."""

    pixels: Tensor
    binary: bool = True
    redraw: bool = False


def _shape(result: Tensor, *shape: int) -> None:
    assert tuple(result.shape) == shape


# --- Config ----------------------------------------------------------------------------------------------------------

FIELDS = {f.name: f.default for f in dataclasses.fields(kpp.Config)}


def _settings() -> tuple[Pool, Pool]:
    """{field: value}: a right value of another preset, and values of other kinds."""
    others = [kpp.Config.preset(p, r) for p in PRESETS for r in ("paper", "vae")]
    usual = st.sampled_from(
        [
            plain(f"{{{n!r}: {getattr(c, n)!r}}}", lambda c=c, n=n: c.to_dict() | {"squash": "fixed"})
            for c in others
            for n in FIELDS
        ]
    )
    strangers: list[Any] = [
        None,
        True,
        "False",
        "3",
        1.5,
        float("nan"),
        float("inf"),
        -1,
        0,
        10**400,
        (),
        [1],
        {},
        b"x",
        torch.tensor(3),
        np.zeros(2),
        [True] * 4,
        "lars",
    ]
    pairs = [
        bad(f"{{{n!r}: {s!r}}}"[:60], lambda n=n, s=s: {n: s}) for n in FIELDS for s in strangers if not _takes(n, s)
    ]
    return usual, st.one_of(st.sampled_from(pairs), bads({"momentum": 1}, {1: 2}), odd("{}"))


def _takes(name: str, value: Any) -> bool:
    """Whether a field may take a stranger, told by hand."""
    default = FIELDS[name]
    if isinstance(default, bool):
        return value is True
    if isinstance(default, str):
        return (
            isinstance(value, str)
            and name in ("preset_name", "recipe_name", "optimizer")
            and (value == "lars" or name != "optimizer")
        )
    if isinstance(default, int):
        return name == "seed" and type(value) is int and value == 0
    if isinstance(default, float):
        signed = {
            "key_log_var": (-1, 0, 1.5),
            "weight_decay": (0, 1.5),
            "lr": (1.5,),
            "clip_norm": (1.5,),
            "key_spread": (1.5,),
            "place_floor": (1.5,),
        }
        return type(value) in (int, float) and value in signed.get(
            name, (0,) if name in ("kl_z_warmup", "kl_y_warmup", "lr_warmup", "cue_noise") else ()
        )
    return False


CONFIG = [
    Door(
        "kpp.Config.from_dict",
        kpp.Config.from_dict,
        {"settings": _settings()},
        lambda result, settings: _held(result, settings),
        also=(*FIELDS, "Config field"),
        weight=10,
    ),
    Door(
        "kpp.Config.preset",
        lambda name, recipe: kpp.Config.preset(name, recipe),
        {"name": word(*PRESETS), "recipe": word(*RECIPES)},
        also=("preset", "recipe"),
    ),
    Door(
        "kpp.Config.parse",
        lambda name, text: kpp.Config.parse(name, text),
        {
            "name": word("steps", "latent"),
            "text": (
                st.integers(1, 99).map(lambda n: plain(f"'{n}'", lambda: str(n))),
                bads("x", "", "1.5", "true", "NaN", "[", None, 3, b"1"),
            ),
        },
        lambda result, name, text: _equal(result, int(text)),
        also=(*FIELDS, "Config field"),
    ),
    Door(
        "kpp.Config.replace",
        lambda settings: config("paper").replace(**settings),
        {"settings": (_settings()[0], _settings()[1].filter(lambda g: g.words.startswith("{'")))},
        also=(*FIELDS, "Config field"),
    ),
]


def _held(result: kpp.Config, settings: dict) -> None:
    got = result.to_dict()
    assert all(got[k] == (list(v) if isinstance(v, tuple) else v) for k, v in settings.items())


def _equal(a: Any, b: Any) -> None:
    assert a == b, (a, b)


# --- training, scoring, files ----------------------------------------------------------------------------------------


def right_report(result: dict, orders: int, limit: int | None, **args: Any) -> None:
    assert result["orders"] == orders and result["images"] == min(N, limit or N)
    assert all(np.isfinite(s["mean"]) for s in result["scores"].values()) and set(TERMS) <= set(result["scores"])


def fitted(config: Any, data: Any, log_every: Any, eval_every: Any, resume: Any, quiet: Any) -> str:
    """`fit` in a folder of its own."""
    with tempfile.TemporaryDirectory() as out:
        trained = kpp.fit(
            config,
            data,
            Path(out) / "run",
            device="cpu",
            log_every=log_every,
            eval_every=eval_every,
            resume=resume,
            quiet=quiet,
        )
        return type(trained).__name__ if (Path(out) / "run" / "best").is_dir() else "nothing on disk"


def saved(model: Any, half: Any) -> list[str]:
    """`save_model` into a folder of its own."""
    with tempfile.TemporaryDirectory() as out:
        kpp.save_model(model, Path(out) / "m", half=half)
        return sorted(kpp.load_model(Path(out) / "m").state_dict())


def sets() -> tuple[Pool, Pool]:
    """ImageSets that fit the tiny config."""
    wrong = [bad(k, lambda k=k: image_set(k)) for k in ("larger", "few", "grey")] + [bad("a split", split)]
    return values(image_set()), st.one_of(st.sampled_from(wrong), odd())


SPLITS = splits("binary", wrong=("larger", "grey", "few"))
PATH = (st.nothing(), st.nothing())
USE = [
    Door(
        "kpp.evaluate",
        lambda model, images, length, orders, episodes, scores, limit, baseline: kpp.evaluate(
            model, images, length, orders, episodes, scores, limit, baseline=baseline
        ),
        {
            "model": models("allocated", "paper", "vae"),
            "images": SPLITS,
            "length": maybe(count(1, 4, limit=N // 2)),
            "orders": (values(1), count(1, 2, limit=None)[1].filter(lambda g: "**" not in g.words)),
            "episodes": maybe(count(2, 3)),
            "scores": (values((), [], ("mean_decoding",)), bads("iw", ("heap",), (1,), 3)),
            "limit": (values(None, 16, 10**9), st.one_of(bads(0, float("nan"), -1, True, 2.5, "9", 1), odd("None"))),
            "baseline": (
                values(None),
                st.one_of(models("vae")[1].filter(lambda g: g.words != "None"), bads(model("paper"))),
            ),
        },
        right_report,
    ),
    Door(
        "studies.capacity",
        lambda model, images, lengths, limit: studies.capacity(model, images, lengths, limit),
        {
            "model": models("allocated"),
            "images": SPLITS,
            "lengths": (values([2], (1, 2)), bads([], 3, "12", [0], [True], [2.0], None)),
            "limit": (values(16), count(8, 16)[1]),
        },
        also=("length",),
        weight=1,
    ),
    Door(
        "studies.clean_up",
        lambda model, images, strengths, steps, episodes: studies.clean_up(
            model, images, None, strengths, steps, episodes
        ),
        {
            "model": models("allocated", also=("vae",)),
            "images": splits("grey", wrong=("binary", "redraw", "larger")),
            "strengths": (
                values({"speckle": [0.5]}),
                bads(
                    {"heap": [1]},
                    {"speckle": 1},
                    {"speckle": ["x"]},
                    {"poisson": [-1.0]},
                    3,
                    "speckle",
                    {"salt & pepper": [1.5]},
                ),
            ),
            "steps": count(1, 2),
            "episodes": count(2, 3, limit=None),
        },
        also=("strength",),
        weight=1,
    ),
    Door(
        "studies.perturbation",
        lambda model, images, stds, episodes: studies.perturbation(model, images, stds, episodes),
        {
            "model": models("paper", also=("vae",)),
            "images": SPLITS,
            "stds": (values([0.0, None], (1.0,)), bads([-1.0], [float("nan")], ["x"], [], 3, [True], None)),
            "episodes": count(2, 3),
        },
        weight=1,
    ),
    Door(
        "studies.memories",
        lambda model, images, episodes: studies.memories(model, images, episodes),
        {"model": models("paper", also=("vae",)), "images": SPLITS, "episodes": count(2, 3)},
        weight=1,
    ),
    Door(
        "kpp.fit",
        fitted,
        {
            "config": (values(config("paper"), config("vae")), odd()),
            "data": sets(),
            "log_every": count(),
            "eval_every": count(),
            "resume": flag(),
            "quiet": (values(True), flag()[1]),
        },
        weight=1,
    ),
    Door("kpp.save_model", saved, {"model": (models("paper", "vae")[0], odd("Linear")), "half": flag()}, weight=2),
    Door(
        "kpp.load_model",
        lambda path, device: kpp.load_model(path, device),
        {
            "path": (values("mnist-vae-cpu"), odd()),
            "device": (values("cpu"), bads("gpu", "cuda:99", None, 3, "meta", "cpu:x")),
        },
        also=("x", ""),
        weight=1,
    ),
    Door(
        "kpp.load_pretrained",
        lambda name, device: kpp.load_pretrained(name, device),
        {"name": (values("mnist-vae-cpu"), odd()), "device": (values("cpu"), bads("gpu", "cuda:99", None, 3, "meta"))},
        weight=1,
    ),
    Door(
        "kpp.load_card",
        lambda path: kpp.load_card(path),
        {"path": (values("mnist-vae-cpu"), odd())},
        also=("x", ""),
        weight=1,
    ),
    Door(
        "kpp.pretrained_names",
        lambda: kpp.pretrained_names(),
        {},
        lambda result: _equal("mnist-cpu" in result, True),
        weight=1,
    ),
]
