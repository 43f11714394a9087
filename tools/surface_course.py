"""The doors of the course: figures, boards, widgets, the tour's records, and the checks of answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import torch  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from surface import Door, Given, Pool, plain  # noqa: E402
from surface_pools import (  # noqa: E402
    RECIPES,
    SIDE,
    B,
    K,
    S,
    T,
    bads,
    count,
    episode,
    flag,
    images,
    keys,
    memory,
    model,
    models,
    number,
    odd,
    tensor,
    values,
    windows,
    word,
)

from kpp_lib import tour  # noqa: E402
from kpp_lib.course import boards, checks, plots, widgets  # noqa: E402
from kpp_lib.course.checks import Check  # noqa: E402


def drawn(result: Any, **args: Any) -> None:
    """A check: a Figure that can be drawn, which is then closed."""
    assert isinstance(result, Figure), type(result)
    plt.close(result)


def shown(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, with figures of a failed one closed."""

    def called(**args: Any) -> Any:
        try:
            return call(**args)
        finally:
            plt.close("all")

    return called


def figure(name: str, call: Callable[..., Any], pools: dict[str, tuple[Pool, Pool]], **more: Any) -> Door:
    """A door that gives a Figure."""
    return Door(name, shown(call), pools, drawn, weight=1, **more)


def fixed(*shape: int) -> tuple[Pool, Pool]:
    """Numbers of a shape of which only the number of dimensions and some lengths are fixed."""
    usual, strange = tensor(*shape, scale=0.3, anyhow=True)
    unsure = ("empty", "1e300", "flat", "bool", "a dimension more")
    return usual, strange.filter(lambda g: g.words not in unsure)


def named(*shape: int) -> tuple[Pool, Pool]:
    """{name: tensor}."""
    usual, strange = fixed(*shape)
    wrap = st.one_of(
        strange.map(
            lambda g: Given(f"{{'a': {g.words}}}", lambda: {"a": g.make()}, g.means and (lambda: {"a": g.means()}))
        ),
        bads({}, {1: torch.zeros(2)}),
        odd(),
    )
    return usual.map(lambda g: plain(f"{{'a': {g.words}}}", lambda: {"a": g.make()})), wrap


