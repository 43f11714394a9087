"""Is the number that we report a bound? Held against the exact -ln p(x|M) of a small model that memorises, and mutants.

Images are 2 x 2 bits: there are 16, so p(x|M) can be summed over all of them. A tiny model is *trained* on episodes
of four distinct images, because only a model that has learned to exploit its objective shows where the
objective leaks. Three checks: the probabilities sum to one, no total is below -ln p(x|M), and the mean over distinct
images is at least ln T. Each mutant goes on from the trained model on its own broken objective, and at least one check
must reject it.
"""

import math
from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

from kpp_lib import Config, KanervaPlusPlus, seeded
from kpp_lib.bound import Bound, bound_terms, rows, sample
from kpp_lib.cut import cut_normal
from kpp_lib.encoder import Seen

T = 4
ALL = torch.tensor([[int(bit) for bit in f"{i:04b}"] for i in range(16)]).float().view(16, 1, 2, 2)
COMMON = dict(image_size=2, length=T, shift="none")
SHARP = dict(key_log_var=-4.0)
DENSE = dict(squash="centre", latent=4, decoder_base=32, key_log_var_range=(-7.0, 2.0))
CONFIGS = {  # keys as cheap as the bound allows: the mutants' room to leak
    # z as a vector, q(Z|X), two keys from a table
    "slots": Config.preset("tiny", "content", keys="slots", **SHARP, **DENSE, **COMMON),
    # z as maps, a posterior that has seen what was read, images written where their content belongs
    "allocated": Config.preset("tiny", "allocated", key_log_var=-2.0, map_widths=(8, 16), **COMMON),
    # keys that read a whole cell
    "cells": Config.preset("tiny", "cells", map_widths=(8, 16), **SHARP, **COMMON),
}
STEPS = {"slots": 800, "allocated": 500, "cells": 600}
MUTANT_STEPS = 150
SEEDS = {"slots": (2, 0, 1, 3), "allocated": (0, 2, 3, 1), "cells": (0, 1, 2, 3)}  # in the order tried
BATCH = {"slots": 32, "allocated": 24, "cells": 12}  # episodes a step


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Quicker for models this small, and the same on every machine's number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_model(kind):
    """The model with an encoder fit for four pixels."""
    model = KanervaPlusPlus(CONFIGS[kind])
    if kind == "slots":
        embed = CONFIGS[kind].embed
        model.encoder.net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, embed))
        model.encoder.see = lambda x: Seen(model.encoder.net(x.flatten(2)), None)
    return model


def episodes(b, generator):
    """[b, T, 1, 2, 2]: episodes of distinct images."""
    return ALL[torch.stack([torch.randperm(16, generator=generator)[:T] for _ in range(b)])]


def honest(model, x, generator):
    return model.bound(x, generator=generator, by_position=model.training)


def terms(model, x, q, memory, generator, noise=1.0, y=None):
    """The bound with `noise` times the standard deviation that the KLs are charged for."""
    y = less(noise, q.q_y, generator) if y is None else y
    p_z = model.prior(memory, y)
    q_z = model.z_posterior(q, p_z)
    z = less(noise, q_z, generator)
    return bound_terms(x, model.decode(z), q_z, p_z, q.q_y, model.p_y(*x.shape[:2]))


def less(noise, p, generator):
    return p.mean + noise * (sample(p, generator) - p.mean)


def looked_up(model, x, generator):
    """The bound as an associative memory is scored: keys found by searching the memory for the image."""
    memory, seen = model.write(x), model.encode(x)
    return model.terms(x, seen._replace(q_y=model.look_up(x, memory)), memory, generator)


def half_sigma(model, x, generator):
    """The sample has half the noise that the KL is charged for."""
    q = model.encode(x)
    return terms(model, x, q, model.write(x, q), generator, noise=0.5)


def mean_decoding(model, x, generator):
    """No noise at all."""
    q = model.encode(x)
    return terms(model, x, q, model.write(x, q), generator, noise=0.0)


def kl_over_t(model, x, generator):
    """The KLs of one image divided by the length of the episode."""
    b = honest(model, x, generator)
    return Bound(b.recon, b.kl_z / T, b.kl_y / T)


def written_with_the_sample(model, x, generator):
    """The key that reads is the key that wrote: M depends on y, and p(y|M) is not p(y). With a posterior that meets its
    prior, z too has seen a memory written from the y that reads it."""
    q = model.encode(x)
    y = sample(q.q_y, generator)
    return terms(model, x, q, model.write(x, q._replace(place=y)), generator, y=y)


@cache
@torch.enable_grad()
def trained(objective, kind):
    """The tiny model trained on `objective`, in eval mode: a mutant goes on from the honest model. That is of the first
    seed that memorises: not every one does, and which do depends on the last bits of the arithmetic."""
    if objective is not honest:
        return run(objective, kind, deepcopy(trained(honest, kind)), MUTANT_STEPS)
    for seed in SEEDS[kind]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = run(honest, kind, small_model(kind), STEPS[kind])
        if memorised(model):
            break
    return model


