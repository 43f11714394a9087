"""How a maze is dressed: bricks, stripes, checks and other textures, colours for each room, pictures on some walls."""

from __future__ import annotations

import colorsys

import numpy as np
import torch

from ..inputs import check_kind, check_seed
from .episodes import seeded
from .layouts import Layout
from .raycast import TEXELS, Scene

GOLDEN = 0.381966  # of a turn of the colour wheel from one room to the next: no two are alike
PICTURES = 4  # in a maze, each on several walls
HUNG = 0.12  # of the walls, those with a picture
GRAIN = 0.05  # standard deviation of a texture's brightness
ROW, COLUMN = np.indices((TEXELS, TEXELS))


def dressed(layout: Layout, seed: int = 0) -> Scene:
    """The maze as it is seen: a style and two colours for the corridors and for each room, a floor for each, pictures
    on some walls, coloured goals, a sky; all drawn with ``seed``. Raises ValueError for arguments of another kind."""
    check_kind("layout", layout, Layout, "a Layout")
    generator = seeded(check_seed("seed", seed), 3)
    regions, hue = int(layout.rooms.max()) + 1, _rand(generator)
    hues = [(hue + GOLDEN * i) % 1 for i in range(regions)]
    start = _draw(len(STYLES), generator)
    walls = [_wall(STYLES[(start + i) % len(STYLES)], h, generator) for i, h in enumerate(hues)]
    floors = [_floor(h, i == 0, generator) for i, h in enumerate(hues)]
    pictures = [_picture(walls[0], shape, _rand(generator), generator) for shape in SHAPES[:PICTURES]]
    textures = np.stack([*walls, *floors, *pictures]).clip(0, 1)
    goals = layout.goals[:, ::-1] + 0.5
    return Scene(
        layout.walls, _faces(layout, regions, generator), regions + layout.rooms, textures,
        sky=np.array([colour(0.6, 0.55, 0.75), colour(0.57, 0.2, 0.95)]), goals=goals,
        colours=np.array([colour((hue + 0.5 + 0.27 * i) % 1, 0.9, 1.0) for i in range(len(goals))]).reshape(-1, 3),
    )  # fmt: skip


def _faces(layout: Layout, regions: int, generator: torch.Generator) -> np.ndarray:
    """The texture of each face, int64 [H, W, 4]: that of the cell's room, or a picture."""
    faces = np.repeat(layout.rooms[:, :, None], 4, 2)
    hung = torch.rand(faces.shape, generator=generator).numpy() < HUNG
    which = torch.randint(PICTURES, faces.shape, generator=generator).numpy()
    return np.where(hung, 2 * regions + which, faces)


def colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Red, green, blue in [0, 1]."""
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _rand(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _grain(generator: torch.Generator) -> np.ndarray:
    return 1 + GRAIN * torch.randn(TEXELS, TEXELS, 1, generator=generator).double().numpy()


def _mixed(share: np.ndarray, one: np.ndarray, other: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """A texture [32, 32, 3]: colour `one` where `share` [32, 32] is 1, `other` where it is 0, and some grain."""
    return (share[..., None] * one + (1 - share[..., None]) * other) * _grain(generator)


# --- walls ------------------------------------------------------------------------------------------------------------


def _wall(style, hue: float, generator: torch.Generator) -> np.ndarray:
    ink = colour(hue, 0.45 + 0.4 * _rand(generator), 0.7 + 0.25 * _rand(generator))
    ground = colour((hue + 0.08 * (2 * _rand(generator) - 1)) % 1, 0.35, 0.4 + 0.15 * _rand(generator))
    return _mixed(style().astype(np.float64), ink, ground, generator)


def _bricks() -> np.ndarray:
    shifted = COLUMN + 8 * (ROW // 8 % 2)
    return (ROW % 8 > 0) & (shifted % 16 > 0)


def _stripes() -> np.ndarray:
    return COLUMN % 8 < 4


def _bands() -> np.ndarray:
    return ROW % 16 < 10


def _checks() -> np.ndarray:
    return (ROW // 8 + COLUMN // 8) % 2


def _panel() -> np.ndarray:
    edge = np.minimum(np.minimum(ROW, COLUMN), np.minimum(TEXELS - 1 - ROW, TEXELS - 1 - COLUMN))
    return (edge < 2) | (edge > 5)


def _slants() -> np.ndarray:
    return (ROW + COLUMN) % 16 < 8


STYLES = (_bricks, _panel, _stripes, _checks, _bands, _slants)


# --- floors -----------------------------------------------------------------------------------------------------------


def _floor(hue: float, corridor: bool, generator: torch.Generator) -> np.ndarray:
    """Tiles: greyish in corridors, of the room's colour in a room."""
    joint = ((ROW % 16 > 0) & (COLUMN % 16 > 0)).astype(np.float64)
    tile = 0.7 + 0.3 * ((ROW // 16 + COLUMN // 16) % 2)
    base = colour(hue, 0.12 if corridor else 0.4, 0.55 if corridor else 0.65)
    return _mixed(joint * tile, base, 0.5 * base, generator)


# --- pictures ---------------------------------------------------------------------------------------------------------


def _picture(wall: np.ndarray, shape, hue: float, generator: torch.Generator) -> np.ndarray:
    """A framed picture in the middle of a wall."""
    y, x = (ROW + 0.5) / TEXELS * 2 - 1, (COLUMN + 0.5) / TEXELS * 2 - 1
    ink, paper = colour(hue, 0.9, 1), colour((hue + 0.5) % 1, 0.3, 0.95)
    inner = _mixed(shape(x / 0.7, y / 0.7).astype(np.float64), ink, paper, generator)
    size = np.maximum(np.abs(x), np.abs(y))[..., None]
    return np.where(size < 0.62, inner, np.where(size < 0.72, 0.12, wall))


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x**2 + y**2 < 0.4


def _diamond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(x) + np.abs(y) < 0.75


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(np.abs(x), np.abs(y)) < 0.22


def _wedge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return y > 2 * np.abs(x) - 0.7


SHAPES = (_disc, _diamond, _cross, _wedge)