PICTURES, ONE, COLUMNS = fixed(5, 1, 8, 8), fixed(1, 8, 8), count(1, 8)
MEMORY = fixed(3, S, S)
TITLE = (values("", "a title"), bads(None, 3, b"x"))
ALSO = ("named['a']",)
LOG = (
    values([{"step": "1", "split": "train", "recon": "1.0", "kl_z": "2", "kl_y": "0"}], []),
    st.one_of(bads([{}], [{"step": "x", "split": "train"}], [1], "rows"), odd("[]", "''")),
)
CURVE = (values([0.0, 1.0, 2.0], (1, 2, 3), range(3)), st.one_of(bads([1, "a", 2], "abc", [], [None] * 3, 3), odd()))
FIGURES = [
    Door("plots.picture", lambda x: torch.as_tensor(plots.picture(x)), {"x": ONE}, weight=1),
    Door("plots.seen", lambda x: plots.seen("x", x, "N", 1, 8, 8), {"x": PICTURES}, weight=1),
    Door(
        "plots.memory_picture",
        lambda memory: torch.as_tensor(plots.memory_picture(memory)),
        {"memory": MEMORY},
        weight=1,
    ),
    Door(
        "plots.sheet",
        lambda pictures, columns: torch.as_tensor(plots.sheet(pictures, columns)),
        {"pictures": PICTURES, "columns": COLUMNS},
        weight=1,
    ),
    figure("plots.show_picture", lambda x: _on(lambda ax: plots.show_picture(ax, x)), {"x": ONE}),
    figure(
        "plots.show_memory",
        lambda memory, windows: _on(lambda ax: plots.show_memory(ax, memory, windows)),
        {"memory": MEMORY, "windows": windows(5)},
    ),
    figure(
        "plots.key_map",
        lambda memory, centres, pictures: _on(
            lambda ax: plots.key_map(
                ax, memory, centres, centres.abs() if isinstance(centres, torch.Tensor) else centres, pictures
            )
        ),
        {
            "memory": MEMORY,
            "centres": (tensor(5, 2)[0], bads(None, 3, torch.zeros(4, 2), torch.zeros(5, 3), [[0, 0]])),
            "pictures": PICTURES,
        },
    ),
    figure(
        "plots.grid",
        lambda images, columns, titles, title, size: plots.grid(images, columns, titles, title, size),
        {
            "images": PICTURES,
            "columns": COLUMNS,
            "titles": (values((), ["a"] * 5), bads("a", [1], None, 3)),
            "title": TITLE,
            "size": number(0.3, 1, 0.0, -1.0),
        },
    ),
    figure(
        "plots.rows",
        lambda named, columns, title: plots.rows(named, columns, title),
        {"named": named(5, 1, 8, 8), "columns": COLUMNS, "title": TITLE},
        also=ALSO,
    ),
    figure(
        "plots.memory",
        lambda memory, windows, title: plots.memory(memory, windows, title=title),
        {"memory": MEMORY, "windows": windows(5), "title": TITLE},
    ),
    figure(
        "plots.blocks",
        lambda blocks, columns: plots.blocks(blocks, columns),
        {"blocks": fixed(4, 3, 4, 4), "columns": COLUMNS},
    ),
    figure("plots.training", lambda log: plots.training(log), {"log": LOG}),
    figure("plots.curves", lambda x, y: plots.curves(x, {"a": y}, "x", "y"), {"x": CURVE, "y": CURVE}, also=ALSO),
    figure(
        "plots.panels",
        lambda count, width: plots.panels(count, width)[0],
        {"count": count(1, 4, limit=100), "width": number(0.5, 3, 0.0, -1.0)},
    ),
    figure(
        "plots.memory_maps",
        lambda named, shared: plots.memory_maps(named, "label", shared=shared),
        {"named": named(6, 6), "shared": flag()},
        also=ALSO,
    ),
    figure(
        "plots.pictures",
        lambda images, columns, title: plots.pictures(images, columns, title),
        {"images": PICTURES, "columns": COLUMNS, "title": (TITLE[0], TITLE[0])},
    ),
    figure(
        "plots.atlas",
        lambda memory, centres, images, tiles, reach: plots.atlas(memory, centres, images, tiles, reach),
        {
            "memory": MEMORY,
            "centres": (tensor(5, 2)[0], bads(None, 3, torch.zeros(4, 2), torch.zeros(5, 3))),
            "images": PICTURES,
            "tiles": fixed(4, 1, 8, 8),
            "reach": number(0.3, 1, 0.0, -1.0),
        },
    ),
    figure("boards.board", lambda: boards.board(), {}),
    figure(
        "boards.key_view",
        lambda memory, window, blocks, mean, std, image: boards.key_view(memory, window, blocks, mean, std, image),
        {
            "memory": MEMORY,
            "window": windows(K),
            "blocks": fixed(K, 3, 4, 4),
            "mean": fixed(8),
            "std": fixed(8),
            "image": ONE,
        },
    ),
    figure(
        "boards.read_view",
        lambda memory, window, points, block, target, way: boards.read_view(memory, window, points, block, target, way),
        {
            "memory": MEMORY,
            "window": (windows()[0], windows()[1].filter(lambda g: g.words != "bool")),
            "points": fixed(4, 4, 2),
            "block": fixed(3, 4, 4),
            "target": fixed(3, 4, 4),
            "way": fixed(3),
        },
    ),
    figure(
        "boards.write_view",
        lambda image, memory, windows, which, change, read: boards.write_view(
            image, memory, windows, which, change, read
        ),
        {
            "image": ONE,
            "memory": MEMORY,
            "windows": windows(T, K),
            "which": count(0, T - 1, limit=T - 1),
            "change": fixed(S, S),
            "read": ONE,
        },
    ),
    figure(
        "boards.clean_view",
        lambda clean, named: boards.clean_view(clean, named),
        {"clean": ONE, "named": named(1, 8, 8)},
        also=ALSO,
    ),
]


def _on(draw: Callable[[Any], None]) -> Figure:
    fig, ax = plt.subplots()
    draw(ax)
    return fig


# --- widgets ---------------------------------------------------------------------------------------------------------


def live(result: Any, **args: Any) -> None:
    """A check: a box of sliders with a first picture and no error."""
    assert result.draws == 1 and result.error.value == "" and result.picture.value[:4] == b"\x89PNG"


def widget(name: str, call: Callable[..., Any], pools: dict[str, tuple[Pool, Pool]], **more: Any) -> Door:
    """A door that gives sliders."""
    return Door(name, shown(call), pools, live, weight=1, **more)


