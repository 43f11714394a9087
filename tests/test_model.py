"""The model: shapes, gradients everywhere, what depends on what, and errors."""

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import ALL_RECIPES, episodes, tiny

from kpp_lib import KanervaPlusPlus, seeded
from kpp_lib.bound import bound_terms, sample

VARIANTS = [*((r, {}) for r in ALL_RECIPES), ("paper", {"shift": "write"}),
            ("content", {"squash": "in_frame", "write_window": 0.0}), ("paper", {"squash": "clip", "reads": 1}),
            ("allocated", {"reads": 5}), ("paper", {"pooling": "attention"}), ("paper", {"pooling": "recurrent"}),
            ("paper", {"decoder_sees": "z_and_blocks"}), ("paper", {"latents": "maps"}),
            ("allocated", {"decoder_sees": "z_and_blocks", "posterior": "encoder"})]  # fmt: skip


@pytest.mark.parametrize(("recipe", "overrides"), VARIANTS)
def test_shapes_and_a_gradient_for_every_parameter(recipe, overrides):
    model, x = tiny(recipe, **overrides).train(), episodes()
    memory = model.write(x)
    q = model.infer(x)
    k = model.config.reads
    assert memory.shape == (2, 3, 16, 16)
    assert model.read(memory, q.q_y.mean).shape == (2, 4, k, 3, 4, 4)
    assert model.prior(memory, q.q_y.mean).mean.shape == q.q_z.mean.shape == (2, 4, model.config.z_size)
    bound = model.bound(x, generator=seeded(0))
    assert bound.total.shape == (2, 4) and torch.isfinite(bound.total).all()
    assert torch.all(bound.kl_z >= 0) and torch.all(bound.kl_y >= 0)
    bound.weighted().mean().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not missing


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_what_a_model_gives_can_be_saved_as_it_is(recipe, tmp_path):
    """safetensors refuses a tensor that is a view with gaps."""
    model, x = tiny(recipe), episodes()
    with torch.no_grad():
        memory, q = model.write(x), model.infer(x)
        y, p_z = q.q_y.mean, model.prior(memory, q.q_y.mean)
        given = {"memory": memory, "z": q.q_z.mean, "z_std": q.q_z.stddev, "y": y, "y_std": q.q_y.stddev}
        given |= {n: v for n, v in (("e", q.e), ("maps", q.maps), ("code", q.code)) if v is not None}
        given |= {"place": q.place, "blocks": model.read(memory, y), "p_z": p_z.mean, "p_z_std": p_z.stddev}
        given |= {"pictures": model.iterate(x, memory, 2), "window": model.window(y)}
    save_file({name: v.clone(memory_format=torch.preserve_format) for name, v in given.items()}, tmp_path / "all")


@pytest.mark.parametrize("recipe", ALL_RECIPES)
def test_writing_twice_is_bit_equal_and_draws_nothing(recipe):
    model, x = tiny(recipe), episodes()
    state = torch.get_rng_state()
    assert torch.equal(model.write(x), model.write(x))
    assert torch.equal(torch.get_rng_state(), state)


def test_bound_follows_its_generator():
    model, x = tiny(), episodes()
    a, b, c = (model.bound(x, generator=seeded(s)).total for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_bound_takes_its_own_memory_by_default_and_another_when_given():
    model, x = tiny(), episodes()
    memory = model.write(x)
    own = model.bound(x, generator=seeded(0))
    torch.testing.assert_close(model.bound(x, memory, seeded(0)).total, own.total)
    other = model.bound(x, memory.roll(1, 0), seeded(0))
    torch.testing.assert_close(other.recon, own.recon)  # the decoder sees z alone
    torch.testing.assert_close(other.kl_y, own.kl_y)
    assert not torch.allclose(other.kl_z, own.kl_z)


def test_an_unshifted_cue_does_not_depend_on_its_neighbours_and_a_shifted_one_does():
    x = episodes(1)
    for recipe, alone in (("allocated", True), ("paper", False)):
        model = tiny(recipe)
        together, single = model.infer(x).q_z.mean[:, :1], model.infer(x[:, :1]).q_z.mean
        assert torch.allclose(together, single, atol=1e-5) is alone


def test_write_shift_keeps_cues_unshifted_and_shifts_the_memory():
    model, x = tiny("paper", shift="write"), episodes(1)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model.infer(x[:, order]).q_y.mean, model.infer(x).q_y.mean[:, order])
    assert not torch.allclose(model.write(x[:, order]), model.write(x), atol=1e-4)


def test_placed_memory_does_not_depend_on_the_order_without_shift():
    model, x = tiny("allocated", keys="content_bn"), episodes(1)
    torch.testing.assert_close(model.write(x.flip(1)), model.write(x), atol=1e-5, rtol=1e-4)


def test_pictures():
    model, x = tiny(), episodes()
    memory, keys = model.write(x), model.infer(x).q_y.mean
    for pictures, shape in (
        (model.reconstruct(x), (2, 4)),
        (model.reconstruct(x, memory, seeded(0)), (2, 4)),
        (model.generate(memory, n=5, generator=seeded(0)), (2, 5)),
        (model.perturb(memory, keys, std=0.1, n=3, generator=seeded(0)), (2, 4, 3)),
        (model.iterate(x, memory, steps=2), (3, 2, 4)),
    ):
        assert pictures.shape == (*shape, 1, 28, 28)
        assert 0 <= pictures.min() and pictures.max() <= 1 and not pictures.requires_grad


