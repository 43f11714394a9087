"""Windows of walks: whole, of one walk, in its order; an epoch takes no image twice, scoring takes each once."""

import pytest
import torch

from kpp_lib import Episodes, Images, ImageSet, episode, seeded
from kpp_lib.data import windows
from kpp_lib.evaluation.evaluate import _part

WALKS = [(12, 12, 12), (16,), (7, 20, 3, 4), (5, 5), (4,)]
T = 4


def split(walks):
    """Images whose one pixel is their row, of walks of these lengths, numbered 7, 8, ..."""
    n = sum(walks)
    number = torch.arange(7, 7 + len(walks)).repeat_interleave(torch.tensor(walks))
    poses = torch.arange(3.0 * n).view(n, 3)
    return Images(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), None, False, walks=number, poses=poses)


def walk_of(walks):
    return torch.arange(len(walks)).repeat_interleave(torch.tensor(walks))


def check_windows(rows, walks):
    """Each row of [n, T] is a run of neighbours inside one walk."""
    assert (rows.diff(dim=1) == 1).all()
    assert (walk_of(walks)[rows] == walk_of(walks)[rows[:, :1]]).all()


@pytest.mark.parametrize("walks", WALKS)
def test_an_epoch_is_windows_of_walks_cut_at_random_places(walks):
    orders = [windows.drawn(walks, T, seeded(i)) for i in range(40)]
    for order in orders:
        check_windows(order.view(-1, T), walks)
        assert len(order) == T * windows.count(walks, T) == len(order.unique())
    if max(walks) > T:
        assert len({tuple(order.tolist()) for order in orders}) > 5


def test_how_many_windows_an_epoch_has():
    assert windows.count((12,), 4) == 2  # so that the first may begin anywhere
    assert windows.count((11,), 4) == 2 and windows.count((10,), 4) == 1
    assert windows.count((128,), 32) == 3 and windows.count((32,), 32) == 1 and windows.count((31,), 32) == 0
    begins = torch.tensor([int(windows.drawn((12,), 4, seeded(i)).min()) for i in range(600)]).bincount()
    assert len(begins) == 5 and (begins - 120).abs().max() < 50  # every place, as often: five standard deviations


@pytest.mark.parametrize("walks", WALKS)
def test_scoring_takes_every_image_once_windows_first(walks):
    order = windows.covering(walks, T, seeded(0))
    assert sorted(order.tolist()) == list(range(sum(walks)))
    whole = sum(n // T for n in walks)
    check_windows(order[: whole * T].view(whole, T), walks)


def test_episodes_of_walks():
    walks = (12, 20, 9)
    episodes = Episodes(split(walks), T, 2, seed=3)
    assert len(episodes) == windows.count(walks, T) // 2 == 3
    for step in range(9):
        batch = episodes.batch(step)
        check_windows(batch.index, walks)
        assert torch.equal((batch.x * 255).round().flatten().long(), batch.index.flatten())
        assert torch.equal(batch.index, Episodes(split(walks), T, 2, seed=3).batch(step).index)  # of its number alone
    first, second = (torch.cat([episodes.batch(3 * e + i).index.flatten() for i in range(3)]) for e in (0, 1))
    assert len(first.unique()) == len(first) and not torch.equal(first, second)


@pytest.mark.parametrize("walks", WALKS)
def test_cover_scores_every_image_of_walks_exactly_once(walks):
    batches = list(Episodes(split(walks), T, 2).cover(1))
    scored = torch.cat([b.index[b.scored] for b in batches])
    assert sorted(scored.tolist()) == list(range(sum(walks)))
    assert sum(b.index.numel() for b in batches) == -(-sum(walks) // T) * T
    if len(walks) > 2:
        other = next(Episodes(split(walks), T, 2).cover(2)).index
        assert not torch.equal(batches[0].index, other)


def test_without_their_walks_images_are_shuffled_as_all_others_are():
    images = split((40, 40))
    plain = Images(images.pixels, None, False)
    assert images.shuffled().walks is None and torch.equal(images.shuffled().poses, images.poses)
    for step in (0, 7):
        assert torch.equal(Episodes(images.shuffled(), T, 2).batch(step).index, Episodes(plain, T, 2).batch(step).index)


def test_walks_and_poses_go_with_their_images():
    images = split((6, 6))
    part = images.part([11, 2])
    assert part.walks.tolist() == [8, 7] and torch.equal(part.poses, images.poses[[11, 2]])
    assert torch.equal(images.to("cpu").walks, images.walks) and images.poses.dtype == torch.float32
    assert episode(images, 4).shape == (1, 4, 1, 1, 1)


def test_a_part_for_scoring_is_made_of_whole_walks():
    images = split((8,) * 10)
    part = _part(images, 32)
    assert len(part) == 32 and all(part.walks.tolist().count(n) == 8 for n in part.walks.unique().tolist())
    assert part.walks.unique_consecutive().numel() == 4 and part.walks.tolist() != images.walks[:32].tolist()
    assert len(_part(images, 30)) == 30 and _part(images, 80) is images
    order = windows.whole_walks(images.walks, seeded(0))
    assert sorted(order.tolist()) == list(range(80)) and (order.view(10, 8).diff(dim=1) == 1).all()


def test_the_digest_tells_walks_from_shuffled_images():
    walks, plain = (ImageSet("m", s, s, s, "made", "none", "grey") for s in (split((8,)), split((8,)).shuffled()))
    assert walks.digest != plain.digest


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Episodes(split((6, 9)), 10), "length: got T = 10 for walks of 9 images, expected at most that"),
        (lambda: Episodes(split((6, 6)), 4, 3).batch(0), "episodes: got 3 of 4 images"),
        (lambda: Images(torch.zeros(3, 1, 2, 2).byte(), None, True, walks=[1, 2]), "walks: got shape"),
        (lambda: Images(torch.zeros(3, 1, 2, 2).byte(), None, True, poses=torch.zeros(3, 2)), "poses: got shape"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
