"""Spatial latents: what is folded how, sizes, and that nothing on the way is dense."""

import pytest
import torch
from tiny_model import tiny
from torch import nn

from kpp_lib import Config, KanervaPlusPlus, seeded
from kpp_lib.encoder import make_encoder, map_width
from kpp_lib.maps import MapPrior, MapWriter, make_decoder, resized
from kpp_lib.posterior import infer_z, posterior_net

SIZES = [(28, 7), (32, 8), (64, 16), (30, 8), (2, 1)]


def config(**changes):
    return Config.preset("tiny", "allocated", **changes)


@pytest.mark.parametrize("trunk", ["small", "resnet18"])
@pytest.mark.parametrize(("size", "side"), SIZES)
def test_z_is_as_large_as_its_maps(size, side, trunk):
    c = config(image_size=size, trunk=trunk)
    assert (c.latent_side, c.z_size) == (side, 4 * side * side)
    x = torch.rand(2, 3, 1, size, size, generator=seeded(0))
    seen = make_encoder(c, shifted=False).see(x)
    assert seen.e is None and seen.maps.shape == (2, 3, map_width(c), side, side)
    q_z = infer_z(posterior_net(c), seen, c)
    assert q_z.mean.shape == (2, 3, c.z_size)
    assert make_decoder(c)(q_z.mean).mean.shape == x.shape


@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_the_resnet_keeps_its_embedding_beside_the_maps_where_keys_want_it(stem):
    c = Config.preset("tiny", "paper", latents="maps", stem=stem)
    seen = make_encoder(c, shifted=True).see(torch.rand(2, 4, 1, 28, 28, generator=seeded(0)))
    assert seen.e.shape == (2, 4, c.embed) and seen.maps.shape[-2:] == (7, 7)


def test_no_layer_between_pixels_and_z_is_dense():
    model = KanervaPlusPlus(config())
    for part in (model.encoder, model.posterior_net, model.writer, model.prior_net, model.decoder):
        assert not any(isinstance(m, nn.Linear) for m in part.modules())


def test_a_number_of_z_is_a_pixel_of_its_maps():
    """One 1 in z reaches the picture around its own place only: four residual convolutions and two doublings."""
    decoder, z = make_decoder(config()).eval(), torch.zeros(1, 2, 4 * 49)
    z[0, 1, 0] = 5.0  # channel 0, top left
    a, b = decoder(z).base_dist.logits[0]
    changed = (a - b).abs()[0] > 1e-6
    assert changed[0, 0] and not changed[24:, 24:].any()


def test_blocks_are_written_and_read_at_their_own_sizes():
    c = config(write_size=6, write_window=0.2, block_size=8)
    model = KanervaPlusPlus(c).eval()
    x = (torch.rand(2, 4, 1, 28, 28, generator=seeded(1)) > 0.7).float()
    assert isinstance(model.writer, MapWriter) and model.writer.side == 6
    memory = model.write(x)
    assert memory.shape == (2, 3, 16, 16)
    assert model.read(memory, model.infer(x).q_y.mean).shape == (2, 4, c.reads, 3, 8, 8)


def test_a_block_is_written_at_the_centre_that_is_read():
    """One image, its block written narrower than it is read: the memory is empty outside the written window alone."""
    model = tiny("allocated", length=1, write_window=0.125, window=0.5, memory_size=32)
    x = (torch.rand(1, 1, 1, 28, 28, generator=seeded(1)) > 0.7).float()
    posterior = model.infer(x)
    s, left, top = model.window(posterior.place)[0, 0, 0].tolist()
    assert s == 0.5
    rows, columns = (model.write(x)[0].abs().sum(0) > 0).nonzero().float().T
    middle = [(v.min() + v.max()) / 2 for v in (columns, rows)]
    assert middle == pytest.approx([(1 + v) * 16 - 0.5 for v in (left, top)], abs=0.6)
    assert columns.max() - columns.min() <= 0.125 * 32 + 2


def test_the_prior_takes_blocks_of_any_side():
    for side in (4, 16):
        c = config(block_size=side)
        mean, log_var = MapPrior(c)(torch.rand(2, 3, c.reads, 3, side, side, generator=seeded(2)))
        assert mean.shape == log_var.shape == (2, 3, c.z_size)


def test_resized_leaves_maps_of_that_side_alone():
    maps = torch.rand(1, 2, 4, 4, generator=seeded(3))
    assert resized(maps, 4) is maps
    torch.testing.assert_close(resized(maps, 8).mean(), maps.mean(), rtol=0.05, atol=0)


@pytest.mark.parametrize("recipe", ["allocated", "vae", "paper"])
def test_every_weight_of_a_model_of_maps_gets_a_gradient(recipe):
    from kpp_lib.models import make_model

    model = make_model(Config.preset("tiny", recipe, latents="maps", posterior="with_prior")).train()
    x = (torch.rand(3, 4, 1, 28, 28, generator=seeded(4)) > 0.7).float()
    model(x, seeded(5)).mean().weighted().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"trunk": "small", "shift": "all"}, "shift"),
        ({"keys": "allocated", "latents": "vector"}, "latents"),
        ({"window": 0.1, "write_window": 0.2}, "write_window"),
    ],
)
def test_what_does_not_go_together_is_named(changes, named):
    with pytest.raises(ValueError, match=named):
        config(**changes)
