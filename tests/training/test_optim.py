"""Optimiser groups, LARS against timm, schedules."""

import copy

import pytest
import torch
from timm.optim.lars import Lars
from tiny_model import tiny
from torch import nn

from kpp_lib import Config, seeded
from kpp_lib.training.optim import (
    LARS,
    kl_weight,
    length_at,
    lr_factor,
    make_optimizer,
    make_schedule,
    parameter_groups,
)


def test_decay_is_on_weights_only():
    model = tiny("paper")
    decayed, spared = parameter_groups(model, 1e-3)
    assert decayed["weight_decay"] == 1e-3 and spared["weight_decay"] == 0
    names = {id(p): n for n, p in model.named_parameters()}
    assert all(names[id(p)].rsplit(".", 1)[-1] in ("bias", "weight", "v") and p.dim() == 1 for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_lars_around_sgd_is_timms():
    g = seeded(0)
    start, grads = torch.randn(5, 3, generator=g), [torch.randn(5, 3, generator=g) for _ in range(4)]
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    # almost no decay: ours (like the author's) measures |g| with the decay in it, timm's without
    a = LARS(torch.optim.SGD([{"params": [ours], "weight_decay": 1e-12}], lr=0.5, momentum=0.9), trust=0.01)
    b = Lars([theirs], lr=0.5, momentum=0.9, weight_decay=0.0, trust_coeff=0.01, eps=0.0, always_adapt=True)
    for grad in grads:
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs)


def test_lars_mixes_the_decay_in_before_it_scales():
    w = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    optimizer = LARS(torch.optim.SGD([{"params": [w], "weight_decay": 0.5}], lr=1.0), trust=0.1)
    w.grad = torch.tensor([[1.0, 0.0]])
    optimizer.step()
    g = torch.tensor([[2.5, 2.0]])  # gradient + 0.5 w
    torch.testing.assert_close(w.detach(), torch.tensor([[3.0, 4.0]]) - 0.1 * 5 / g.norm() * g)


def test_lars_leaves_undecayed_and_zero_gradients_alone():
    plain, still = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))
    groups = [{"params": [plain], "weight_decay": 0.0}, {"params": [still], "weight_decay": 1e-12}]
    optimizer = LARS(torch.optim.SGD(groups, lr=1.0))
    plain.grad, still.grad = torch.full((3,), 0.5), torch.zeros(2, 2)
    optimizer.step()
    torch.testing.assert_close(plain.detach(), torch.full((3,), 0.5))
    assert torch.isfinite(still).all()


def test_lars_around_adam_is_blind_to_the_scale_of_a_loss():
    """Why it is a normalisation and not a layer-wise learning rate."""

    def after(scale):
        w = nn.Parameter(torch.ones(4, 4))
        optimizer = LARS(torch.optim.Adam([{"params": [w], "weight_decay": 1e-9}], lr=0.1, eps=0))
        for i in range(3):
            w.grad = scale * torch.randn(4, 4, generator=seeded(i))
            optimizer.step()
        return w.detach()

    torch.testing.assert_close(after(1.0), after(1000.0))


def test_lars_state_survives():
    def make():
        w = nn.Parameter(torch.ones(2, 2))
        return w, LARS(torch.optim.Adam([{"params": [w], "weight_decay": 1e-3}], lr=0.1))

    (w, a), (v, b) = make(), make()
    w.grad = torch.eye(2)
    a.step()
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    v.data.copy_(w.data)
    w.grad, v.grad = torch.ones(2, 2), torch.ones(2, 2)
    a.step()
    b.step()
    assert torch.equal(w, v)


def test_learning_rate_rises_then_falls_to_nothing():
    factors = [lr_factor(s, 100, 0.1) for s in range(100)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == factors[9] == 1
    assert factors[:10] == sorted(factors[:10]) and factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 <= factors[-1] < 0.001


@pytest.mark.parametrize("name", ["adamw", "lars"])
def test_schedule_drives_the_optimiser_from_any_step(name):
    config = Config.preset("tiny", optimizer=name, steps=40, lr=0.01)
    optimizer = make_optimizer(tiny(), config)
    schedule = make_schedule(optimizer, config, start=7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * lr_factor(7, 40, config.lr_warmup))
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.01 * lr_factor(8, 40, config.lr_warmup))


def test_kl_weight_ends_at_one():
    assert [kl_weight(s, 10, 0.4) for s in (0, 2, 4, 9)] == [0, 0.5, 1, 1]
    assert kl_weight(0, 10, 0) == 1


def test_lengths_grow_to_the_episode_in_the_first_half():
    config = Config.preset("tiny", "paper", length=8, steps=60, lengths="growing")
    found = [length_at(step, config) for step in range(60)]
    assert found[:30] == [2] * 10 + [4] * 10 + [8] * 10 and set(found[30:]) == {8}
    assert length_at(0, config.replace(lengths="fixed")) == 8


def test_mixed_lengths_fill_the_images_of_a_step():
    config = Config.preset("tiny", "allocated", length=4, episodes=8, lengths="mixed")
    found = [length_at(step, config) for step in range(200)]
    assert set(found) == {4, 8, 16, 32} and found == [length_at(step, config) for step in range(200)]
    assert {length_at(step, config.replace(episodes=3)) for step in range(20)} == {4}


def test_mixed_lengths_are_refused_with_several_processes(tmp_path, monkeypatch):
    from tiny_model import bar_set

    import kpp_lib as kpp
    from kpp_lib.training import arguments

    monkeypatch.setattr(arguments.World, "now", classmethod(lambda cls: cls(rank=0, size=2)))
    config = Config.preset("tiny", "allocated", lengths="mixed", steps=2)
    with pytest.raises(ValueError, match="lengths: got 'mixed', expected 'fixed' or 'growing' with several processes"):
        kpp.fit(config, bar_set(), tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("recipe", "lengths"), [("paper", "growing"), ("allocated", "mixed")])
def test_a_run_of_several_lengths_trains(tmp_path, recipe, lengths):
    from tiny_model import bar_set

    import kpp_lib as kpp

    config = Config.preset("tiny", recipe, lengths=lengths, steps=6)
    model = kpp.fit(config, bar_set(), tmp_path, device="cpu", eval_every=3, quiet=True)
    assert model.config == config
