"""Under bfloat16 autocast: what stays in float32, and how far the bound moves."""

import pytest
import torch
from tiny_model import ALL_RECIPES, episodes, tiny
from torch import nn

import kpp_lib as kpp
from kpp_lib.bound import sample
from kpp_lib.training.fit import new_model


@pytest.fixture
def autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        yield


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_keys_reads_spreads_and_likelihoods_are_float32(recipe, autocast):
    model, x, seen = tiny(recipe), episodes(), []
    for part in (model.encoder, model.decoder):
        layer = [m for m in part.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)][0]
        layer.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    posterior = model.infer(x)
    memory = model.write(x, posterior)
    y = sample(posterior.q_y, kpp.seeded(0))
    p_z, bound = model.prior(memory, y), model.bound(x, generator=kpp.seeded(0))
    exact = () if posterior.e is None else (posterior.e,)
    exact += (posterior.q_z.mean, posterior.q_y.mean, posterior.q_y.stddev, memory, model.read(memory, y))
    exact += (p_z.mean, p_z.stddev, bound.recon, bound.kl_z, bound.kl_y, model.decode(p_z.mean).mean)
    assert {v.dtype for v in exact} == {torch.float32}
    assert set(seen) == {torch.bfloat16}  # or there was no autocast to speak of


@pytest.mark.parametrize("recipe", ["paper", "content"])
def test_keys_are_computed_in_float32_and_not_only_stored_so(recipe):
    model, x = tiny(recipe), episodes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        posterior = model.encode(x)
        memory = torch.randn(2, 3, 16, 16, generator=kpp.seeded(1))
        read = model.read(memory, posterior.q_y.mean)
    assert torch.equal(posterior.q_y.mean, model.key_model(posterior.e).mean)
    assert torch.equal(read, model.read(memory, posterior.q_y.mean))


def test_a_placed_write_is_exact(autocast):
    model, x = tiny("content"), episodes()
    posterior, blocks = model.encode(x), []
    model.writer.up.register_forward_hook(lambda module, given, out: blocks.append(out))
    memory = model.write(x, posterior)
    assert blocks[0].dtype == torch.bfloat16
    with torch.autocast("cpu", enabled=False):
        from kpp_lib.memory import place_blocks

        c = model.config
        again = place_blocks(blocks[0].float().view(2, 4, c.reads, 3, 4, 4), model.window(posterior.place), 16, 0.1)
    assert torch.equal(memory, again)


@pytest.mark.parametrize("recipe", [*ALL_RECIPES, "vae"])
def test_the_bound_of_an_untrained_model_moves_by_less_than_a_hundredth(recipe):
    model, x = new_model(kpp.Config.preset("tiny", recipe)), episodes(8)
    with torch.no_grad():
        exact = model(x, kpp.seeded(0)).mean()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = model(x, kpp.seeded(0)).mean()
    for term in ("recon", "kl_z", "kl_y"):
        a, b = (getattr(v, term).item() for v in (exact, short))
        assert b == pytest.approx(a, rel=0.01, abs=0.02), term  # nats per image