MODELS, M1 = models(*RECIPES, also=("vae",)), memory(1)
SQUASH = word("tanh", "in_frame", "fixed", none=True)
CONTROL = (
    values((0, 5, 1), (0.0, 1.0, 0.5), {"a": 1}),
    bads(
        (0, 1),
        (1, 0, 0),
        (0, 0, 0),
        {},
        None,
        3,
        "abc",
        (0.0, float("nan"), 0.0),
        (0, float("inf"), 1),
        ("a", "b", "c"),
        (False, True, True),
    ),
)
WIDGETS = [
    figure(
        "widgets.view",
        lambda model, memory, y, kind: widgets.view(model, memory, y, kind),
        {"model": MODELS, "memory": M1, "y": keys(K), "kind": SQUASH},
    ),
    widget(
        "widgets.live",
        lambda control: widgets.live(lambda control: boards.board(), control=control),
        {"control": CONTROL},
    ),
    widget(
        "widgets.explore",
        lambda model, memory, y, head, kind: widgets.explore(model, memory, y, head, kind),
        {"model": MODELS, "memory": M1, "y": keys(K), "head": count(0, K - 1, limit=K - 1), "kind": SQUASH},
    ),
    widget(
        "widgets.perturb",
        lambda model, memory, y, draws: widgets.perturb(model, memory, y, draws),
        {"model": MODELS, "memory": M1, "y": keys(K), "draws": count(2)},
    ),
    widget(
        "widgets.walk",
        lambda model, memory, start, end: widgets.walk(model, memory, start, end),
        {"model": MODELS, "memory": M1, "start": keys(K), "end": keys(K)},
        also=("y",),
    ),
    widget(
        "widgets.shake",
        lambda model, memory, y, n, seed: widgets.shake(model, memory, y, n, seed),
        {"model": MODELS, "memory": M1, "y": keys(K), "n": count(1), "seed": count(0, 9)},
        also=("numbers",),
    ),
    widget(
        "widgets.read",
        lambda memory, window, size: widgets.read(memory, window, size),
        {
            "memory": memory(1, double=True),
            "window": (windows()[0], windows()[1].filter(lambda g: g.words not in ("numpy float64", "float64"))),
            "size": count(2),
        },
    ),
    widget(
        "widgets.written",
        lambda models, episodes: widgets.written(models, episodes),
        {
            "models": (values({"a": model("allocated")}), st.one_of(bads({}, {"a": None}, [model("paper")]), odd())),
            "episodes": images(),
        },
        also=("models['a']",),
    ),
    widget(
        "widgets.clean_up",
        lambda model, grey, memory, steps: widgets.clean_up(model, grey, memory, steps),
        {
            "model": MODELS,
            "grey": (
                values(episode(0)[0]),
                st.one_of(
                    bads(
                        2 * episode(0)[0],
                        episode(0),
                        episode(0)[0, :1],
                        torch.zeros(0, 1, SIDE, SIDE),
                        torch.full((3, 1, SIDE, SIDE), torch.nan),
                    ),
                    odd(),
                ),
            ),
            "memory": memory(B),
            "steps": count(2, 4),
        },
    ),
    Door(
        "widgets.png",
        lambda fig, dpi: widgets.png(fig, dpi)[:4],
        {"fig": (values(boards.board()), odd()), "dpi": count(20, 90, limit=1000)},
        weight=1,
    ),
]

# --- the tour and the checks -----------------------------------------------------------------------------------------

HUGE = {
    "huge": lambda *a: torch.zeros(1).expand(10**12),
    "None": lambda *a: None,
    "NaN": lambda *a: torch.tensor(torch.nan),
    "raises": lambda *a: 1 / 0,
    "text": lambda *a: "x",
    "itself": lambda *a: a,
    "no arguments": lambda: 1,
    "sparse": lambda *a: torch.zeros(2, 2).to_sparse(),
    "generator": lambda *a: (i for i in a),
}
ANSWERS = (
    st.sampled_from([plain(k, lambda f=f: f) for k, f in HUGE.items()]),
    st.sampled_from([plain(k, f) for k, f in {"3": lambda: 3, "None": lambda: None, "int": lambda: int}.items()]),
)


def verdict(result: Any, **args: Any) -> None:
    """A check: a wrong answer fails, with some words and not too many."""
    assert not result and 10 < len(str(result)) < 5000


COURSE = [
    Door(
        "tour.record",
        lambda name, value, unit: tour.record(name, value, unit),
        {
            "name": (values("a", "b.c"), bads("", " ", None, 3)),
            "value": (
                values(1, 0.5, torch.tensor(2.0)),
                st.one_of(
                    bads(
                        None,
                        "x",
                        float("nan"),
                        float("inf"),
                        torch.zeros(2),
                        torch.tensor(float("nan")),
                        [],
                        10**400,
                        True,
                    )
                ),
            ),
            "unit": (values("", "nats"), bads(None, 3)),
        },
        also=("value",),
        weight=2,
    ),
    *(
        Door(
            f"checks.{name}",
            lambda answer, check=check: dataclasses.replace(check.judge(answer)),
            {"answer": ANSWERS},
            verdict,
            weight=1,
        )
        for name in checks.__all__
        if isinstance(check := getattr(checks, name), Check)
    ),
]
