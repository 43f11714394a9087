"""Sliders over pure functions: `live` redraws a Figure when a slider moves; the rest are one call of it each.

Only widgets of ipywidgets itself, so Colab, Binder and JupyterLab all show them; ipywidgets is imported where it is
used. A move sends one PNG to an Image widget. Moves that come while a picture is being drawn are merged: the newest
values win, and nothing queues up. Where no widget can be shown (GitHub, a printed page) the output carries the first
picture instead.
"""

from __future__ import annotations

import asyncio
import base64
import html
import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..data.episodes import seeded
from ..data.noise import KINDS, add_noise
from ..doors import images_of, memory_of
from ..inputs import Words, check_count, check_images, check_kind, check_named, check_tensor, wrong
from ..memory import read_blocks, window_grid
from ..model import KanervaPlusPlus
from ..posterior import Posterior
from . import boards, plots
from .keyspace import look, pictures, read_and_way

PAUSE = 0.02  # seconds in which further moves of a slider join the picture that is about to be drawn
DPI = 80


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: one read is too small to share, and threads waiting for a busy core triple its time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def png(fig: Figure, dpi: int = DPI) -> bytes:
    """The Figure as PNG. Fast rather than small: the bytes travel once, from the kernel to the page."""
    check_kind("fig", fig, Figure, "a matplotlib Figure")
    dpi = check_count("dpi", dpi, least=10, most=1000)
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def live(draw: Callable[..., Figure], /, **controls: tuple[float, float, float] | dict[str, Any]) -> Any:
    """A box of sliders over `draw(**values) -> Figure`, one per keyword.

    A control is (low, high, start), a slider, or a dict {label: value}, a menu that starts at its first entry. The box
    has `picture` (an Image widget), `controls` by name, `error` (an HTML line, empty when all is well) and `draws`, the
    number of pictures drawn. An error in `draw` shows in that line and is raised. Raises ValueError for a control of
    another form.
    """
    return _live_class()(draw, {name: _control(name, spec) for name, spec in controls.items()})


def _control(name: str, spec: Any) -> Any:
    import ipywidgets

    style = {"description": name, "style": {"description_width": "5em"}}
    if isinstance(spec, dict) and spec:
        return ipywidgets.Dropdown(options=spec, **style)
    ok = isinstance(spec, tuple) and len(spec) == 3 and all(type(v) in (int, float) for v in spec)
    if not ok or not -math.inf < spec[0] <= spec[2] <= spec[1] < math.inf or spec[0] == spec[1]:
        raise ValueError(
            f"{name}: got {spec!r}, expected (low, high, start) with low <= start <= high, or a dict of choices"
        )
    low, high, start = spec
    if all(isinstance(v, int) for v in spec):
        return ipywidgets.IntSlider(value=start, min=low, max=high, **style)
    return ipywidgets.FloatSlider(
        value=start, min=low, max=high, step=(high - low) / 200, readout_format=".2f", **style
    )


@cache
def _live_class() -> type:
    """The class of what `live` returns; made at first use, because its base needs ipywidgets."""
    import ipywidgets

    class Live(ipywidgets.VBox):
        def __init__(self, draw: Callable[..., Figure], controls: dict[str, Any]) -> None:
            self.draw, self.controls, self.draws, self.waiting = draw, controls, 0, False
            self.picture, self.error = ipywidgets.Image(format="png"), ipywidgets.HTML()
            super().__init__([*controls.values(), self.picture, self.error])
            self._redraw()
            for control in controls.values():
                control.observe(self._moved, names="value")

        def _moved(self, _change: Any) -> None:
            if self.waiting:
                return  # the picture that is due will take the newest values
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # a plain script has no loop to come back on
                self._redraw()
                return
            self.waiting = True
            loop.call_later(PAUSE, self._redraw)

        def _redraw(self) -> None:
            self.waiting = False
            try:
                with one_thread():
                    figure = self.draw(**{name: control.value for name, control in self.controls.items()})
                    self.picture.value = png(figure)
                self.error.value = ""
            except Exception as error:  # on a timer nobody would see it
                self.error.value = f"<b>{type(error).__name__}</b>: {html.escape(str(error))}"
                raise
            self.draws += 1

        def _repr_mimebundle_(self, **options: Any) -> Any:
            bundle = super()._repr_mimebundle_(**options)
            fallback = {
                "image/png": base64.b64encode(self.picture.value).decode(),
                "text/plain": f"sliders: {', '.join(self.controls)}",
            }
            return bundle if bundle is None else {**bundle, **fallback}

    return Live


# --- the widgets of the course ----------------------------------------------------------------------------------


def _keys(model: KanervaPlusPlus, name: str, y: Tensor) -> Tensor:
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    return check_tensor(name, y, (model.config.reads, 3), dtype=torch.float32)