@torch.no_grad()
def memorised(model):
    """Whether it beats ln 16, the best without a memory, clearly."""
    total = honest(model, episodes(512, seeded(5)), seeded(6)).total.mean()
    return math.log(T) <= total < math.log(16) - 0.2


def run(objective, kind, model, steps):
    """Train on `objective`; from the start, KLs are phased in."""
    new, model = objective is honest, model.train()
    generator, optimizer = seeded(0), torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    for step in range(steps):
        read_first = (0.2, 0.4) if new else (-1.0, -1.0)
        beta_z, beta_y = (min(1.0, max(0.0, step / steps - start) / 0.3) for start in read_first)
        loss = objective(model, episodes(BATCH[kind], generator), generator).mean().weighted(beta_z, beta_y)
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1.0, (step + 1) / 30, (steps - step) / (0.3 * steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def log_p(model, memory, x, samples, generator):
    """ln p(x|M) of single images x [N, 1, 2, 2] by importance sampling, and the weights' relative error; [N] each.

    The proposal is half prior, half posterior (a mixture over the T slots), so the weights are bounded.
    """
    n, p_y = len(x), model.p_y(len(x) * samples, 1)
    each = torch.arange(n).repeat_interleave(samples)
    slots = model.encode(x[:, None].expand(-1, T, -1, -1, -1)).q_y  # the cue at every slot
    q, cues = model.encode(x[:, None]).rows(each), x[each, None]
    slots = rows(slots, each)
    slot = torch.randint(T, (n * samples,), generator=generator)
    prior = torch.rand(n * samples, generator=generator) < 0.5
    at_slot = sample(slots, generator)[torch.arange(n * samples), slot][:, None]
    y = torch.where(prior[:, None, None, None], sample(p_y, generator), at_slot)
    p_z = model.prior(memory.expand(n * samples, -1, -1, -1), y)
    q_z = model.z_posterior(q, p_z)
    z = torch.where(prior[:, None, None], sample(p_z, generator), sample(q_z, generator))
    joint = (p_y.log_prob(y) + p_z.log_prob(z))[:, 0]
    posterior = torch.logsumexp(slots.log_prob(y), 1) - math.log(T) + q_z.log_prob(z)[:, 0]
    proposal = torch.logaddexp(joint, posterior) - math.log(2)
    log_w = (model.decode(z).log_prob(cues)[:, 0] + joint - proposal).view(n, samples)
    w = log_w.exp()
    return log_w.logsumexp(1) - math.log(samples), w.std(1) / w.mean(1) / math.sqrt(samples)


@torch.no_grad()
def violations(objective, kind, episodes_tested=4, draws=200, trained_on=None):
    """Names of the checks that the model trained on `objective`, or another, scored by `objective`, fails."""
    model, generator = trained(trained_on or objective, kind), seeded(11)
    x = episodes(episodes_tested, generator)
    memory = model.write(x)
    totals = objective(model, x.repeat(draws, 1, 1, 1, 1), generator).total.unflatten(0, (draws, -1))  # [draws, B, T]
    found = set()
    for b in range(episodes_tested):
        exact, error = log_p(model, memory[b : b + 1], ALL, 1500, generator)
        p = exact.exp()
        if abs(p.sum() - 1) > 5 * (p * error).square().sum().sqrt():
            found.add("sum")
        own = [int((ALL == image).flatten(1).all(1).nonzero()) for image in x[b]]
        spread = (totals[:, b].var(0) / draws + error[own] ** 2).sqrt()
        if torch.any(totals[:, b].mean(0) < -exact[own] - 4 * spread):
            found.add("exact")
    many = torch.cat([objective(model, episodes(64, generator), generator).total for _ in range(12)])
    if many.mean() < math.log(T) - 4 * many.mean(1).std() / math.sqrt(len(many)):
        found.add("ln T")
    return found


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_model_memorises(kind):
    """Else the checks below would be easy: it has to beat ln 16, the best without a memory."""
    assert memorised(trained(honest, kind))


@pytest.mark.parametrize("kind", CONFIGS)
def test_our_bound_passes_every_check(kind):
    assert violations(honest, kind) == set()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_key_looked_up_in_the_memory_leaves_it_a_bound(kind):
    assert violations(looked_up, kind, trained_on=honest) == set()


def test_a_key_that_costs_less_than_its_cell_is_rejected():
    """Keys charged for two cells side by side, and read in their own: no training is needed to gain by it."""

    def wide(model, x, generator):
        q = model.encode(x)
        cell, across = q.q_y.base_dist, torch.tensor([0.0, math.inf, 0.0])
        charged = q._replace(q_y=cut_normal(cell.low - across, cell.high + across, 2))
        return terms(model, x, charged, model.write(x, q), generator, y=sample(q.q_y, generator))

    assert "ln T" in violations(wide, "cells", trained_on=honest)


MUTANTS = [("slots", m) for m in (half_sigma, mean_decoding, kl_over_t, written_with_the_sample)]
MUTANTS += [("allocated", m) for m in (half_sigma, mean_decoding, written_with_the_sample)]


@pytest.mark.parametrize(("kind", "mutant"), MUTANTS)
def test_mutants_are_rejected(kind, mutant):
    assert violations(mutant, kind) & {"exact", "ln T"}
