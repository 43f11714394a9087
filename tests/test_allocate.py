"""The allocator: the best assignment, the same memory in any order, and codes that say what an image is like."""

from itertools import permutations

import pytest
import torch
from tiny_model import tiny
from torch.distributions import kl_divergence

from kpp_lib import seeded
from kpp_lib.allocate import assigned, within
from kpp_lib.bound import sample, standard_normal
from kpp_lib.keys import cell_places, squash


def pictures(b=2, t=4, seed=0):
    return (torch.rand(b, t, 1, 28, 28, generator=seeded(seed)) > 0.7).float()


def test_the_assignment_is_the_best_of_all():
    at, places = torch.rand(5, 4, 2, generator=seeded(0)), torch.rand(6, 2, generator=seeded(1))
    for given, cells in zip(at, assigned(at, places), strict=True):
        assert len(set(cells.tolist())) == 4
        least = min(float((given - places[list(order)]).square().sum()) for order in permutations(range(6), 4))
        assert float((given - places[cells]).square().sum()) == pytest.approx(least, rel=1e-5)


def test_more_images_than_cells_share_them_evenly():
    cells = assigned(torch.rand(1, 10, 2, generator=seeded(0)), torch.rand(4, 2, generator=seeded(1)))
    counts = torch.bincount(cells[0], minlength=4)
    assert counts.min() >= 2 and counts.max() <= 3


def test_permuting_an_episode_permutes_nothing_but_rows():
    """Section 3.1: episodes are exchangeable. The same memory, and the same totals image by image."""
    model, x, order = tiny("allocated"), pictures(), torch.tensor([2, 0, 3, 1])
    memory, moved = model.write(x), model.write(x[:, order])
    torch.testing.assert_close(moved, memory, rtol=0, atol=1e-5)
    noise = model.noise(x, seeded(1))
    total = model._bound(x, None, noise, None, by_position=False).total
    permuted = model._bound(x[:, order], None, tuple(n[:, order] for n in noise), None, by_position=False).total
    torch.testing.assert_close(permuted, total[:, order], rtol=0, atol=1e-3)


def test_a_slots_memory_is_not_exchangeable():
    """The contrast, so that the test above can fail."""
    model, x, order = tiny("slots"), pictures(), torch.tensor([2, 0, 3, 1])
    assert (model.write(x) - model.write(x[:, order])).abs().max() > 1e-3


def test_codes_are_spread_like_the_prior_of_keys():
    model = tiny("allocated", length=64).train()
    code = model.encode(pictures(4, 64)).code
    assert code.shape == (4, 64, 2)
    flat = code.flatten(0, 1)
    torch.testing.assert_close(flat.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat.std(0, unbiased=False), torch.ones(2), atol=1e-2, rtol=0)


def test_the_code_is_trained_without_the_rest():
    """Its loss reaches its own nets, not the encoder; and it is no part of the total."""
    model, x = tiny("allocated").train(), pictures(3)
    bound = model(x, seeded(0))
    bound.code.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.key_model.code.parameters())
    torch.testing.assert_close(bound.total, bound.recon + bound.kl_z + bound.kl_y)
    torch.testing.assert_close(bound.weighted(), bound.total + bound.code)
    assert model.eval().bound(x, generator=seeded(0)).code is None


def test_cues_are_read_where_their_images_were_written():
    """In training a noisy cue has another code; its key is still that of the cell its image went to."""
    model, x = tiny("allocated").train(), pictures(3)
    seen = model.encode(torch.cat([x, 1 - x]))
    assert not torch.equal(seen.place[:3], seen.place[3:])
    keys = []
    model._terms = lambda x, posterior, memory, noise: (
        keys.append(posterior) or model.__class__._terms(model, x, posterior, memory, noise)
    )
    model(x, seeded(0), 1 - x)
    assert torch.equal(keys[0].q_y.mean, seen.q_y.mean[:3])


def test_what_is_found_does_not_depend_on_the_other_cues():
    """Untrained nets hold pictures that differ little; still each cue has one best cell, whatever its neighbours."""
    model, x = tiny("allocated"), pictures()
    memory = model.write(x)
    together, alone = model.infer(x, memory).q_y.mean, model.infer(x[:, :1], memory).q_y.mean
    assert torch.equal(together[:, :1], alone)
    assert sample(model.infer(x).q_y, seeded(0)).shape == (2, 4, model.config.reads, 3)


CELLS = dict(squash="cells", write_window=0.0)


@pytest.mark.parametrize("side", [1, 2, 3, 6, 16])
def test_a_key_costs_what_it_says_of_its_cell(side):
    """-ln of the cell's probability under p(y); the cells share the plane, so those probabilities sum to 1."""
    q = within(side, 1, torch.zeros(1))
    kl = kl_divergence(q, standard_normal((side**2, 1, 3), 2, torch.zeros(1)))
    assert kl.neg().exp().sum() == pytest.approx(1, abs=1e-4)
    windows = squash(q.mean[:, 0], "cells", 1 / side)[:, 1:]
    torch.testing.assert_close(windows, cell_places(side, q.mean))
    assert torch.all(q.stddev[:, 0, 0] == 1) and torch.all(q.mean[:, 0, 0] == 0)  # the number that is not used: free


def test_a_key_never_leaves_its_cell():
    q = within(6, 1, torch.zeros(1))
    for noise in (-9.0, -5.0, 5.0, 9.0):  # in units of sigma: further than float32 draws go
        y = sample(q, torch.full((36, 1, 3), noise))
        assert y[..., 1:].isfinite().all()
        torch.testing.assert_close(squash(y[:, 0], "cells", 1 / 6)[:, 1:], cell_places(6, q.mean))


def test_what_is_read_does_not_depend_on_where_in_its_cell_the_key_lies():
    model, x = tiny("allocated", **CELLS), pictures()
    memory, q = model.write(x), model.encode(x)
    here, there = (model.read(memory, sample(q.q_y, torch.full_like(q.q_y.mean, s))) for s in (-3.9, 3.9))
    assert torch.equal(here, there) and model.config.window == 0.5
    assert model.holding(100).config.window == 0.1