def view(model: KanervaPlusPlus, memory: Tensor, y: Tensor, kind: str | None = None) -> Figure:
    """`boards.key_view` of the memory [1, 3, S, S] at keys y [K, 3]; `kind` is another squash than the model's own."""
    v, c = look(model, memory, y, kind), model.config
    half = ", ".join(f"{s:.2f}" for s, _, _ in v.window.tolist())
    title = f"half-width{'s' * (c.reads > 1)} s: {half}    ln p(y) = {v.log_p:.2f} nats"
    shape = (c.z_size,) if c.latents == "vector" else (c.latent_channels, c.latent_side, c.latent_side)
    return boards.key_view(memory[0], v.window, v.blocks, v.mean.view(shape), v.std.view(shape), v.picture, title)


def explore(model: KanervaPlusPlus, memory: Tensor, y: Tensor, head: int = 0, kind: str | None = None) -> Any:
    """Sliders for scale, x and y of one key, before the squash; the other keys stay as they are in y [K, 3].

    `head` (from 0) is the one that the sliders start at; with K > 1 a menu chooses another. Raises ValueError as
    `keyspace.look`.
    """
    y = _keys(model, "y", y)
    head = check_count("head", head, least=0, most=len(y) - 1)

    def figure(key: int = 0, **place: float) -> Figure:  # the slider is called y, as are the keys
        moved = y.clone()
        moved[key] = torch.tensor([place["scale"], place["x"], place["y"]])
        return view(model, memory, moved, kind)

    heads = sorted(range(len(y)), key=lambda i: i != head)  # the chosen one first
    reach = max(3.0, math.ceil(float(y.abs().max())))
    sliders = {name: (-reach, reach, float(v)) for name, v in zip(("scale", "x", "y"), y[head], strict=True)}
    menu = {"key": {f"key {i + 1} of {len(y)}": i for i in heads}} if len(y) > 1 else {}
    return live(figure, **menu, **sliders)


def perturb(model: KanervaPlusPlus, memory: Tensor, y: Tensor, draws: int = 40) -> Any:
    """Keys around 0, where a `std` of 1 draws them from p(Y), or around y [K, 3]: sliders for the draw and for std.

    Raises ValueError as `keyspace.look`.
    """
    y, draws = _keys(model, "y", y), check_count("draws", draws, least=2)
    noise = torch.randn(draws, *y.shape, generator=seeded(1))

    def figure(around: bool, draw: int, std: float) -> Figure:
        return view(model, memory, around * y + std * noise[draw - 1])

    return live(figure, around={"0, as p(Y)": False, "the keys given": True}, draw=(1, draws, 1), std=(0.0, 2.0, 1.0))


def walk(model: KanervaPlusPlus, memory: Tensor, start: Tensor, end: Tensor) -> Any:
    """A slider from the keys `start` [K, 3] (0) to `end` (1), along the straight line between them in key space.

    Raises ValueError as `keyspace.look`.
    """
    start, end = _keys(model, "start", start), _keys(model, "end", end)
    return live(lambda place: view(model, memory, torch.lerp(start, end, place)), place=(0.0, 1.0, 0.5))


def shake(model: KanervaPlusPlus, memory: Tensor, y: Tensor, n: int = 16, seed: int = 0) -> Any:
    """A slider for the spread of noise on the keys y [K, 3]: n pictures (section 4.1.1), the same draws throughout.

    Raises ValueError as `keyspace.look`.
    """
    y, n = _keys(model, "y", y), check_count("n", n)
    noise = torch.randn(n, *y.shape, generator=seeded(seed))

    def figure(log10_std: float) -> Figure:
        std = 10**log10_std
        return plots.pictures(pictures(model, memory, y + std * noise), 8, f"keys + N(0, {std:.3f}\N{SUPERSCRIPT TWO})")

    return live(figure, log10_std=(-3.0, 0.5, -1.0))


def read(memory: Tensor, window: Tensor, size: int) -> Any:
    """Sliders for s, x and y of a window over `memory` [1, C, S, S]; the target is the block [C, size, size] that is
    read at `window` [3], where the gradient of the mismatch is 0. Equations 8 and 9. Raises ValueError for a window
    outside the sliders: s from 0.05 to 1, x and y from -1.3 to 1.3.
    """
    memory = check_tensor("memory", memory, (1, "C", "S", "S"))
    window = check_tensor("window", window, (3,), memory.device, memory.dtype)
    low, high = window.new_tensor([0.05, -1.3, -1.3]), window.new_tensor([1.0, 1.3, 1.3])
    if not bool(((low <= window) & (window <= high)).all()):
        raise wrong(
            "window", Words(str([round(v, 3) for v in window.tolist()])), "s in [0.05, 1], x and y in [-1.3, 1.3]"
        )
    target = read_blocks(memory, window.view(1, 1, 1, 3), size)[0, 0, 0]

    def figure(**at: float) -> Figure:
        here = torch.tensor([at["s"], at["x"], at["y"]])
        block, mismatch, way = read_and_way(memory, here, target)
        points = window_grid(here[None], size)[0]  # [g, g, 2]
        title = f"mismatch {mismatch:.4f}    -gradient (s, x, y): " + ", ".join(f"{v:+.3f}" for v in way.tolist())
        return boards.read_view(memory[0], here, points, block, target, way, title)

    s, x, y = window.tolist()
    return live(figure, s=(0.05, 1.0, s), x=(-1.3, 1.3, min(x + 0.2, 1.3)), y=(-1.3, 1.3, max(y - 0.1, -1.3)))


