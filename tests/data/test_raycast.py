"""The renderer against slow marches along each ray, and against what geometry says."""

import math

import numpy as np
import pytest

from kpp_lib import seeded
from kpp_lib.data.agent import walk
from kpp_lib.data.layouts import STEPS, layout
from kpp_lib.data.raycast import BALL, Scene, cast, render
from kpp_lib.data.textures import dressed

PLAN = layout(15, 4, "ours")
POSES = walk(PLAN, 24, seeded(0), 24)
STEP = 1e-3  # of the march, in cells straight ahead


def box(side=9):
    walls = np.ones((side, side), bool)
    walls[1:-1, 1:-1] = False
    return walls


def scene(walls, textures=None, goals=(), colours=()):
    """Flat colours: walls red, floor green, sky blue; or the textures given, of the walls and of the floor."""
    if textures is None:
        textures = [np.full((32, 32, 3), c, float) for c in ([1, 0, 0], [0, 1, 0])]
    faces, floors = np.zeros((*walls.shape, 4), int), np.ones(walls.shape, int)
    goals, colours = (np.array(v, float).reshape(-1, n) for v, n in ((goals, 2), (colours, 3)))
    return Scene(walls, faces, floors, np.stack(textures), np.array([[0, 0, 1.0]] * 2), goals, colours)


def directions(pose, size):
    """What each column sees one cell ahead: (dx, dy), [S, 2]."""
    right = 2 * (np.arange(size) + 0.5) / size - 1
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return np.stack([c - s * right, s + c * right], 1)


def marched(walls, pose, direction):
    """Distance straight ahead until a wall, by small steps."""
    ahead = np.arange(0, 2 * len(walls), STEP)
    x, y = (np.clip(p + ahead * d, 0, len(walls) - 1e-6) for p, d in zip(pose[:2], direction, strict=True))
    return ahead[np.argmax(walls[y.astype(int), x.astype(int)])]


def test_distances_places_and_faces_are_those_of_a_march():
    size = 12
    distance, place, face = cast(PLAN.walls, POSES, size)
    for i, pose in enumerate(POSES.astype(np.float64)):
        for j, direction in enumerate(directions(pose, size)):
            d = marched(PLAN.walls, pose, direction)
            assert abs(distance[i, j] - d) < 2 * STEP
            before, after = (pose[:2] + (distance[i, j] + e) * direction for e in (-1e-6, 1e-6))
            cell, side = divmod(face[i, j], 4)
            assert divmod(cell, 15) == (int(before[1]), int(before[0]))  # the last cell of floor
            assert (int(after[1]), int(after[0])) == tuple(np.array(divmod(cell, 15)) + STEPS[side])
            assert abs(place[i, j] - before[1 - side % 2] % 1) < 1e-5


def test_nothing_is_seen_through_a_wall():
    distance, _, _ = cast(PLAN.walls, POSES, 16)
    for i, pose in enumerate(POSES.astype(np.float64)):
        for j, direction in enumerate(directions(pose, 16)):
            x, y = (pose[:2] + np.linspace(0, distance[i, j] - 1e-6, 3000)[:, None] * direction).T
            assert not PLAN.walls[y.astype(int), x.astype(int)].any()