def test_perturbing_by_nothing_reads_the_key_itself():
    model, x = tiny(), episodes()
    memory, keys = model.write(x), model.infer(x).q_y.mean
    still = model.perturb(memory, keys, std=0.0, n=1, generator=seeded(0))
    p_z = model.prior(memory, keys)
    assert still.shape[2] == 1
    torch.testing.assert_close(still[:, :, 0], model.decode(sample(p_z, _after_key_noise(keys))).mean)


def _after_key_noise(keys):
    generator = seeded(0)
    torch.randn(keys[:, :, None].shape, generator=generator)
    return generator


def test_iterate_starts_with_its_input_keeps_the_memory_and_takes_grey():
    model, x = tiny(), episodes()
    memory = model.write(x)
    before = memory.clone()
    steps = model.iterate(0.5 * x, memory, steps=3)
    assert torch.equal(steps[0], 0.5 * x) and torch.equal(memory, before)
    torch.testing.assert_close(
        steps[2:], model.iterate(steps[1], memory, steps=2)[1:]
    )  # each step starts from the last


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.bound(x[0]), r"x: got shape \(4, 1, 28, 28\), expected .* of shape \[B, T, 1, 28, 28\]"),
        (lambda m, x: m.bound(0.5 * x), "x: got values in .* expected binary"),
        (lambda m, x: m.bound(x, m.write(x)[:1]), r"memory: got shape \(1, 3, 16, 16\), expected .* \[2, 3, 16, 16\]"),
        (lambda m, x: m.iterate(x, m.write(x), steps=0), "steps: got 0"),
        (lambda m, x: m.generate(m.write(x), n=2.5), "n: got 2.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny(), episodes())


def test_the_models_of_the_presets_have_the_sizes_we_say():
    sizes = {
        p: sum(q.numel() for q in KanervaPlusPlus(tiny().config.preset(p, "paper")).parameters())
        for p in ("cpu", "paper")
    }
    assert 1e6 < sizes["cpu"] < 3e6  # fp16 within 6 MiB
    assert 14e6 < sizes["paper"] < 20e6


def test_a_cue_is_what_the_posteriors_see_and_the_memory_stays_that_of_x():
    model, x = tiny(), episodes()
    cue = 1 - x
    torch.testing.assert_close(
        model.bound(x, generator=seeded(0), cue=x).total, model.bound(x, generator=seeded(0)).total
    )
    given = model.bound(x, generator=seeded(0), cue=cue)
    memory = model.write(x)
    q = model.infer(cue, memory)
    g = seeded(0)
    y = sample(q.q_y, g)
    p_z = model.prior(memory, y)
    q_z = model.z_posterior(q, p_z)
    expected = bound_terms(x, model.decode(sample(q_z, g)), q_z, p_z, q.q_y, model.p_y(2, 4))
    torch.testing.assert_close(given.total, expected.total)


def test_lookup_takes_the_slot_that_the_cue_is_most_likely_a_copy_of(monkeypatch):
    """Against a loop over slots and torch's own Bernoulli, in shuffled order, with pictures that are the images."""
    model, x = tiny(), episodes()
    order = torch.tensor([2, 0, 3, 1])
    pictures = (0.9 * x + 0.05).clamp(0, 1)
    monkeypatch.setattr(type(model), "read_images", lambda self, memory, y, generator=None, sampled=True: pictures)
    cue = (x[:, order] - (torch.rand(x.shape, generator=seeded(1)) < 0.2).float()).abs()
    found = model.look_up(cue, model.write(x)).mean
    flip = model.config.lookup_flip
    for b in range(2):
        for t in range(4):
            copies = [(1 - 2 * flip) * pictures[b, n] + flip for n in range(4)]
            match = [torch.distributions.Bernoulli(p).log_prob(cue[b, t]).sum() for p in copies]
            assert torch.argmax(torch.stack(match)) == order[t]
            assert torch.equal(found[b, t], model.key_model.slots().mean[order[t]])


def test_in_training_keys_are_those_that_wrote_and_in_use_they_are_looked_up(monkeypatch):
    model, x = tiny(), episodes()
    place = model.encode(x).place
    trained, positional = model(x, seeded(0)), model.bound(x, generator=seeded(0), by_position=True)
    assert torch.equal(trained.total, positional.total)
    other = model.key_model.at(torch.tensor([1, 2, 3, 0]).expand(2, 4))
    monkeypatch.setattr(type(model), "look_up", lambda self, x, memory: other)
    assert torch.equal(model.infer(x).q_y.mean, other.mean) and torch.equal(model.infer(x).place, place)
    assert torch.equal(model(x, seeded(0)).total, trained.total)
    assert not torch.equal(model.bound(x, generator=seeded(0)).kl_z, trained.kl_z)


def test_a_decoder_that_sees_the_blocks_needs_the_memory_and_uses_it():
    """p(X|Z, M, Y) of equation 4, read literally."""
    model, x = tiny("paper", decoder_sees="z_and_blocks"), episodes()
    memory, z, y = model.write(x), torch.zeros(2, 4, 8), torch.zeros(2, 4, 2, 3)
    with pytest.raises(ValueError, match="memory: got None"):
        model.decode(z)
    here, there = model.decode(z, memory, y).mean, model.decode(z, memory + 1, y).mean
    assert here.shape == x.shape and not torch.equal(here, there)
    assert torch.equal(tiny("paper").decode(z).mean, tiny("paper").decode(z, memory, y).mean)
    assert model.reconstruct(x).shape == model.reconstruct(x, memory).shape == x.shape
