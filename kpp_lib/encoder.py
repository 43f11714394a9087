"""f_enc: torchvision's ResNet-18 with a temporal shift over the episode (section 3.3, Appendix E; Lin et al., 2019)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .bound import full
from .config import Config
from .layers import Residual


def temporal_shift(x: Tensor, length: int, div: int = 8, wrap: bool = False) -> Tensor:
    """Move 1/div of the channels one image back and 1/div one image on along the episode.

    x: [B*T, C, H, W], T = `length`. Channels [0, C/div) take the value of image t+1, [C/div, 2C/div) of t-1, the rest
    stay. The ends are zeros, or the other end with `wrap`. An episode of one image has no neighbours and is left as it
    is: shifting would only blank a quarter of its channels.
    """
    if length == 1:
        return x
    if x.shape[0] % length:
        raise ValueError(f"length: got {length} for {x.shape[0]} images, expected a divisor of their number")
    n = x.shape[1] // div
    ahead, behind = _neighbour(x[:, :n], length, 1, wrap), _neighbour(x[:, n : 2 * n], length, -1, wrap)
    return torch.cat([ahead, behind, x[:, 2 * n :]], dim=1)


def _neighbour(x: Tensor, length: int, step: int, wrap: bool) -> Tensor:
    """For each image of x [B*T, C, H, W] the one `step` = 1 or -1 places on in its episode; past an end, see `wrap`.

    In four dimensions throughout: maps in channels_last stay so.
    """
    index = torch.arange(x.shape[0], device=x.device)
    place = index % length + step
    if wrap:
        return x.index_select(0, index - index % length + place % length)
    inside = (place >= 0) & (place < length)
    return torch.where(inside.view(-1, 1, 1, 1), torch.cat([x[step:], x[:step]]), 0.0)


class TemporalShift(nn.Module):
    """`temporal_shift` as a module; T of the episodes comes with the maps."""

    def __init__(self, div: int, wrap: bool) -> None:
        super().__init__()
        self.div, self.wrap = div, wrap

    def forward(self, x: Tensor, length: int) -> Tensor:
        return temporal_shift(x, length, self.div, self.wrap)


class Seen(NamedTuple):
    """What an encoder makes of episodes; what nothing of the model looks at is None."""

    e: Tensor | None  # [B, T, F]
    maps: Tensor | None  # [B, T, W, h, w], at the side of spatial latents


class Encoder(nn.Module):
    """TSM-ResNet18: [B, T, C, H, W] -> e [B, T, F].

    With `shifted`, a temporal shift stands before conv1 in all eight residual branches; the skip paths are not shifted.
    Grey images enter one channel wide. The paper's widths are (64, 128, 256, 512) and its stem is ImageNet's. Spatial
    latents take the maps of the stage at their side; stages that nothing looks at are left out.
    """

    def __init__(self, config: Config, shifted: bool) -> None:
        super().__init__()
        self.net = _resnet18(config)
        self.taken = map_stage(config) if config.latents == "maps" else None
        self.stages = 4 if config.embeds else self.taken + 1
        for stage in range(self.stages, 4):
            delattr(self.net, f"layer{stage + 1}")
        if not config.embeds:
            del self.net.fc
        if shifted:
            for block in (block for stage in self._stages() for block in stage):
                block.conv1 = nn.Sequential(TemporalShift(config.shift_div, config.shift_wrap), block.conv1)

    def _stages(self) -> list[nn.Module]:
        return [getattr(self.net, f"layer{i + 1}") for i in range(self.stages)]

    def forward(self, x: Tensor) -> Tensor:
        return self.see(x).e

    def see(self, x: Tensor) -> Seen:
        """Embeddings and maps of the episodes x [B, T, C, H, W]."""
        (b, t), net, taken = x.shape[:2], self.net, None
        maps = net.maxpool(net.relu(net.bn1(net.conv1(x.flatten(0, 1)))))  # [B*T, C, H, W], as torchvision's forward
        for i, stage in enumerate(self._stages()):
            for block in stage:
                maps = _residual(block, maps, t)
            taken = maps.unflatten(0, (b, t)) if i == self.taken else taken
        e = full(net.fc(net.avgpool(maps).flatten(1))).view(b, t, -1) if hasattr(net, "fc") else None  # [B, T, F]
        return Seen(e, taken)


class SmallEncoder(nn.Module):
    """Two strided convolutions, three residual blocks: [B, T, C, H, W] -> maps at a quarter of the side, and e. Ours.

    Each image by itself: there is no temporal shift.
    """

    def __init__(self, config: Config, shifted: bool) -> None:
        super().__init__()
        near, far = config.map_widths
        half, self.config = (config.image_size + 1) // 2, config
        self.net = nn.Sequential(
            _halving(config.channels, near, odd=config.image_size % 2 == 1),
            Residual(near),
            _halving(near, far, odd=half % 2 == 1),
            Residual(far),
            Residual(far),
        )
        self.fc = nn.Linear(far * config.latent_side**2, config.embed) if config.embeds else None

    def forward(self, x: Tensor) -> Tensor:
        return self.see(x).e

    def see(self, x: Tensor) -> Seen:
        """Embeddings and maps of the episodes x [B, T, C, H, W]."""
        maps = self.net(x.flatten(0, 1))
        e = None if self.fc is None else full(self.fc(maps.flatten(1))).unflatten(0, x.shape[:2])
        return Seen(e, maps.unflatten(0, x.shape[:2]))


def make_encoder(config: Config, shifted: bool) -> nn.Module:
    """The encoder of `config.trunk`."""
    return (SmallEncoder if config.trunk == "small" else Encoder)(config, shifted)


def _residual(block: nn.Module, x: Tensor, length: int) -> Tensor:
    """torchvision's BasicBlock, with T for the temporal shift before its first convolution, where there is one."""
    if isinstance(block.conv1, nn.Sequential):
        shift, conv1 = block.conv1
        out = conv1(shift(x, length))
    else:
        out = block.conv1(x)
    out = block.bn2(block.conv2(block.relu(block.bn1(out))))
    return block.relu(out + (x if block.downsample is None else block.downsample(x)))


