"""What the encoder infers from an episode: q(Z|X) and q(Y|X), and the net from what was seen to z (section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Independent

from .bound import exact, full, gaussian, regroup, rows
from .config import Config
from .encoder import Seen, map_width
from .layers import dense


class Posterior(NamedTuple):
    """What the encoder infers from an episode."""

    e: Tensor | None  # [B, T, F]
    q_z: Independent  # what the image says of z, event [L]: q(Z|X), or its factor of q(Z|X, Y, M); see `z_posterior`
    q_y: Independent  # q(Y|X), event [K, 3]: where to read
    place: Tensor  # [B, T, K, 3]: the key means that a placed write uses; those of q_y but for keys that are looked up
    maps: Tensor | None = None  # [B, T, W, h, w], where spatial latents take them
    code: Tensor | None = None  # [B, T, 2], what decides where the image is written; keys="allocated"

    def rows(self, which: slice | Tensor) -> Posterior:
        """That of some of the episodes."""
        e, maps, code = (None if v is None else v[which] for v in (self.e, self.maps, self.code))
        return Posterior(e, rows(self.q_z, which), rows(self.q_y, which), self.place[which], maps, code)

    def regroup(self, b: int, t: int) -> Posterior:
        """That of the same images as b episodes of t."""
        given = (self.e, self.place, self.maps, self.code)
        e, place, maps, code = (None if v is None else v.reshape(b, t, *v.shape[2:]) for v in given)
        return Posterior(e, regroup(self.q_z, b, t), regroup(self.q_y, b, t), place, maps, code)


def posterior_net(config: Config) -> nn.Module:
    """The net from what was seen to mean and log-variance of z: dense on e, or one 1x1 convolution on the maps."""
    if config.latents == "maps":
        return nn.Conv2d(map_width(config), 2 * config.latent_channels, 1)
    return dense(config.embed, 2 * config.latent, config.dense_width, config.dense_layers, config.spectral_norm)


def infer_z(net: nn.Module, seen: Seen, config: Config) -> Independent:
    """q(Z|X), event [L], from what an encoder saw and `posterior_net(config)`."""
    if config.latents == "maps":
        with exact(seen.maps.device):
            moments = net(full(seen.maps.flatten(0, 1))).flatten(1).unflatten(0, seen.maps.shape[:2])
    else:
        with exact(seen.e.device):
            moments = net(seen.e)
    mean, log_var = moments.chunk(2, dim=-1)
    return gaussian(mean, log_var, config.log_var_range)
