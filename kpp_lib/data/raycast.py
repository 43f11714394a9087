"""What one sees in a maze: rays cast over a grid of walls, for many poses at once, into colour pictures.

The eye is in the middle between floor and the top of the walls, which are one cell high; the field of view is 90
degrees, across and down. So a wall at distance d (in cells, straight ahead) is S / (2 d) pixels high in a picture of
S x S, and fills it from d = 1/2 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..inputs import check_count, check_kind, wrong

TEXELS = 32  # of a texture's side, which is a cell's
LIGHTS = 32  # steps of light, from the eye into the distance
DIM = 0.4  # of the light that is left far away
HALF_LIGHT = 4.0  # cells until half of the light that goes is gone
SHADE = 0.8  # light of walls that run along x, over those along y: corners show
SKY = 64  # steps of the sky's colour, from above down to the horizon
LEVELS = 6  # of each texture: 32, 16, ..., 1 texels wide, for the farther the smaller
STARTS = np.cumsum([0] + [(TEXELS >> m) ** 2 for m in range(LEVELS)])  # of the levels, among a texture's texels
AT_ONCE = 2**17  # pixels at a time: what they need stays in a processor's cache
BALL, HANG = 0.25, 0.12  # cells: a goal's radius, and how far its middle is below the eye
NEAR = 0.3  # cells: what is nearer than that is not drawn


@dataclass(frozen=True, eq=False)
class Scene:
    """A dressed maze. Colours are floats in [0, 1].

    ``walls`` bool [H, W], its border True. ``faces`` int64 [H, W, 4]: the texture of the wall that is seen from a cell
    looking along +x, +y, -x, -y. ``floors`` int64 [H, W]: that of a cell's floor. ``textures`` float [K, 32, 32, 3].
    ``sky`` float [2, 3], above and at the horizon. ``goals`` float [G, 2], x and y in cells, and ``colours`` [G, 3].
    """

    walls: np.ndarray
    faces: np.ndarray
    floors: np.ndarray
    textures: np.ndarray
    sky: np.ndarray
    goals: np.ndarray
    colours: np.ndarray

    def __post_init__(self) -> None:
        edges = (self.walls[0], self.walls[-1], self.walls[:, 0], self.walls[:, -1])
        if not all(edge.all() for edge in edges):  # a ray would leave the maze
            raise wrong("walls", self.walls, "a grid with a border of wall")

    @cached_property
    def atlas(self) -> np.ndarray:
        """Textures at all lights and levels, then the sky: packed colours uint32 [K * LIGHTS * STARTS[-1] + SKY]."""
        small, levels = self.textures, []
        for _ in range(LEVELS):
            levels.append(small.reshape(len(small), -1, 3))
            k, side = len(small), small.shape[1] // 2
            small = small.reshape(k, side, 2, side, 2, 3).mean((2, 4)) if side else small
        texels = np.concatenate(levels, 1).astype(np.float32)  # [K, STARTS[-1], 3]
        light = np.linspace(0, 1, LIGHTS, dtype=np.float32)[:, None]
        sky = self.sky[0] + (self.sky[1] - self.sky[0]) * np.linspace(0, 1, SKY)[:, None]
        lit = packed(*(texels[:, None, :, c] * light for c in range(3)))  # [K, LIGHTS, STARTS[-1]]
        return np.concatenate([lit.ravel(), packed(*sky.T)])


def packed(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Colours in [0, 1] of one shape as uint32 of that shape: red, green and blue are its first three bytes."""
    four = np.zeros((*red.shape, 4), np.uint8)
    for c, part in enumerate((red, green, blue)):
        np.add(255 * part, 0.5, out=four[..., c], casting="unsafe")
    return four.view(np.uint32)[..., 0]


