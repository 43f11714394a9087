"""A memory-free VAE with the encoder, decoder and latent size of the memory models: what a memory is worth.

Its posterior sees x_t alone and its prior is N(0, I), so its bound is on the unconditional ln p(x).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent, kl_divergence

from ..bound import Bound, gaussian, sample, standard_normal
from ..config import Config
from ..decoder import Decoder
from ..encoder import Encoder
from ..layers import dense
from ..likelihood import check_binary
from ..model import at_least_one, check_images


class VAE(nn.Module):
    """Recipe `vae`. Takes episodes [B, T, C, H, W] like the rest, and treats each image by itself."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, shifted=False)
        self.posterior_net = dense(
            config.embed, 2 * config.latent, config.dense_width, config.dense_layers, config.spectral_norm
        )
        self.decoder = Decoder(config)

    def infer(self, x: Tensor) -> Independent:
        """q(z_t|x_t), event [L]."""
        check_images(x, self.config)
        mean, log_var = self.posterior_net(self.encoder(x)).chunk(2, dim=-1)
        return gaussian(mean, log_var, self.config.log_var_range)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, cue: Tensor | None = None) -> Bound:
        """`bound`; the name that DistributedDataParallel wraps."""
        return self.bound(x, generator, cue)

    def bound(self, x: Tensor, generator: torch.Generator | None = None, cue: Tensor | None = None) -> Bound:
        """-ELBO in its terms, [B, T], nats per image; kl_y is zero, there are no keys. cue: what q sees in place of
        x.
        """
        check_binary(x)
        q_z = self.infer(x if cue is None else cue)
        recon = -self.decoder(sample(q_z, generator)).log_prob(x)
        return Bound(recon, kl_divergence(q_z, self.p_z(q_z.mean)), torch.zeros_like(recon))

    @torch.no_grad()
    def iterate(self, x: Tensor, steps: int = 10) -> Tensor:
        """Encode and decode the last picture at the means, again and again: what cleaning up is without a memory.

        x [B, T, C, H, W], noisy or not -> [steps + 1, B, T, C, H, W], the input first. Raises
        ValueError for less than one step.
        """
        pictures = [x]
        for _ in range(at_least_one("steps", steps)):
            pictures.append(self.decoder(self.infer(pictures[-1]).mean).mean)
        return torch.stack(pictures)

    def p_z(self, like: Tensor) -> Independent:
        """p(z) = N(0, I) of the shape of `like`, event [L]."""
        return standard_normal(tuple(like.shape), 1, like)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decoded means [B, T, C, H, W] of z ~ q(z|x)."""
        return self.decoder(sample(self.infer(x), generator)).mean

    @torch.no_grad()
    def generate(self, n: int = 16, generator: torch.Generator | None = None) -> Tensor:
        """n decoded means of z ~ N(0, I): [1, n, C, H, W]."""
        like = next(self.parameters())
        return self.decoder(sample(standard_normal((1, n, self.config.latent), 1, like), generator)).mean
