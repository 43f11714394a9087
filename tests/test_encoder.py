"""Temporal shift by hand, and the encoder against torchvision's ResNet-18."""

import pytest
import torch
from torchvision.models import resnet18

from kpp_lib import Config
from kpp_lib.data.episodes import seeded
from kpp_lib.encoder import Encoder, TemporalShift, last_side, temporal_shift


def test_shift_moves_an_eighth_each_way():
    x = torch.arange(2 * 3 * 16, dtype=torch.float32).view(6, 16, 1, 1) + 1  # B = 2, T = 3
    out = temporal_shift(x, 3).view(2, 3, 16)
    x = x.view(2, 3, 16)
    assert torch.equal(out[:, :2, :2], x[:, 1:, :2]) and torch.all(out[:, 2, :2] == 0)  # from t + 1
    assert torch.equal(out[:, 1:, 2:4], x[:, :2, 2:4]) and torch.all(out[:, 0, 2:4] == 0)  # from t - 1
    assert torch.equal(out[:, :, 4:], x[:, :, 4:])


def test_shift_can_wrap():
    x = torch.randn(3, 16, 2, 2, generator=seeded(0))
    out = temporal_shift(x, 3, wrap=True)
    assert torch.equal(out[:, :2], x[[1, 2, 0], :2]) and torch.equal(out[:, 2:4], x[[2, 0, 1], 2:4])


def test_an_episode_of_one_is_left_alone():
    x = torch.randn(4, 16, 2, 2, generator=seeded(0))
    assert torch.equal(temporal_shift(x, 1), x)


def test_shift_wants_whole_episodes():
    with pytest.raises(ValueError, match="length: got 3 for 4 images"):
        temporal_shift(torch.zeros(4, 16, 2, 2), 3)


def test_paper_widths_are_torchvisions_resnet18():
    net = Encoder(Config.preset("paper", "paper", channels=3), shifted=False).net
    ours = {k: v.shape for k, v in net.state_dict().items() if not k.startswith("fc.")}
    theirs = {k: v.shape for k, v in resnet18(weights=None).state_dict().items() if not k.startswith("fc.")}
    assert ours == theirs
    theirs_net = resnet18(weights=None).eval()
    theirs_net.load_state_dict(
        net.state_dict() | {k: v for k, v in theirs_net.state_dict().items() if k.startswith("fc.")}
    )
    net.fc, theirs_net.fc = torch.nn.Identity(), torch.nn.Identity()
    x = torch.randn(2, 3, 64, 64, generator=seeded(1))
    torch.testing.assert_close(net.eval()(x), theirs_net(x))


def test_shift_stands_in_all_eight_residual_branches():
    encoder = Encoder(Config.preset("tiny", "paper"), shifted=True)
    places = [name for name, m in encoder.named_modules() if isinstance(m, TemporalShift)]
    assert places == [f"net.layer{i}.{j}.conv1.0" for i in (1, 2, 3, 4) for j in (0, 1)]


@pytest.mark.parametrize("shifted", [False, True])
def test_neighbours_reach_an_embedding_only_through_the_shift(shifted):
    encoder = Encoder(Config.preset("tiny", "paper"), shifted).eval()
    x = torch.rand(1, 4, 1, 28, 28, generator=seeded(2))
    other = x.clone()
    other[:, 1] = 1 - other[:, 1]
    e, e_other = encoder(x), encoder(other)
    assert e.shape == (1, 4, 32)
    assert torch.allclose(e[:, 0], e_other[:, 0], atol=1e-6) is not shifted


def test_every_weight_gets_a_gradient():
    encoder = Encoder(Config.preset("tiny", "paper"), shifted=True)
    encoder(torch.rand(2, 4, 1, 28, 28, generator=seeded(3))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize(
    ("stem", "size", "side"), [("small", 28, 2), ("imagenet", 28, 1), ("small", 2, 1), ("small", 64, 4)]
)
def test_flattened_features_keep_every_pixel_of_the_last_maps(stem, size, side):
    config = Config.preset("tiny", "paper", stem=stem, image_size=size, features="flatten")
    assert last_side(config) == side
    encoder = Encoder(config, shifted=False)
    assert encoder.net.fc.in_features == config.widths[3] * side**2
    assert encoder(torch.rand(1, 2, 1, size, size)).shape == (1, 2, config.embed)
