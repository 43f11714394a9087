"""EvoNorm-S0 against timm's, conv-transpose stacks, dense nets."""

import pytest
import torch
from timm.layers import EvoNorm2dS0
from torch import nn

from kpp_lib.data.episodes import seeded
from kpp_lib.layers import EvoNormS0, UpStack, dense, up_sides


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (16, 8), (48, 24), (6, 3)])
def test_evonorm_s0_is_timms(channels, groups):
    ours, theirs = EvoNormS0(channels), EvoNorm2dS0(channels, groups=groups)
    g = seeded(0)
    for name in ("v", "weight", "bias"):
        value = torch.randn(channels, generator=g)
        getattr(ours, name).data.copy_(value)
        getattr(theirs, name).data.copy_(value)
    x = torch.randn(3, channels, 5, 5, generator=g)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("size", "sides"), [(28, [4, 7, 14, 28]), (64, [4, 8, 16, 32, 64]), (2, [2]), (7, [4, 7])])
def test_up_stack_reaches_its_size(size, sides):
    assert up_sides(size) == sides
    assert UpStack(5, 16, 3, size)(torch.randn(2, 5)).shape == (2, 3, size, size)


def test_dense_is_three_layers_with_spectral_norm_on_the_hidden_ones():
    net = dense(10, 4, 512, 3, spectral=True)
    linear = [m for m in net if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(512, 10), (512, 512), (4, 512)]
    assert [hasattr(m, "parametrizations") for m in linear] == [True, True, False]
    for _ in range(50):  # power iterations, in train mode
        net(torch.randn(8, 10))
    for layer in linear[:2]:
        assert torch.linalg.matrix_norm(layer.weight.detach(), 2).item() == pytest.approx(1, abs=0.05)
