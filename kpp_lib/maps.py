"""Spatial latents: z as maps [C, h, w], from the encoder's maps to the decoder's, without a dense layer between. Ours.

The paper leaves the size of z open. A dense layer of 64 numbers between maps is the narrowest place of its model: it
limits what can be reconstructed at all. Everywhere else z is one row of L = C h w numbers; only the nets here fold it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .bound import exact, full
from .config import Config
from .decoder import Decoder, vector_decoder
from .encoder import map_width
from .layers import Residual, doubling
from .likelihood import likelihood_of, scores_bits
from .memory import PlacedWriter, PooledWriter, PriorNet, place_unchecked


def resized(maps: Tensor, side: int) -> Tensor:
    """Maps [N, C, h, w] at another side, bilinear."""
    return maps if maps.shape[-1] == side else F.interpolate(maps, size=(side, side), mode="bilinear")


class MapWriter(nn.Module):
    """Each image's own K blocks, at its key means, by the inverse of the read.

    maps [B, T, W, h, w], window [B, T, K, 3] -> [B, C, S, S].
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, width = config, map_width(config)
        self.side = config.write_size or config.block_size
        self.body = nn.Sequential(Residual(width), nn.Conv2d(width, width, 3, padding=1))
        self.blocks = nn.Conv2d(width, config.reads * config.memory_channels, 1)

    def forward(self, maps: Tensor, window: Tensor) -> Tensor:
        c = self.config
        blocks = full(self.blocks(resized(self.body(maps.flatten(0, 1)), self.side)))  # [B*T, K*C, g, g]
        blocks = blocks.view(*maps.shape[:2], c.reads, c.memory_channels, self.side, self.side)
        with exact(maps.device):
            return place_unchecked(blocks, window, c.memory_size, c.place_floor)


class MapPrior(nn.Module):
    """p(Z | M_hat, Y) of maps: blocks [B, T, K, C, g, g] -> mean and log-variance, [B, T, L] each."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        (near, far), self.side = config.map_widths, config.latent_side
        blocks = nn.Conv2d(config.reads * config.memory_channels, near, 3, padding=1)
        self.near = nn.Sequential(blocks, Residual(near), Residual(near))  # at the side of the blocks
        self.far = nn.Sequential(nn.Conv2d(near, far, 1), Residual(far), Residual(far))  # at the side of z
        self.head = nn.Conv2d(far, 2 * config.latent_channels, 1)

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        b, t = blocks.shape[:2]
        maps = self.far(resized(self.near(blocks.flatten(0, 1).flatten(1, 2)), self.side))
        with exact(blocks.device):
            mean, log_var = self.head(full(maps)).flatten(1).view(b, t, -1).chunk(2, dim=-1)
        return mean, log_var


def map_decoder(config: Config) -> nn.Module:
    """From z as maps, folded out of [N, L], to the outputs of each pixel, [N, outputs, H, W]."""
    near, far = config.map_widths
    half, size = (config.image_size + 1) // 2, config.image_size
    outputs, last = likelihood_of(config).outputs, 8 if scores_bits(config) else near
    given = (2 if config.decoder_sees == "z_and_blocks" else 1) * config.latent_channels
    return nn.Sequential(
        nn.Unflatten(1, (given, config.latent_side, config.latent_side)),
        nn.Conv2d(given, far, 1),  # at a quarter of the image's side
        Residual(far),
        Residual(far),
        doubling(far, near, odd=half % 2 == 1),  # at a half of it
        Residual(near),
        doubling(near, last, odd=size % 2 == 1),
        nn.ReLU(),
        nn.Conv2d(last, outputs, 3, padding=1),
    )


def make_writer(config: Config) -> nn.Module:
    """f_mem of `config.write`: "pooled" from embeddings; "placed" from the encoder's maps where z is maps, else from
    embeddings."""
    if config.write == "pooled":
        return PooledWriter(config)
    return (MapWriter if config.latents == "maps" else PlacedWriter)(config)


def make_prior_net(config: Config) -> nn.Module:
    """The net of p(Z | M_hat, Y) for the latents of `config`."""
    return (MapPrior if config.latents == "maps" else PriorNet)(config)


def make_decoder(config: Config) -> nn.Module:
    """The net of p(X | Z), or p(X | Z, M, Y), for the latents of `config`."""
    body = (map_decoder if config.latents == "maps" else vector_decoder)(config)
    blocks = make_prior_net(config) if config.decoder_sees == "z_and_blocks" else None
    return Decoder(body, likelihood_of(config), blocks)
