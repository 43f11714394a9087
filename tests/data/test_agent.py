"""Walks: clear of walls and goals, smooth, seeded."""

import math

import numpy as np
import pytest

from kpp_lib import seeded
from kpp_lib.data.agent import CLEAR, GLANCE, TICKS, walk
from kpp_lib.data.layouts import layout

PLANS = [layout(15, seed, "ours") for seed in range(8)]


def ticks(number, frames=600, stride=1):
    return walk(PLANS[number], frames, seeded(number), stride)


def to_walls(plan, poses):
    """The distance of each pose to the nearest square of wall."""
    rows, columns = np.argwhere(plan.walls).T
    across = np.maximum(np.maximum(columns - poses[:, :1], poses[:, :1] - columns - 1), 0)
    down = np.maximum(np.maximum(rows - poses[:, 1:2], poses[:, 1:2] - rows - 1), 0)
    return np.hypot(across, down).min(1)


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_a_walk_keeps_clear_of_walls_and_goals(number):
    plan, poses = PLANS[number], ticks(number)
    assert poses.shape == (600, 3) and poses.dtype == np.float32
    assert to_walls(plan, poses).min() >= CLEAR
    for row, column in plan.goals:
        assert np.hypot(poses[:, 0] - column - 0.5, poses[:, 1] - row - 0.5).min() > 0.5


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_a_walk_goes_in_small_steps_and_looks_where_it_goes(number):
    poses = ticks(number).astype(np.float64)
    steps, turns = np.diff(poses[:, :2], axis=0), np.diff(poses[:, 2])
    far, turns = np.hypot(*steps.T), (turns + math.pi) % (2 * math.pi) - math.pi
    assert far.max() < 2 / TICKS and np.abs(turns).max() < math.radians(11)
    assert (-math.pi <= poses[:, 2]).all() and (poses[:, 2] < math.pi).all()
    goes = np.arctan2(steps[:, 1], steps[:, 0])
    aside = np.abs((goes - poses[:-1, 2] + math.pi) % (2 * math.pi) - math.pi)
    assert (aside[far > 0.75 / TICKS] < GLANCE + 0.75).mean() > 0.97  # but where it turns about on the spot


def test_neighbouring_views_differ_and_overlap():
    poses = walk(PLANS[0], 128, seeded(1)).astype(np.float64)
    turns = np.abs((np.diff(poses[:, 2]) + math.pi) % (2 * math.pi) - math.pi)
    moved = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    assert turns.max() < math.radians(45) and moved.max() < 0.5  # half of the field of view
    assert ((moved > 0.05) | (turns > 0.05)).all()


def test_a_long_walk_sees_much_of_its_maze_and_depends_on_the_generator_alone():
    poses = ticks(0, 4000)
    seen = {(int(y), int(x)) for x, y, _ in poses}
    assert len(seen) > 0.5 * ((~PLANS[0].walls).sum() - len(PLANS[0].goals))
    assert np.array_equal(ticks(2), ticks(2)) and not np.array_equal(ticks(2), walk(PLANS[2], 600, seeded(99), 1))


@pytest.mark.parametrize(
    ("args", "message"),
    [((PLANS[0].walls, 8, seeded(0)), "layout: got"), ((PLANS[0], 0, seeded(0)), "frames: got 0"),
     ((PLANS[0], 8, None), "generator: got None"), ((PLANS[0], 8, seeded(0), 0), "stride: got 0")],
)  # fmt: skip
def test_errors(args, message):
    with pytest.raises(ValueError, match=message):
        walk(*args)