def rays(poses: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """x, y of the eyes float64 [N, 1], and the rays of the columns dx, dy float64 [N, S]: one cell ahead each."""
    x, y, cos, sin = eyes(poses)
    across = offsets(size)
    return x, y, cos - sin * across, sin + cos * across


def eyes(poses: np.ndarray) -> tuple[np.ndarray, ...]:
    """x, y, and the cosine and sine of the heading, float64 [N, 1] each."""
    x, y, heading = np.asarray(poses, np.float64).T[:, :, None]
    # libraries differ in the last bits of a cosine; those of float32 are the same on (nearly) every machine
    cos, sin = (f(heading).astype(np.float32).astype(np.float64) for f in (np.cos, np.sin))
    return x, y, cos, sin


def offsets(size: int) -> np.ndarray:
    """How far the middles of columns (rows) are right of (below) the middle, one cell ahead: float64 [S]."""
    return (2 * np.arange(size) + 1) / size - 1


def cast(walls: np.ndarray, poses: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the ray of each column of pictures of ``size`` x ``size`` meets a wall.

    ``walls`` bool [H, W], its border True; ``poses`` float [N, 3] outside of walls (see `agent.walk`). Returns the
    distance straight ahead, in cells, float64 [N, S]; the place along the wall, in [0, 1), float64 [N, S]; and which
    face it is, int64 [N, S]: 4 * (W * row + column) of the cell before the wall, + 0 to 3 as in `Scene.faces`.
    """
    x, y, dx, dy = rays(poses, size)
    n, width = len(x), walls.shape[1]
    state = _first_lines(x, y, dx, dy, width)
    distance, face = np.empty(n * size), np.empty(n * size, np.int64)
    todo, solid = np.arange(n * size), walls.ravel()
    while len(todo):  # from grid line to grid line, all rays that have not met a wall
        next_x, next_y, per_x, per_y, step_x, step_y, cell = state
        along_x = next_x < next_y
        ahead = np.where(along_x, step_x, step_y)
        reached = cell + ahead
        hit = solid[reached]
        met = todo[hit]
        distance[met] = np.where(along_x, next_x, next_y)[hit]
        side = np.where(along_x, 1 - step_x, 2 - step_y // width)[hit]  # +x 0, -x 2; +y 1, -y 3
        face[met] = 4 * cell[hit] + side
        next_x = np.where(along_x, next_x + per_x, next_x)
        next_y = np.where(along_x, next_y, next_y + per_y)
        state = [v[~hit] for v in (next_x, next_y, per_x, per_y, step_x, step_y, reached)]
        todo = todo[~hit]
    distance, face = distance.reshape(n, size), face.reshape(n, size)
    place = np.where(face % 2 == 0, y + distance * dy, x + distance * dx)
    return distance, place - np.floor(place), face


def _first_lines(x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray, width: int) -> list[np.ndarray]:
    """Of all rays in a row: the distances of the next grid lines across x and y, those between two lines, the steps
    from cell to cell, and the cell."""
    parts = []
    for at, towards in ((x, dx), (y, dy)):
        per = 1 / np.maximum(np.abs(towards), 1e-9)
        parts.append((np.where(towards < 0, at - np.floor(at), np.floor(at) + 1 - at) * per, per, np.sign(towards)))
    (next_x, per_x, step_x), (next_y, per_y, step_y) = parts
    cell = (np.floor(y) * width + np.floor(x)).astype(np.int64) + np.zeros(dx.shape, np.int64)
    steps = (np.where(step_x < 0, -1, 1), np.where(step_y < 0, -width, width))
    return [v.ravel() for v in (next_x, next_y, per_x, per_y, *steps, cell)]


def render(scene: Scene, poses: np.ndarray, size: int) -> np.ndarray:
    """The pictures at ``poses`` float [N, 3]: uint8 [N, 3, size, size], ``size`` even.

    Raises ValueError for another kind of scene or size, and for a pose that is inside a wall or outside the maze.
    """
    check_kind("scene", scene, Scene, "a Scene")
    size, poses = check_count("size", size, least=8), _checked(poses, scene.walls)
    if size % 2:
        raise wrong("size", size, "an even number")
    pictures = np.empty((len(poses), 3, size, size), np.uint8)
    chunk = -(-AT_ONCE // size**2)
    for start in range(0, len(poses), chunk):
        some = poses[start : start + chunk]
        pixels = _painted(scene, some, size).view(np.uint8).reshape(len(some), size, size, 4)
        for c in range(3):
            pictures[start : start + chunk, c] = pixels[..., c]
    return pictures


def _checked(poses: np.ndarray, walls: np.ndarray) -> np.ndarray:
    expected = f"numbers [N, 3]: x, y and heading, on the floor of a maze of {walls.shape[0]} x {walls.shape[1]} cells"
    poses = np.asarray(poses)
    if poses.ndim != 2 or poses.shape[1] != 3 or poses.dtype.kind not in "fiu" or not np.isfinite(poses).all():
        raise wrong("poses", poses, expected)
    column, row = np.floor(poses[:, :2].T).astype(np.int64)
    inside = (row >= 0) & (column >= 0) & (row < walls.shape[0]) & (column < walls.shape[1])
    if not inside.all() or walls[row, column].any():
        raise wrong("poses", poses[~inside | walls[row * inside, column * inside]][0].tolist(), expected)
    return poses


def _painted(scene: Scene, poses: np.ndarray, size: int) -> np.ndarray:
    """Packed colours uint32 [N, S, S] of walls, floor, sky and goals."""
    distance, place, face = cast(scene.walls, poses, size)
    far, half = distance.astype(np.float32), size // 2
    across = np.where(face % 2 == 0, 1.0, SHADE)
    level = _level(TEXELS * 2 * distance / size)  # a wall is size / (2 d) pixels high
    side = (TEXELS >> level).astype(np.int32)
    first = _texture(scene.faces.ravel()[face], _light(distance, across), level) + (place * side).astype(np.int64)
    first, side = first.astype(np.int32)[:, None], side[:, None]  # [N, 1, S]
    down = offsets(size).astype(np.float32)[:, None]  # [S, 1]
    height = down * far[:, None] + np.float32(0.5)  # [N, S, S], of a wall: 0 at its top, 1 at its foot
    wall = first + (height * side).astype(np.int32) * side
    above = np.int32(len(scene.atlas) - SKY) + ((1 + down[:half]) * SKY).astype(np.int32)
    index = np.empty(wall.shape, np.int32)
    index[:, :half] = np.where(height[:, :half] >= 0, wall[:, :half], above)
    index[:, half:] = np.where(height[:, half:] < 1, wall[:, half:], _floor(scene, poses, size, far))
    pixels = scene.atlas.take(index, mode="clip")
    _hang_goals(scene, poses, pixels, distance)
    return pixels


def _level(texels: np.ndarray) -> np.ndarray:
    """The level of a texture of which about one texel comes to a pixel, for texels of the first per pixel."""
    return np.clip(np.ceil(np.log2(np.maximum(texels, 1)) - 0.5), 0, LEVELS - 1).astype(np.int64)


def _light(distance: np.ndarray, factor: np.ndarray | float = 1.0) -> np.ndarray:
    """Steps of light, from the distance in cells."""
    light = factor * (DIM + (1 - DIM) / (1 + distance / HALF_LIGHT))
    return (light * (LIGHTS - 1) + 0.5).astype(np.int64)


def _texture(number: np.ndarray | int, light: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Where a level of a texture begins in the atlas."""
    return (number * LIGHTS + light) * STARTS[-1] + STARTS[level]


def _floor(scene: Scene, poses: np.ndarray, size: int, far: np.ndarray) -> np.ndarray:
    """Where in the atlas the floor is, int32 [N, S/2, S]; behind walls, what is at their feet."""
    down = offsets(size)[size // 2 :]
    ahead = 0.5 / down  # cells, of a row
    level = _level(TEXELS * 2 * ahead / size * np.sqrt(2 * ahead))  # seen flat: more texels down than across
    row = _texture(0, _light(ahead), level).astype(np.int32)[:, None]
    side = (TEXELS >> level).astype(np.float32)[:, None]
    x, y, dx, dy = (v.astype(np.float32)[:, None] for v in rays(poses, size))
    t = np.minimum(ahead.astype(np.float32)[:, None], far[:, None] * np.float32(1 - 1e-5))  # [N, S/2, S]
    x, y = x + t * dx, y + t * dy
    column, line = x.astype(np.int32), y.astype(np.int32)
    across, along = ((v - whole) * side for v, whole in ((x, column), (y, line)))
    cell = line * np.int32(scene.walls.shape[1]) + column
    textures = (scene.floors.ravel() * (LIGHTS * STARTS[-1])).astype(np.int32)
    texel = along.astype(np.int32) * side.astype(np.int32) + across.astype(np.int32)
    return textures.take(cell, mode="clip") + row + texel


def _hang_goals(scene: Scene, poses: np.ndarray, pixels: np.ndarray, distance: np.ndarray) -> None:
    """Paint the goals into `pixels` [N, S, S], the farthest first, where no wall is nearer."""
    if not len(scene.goals):
        return
    size, (x, y, cos, sin) = pixels.shape[1], eyes(poses)
    to_x, to_y = scene.goals[:, 0] - x, scene.goals[:, 1] - y  # [N, G]
    ahead, right = to_x * cos + to_y * sin, to_y * cos - to_x * sin
    seen, goal = np.nonzero((ahead > NEAR) & (np.abs(right) < ahead + BALL))
    order, middles = np.argsort(-ahead[seen, goal], kind="stable"), offsets(size)
    for i, g in zip(seen[order], goal[order], strict=True):
        across, down = (middles * ahead[i, g] - right[i, g]) / BALL, (middles * ahead[i, g] - HANG) / BALL
        columns = np.flatnonzero((np.abs(across) < 1) & (ahead[i, g] < distance[i]))
        depth = 1 - across[columns] ** 2 - down[:, None] ** 2  # [S, columns], squared: how far the ball comes forward
        rows, some = np.nonzero(depth > 0)
        columns = columns[some]
        glow = 0.5 + 0.4 * np.sqrt(depth[rows, some]) - 0.1 * (down[rows] + across[columns])
        pixels[i, rows, columns] = packed(*(np.clip(glow, 0, 1) * part for part in scene.colours[g]))
