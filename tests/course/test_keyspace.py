"""Key space: the inverse of the squash, one read taken apart, pictures at many keys."""

import pytest
import torch
from tiny_model import episodes, tiny

from kpp_lib.course.keyspace import key_at, look, mesh, pictures, plane
from kpp_lib.keys import squash


@pytest.fixture(scope="module")
def scene():
    model, x = tiny(), episodes(1)
    with torch.no_grad():
        return model, model.write(x), model.infer(x).q_y.mean[0]


@pytest.mark.parametrize("kind", ["none", "tanh", "in_frame", "fixed", "centre"])
def test_key_at_is_the_inverse_of_the_squash(kind):
    window = torch.tensor([[0.25, -0.6, 0.3], [0.25, 0.1, 0.0]])
    torch.testing.assert_close(squash(key_at(window, kind), kind, 0.25), window, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("window", "kind", "message"),
    [
        ([0.25, 0.8, 0.0], "fixed", "window: no key reaches it with squash 'fixed'"),
        ([0.25, 0.0, -1.0], "centre", "window: no key reaches it with squash 'centre'"),
        ([1.0, 0.0, 0.0], "tanh", "window: no key reaches it"),
        ([0.99, 0.0, 0.0], "in_frame", "window: in_frame reaches half-widths"),
        ([0.2, 0.0, 0.0], "clip", "kind: got 'clip'"),
    ],
)
def test_windows_out_of_reach(window, kind, message):
    with pytest.raises(ValueError, match=message):
        key_at(torch.tensor(window), kind)


def test_look_is_the_models_own_read(scene):
    model, memory, keys = scene
    view = look(model, memory, keys[1])
    p_z = model.prior(memory, keys[None, 1:2])
    torch.testing.assert_close(view.blocks, model.read(memory, keys[None, 1:2])[0, 0])
    torch.testing.assert_close(view.mean, p_z.mean[0, 0])
    torch.testing.assert_close(view.std, p_z.stddev[0, 0])
    torch.testing.assert_close(view.picture, model.read_images(memory, keys[None, 1:2], sampled=False)[0, 0])
    assert view.log_p == pytest.approx(model.p_y(1, 1).log_prob(keys[None, 1:2]).item(), abs=1e-4)


def test_many_keys_are_read_as_one_by_one(scene):
    model, memory, keys = scene
    together = pictures(model, memory, keys)
    for i, key in enumerate(keys):
        torch.testing.assert_close(together[i], look(model, memory, key).picture, atol=1e-5, rtol=1e-4)


def test_plane_moves_one_head_only():
    y = torch.randn(2, 3)
    moved = plane(y, 1, mesh(3, 0.5), "fixed", 0.25)
    assert torch.equal(moved[:, 0], y[0].expand(9, 3))
    torch.testing.assert_close(squash(moved[:, 1], "fixed", 0.25)[:, 1:], mesh(3, 0.5))


def test_errors(scene):
    model, memory, keys = scene
    for call, message in (
        (lambda: look(model, memory, keys), r"y: got shape \(4, 1, 3\), expected .* \[1, 3\]"),
        (lambda: look(model, memory[0], keys[0]), "memory: got shape"),
        (lambda: pictures(model, memory, keys[0]), r"y: got shape \(1, 3\), expected .* \[N, 1, 3\]"),
        (lambda: plane(keys[0], 1, mesh(2, 0.5), "fixed", 0.25), "head: got 1, expected a whole number from 0 to 0"),
        (lambda: plane(keys[0], 0, mesh(2, 0.5).double() * 1e300, "none", 0.25), "centres: got 8 of 8 values that"),
        (lambda: mesh(1, 0.5), "n: got 1, expected a whole number of at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
