"""q(Y|X) and the squash from keys to windows."""

import pytest
import torch

from kpp_lib import Config, seeded
from kpp_lib.allocate import make_keys
from kpp_lib.keys import cell_keys, cell_places, squash


def random_keys(n=20_000):
    return torch.randn(n, 3, generator=seeded(0))


def fraction_outside(window, size=16):
    """Mean share of the points of the read grid that lie outside the memory."""
    s, x, y = (v[:, None] for v in window.unbind(-1))
    u = (2 * torch.arange(size) + 1) / size - 1
    inside_x, inside_y = ((s * u + c).abs() <= 1 for c in (x, y))
    return 1 - (inside_x.float().mean(1) * inside_y.float().mean(1)).mean().item()


@pytest.mark.parametrize(("kind", "outside", "mirrored"), [("none", 0.60, 0.5), ("tanh", 0.30, 0.5), ("clip", 0.02,
0.5),
                                                           ("in_frame", 0.0, 0.0), ("fixed", 0.0, 0.0)])  # fmt: skip
def test_how_much_of_a_prior_read_misses_the_memory(kind, outside, mirrored):
    window = squash(random_keys(), kind)
    assert fraction_outside(window) == pytest.approx(outside, abs=0.015)
    assert (window[:, 0] < 0).float().mean().item() == pytest.approx(mirrored, abs=0.015)


@pytest.mark.parametrize("kind", ["in_frame", "fixed"])
def test_windows_stay_in_the_frame_whatever_the_key(kind):
    s, x, y = squash(10 * random_keys(), kind).unbind(-1)
    assert torch.all(s > 0) and torch.all(x.abs() + s <= 1 + 1e-5) and torch.all(y.abs() + s <= 1 + 1e-5)


def test_cells_are_read_whole_wherever_in_them_the_key_lies():
    window = squash(random_keys(), "cells", 1 / 3)
    assert {round(v, 4) for v in window[:, 1:].flatten().tolist()} == {-0.6667, 0.0, 0.6667}
    centre = torch.tanh(random_keys()[:, 1:])
    assert torch.all((window[:, 1:] - centre).abs() <= 1 / 3 + 1e-6) and torch.all(window[:, 0] == torch.tensor(1 / 3))
    far = squash(torch.tensor([[0.0, 40.0, -40.0]]), "cells", 1 / 3)  # a tanh of exactly 1
    torch.testing.assert_close(far, torch.tensor([[1 / 3, 2 / 3, -2 / 3]]))


def test_unknown_squash():
    with pytest.raises(ValueError, match="kind: got 'relu', expected one of tanh"):
        squash(random_keys(1), "relu")


@pytest.mark.parametrize("recipe", ["paper", "allocated", "slots"])
def test_shapes_and_gradients(recipe):
    config = Config.preset("tiny", recipe)
    model = make_keys(config)
    seen = (8, 7, 7) if recipe == "allocated" else (32,)  # maps, or embeddings
    q_y = model(torch.randn(2, 4, *seen, generator=seeded(1), requires_grad=True))
    assert q_y.batch_shape == (2, 4) and q_y.event_shape == (config.reads, 3)
    (q_y.mean.square().sum() + q_y.stddev.log().sum()).backward()
    idle = {"code"} if recipe == "allocated" else set()  # has a loss of its own
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.grad is None} == idle


def test_normalised_keys_keep_their_spread():
    model = make_keys(Config.preset("tiny", "paper", keys="content_bn", key_spread=0.9))
    e = 0.3 * torch.randn(64, 4, 32, generator=seeded(2)) + 3  # embeddings that differ little
    mean = model(e).mean.flatten(0, 1).flatten(1)
    torch.testing.assert_close(mean.std(0), torch.full((6,), 0.9), atol=0.05, rtol=0)
    model.eval()  # running statistics: an image's key no longer depends on its batch
    torch.testing.assert_close(model(e[:1]).mean, model(e).mean[:1])


def test_slots_start_on_a_grid_and_content_keys_do_not_depend_on_the_position():
    e = torch.randn(1, 1, 32, generator=seeded(3)).expand(1, 4, 32)
    slots = make_keys(Config.preset("tiny", "slots"))(e).mean
    torch.testing.assert_close(slots, cell_keys(cell_places(2, e), 1)[None])
    assert len(torch.unique(slots[0, :, 0], dim=0)) == 4, "every image has a cell of its own"
    content = make_keys(Config.preset("tiny", "content")).eval()(e).mean
    torch.testing.assert_close(content[:, :1].expand_as(content), content)


def test_more_images_than_slots_share_them_in_turn():
    model = make_keys(Config.preset("tiny", "slots"))
    mean = model(torch.zeros(1, 6, 32)).mean
    torch.testing.assert_close(mean[:, 4:], mean[:, :2])


@pytest.mark.parametrize("keys", ["content", "content_bn", "slots"])
def test_a_number_that_the_squash_does_not_use_costs_nothing(keys):
    model = make_keys(Config.preset("tiny", "slots", keys=keys, key_log_var=-4.0))
    q_y = model(torch.randn(3, 4, 32, generator=seeded(4))).base_dist
    kl = torch.distributions.kl_divergence(q_y, torch.distributions.Normal(torch.zeros(()), torch.ones(())))
    assert torch.all(kl[..., 0] == 0) and torch.all(kl[..., 1:] > 0)
