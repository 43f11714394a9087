"""Noise: moments, seeds, range, errors."""

import pytest
import torch

from kpp_lib import seeded
from kpp_lib.data.noise import KINDS, add_noise, flipped, noisy_cue

GREY = torch.linspace(0, 1, 28 * 28).view(1, 1, 28, 28)


@pytest.mark.parametrize("kind", KINDS)
def test_none_is_none_and_more_is_more(kind):
    changes = [(add_noise(GREY, kind, s, seeded(0)) - GREY).abs().mean().item() for s in (0.0, 0.1, 0.3, 0.9)]
    assert changes[0] == 0 and changes == sorted(changes) and changes[1] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_stay_in_range_follow_the_seed_and_leave_the_input(kind):
    before = GREY.clone()
    a, b, c = (add_noise(GREY, kind, 0.4, seeded(s)) for s in (0, 0, 1))
    assert a.shape == GREY.shape and 0 <= a.min() and a.max() <= 1
    assert torch.equal(a, b) and not torch.equal(a, c) and torch.equal(GREY, before)


def test_salt_and_pepper_replaces_its_share_half_and_half():
    x = torch.full((1, 1, 400, 400), 0.5)
    noisy = add_noise(x, "salt & pepper", 0.3, seeded(0))
    assert (noisy == 1).float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert (noisy == 0).float().mean().item() == pytest.approx(0.15, abs=0.01)


def test_speckle_multiplies():
    x = torch.full((1, 1, 400, 400), 0.5)
    noisy = add_noise(x, "speckle", 0.2, seeded(0))
    assert noisy.std().item() == pytest.approx(0.1, abs=0.005)
    assert add_noise(torch.zeros(1, 1, 4, 4), "speckle", 0.9, seeded(0)).abs().max() == 0


def test_poisson_variance_is_the_grey_value_times_a_photon():
    x = torch.full((1, 1, 400, 400), 0.4)
    noisy = add_noise(x, "poisson", 0.02, seeded(0))
    assert noisy.mean().item() == pytest.approx(0.4, abs=0.005)
    assert noisy.var().item() == pytest.approx(0.4 * 0.02, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GREY, "gaussian", 0.1), "kind: got 'gaussian', expected one of salt & pepper"),
        ((2 * GREY, "poisson", 0.1), r"x: got values in \[0, 2\]"),
        ((GREY, "speckle", -0.1), "strength: got -0.1"),
        ((GREY, "salt & pepper", 1.5), "strength: got 1.5, expected a number in \\[0, 1\\]"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        add_noise(*arguments, seeded(0))


def test_noisy_cues_flip_up_to_a_share_of_each_images_bits():
    x = (torch.rand(4, 50, 1, 28, 28, generator=seeded(1)) < 0.2).float()
    cue = noisy_cue(x, 0.2, seeded(2))
    share = (cue != x).float().mean(dim=(2, 3, 4)).flatten()  # per image
    assert torch.all((cue == 0) | (cue == 1)) and share.max() < 0.25 and share.min() < 0.03
    assert share.mean().item() == pytest.approx(0.1, abs=0.02)
    assert torch.equal(cue, noisy_cue(x, 0.2, seeded(2))) and noisy_cue(x, 0, seeded(2)) is None


def test_flipped_bits_are_as_many_as_asked_for():
    x = torch.zeros(4, 4, 1, 28, 28)
    assert torch.equal(flipped(x, 0.0, seeded(0)), x) and torch.equal(flipped(x, 1.0, seeded(0)), 1 - x)
    assert float(flipped(x, 0.2, seeded(0)).mean()) == pytest.approx(0.2, abs=0.02)
    half = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1, 1)
    assert torch.equal(flipped(x, half.repeat(2, 1, 1, 1, 1), seeded(0))[:, 0, 0, 0, 0], torch.tensor([0.0, 1.0] * 2))


def test_a_flipped_grey_value_is_its_negative_and_a_level():
    x = torch.arange(256).view(1, 1, 1, 16, 16) / 255
    turned = flipped(x, 1.0, seeded(0))
    assert torch.equal((255 * turned).round(), 255 - (255 * x).round())
    some = flipped(x, 0.3, seeded(0))
    kept = some == x
    assert 0.6 < kept.float().mean() < 0.8 and torch.equal(some[~kept], 1 - x[~kept])


def test_channels_of_a_colour_are_salted_each_by_itself():
    x = torch.full((1, 3, 100, 100), 0.5)
    hit = add_noise(x, "salt & pepper", 0.5, seeded(0)) != x
    assert hit.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert (hit.all(1) | ~hit.any(1)).float().mean().item() == pytest.approx(0.25, abs=0.02)
