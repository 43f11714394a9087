"""Layouts: connected rooms and corridors of ours, and those of labmaze, real where it is installed."""

import importlib.metadata
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import label

from kpp_lib import seeded
from kpp_lib.data import layouts
from kpp_lib.data.layouts import STEPS, layout, paths, source_of

SEEDS = range(12)


def check(plan, size):
    """What every layout promises."""
    walls, goals = plan.walls, plan.goals
    assert walls.shape == plan.rooms.shape == (size, size) and walls.dtype == bool
    assert walls[0].all() and walls[-1].all() and walls[:, 0].all() and walls[:, -1].all()
    assert label(~walls)[1] == 1, "the floor is not connected"
    assert not walls[tuple(goals.T)].any() and not plan.rooms[walls].any()
    blocked = walls.copy()
    blocked[tuple(goals.T)] = True
    assert label(~blocked)[1] == 1, "a goal bars the way"


@pytest.mark.parametrize("size", [9, 15, 21])
def test_ours_are_connected_and_have_rooms_and_corridors(size):
    for seed in SEEDS:
        plan = layout(size, seed, "ours")
        check(plan, size)
        assert plan.source == "ours" and plan.rooms.max() >= 1
    if size > 9:  # on average: some have little of one
        plans = [layout(size, seed, "ours") for seed in SEEDS]
        assert np.mean([(~p.walls & (p.rooms == 0)).sum() for p in plans]) > size
        assert np.mean([p.rooms.max() for p in plans]) >= 2 and np.mean([len(p.goals) for p in plans]) >= 1


def test_a_room_is_a_whole_rectangle_of_odd_sides():
    rooms = layout(15, 1, "ours").rooms
    for number in range(1, rooms.max() + 1):
        cells = np.argwhere(rooms == number)
        high, wide = cells.max(0) - cells.min(0) + 1
        assert len(cells) == high * wide and {high, wide} <= {3, 5}


def test_no_corridor_of_ours_is_a_dead_end():
    for seed in SEEDS:
        walls = layout(15, seed, "ours").walls
        for row, column in np.argwhere(~walls):
            assert sum(not walls[row + i, column + j] for i, j in STEPS) >= 2


def test_a_seed_is_a_maze_and_another_seed_another():
    plans = [layout(15, seed, "ours").walls.tobytes() for seed in SEEDS]
    assert len(set(plans)) == len(plans) and plans == [layout(15, seed, "ours").walls.tobytes() for seed in SEEDS]


def test_paths_are_shortest_and_keep_off_goals():
    plan = layout(15, 3, "ours")
    cells, before = paths(plan, seeded(0))
    assert {tuple(c) for c in cells} == {tuple(c) for c in np.argwhere(~plan.walls)} - {tuple(g) for g in plan.goals}
    floor = plan.walls.copy()
    floor[tuple(plan.goals.T)] = True
    steps, far = {tuple(cells[0]): 0}, [tuple(cells[0])]  # breadth first, by hand
    for at in far:
        for step in STEPS:
            to = (at[0] + step[0], at[1] + step[1])
            if not floor[to] and to not in steps:
                steps[to] = steps[at] + 1
                far.append(to)
    for j in range(len(cells)):
        way = [j]
        while way[-1] != 0:
            way.append(before[0, way[-1]])
            assert np.abs(cells[way[-1]] - cells[way[-2]]).sum() == 1
        assert len(way) - 1 == steps[tuple(cells[j])]
    assert not np.array_equal(before, paths(plan, seeded(1))[1])  # of two shortest ways, any


ENTITY = """
*********
*   *   *
* G * P *
*       *
*** *****
***G*****
*** G   *
*********
*********
""".split("\n")[1:-1]
LETTERS = [".........", ".AAA.BBB.", ".AAA.BBB.", ".AAA.BBB.", *["........."] * 5]


@pytest.fixture
def stub(monkeypatch):
    """labmaze as it is documented: RandomMaze(height, width, ...), whose layers are arrays of characters."""
    asked = []

    class RandomMaze:
        def __init__(self, height, width, max_rooms, room_min_size, room_max_size, spawns_per_room, objects_per_room,
                     random_seed):  # fmt: skip
            asked.append((height, width, random_seed))
            self.entity_layer = np.array([list(row) for row in ENTITY])
            self.variations_layer = np.array([list(row) for row in LETTERS])

    module = ModuleType("labmaze")
    module.RandomMaze, module.__spec__ = RandomMaze, ModuleSpec("labmaze", None)
    monkeypatch.setitem(sys.modules, "labmaze", module)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0.6")
    return asked


def test_labmaze_is_taken_where_it_is_and_read_right(stub):
    plan = layout(9, 5)
    check(plan, 9)
    assert plan.source == "labmaze" and layouts.version("labmaze") == "labmaze-1.0.6"
    assert plan.walls[1].tolist() == [c == "*" for c in ENTITY[1]] and not plan.walls[2, 6]  # a spawn point is floor
    assert plan.rooms[1].tolist() == [0, 1, 1, 1, 0, 2, 2, 2, 0]
    assert plan.goals.tolist() == [[2, 2]]  # the other two bar the way
    assert layout(9, 5, "ours").source == "ours"
    layout(9, 6), layout(9, 5)
    seeds = [seed for _, _, seed in stub]
    assert seeds[0] == seeds[2] != seeds[1] and all(0 <= seed < 2**31 for seed in seeds)


def test_without_labmaze_ours_are_taken_and_it_is_missed_by_name(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert source_of("layouts", None) == "ours" and layout(9, 0).source == "ours"
    with pytest.raises(ValueError, match="layouts: got 'labmaze', expected it installed"):
        source_of("layouts", "labmaze")


def test_the_real_labmaze():
    pytest.importorskip("labmaze")
    for seed in SEEDS:
        plan = layout(15, seed, "labmaze")
        check(plan, 15)
        assert plan.rooms.max() >= 2
    assert np.array_equal(plan.walls, layout(15, SEEDS[-1], "labmaze").walls)


@pytest.mark.parametrize(
    ("args", "message"),
    [((14,), "size: got 14"), ((7,), "size: got 7"), ((43,), "size: got 43"), ((True,), "size: got True"),
     ((15.0,), "size: got 15.0"), ((15, -1), "seed: got -1"), ((15, 0, "theirs"), "source: got 'theirs'")],
)  # fmt: skip
def test_errors(args, message):
    with pytest.raises(ValueError, match=message):
        layout(*args)
