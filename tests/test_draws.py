"""Draws: on the generator's device; the shares of several processes are together the draw of one."""

import pytest
import torch

from kpp_lib import seeded
from kpp_lib.bound import sample, standard_normal
from kpp_lib.data.noise import noisy_cue
from kpp_lib.draws import Share, draw


def shares(size, *numbers):
    return [Share(seeded(*numbers), rank, size) for rank in range(size)]


@pytest.mark.parametrize("law", [torch.rand, torch.randn])
@pytest.mark.parametrize("size", [2, 4])
def test_the_shares_together_are_the_whole_draw(law, size):
    whole = law(8, 3, 5, generator=seeded(1, 2))
    parts = [draw(law, (8 // size, 3, 5), share) for share in shares(size, 1, 2)]
    assert torch.equal(torch.cat(parts), whole)


def test_one_draw_after_another_too():
    """As in a step: which bits of the cue are flipped, then y, then z."""

    def step(x, generator):
        cue = noisy_cue(x, 0.3, generator)
        y, z = (sample(standard_normal((len(x), 4, n), 1, x), generator) for n in (6, 8))
        return cue, y, z

    x = torch.bernoulli(torch.full((4, 4, 1, 9, 9), 0.3), generator=seeded(5))
    whole = step(x, seeded(3))
    parts = [step(x[2 * g.rank :][:2], g) for g in shares(2, 3)]
    for one, two in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(two), one)


def test_a_plain_generator_draws_as_torch_does_and_none_takes_the_global_one():
    assert torch.equal(draw(torch.rand, (3, 4), seeded(1)), torch.rand(3, 4, generator=seeded(1)))
    torch.manual_seed(0)
    first = draw(torch.randn, (3, 4), dtype=torch.float64)
    torch.manual_seed(0)
    assert torch.equal(first, torch.randn(3, 4, dtype=torch.float64))


def test_torch_takes_no_share_by_mistake():
    """What draws without `draw` would draw the rows of process 0 everywhere: it has to fail instead."""
    with pytest.raises(TypeError):
        torch.rand(3, generator=Share(seeded(1), 1, 2))