def written(models: Mapping[str, KanervaPlusPlus], episodes: Tensor) -> Any:
    """Menus and sliders over models, `episodes` [N, T, C, H, W] and the image: where each was written.

    The third panel is how much M changes when what the encoder saw of that image alone is replaced, by the next one's.
    Raises ValueError for what is no model, and for fewer than two episodes of two images.
    """
    for name, model in check_named("models", models).items():
        check_kind(f"models[{name!r}]", model, KanervaPlusPlus, "a model with a memory")
        episodes = images_of(model, "episodes", episodes)
    if min(episodes.shape[:2]) < 2:
        raise wrong("episodes", list(episodes.shape), "at least two episodes of two images")

    @cache
    @torch.no_grad()
    def remembered(model: KanervaPlusPlus, which: int) -> tuple[Tensor, Posterior]:
        x = episodes[which - 1 : which]
        posterior = model.encode(x)
        return model.write(x, posterior), posterior

    @torch.no_grad()
    def figure(model: KanervaPlusPlus, episode: int, image: int) -> Figure:
        x, (memory, posterior) = episodes[episode - 1 : episode], remembered(model, episode)
        images = torch.arange(x.shape[1])
        images[image] = (image + 1) % len(images)
        e, maps = (None if v is None else v[:, images] for v in (posterior.e, posterior.maps))
        other = posterior._replace(e=e, maps=maps, place=model.key_model(maps if e is None else e).mean)
        change = (model.write(x, other) - memory)[0].abs().mean(0)  # [S, S]
        found = model.read_images(memory, posterior.place[:, image : image + 1], sampled=False)[0, 0]
        windows = model.window(posterior.place)[0]
        return boards.write_view(x[0, image], memory[0], windows, image, change, found)

    return live(figure, model=dict(models), episode=(1, len(episodes), 1), image=(0, episodes.shape[1] - 1, 0))


def clean_up(model: KanervaPlusPlus, grey: Tensor, memory: Tensor, steps: int = 10) -> Any:
    """A menu for the kind of noise; sliders for its strength, the image, and the step of reading (eq. 7, means).

    grey: [T, C, H, W] in [0, 1]; memory: [2, 3, S, S], the one that the clean bits of `grey` wrote and another one, as
    the control. A picture that comes back as it was ends the iteration: every later step would give it again.
    Raises ValueError for other shapes, and for fewer than two images.
    """
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    memory, steps = memory_of(model, memory, 2), check_count("steps", steps, least=2)
    c = model.config
    grey = check_images("grey", grey, ("T", c.channels, c.image_size, c.image_size), values="grey")
    if len(grey) < 2:
        raise wrong("grey", list(grey.shape), "at least two images")
    held = [model.slot_pictures(m[None]) if model.searches else None for m in memory]

    @cache
    def path(kind: str, strength: float, image: int, which: int) -> list[Tensor]:
        return [add_noise(grey[image], kind, strength, seeded(image))]  # grows as steps are asked for

    def after(step: int, *case: Any) -> Tensor:
        seen, which = path(*case), case[-1]
        while len(seen) <= step and not (len(seen) > 1 and torch.equal(seen[-1], seen[-2])):
            seen.append(model.iterate(seen[-1][None, None], memory[[which]], steps=1, held=held[which])[1, 0, 0])
        return seen[min(step, len(seen) - 1)]

    def figure(noise: str, strength: float, image: int, step: int) -> Figure:
        own, other = (after(step, noise, strength, image, which) for which in (0, 1))
        named = {"noisy cue": path(noise, strength, image, 0)[0], f"step {step}": own, "in another memory": other}
        return boards.clean_view((grey[image] > 0.5).float(), named, f"{noise}, strength {strength:.2f}")

    kinds = {kind: kind for kind in KINDS}
    return live(figure, noise=kinds, strength=(0.0, 1.0, 0.3), image=(0, len(grey) - 1, 0), step=(0, steps, 1))
