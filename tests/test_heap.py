"""The memory as a heap: add, free, locate; smaller cells for more images."""

import math

import pytest
import torch
from tiny_model import tiny

from kpp_lib import seeded
from kpp_lib.allocate import cells_for


def heap(**overrides):
    """A tiny model whose cells are as far apart as the real one's: 3 x 3 of 8 pixels."""
    sizes = dict(length=9, memory_size=32, window=0.375, write_window=0.25, block_size=8, write_size=6)
    return tiny("allocated", **(sizes | overrides))


def pictures(b=2, t=4, seed=0):
    return (torch.rand(b, t, 1, 28, 28, generator=seeded(seed)) > 0.7).float()


def test_an_image_more_is_where_it_would_have_been_and_moves_nothing():
    model, x = heap(), pictures(2, 5)
    memory = model.write(x[:, :4])
    more = model.add(memory, x[:, 4:])
    assert model.taken(memory).sum(1).tolist() == [4, 4] and model.taken(more).sum(1).tolist() == [5, 5]
    there = memory != 0
    assert torch.equal(more[there], memory[there])


def test_one_by_one_is_a_whole_write_where_no_two_want_one_cell():
    model, x = heap(), pictures(1, 3)
    memory = torch.zeros(1, 3, 32, 32)
    for t in range(3):
        memory = model.add(memory, x[:, t : t + 1])
    assert model.taken(memory).sum() == 3
    assert model.taken(model.add(memory, pictures(1, 6, seed=1))).all()
    with pytest.raises(ValueError, match="x: got 7 images, expected at most 6"):
        model.add(memory, pictures(1, 7, seed=1))


def test_what_is_freed_is_gone_and_the_others_are_unchanged():
    model, x = heap(), pictures(2, 6)
    memory, q = model.write(x), model.encode(x)
    key = q.q_y.mean[:, 2:3]
    freed = model.free(memory, key)
    assert model.taken(freed).sum(1).tolist() == [5, 5]
    assert torch.equal(model.free(model.add(freed, x[:, 2:3]), key).sum(), freed.sum())
    before, after = (model.read(m, q.place) for m in (memory, freed))  # a read is wider than a cell: its rim may change
    inner = slice(2, -2)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(before[:, others, ..., inner, inner], after[:, others, ..., inner, inner])
    assert not after[:, 2, ..., inner, inner].any() and before[:, 2, ..., inner, inner].any()


def test_an_empty_memory_has_no_taken_cells():
    assert not heap().taken(torch.zeros(3, 3, 32, 32)).any()


def test_what_is_stored_is_told_from_what_is_not():
    """By hand: ln p of a copy with flipped bits, and of the mean of what is held; p-values from the held pictures."""
    model, held = heap(), pictures(2, 9)
    taken = torch.ones(2, 9, dtype=torch.bool)
    taken[:, 7:] = False
    memory = torch.zeros(2, 3, 32, 32)
    model.slot_pictures, model.taken = lambda m: held, lambda m: taken
    x = torch.cat([held[:, 3:4], pictures(2, 1, seed=5)], 1)
    found, flip = model.locate(x, memory), model.config.lookup_flip

    def likelihood(image, ink):
        p = ink + (1 - 2 * ink) * flip
        return float((image * p.log() + (1 - image) * (1 - p).log()).sum())

    def margin(image, others):
        return max(likelihood(image, p) for p in others) - likelihood(image, others.mean(0))

    for b in range(2):
        others = [torch.cat([held[b, :i], held[b, i + 1 : 7]]) for i in range(7)]
        for t in range(2):
            assert float(found.margin[b, t]) == pytest.approx(margin(x[b, t], held[b, :7]), rel=1e-4)
            as_large = [margin(held[b, i], rest) >= margin(x[b, t], rest) - 1e-4 for i, rest in enumerate(others)]
            assert float(found.p_value[b, t]) == pytest.approx((1 + sum(as_large)) / 8)
        assert found.cell[b, 0] == 3 and found.p_value[b, 0] == pytest.approx(2 / 8)  # it ties with its own picture
    assert (found.p_value[:, 1] > found.p_value[:, 0]).all()


def test_of_images_that_are_not_stored_as_many_as_the_level_says_are_called_stored():
    """Sixty-four memories of eight images of a kind, and an image of that kind for each: p is spread evenly."""
    model, x = heap(), pictures(64, 9, seed=8)
    taken = torch.ones(64, 9, dtype=torch.bool)
    taken[:, 8] = False
    model.slot_pictures, model.taken = lambda m: x, lambda m: taken
    p = model.locate(x[:, 8:], torch.zeros(64, 3, 32, 32)).p_value.flatten()
    for level in (1 / 9, 3 / 9, 6 / 9):
        share = float((p <= level + 1e-6).float().mean())
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 64)


def test_nothing_is_found_in_an_empty_memory_and_one_image_is_found_alone():
    model, x = heap(), pictures(2, 4)
    empty = model.locate(x, torch.zeros(2, 3, 32, 32))
    torch.testing.assert_close(empty.p_value, torch.ones(2, 4))
    alone = model.locate(x, model.write(x[:, :1]))
    assert len(set(alone.cell[0].tolist())) == 1 and alone.margin.abs().max() < 1e-3  # the one picture is the mean too
    torch.testing.assert_close(alone.p_value, torch.ones(2, 4))  # with one image held there is nothing to compare with
    assert model.taken(model.write(x[:, :1]))[0, alone.cell[0, 0]]


@pytest.mark.parametrize("near", [None, 4])
def test_an_empty_cell_is_not_looked_in(near):
    model, x = heap(), pictures(2, 4)
    memory = model.write(x[:, :2])
    filled = {tuple(k) for k in model.encode(x[:, :2]).place.flatten(0, 2).tolist()}
    if near is None:
        assert {tuple(k) for k in model.look_up(x, memory, near=near).mean.flatten(0, 2).tolist()} <= filled
    own = model.look_up(x[:, :2], memory, near=near).mean
    assert {tuple(k) for k in own.flatten(0, 2).tolist()} <= filled


def test_more_images_get_smaller_cells_of_the_same_weights():
    model = heap()
    small = model.holding(16)
    assert model.holding(9) is model and cells_for(16) == 4
    assert small.config.window == pytest.approx(0.375 * 3 / 4) and small.key_model.side == 4
    assert small.decoder is model.decoder and model.key_model.side == 3 and model.config.length == 9
    q, of_small = model.key_model.slots(), small.key_model.slots()
    assert of_small.batch_shape == (16,)
    torch.testing.assert_close(of_small.stddev[..., 1:].mean(), q.stddev[..., 1:].mean() * 3 / 4, rtol=0.02, atol=0)
    x = pictures(1, 16)
    memory = small.write(x)
    assert small.taken(memory).all()
    assert torch.equal(model.bound(x, generator=seeded(0)).total, small.bound(x, memory, seeded(0)).total)


@pytest.mark.parametrize("recipe", ["slots", "content", "paper"])
def test_other_models_have_no_cells(recipe):
    model = tiny(recipe)
    assert model.holding(1000) is model
    for call in (model.add, lambda m, x: model.free(m, torch.zeros(2, 1, 2, 3)), lambda m, x: model.locate(x, m)):
        with pytest.raises(ValueError, match="keys: got .*'allocated'"):
            call(torch.zeros(2, 3, 16, 16), pictures())
