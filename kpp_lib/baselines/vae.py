"""A memory-free VAE with the encoder, decoder and latent size of the memory models: what a memory is worth.

Its posterior sees x_t alone and its prior is N(0, I), so its bound is on the unconditional ln p(x).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent, kl_divergence

from ..bound import Bound, epsilon, exact, full, gaussian, sample, standard_normal
from ..config import Config
from ..decoder import Decoder
from ..draws import Share
from ..encoder import Encoder
from ..inputs import check_count, check_generator, check_kind, check_tensor
from ..layers import dense
from ..model import images_of

Noise = torch.Generator | Share | tuple[Tensor] | None


class VAE(nn.Module):
    """Recipe `vae`. Takes episodes [B, T, C, H, W] like the rest, and treats each image by itself.

    Public methods raise ValueError, naming the argument, as those of `KanervaPlusPlus` do; `forward` checks no values.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = check_kind("config", config, Config, "a Config, such as Config.preset('tiny', 'vae')")
        self.encoder = Encoder(config, shifted=False)
        self.posterior_net = dense(
            config.embed, 2 * config.latent, config.dense_width, config.dense_layers, config.spectral_norm
        )
        self.decoder = Decoder(config)

    def infer(self, x: Tensor) -> Independent:
        """q(z_t|x_t), event [L]; x [B, T, C, H, W], binary or grey."""
        return self._infer(images_of(self, "x", x, grey=True))

    def _infer(self, x: Tensor) -> Independent:
        e = full(self.encoder(x))
        with exact(x.device):
            mean, log_var = self.posterior_net(e).chunk(2, dim=-1)
        return gaussian(mean, log_var, self.config.log_var_range)

    def forward(self, x: Tensor, generator: Noise = None, cue: Tensor | None = None) -> Bound:
        """`bound` without its checks: the training step, and the name that DistributedDataParallel wraps."""
        return self._bound(x, generator, cue)

    def noise(self, x: Tensor, generator: torch.Generator | Share | None = None) -> tuple[Tensor]:
        """Epsilon of one sample of z for x, [B, T, L], as `KanervaPlusPlus.noise` has it."""
        return (epsilon((*x.shape[:2], self.config.latent), next(self.parameters()), generator),)

    def bound(self, x: Tensor, generator: torch.Generator | None = None, cue: Tensor | None = None) -> Bound:
        """-ELBO in its terms, [B, T], nats per image; kl_y is zero, there are no keys.

        x [B, T, C, H, W], binary. cue: what q sees in place of x, of its shape; it may be grey.
        """
        x = images_of(self, "x", x)
        cue = None if cue is None else images_of(self, "cue", cue, grey=True, like=x)
        check_generator("generator", generator)
        return self._bound(x, generator, cue)

    def _bound(self, x: Tensor, generator: Noise, cue: Tensor | None) -> Bound:
        q_z = self._infer(x if cue is None else cue)
        z = sample(q_z, generator[0] if isinstance(generator, tuple) else generator)
        recon = -self.decoder(z).log_prob(x)
        return Bound(
            recon, kl_divergence(q_z, standard_normal(tuple(q_z.mean.shape), 1, q_z.mean)), torch.zeros_like(recon)
        )

    @torch.no_grad()
    def iterate(self, x: Tensor, steps: int = 10) -> Tensor:
        """Encode and decode the last picture at the means, again and again: what cleaning up is without a memory.

        x [B, T, C, H, W], noisy or not, grey or not -> [steps + 1, B, T, C, H, W], the input first.
        """
        pictures = [images_of(self, "x", x, grey=True)]
        for _ in range(check_count("steps", steps)):
            pictures.append(self.decoder(self._infer(pictures[-1]).mean).mean)
        return torch.stack(pictures)

    def p_z(self, like: Tensor) -> Independent:
        """p(z) = N(0, I) of the shape of `like`, event [L]."""
        like = check_tensor("like", like, ("B", "T", self.config.latent))
        return standard_normal(tuple(like.shape), 1, like)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decoded means [B, T, C, H, W] of z ~ q(z|x)."""
        check_generator("generator", generator)
        return self.decoder(sample(self.infer(x), generator)).mean

    @torch.no_grad()
    def generate(self, n: int = 16, generator: torch.Generator | None = None) -> Tensor:
        """n decoded means of z ~ N(0, I): [1, n, C, H, W]."""
        like, n = next(self.parameters()), check_count("n", n)
        check_generator("generator", generator)
        return self.decoder(sample(standard_normal((1, n, self.config.latent), 1, like), generator)).mean