def _resnet18(config: Config) -> nn.Module:
    from torchvision.models import resnet18  # here and below: importing torchvision takes as long as importing torch

    net = resnet18(weights=None)
    widths = config.widths
    kernel, padding = (7, 3) if config.stem == "imagenet" else (3, 1)
    net.conv1 = nn.Conv2d(config.channels, widths[0], kernel, stride=2, padding=padding, bias=False)
    net.bn1 = nn.BatchNorm2d(widths[0])
    if config.stem == "small":
        net.maxpool = nn.Identity()
    net.layer1, net.layer2, net.layer3, net.layer4 = (
        _stage(widths[max(0, i - 1)], width, stride=1 if i == 0 else 2) for i, width in enumerate(widths)
    )
    pixels = 1
    if config.features == "flatten":
        net.avgpool, pixels = nn.Identity(), last_side(config) ** 2
    net.fc = nn.Linear(widths[3] * pixels, config.embed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):  # torchvision's own initialisation
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def stage_sides(config: Config) -> list[int]:
    """Side in pixels of each stage's maps: the stem halves once or twice, stages 2 to 4 once each, rounding up."""
    sides, side = [], config.image_size
    for _ in range(5 if config.stem == "imagenet" else 4):
        side = (side + 1) // 2
        sides.append(side)
    return sides[-4:]


def last_side(config: Config) -> int:
    """Side in pixels of the last stage's maps."""
    return stage_sides(config)[-1]


def map_stage(config: Config) -> int:
    """The last stage of the ResNet, from 0, whose maps have the side of spatial latents."""
    sides = stage_sides(config)
    return len(sides) - 1 - sides[::-1].index(config.latent_side)


def map_width(config: Config) -> int:
    """Channels of the encoder's maps at the side of spatial latents."""
    return config.map_widths[1] if config.trunk == "small" else config.widths[map_stage(config)]


def _halving(inputs: int, outputs: int, odd: bool) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3 if odd else 4, stride=2, padding=1)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock

    skip = None
    if stride != 1 or inputs != outputs:
        skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(BasicBlock(inputs, outputs, stride, skip), BasicBlock(outputs, outputs))
