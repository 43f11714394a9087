"""Layouts of mazes: rooms joined by corridors, of our own generator or of labmaze, DeepMind Lab's."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from ..inputs import check_choice, check_seed, whole, wrong
from .episodes import seeded

LAYOUTS = ("ours", "labmaze")
LEAST, MOST = 9, 41  # cells along a side
ROOMS = (3, 5)  # sides of our rooms, in cells
TRIES = 30  # places tried for rooms
LOOPS = 0.1  # of the walls that need not open, those which do all the same
STEPS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # (row, column) of the directions +x, +y, -x, -y
FLOOR, GOAL = " PG", "G"  # characters of labmaze that are no wall: floor, spawn point, object


@dataclass(frozen=True, eq=False)
class Layout:
    """A maze seen from above, in square cells; its border is wall, its floor connected, also without the goals.

    ``walls`` bool [H, W]. ``rooms`` int64 [H, W]: 0 in walls and corridors, else the number of the room. ``goals``
    int64 [G, 2], the row and column of each. ``source``: "ours" or "labmaze".
    """

    walls: np.ndarray
    rooms: np.ndarray
    goals: np.ndarray
    source: str


def source_of(name: str, given: str | None) -> str:
    """The source of layouts that was asked for, or for None the best there is: labmaze where it is installed.

    Raises ValueError, naming the argument, for an unknown one, and for a labmaze that is not there.
    """
    there = importlib.util.find_spec("labmaze") is not None
    if given is None:
        return "labmaze" if there else "ours"
    if check_choice(name, given, LAYOUTS) == "labmaze" and not there:
        raise wrong(name, given, "it installed (pip install 'kpp-lib[mazes]'), or 'ours'")
    return given


def check_side(name: str, given: Any) -> int:
    """How many cells a maze has along a side."""
    if isinstance(given, bool) or not isinstance(given, Integral) or not LEAST <= given <= MOST or given % 2 == 0:
        raise wrong(name, given, f"{whole(LEAST, MOST)} that is odd")
    return int(given)


def version(source: str) -> str:
    """What names a source of layouts in a file: its version, where it is a package."""
    return f"{source}-{importlib.metadata.version(source)}" if source == "labmaze" else source


def layout(size: int = 15, seed: int = 0, source: str | None = None) -> Layout:
    """A maze of ``size`` x ``size`` cells, an odd number, its border of wall counted.

    ``source``: "labmaze" (the package of that name, DeepMind Lab's random mazes), "ours", or None: labmaze where it is
    installed. Raises ValueError for another size, seed or source, and for a labmaze that is not installed.
    """
    size, seed = check_side("size", size), check_seed("seed", seed)
    if source_of("source", source) == "labmaze":
        return _theirs(size, seed)
    return _ours(size, seeded(seed, 1))


def _theirs(size: int, seed: int) -> Layout:
    import labmaze  # an optional extra

    number = int(torch.randint(2**31, (), generator=seeded(seed, 2)))  # labmaze takes 31 bits
    maze = labmaze.RandomMaze(
        height=size, width=size, max_rooms=max(2, size // 3), room_min_size=ROOMS[0], room_max_size=ROOMS[1],
        spawns_per_room=0, objects_per_room=1, random_seed=number,
    )  # fmt: skip
    cells, letters = np.asarray(maze.entity_layer), np.asarray(maze.variations_layer)  # characters [H, W]
    rooms = np.where(letters == ".", 0, letters.astype("U1").view(np.uint32) - ord("A") + 1)
    walls = ~np.isin(cells, list(FLOOR))
    return _finished(walls, rooms.astype(np.int64), np.argwhere(cells == GOAL), "labmaze")


def _ours(size: int, generator: torch.Generator) -> Layout:
    walls, rooms = np.ones((size, size), bool), np.zeros((size, size), np.int64)
    for _ in range(TRIES):
        high, wide = (ROOMS[0] + 2 * _draw(2, generator) for _ in range(2))
        top, left = (1 + 2 * _draw((size - side) // 2, generator) for side in (high, wide))
        around = slice(top - 1, top + high + 1), slice(left - 1, left + wide + 1)
        if rooms.max() < size // 3 and not rooms[around].any():  # a wall at least between two rooms
            rooms[top : top + high, left : left + wide] = rooms.max() + 1
    walls[1::2, 1::2] = False
    walls[rooms > 0] = False
    _join(walls, generator)
    _fill_dead_ends(walls)
    corners = [_corner(rooms == n, generator) for n in np.unique(rooms[rooms > 0])]
    return _finished(walls, rooms, np.array(corners).reshape(-1, 2), "ours")


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _corner(room: np.ndarray, generator: torch.Generator) -> np.ndarray:
    cells = np.argwhere(room)
    return cells.min(0) + (cells.max(0) - cells.min(0)) * [_draw(2, generator), _draw(2, generator)]


def _join(walls: np.ndarray, generator: torch.Generator) -> None:
    """Open walls in random order where they part two regions, until all floor is one; some others too: loops."""
    row, column = np.indices(walls.shape)
    inside = (row > 0) & (column > 0) & (row < len(walls) - 1) & (column < len(walls) - 1)
    doors = np.argwhere(walls & inside & (row % 2 != column % 2))  # each parts two places of odd row and column
    regions, _ = label(~walls)
    for i in torch.randperm(len(doors), generator=generator).tolist():
        y, x = doors[i]
        a, b = (regions[y, x - 1], regions[y, x + 1]) if y % 2 else (regions[y - 1, x], regions[y + 1, x])
        loop = float(torch.rand((), generator=generator)) < LOOPS
        if a != b or loop:
            walls[y, x] = False
            regions[regions == b] = a


def _fill_dead_ends(walls: np.ndarray) -> None:
    """Wall up corridors that lead nowhere, as DeepMind Lab does, from their ends on."""
    while True:
        open_sides = sum(~np.roll(walls, tuple(step), (0, 1)) for step in STEPS)
        ends = ~walls & (open_sides < 2)
        if not ends.any() or (~walls).sum() <= 2:
            return
        walls |= ends


def _finished(walls: np.ndarray, rooms: np.ndarray, candidates: np.ndarray, source: str) -> Layout:
    """The layout with those goals that a walk can go round."""
    goals, blocked = [], walls.copy()
    for row, column in candidates:
        blocked[row, column] = True
        if label(~blocked)[1] == 1:
            goals.append((row, column))
        else:
            blocked[row, column] = False
    return Layout(walls, np.where(walls, 0, rooms), np.array(goals, np.int64).reshape(-1, 2), source)


def paths(layout: Layout, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where a walk goes: the cells that are neither wall nor goal, int64 [n, 2], and the number of the cell before `j`
    on a shortest way from `i` to it, any one of them, int64 [n, n], negative where i = j."""
    floor = ~layout.walls
    floor[tuple(layout.goals.T)] = False
    cells, number = np.argwhere(floor), np.full(floor.shape, -1)
    number[floor] = np.arange(len(cells))
    pairs = np.concatenate([_neighbours(number), _neighbours(number.T)])
    steps = 1 + torch.rand(len(pairs), generator=generator).double().numpy() / len(cells)  # all the bits: less than one
    graph = coo_array((steps, tuple(pairs.T)), shape=(len(cells),) * 2).tocsr()
    _, before = shortest_path(graph, directed=False, return_predecessors=True)
    return cells, before.astype(np.int64)


def _neighbours(number: np.ndarray) -> np.ndarray:
    pairs = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], 1)
    return pairs[(pairs >= 0).all(1)]