@pytest.mark.parametrize("d", [0.25, 0.5, 0.75, 1.0, 1.6, 3.0, 6.0])
def test_a_wall_in_front_is_as_high_as_geometry_says(d):
    size = 64
    picture = render(scene(box()), np.array([[8 - d, 4.5, 0.0]]), size)[0]
    column = picture[:, :, size // 2].argmax(0)  # 0 wall, 1 floor, 2 sky
    assert abs((column == 0).sum() - min(size, size / (2 * d))) <= 1
    assert ((column == 2).nonzero()[0] < size / 2).all() and ((column == 1).nonzero()[0] >= size / 2).all()
    assert abs((column == 1).sum() - (column == 2).sum()) <= 1


def test_what_a_pixel_shows_is_what_its_ray_meets():
    size, wrong = 16, 0
    pictures = render(scene(PLAN.walls), POSES, size)
    for pose, picture in zip(POSES.astype(np.float64), pictures, strict=True):
        shown = picture.argmax(0)
        for j, direction in enumerate(directions(pose, size)):
            d = marched(PLAN.walls, pose, direction)
            for i, down in enumerate(2 * (np.arange(size) + 0.5) / size - 1):
                wrong += shown[i, j] != (0 if abs(down) * d < 0.5 else 1 if down > 0 else 2)
    assert wrong <= 0.002 * pictures[:, 0].size  # the march ends a step late


def test_a_symmetric_corridor_gives_a_symmetric_picture():
    walls = np.ones((9, 9), bool)
    walls[4, 1:8] = walls[2:7, 4] = False
    picture = render(scene(walls), np.array([[1.5, 4.5, 0.0]]), 64)[0]
    assert np.array_equal(picture, picture[:, :, ::-1]) and len(np.unique(picture[0])) > 3


def test_a_maze_in_a_mirror_gives_the_picture_in_a_mirror():
    mirrored = POSES * np.array([1, -1, -1]) + np.array([0, 15, 0])
    assert np.array_equal(
        render(scene(PLAN.walls), POSES, 32), render(scene(PLAN.walls[::-1]), mirrored, 32)[..., ::-1]
    )


def test_textures_lie_on_floor_and_walls_where_they_should():
    """Textures whose red is the place across and whose green the place down; blue tells how much light there is."""
    across, down = np.meshgrid((np.arange(32) + 0.5) / 32, (np.arange(32) + 0.5) / 32)
    code = np.stack([across, down, np.ones_like(across)], -1)
    size, pose = 64, np.array([4.3, 4.6, 0.7])
    picture = render(scene(box(), [code, code]), pose[None], size)[0].astype(float)
    seen, checked = picture[:2] / picture[2:].clip(1), [0, 0]
    for j, direction in enumerate(directions(pose, size)):
        d = marched(box(), pose, direction)
        for i in range(size // 2, size):
            v = 2 * (i + 0.5) / size - 1
            if v * d < 0.49:  # wall
                x, y = pose[:2] + (d - STEP) * direction
                onto_x = abs(round(pose[0] + d * direction[0]) - x) < abs(round(pose[1] + d * direction[1]) - y)
                expected, kind = ((y if onto_x else x) % 1, 0.5 + v * d), 0
            elif 0.5 / v < 1 and v * d > 0.51:  # floor that is near
                expected, kind = (pose[:2] + 0.5 / v * direction) % 1, 1
            else:
                continue
            if all(0.1 < e < 0.9 for e in expected):  # smaller levels mean over texels, not over cells
                assert np.abs(seen[:, i, j] - expected).max() < 0.1
                checked[kind] += 1
    assert min(checked) > 100


def test_a_goal_is_a_ball_of_its_colour_where_it_is():
    size, colour = 64, [0.9, 0.8, 0.1]
    there = scene(box(), goals=[[5.5, 4.5]], colours=[colour])
    picture = render(there, np.array([[3.5, 4.5, 0.0]]), size)[0]
    ball = (picture[0] > 60) & (picture[1] > 60)  # red and green at once
    rows, columns = ball.nonzero()
    assert abs(ball.sum() - math.pi * (BALL / 2 * size / 2) ** 2) < 12
    assert abs(columns.mean() - 31.5) < 0.6 and rows.mean() > 32
    behind = render(there, np.array([[3.5, 4.5, math.pi]]), size)[0]
    assert not ((behind[0] > 60) & (behind[1] > 60)).any()


def test_a_goal_behind_a_wall_is_not_seen():
    walls = box()
    walls[3:6, 4] = True
    picture = render(scene(walls, goals=[[6.5, 4.5]], colours=[[1, 1, 1]]), np.array([[2.5, 4.5, 0.0]]), 64)[0]
    assert not (picture.min(0) > 60).any()
    picture = render(scene(walls, goals=[[6.5, 2.5]], colours=[[1, 1, 1]]), np.array([[2.5, 2.5, 0.0]]), 64)[0]
    assert (picture.min(0) > 60).any()  # past the wall


def test_the_nearer_goal_is_in_front():
    goals, colours = [[4.5, 4.5], [6.5, 4.5]], [[1, 0, 0.9], [0, 1, 0.9]]
    for order in (slice(None), slice(None, None, -1)):
        both = scene(box(), goals=goals[order], colours=colours[order])
        middle = render(both, np.array([[2.5, 4.5, 0.0]]), 64)[0, :, 34, 32]
        assert middle[0] > 60 and middle[1] == 0


def test_pictures_repeat_bit_for_bit_and_do_not_depend_on_their_neighbours():
    there = dressed(PLAN, 3)
    pictures = render(there, POSES, 32)
    assert pictures.shape == (24, 3, 32, 32) and pictures.dtype == np.uint8
    assert np.array_equal(pictures, render(dressed(PLAN, 3), POSES, 32))
    assert np.array_equal(pictures[5:6], render(there, POSES[5:6], 32))
    many = np.concatenate([POSES] * 12)  # more than are painted at a time
    assert np.array_equal(render(there, many, 32)[-24:], pictures)


def test_a_dressed_maze_has_many_colours_and_every_room_its_own():
    plan = layout(15, 1, "ours")
    first, second = dressed(plan, 1), dressed(plan, 2)
    assert not np.array_equal(first.textures, second.textures)
    assert first.textures.min() >= 0 and first.textures.max() <= 1
    assert first.faces.max() < len(first.textures) and first.floors.max() < len(first.textures)
    rooms = [first.faces[plan.rooms == n] for n in range(plan.rooms.max() + 1)]
    assert len({np.bincount(room.ravel()).argmax() for room in rooms}) == len(rooms) > 2
    assert len(first.goals) == len(first.colours) == len(plan.goals)
    pictures = render(first, walk(plan, 64, seeded(0)), 32)
    assert pictures.std((2, 3)).mean() > 25 and len(np.unique(pictures.reshape(64, -1), axis=0)) == 64


@pytest.mark.parametrize(
    ("poses", "size", "message"),
    [
        ([[0.5, 4.5, 0.0]], 32, r"poses: got \[0.5, 4.5, 0.0\]"),
        ([[4.5, 4.5, 0], [40.0, 4.5, 0.0]], 32, r"poses: got \[40.0"),
        ([[4.5, math.nan, 0.0]], 32, "poses: got"),
        ([[4.5, 4.5]], 32, "poses: got"),
        ([[4.5, 4.5, 0.0]], 31, "size: got 31"),
        ([[4.5, 4.5, 0.0]], 4, "size: got 4"),
    ],
)
def test_errors(poses, size, message):
    with pytest.raises(ValueError, match=message):
        render(scene(box()), np.array(poses), size)


def test_an_open_border_is_refused():
    walls = box()
    walls[0, 3] = False
    with pytest.raises(ValueError, match="walls: got"):
        scene(walls)
