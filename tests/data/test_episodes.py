"""Episodes: coverage, shuffling, seeds, fillers."""

import pytest
import torch
from tiny_model import bar_set, bars

from kpp_lib import Episodes, Images, episode, seeded


def test_batches_are_reproducible_and_differ():
    images = bars(50)
    a, b = Episodes(images, 4, 3, seed=1), Episodes(images, 4, 3, seed=1)
    assert len(a) == 4 and a.batch(2).x.shape == (3, 4, 1, 28, 28)
    assert torch.equal(a.batch(7).index, b.batch(7).index)
    assert not torch.equal(a.batch(0).index, Episodes(images, 4, 3, seed=2).batch(0).index)


def test_an_epoch_takes_no_image_twice_and_the_next_one_is_shuffled_anew():
    episodes = Episodes(bars(50), 4, 3)
    first, second = (torch.cat([episodes.batch(4 * e + i).index.flatten() for i in range(4)]) for e in (0, 1))
    assert len(first.unique()) == len(second.unique()) == 48
    assert not torch.equal(first, second)


@pytest.mark.parametrize("n", [22, 24, 25, 4])
def test_cover_scores_every_image_exactly_once(n):
    batches = list(Episodes(bars(n), 4, 3).cover(order=1))
    scored = torch.cat([b.index[b.scored] for b in batches])
    assert sorted(scored.tolist()) == list(range(n))
    assert sum(b.index.numel() for b in batches) == -(-n // 4) * 4  # fillers: at most three, none in a whole episode
    for b in batches:
        assert torch.equal(b.x, Episodes(bars(n), 4).images.draw(b.index.flatten()).view_as(b.x))


def test_orders_differ():
    a, b = (next(Episodes(bars(22), 4, 3).cover(order)).index for order in (0, 1))
    assert not torch.equal(a, b)


def test_redrawn_bits_differ_between_epochs_and_agree_for_equal_steps():
    grey = Images(torch.full((12, 1, 4, 4), 128, dtype=torch.uint8), None, binary=False, redraw=True)
    episodes = Episodes(grey, 4, 3)
    assert torch.equal(episodes.batch(5).x, episodes.batch(5).x)
    first, second = (episodes.batch(s).x.flatten(0, 1)[episodes.batch(s).index.flatten().argsort()] for s in (0, 1))
    assert not torch.equal(first, second)


def test_one_episode():
    data = bar_set()
    assert episode(data.test, length=8, seed=3).shape == (1, 8, 1, 28, 28)
    assert torch.equal(episode(data.test, 8, 3), episode(data.test, 8, 3))


def test_seeded_depends_on_every_number_and_its_place():
    draws = {
        tuple(torch.randn(2, generator=seeded(*s)).tolist()) for s in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0)]
    }
    assert len(draws) == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Episodes(bars(8), length=9), "length: got T = 9 for a split of 8 images"),
        (lambda: Episodes(bars(8), length=0), "length: got 0, expected a whole number"),
        (lambda: Episodes(bars(8), length=2, episodes=1.5), "episodes: got 1.5"),
        (lambda: Episodes(bar_set(), length=2), "images: got ImageSet, expected one split"),
        (lambda: Episodes(bars(8), length=4, episodes=3).batch(0), "episodes: got 3 of 4 images for a split of 8"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
