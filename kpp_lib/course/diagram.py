"""The map of the system: one drawing of the data flow, and which part of it each operation uses (Figures 2 to 5)."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# name: (x, y, symbol, what it is, its shape); squares in the paper's figures are deterministic, circles are drawn
NODES: dict[str, tuple[float, float, str, str, str]] = {
    "x": (-0.7, 2.0, "$X$", "episode", "[B, T, C, H, W]"),
    "e": (2.2, 2.0, "$E$", "embeddings", "[B, T, F]"),
    "q_z": (6.7, 3.3, "$q(Z|X)$", "posterior", "[B, T, L]"),
    "q_y": (4.6, 2.0, "$q(Y|X)$", "key posterior", "[B, T, K, 3]"),
    "y": (6.9, 2.0, "$y$", "keys", "[B, T, K, 3]"),
    "p_y": (4.6, 0.7, "$p(Y)$", "key prior N(0, I)", "[B, T, K, 3]"),
    "memory": (2.2, -0.6, "$M$", "memory", "[B, 3, S, S]"),
    "blocks": (6.9, -0.6, "$\\hat{M}$", "blocks", "[B, T, K, 3, g, g]"),
    "p_z": (9.0, 0.7, "$p(Z|\\hat{M},Y)$", "prior", "[B, T, L]"),
    "z": (9.0, 3.3, "$z$", "code", "[B, T, L]"),
    "p_x": (11.3, 3.3, "$p(X|Z)$", "picture", "[B, T, C, H, W]"),
}
DRAWN = {"y", "z"}  # sampled; everything else is computed
# (from, to): what computes it
ARROWS: dict[tuple[str, str], str] = {
    ("x", "e"): "$f_{enc}$",
    ("e", "memory"): "write $f_{mem}$",
    ("e", "q_y"): "$f_{key}$",
    ("e", "q_z"): "$f_z$",
    ("q_y", "y"): "draw",
    ("p_y", "y"): "draw",
    ("memory", "blocks"): "read $f_{ST}$",
    ("y", "blocks"): "where",
    ("blocks", "p_z"): "prior net",
    ("p_z", "z"): "draw",
    ("q_z", "z"): "draw",
    ("z", "p_x"): "decode",
    ("p_x", "x"): "again",
}
KLS = {("q_z", "p_z"): "KL$_Z$", ("q_y", "p_y"): "KL$_Y$"}

_READ = {("memory", "blocks"), ("y", "blocks"), ("blocks", "p_z")}
_CUE = {("x", "e"), ("e", "q_y"), ("q_y", "y")} | _READ | {("p_z", "z"), ("z", "p_x")}
# operation: (colour, its arrows, its KLs)
FLOWS: dict[str, tuple[str, set[tuple[str, str]], set[tuple[str, str]]]] = {
    "write": ("tab:red", {("x", "e"), ("e", "memory")}, set()),
    "bound": ("tab:blue", (_CUE - {("p_z", "z")}) | {("e", "q_z"), ("q_z", "z")}, set(KLS)),
    "generate": ("tab:green", {("p_y", "y")} | _READ | {("p_z", "z"), ("z", "p_x")}, set()),
    "iterate": ("tab:purple", _CUE | {("p_x", "x")}, set()),
}


def draw_map(ax: Axes, flow: str | None = None, size: float = 9) -> None:
    """The data flow on `ax`; with `flow` ("write", "bound", "generate", "iterate") that operation in colour, the rest
    pale.

    `size`: font size in points. Raises ValueError for an unknown flow.
    """
    if flow is not None and flow not in FLOWS:
        raise ValueError(f"flow: got {flow!r}, expected one of {', '.join(FLOWS)} or None")
    colour, arrows, kls = FLOWS[flow] if flow else ("black", set(ARROWS) - {("p_x", "x")}, set(KLS))
    used = {name for pair in arrows | kls for name in pair}
    for (start, end), label in ARROWS.items():
        if flow == "iterate" or (start, end) != ("p_x", "x"):
            _arrow(ax, start, end, label, colour if (start, end) in arrows else "0.85", size)
    for (start, end), label in KLS.items():
        _kl(ax, start, end, label, "tab:orange" if (start, end) in kls else "0.85", size)
    for name in NODES:
        _node(ax, name, name in used, colour if flow else "black", size)
    ax.set(xlim=(-1.8, 12.5), ylim=(-1.4, 5.0 if flow == "iterate" else 4.1))
    ax.set_axis_off()


def system_map(flow: str | None = None) -> Figure:
    """The data flow as one large figure, whole or with one operation in colour."""
    fig, ax = plt.subplots(figsize=(11.5, 4.8), layout="constrained")
    draw_map(ax, flow, size=9.5)
    return fig


def flow_maps(titles: dict[str, str]) -> Figure:
    """Four small maps, one per operation; `titles` = {flow: title}."""
    fig, axes = plt.subplots(2, 2, figsize=(12.5, 6.6), layout="constrained", squeeze=False)
    for ax, (flow, title) in zip(axes.flat, titles.items(), strict=True):
        draw_map(ax, flow, size=6.4)
        ax.set_title(title, fontsize=10, color=FLOWS[flow][0])
    return fig


def _node(ax: Axes, name: str, used: bool, colour: str, size: float) -> None:
    x, y, symbol, words, shape = NODES[name]
    edge, ink = (colour, "black") if used else ("0.85", "0.75")
    corners = "round,pad=0.35,rounding_size=0.6" if name in DRAWN else "square,pad=0.35"
    ax.text(
        x,
        y,
        f"{symbol}\n{words}\n{shape}",
        ha="center",
        va="center",
        fontsize=size,
        color=ink,
        linespacing=1.25,
        zorder=3,
        bbox=dict(boxstyle=corners, facecolor="white", edgecolor=edge, linewidth=1.6 if used else 1),
    )


def _arrow(ax: Axes, start: str, end: str, label: str, colour: str, size: float) -> None:
    (x0, y0), (x1, y1) = NODES[start][:2], NODES[end][:2]
    loop = (start, end) == ("p_x", "x")
    style = dict(arrowstyle="-|>", color=colour, linewidth=1.5, shrinkA=0, shrinkB=_half(end, x1 - x0, y1 - y0, size))
    if loop:
        style |= dict(connectionstyle="arc3,rad=0.3", shrinkA=3 * size, shrinkB=3 * size)
    ax.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=style, zorder=1)
    at = 0.46 if y0 == y1 else 0.5
    place = (5.0, 4.3) if loop else (x0 + at * (x1 - x0), y0 + at * (y1 - y0))
    pale = colour == "0.85"
    ax.text(
        *place,
        label,
        ha="center",
        va="center",
        fontsize=0.92 * size,
        color="0.75" if pale else colour,
        zorder=2,
        bbox=dict(boxstyle="square,pad=0.12", facecolor="white", edgecolor="none"),
    )


def _half(name: str, dx: float, dy: float, size: float) -> float:
    """Points from the centre of a node to its edge, for an arrow that comes along (dx, dy)."""
    if dx == 0:
        return 2.5 * size  # three lines of text
    width = 0.28 * size * max(len(line) for line in NODES[name][3:]) + 0.6 * size
    return width if dy == 0 else min(width, 4 * size)


def _kl(ax: Axes, start: str, end: str, label: str, colour: str, size: float) -> None:
    (x0, y0), (x1, y1) = NODES[start][:2], NODES[end][:2]
    ax.plot([x0, x1], [y0, y1], linestyle=(0, (4, 3)), color=colour, linewidth=1.5, zorder=0)
    at = 0.3 if start == "q_z" else 0.5
    ax.text(
        x0 + at * (x1 - x0),
        y0 + at * (y1 - y0),
        label,
        ha="center",
        va="center",
        fontsize=size,
        color=colour,
        zorder=2,
        bbox=dict(boxstyle="square,pad=0.12", facecolor="white", edgecolor="none"),
    )
