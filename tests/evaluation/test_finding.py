"""Studies of the search: what is found, and what is not stored, by models whose answers are known."""

import pytest
import torch
from tiny_model import bars, tiny

from kpp_lib import Images, seeded
from kpp_lib.evaluation.finding import auroc, search, stored


def noise(n, seed=0):
    return Images((torch.rand(n, 1, 28, 28, generator=seeded(seed)) < 0.5).byte(), None, True)


def perfect(model, monkeypatch):
    """A memory whose cells hold the images themselves: the last ones written, placed by the allocator."""
    written = {}

    def write(x, posterior=None):
        place = (model.encode(x) if posterior is None else posterior).place
        cells = torch.cdist(model.window(place)[:, :, 0, 1:], model.key_model.places.expand(len(x), -1, -1)).argmin(-1)
        held = torch.zeros(len(x), len(model.key_model.places), *x.shape[2:])
        written["held"] = held.scatter(1, cells[..., None, None, None].expand_as(x), x)
        written["taken"] = torch.zeros(held.shape[:2], dtype=torch.bool).scatter(1, cells, True)
        return torch.ones(len(x), 3, 32, 32)

    monkeypatch.setattr(model, "write", write)
    monkeypatch.setattr(model, "slot_pictures", lambda memory: written["held"])
    monkeypatch.setattr(model, "taken", lambda memory: written["taken"])
    return model


def test_auroc_by_hand():
    assert auroc(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])) == pytest.approx((2 + 0.5) / 4)
    assert auroc(torch.tensor([2.0]), torch.tensor([0.0, 1.0])) == 1


def test_a_perfect_memory_tells_what_is_not_stored(monkeypatch):
    model = perfect(tiny(length=16, memory_size=32), monkeypatch)
    rows = stored(model, noise(160), {"squares": bars(64)}, flips=(0.0, 0.1), episodes=4)
    assert [(r["flip"], r["others"]) for r in rows] == [
        (0.0, "the same"),
        (0.0, "squares"),
        (0.1, "the same"),
        (0.1, "squares"),
    ]
    assert all(r["auroc"] == 1 and r["found"]["0.2"] == 1 for r in rows)
    assert (
        rows[0]["found"]["0.1"] == 0 and rows[0]["false_alarms"]["0.1"] < 0.3
    )  # a tie: 2 / 17 is the least p of a copy


def test_the_search_looks_at_as_many_cells_as_it_says():
    model = tiny(length=9)
    rows = search(model, bars(40), lengths=(4, 16), near=(1, 4, None), flips=(0.1,), limit=32)
    assert [(r["T"], r["near"]) for r in rows] == [(4, 1), (4, 4), (4, "all"), (16, 1), (16, 4), (16, "all")]
    for row in rows:
        cells = 9 if row["T"] == 4 else 16
        assert row["pictures"] == pytest.approx(
            (cells if row["near"] == "all" else row["near"]) + row["fell_back"] * cells
        )
        assert 0 <= row["found"] <= 1 and row["flip"] == 0.1
    assert rows[2]["fell_back"] == 0


def test_what_is_found_nearby_is_not_looked_for_elsewhere(monkeypatch):
    """A perfect memory of noise: a copy is far likelier than the mean, so a sure look nearby is right."""
    model = perfect(tiny(length=16, memory_size=32), monkeypatch)
    x = (torch.rand(2, 16, 1, 28, 28, generator=seeded(4)) < 0.5).float()
    posterior = model.encode(x)
    memory = model.write(x, posterior)
    held = model.slot_pictures(memory)
    pictures = torch.stack([held[:, i] for i in range(16)], 1)
    monkeypatch.setattr(model, "read_images", lambda m, y, sampled: pictures.gather(
        1, torch.cdist(model.window(y)[:, :, 0, 1:], model.key_model.places.expand(2, -1, -1)).argmin(-1)[
            ..., None, None, None].expand(-1, -1, 1, 28, 28)))  # fmt: skip
    cell, sure = model._best_near(x, memory, 4)
    assert torch.equal(model.key_model.at(cell).mean[sure], posterior.place[sure]) and sure.any() and not sure.all()
    alone = model.look_up(x[:, :1], memory, near=4).mean  # a single cue: the near ones first, then all
    assert torch.equal(alone, posterior.place[:, :1])
    assert torch.equal(model.look_up(x, memory, near=4).mean, posterior.place)


@pytest.mark.parametrize("call", [search, stored])
def test_errors_name_the_argument(call):
    with pytest.raises(ValueError, match="model: got keys='slots', expected keys='allocated'"):
        call(tiny("slots"), bars(40))
    with pytest.raises(ValueError, match="images: got 3 images, expected at least two episodes"):
        call(tiny(), bars(3), **({"lengths": (4,)} if call is search else {}))
    with pytest.raises(ValueError, match="flips: got 2.0"):
        call(tiny(), bars(40), flips=(2.0,))
