"""A memory-free VAE with the encoder, decoder and latent size of the memory models: what a memory is worth.

Its posterior sees x_t alone and its prior is N(0, I), so its bound is on the unconditional ln p(x).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Independent, kl_divergence

from ..bound import Bound, epsilon, product, sample, standard_normal
from ..config import Config
from ..doors import images_of
from ..draws import Share
from ..encoder import make_encoder
from ..inputs import check_count, check_generator, check_kind, check_tensor
from ..maps import make_decoder
from ..posterior import infer_z, posterior_net

Noise = torch.Generator | Share | tuple[Tensor] | None


class VAE(nn.Module):
    """Recipe `vae`. Takes episodes [B, T, C, H, W] like the rest, and treats each image by itself.

    Public methods raise ValueError, naming the argument, as those of `KanervaPlusPlus` do; `forward` checks no values.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = check_kind("config", config, Config, "a Config, such as Config.preset('tiny', 'vae')")
        self.encoder = make_encoder(config, shifted=False)
        self.posterior_net = posterior_net(config)
        self.decoder = make_decoder(config)
        self.to(memory_format=torch.channels_last)  # in which convolutions are fast

    def infer(self, x: Tensor) -> Independent:
        """q(z_t|x_t), event [L]; x [B, T, C, H, W], binary or grey."""
        return self._infer(images_of(self, "x", x, grey=True))

    def _infer(self, x: Tensor) -> Independent:
        q_z = infer_z(self.posterior_net, self.encoder.see(x), self.config)
        return product(q_z, self._p_z(q_z.mean)) if self.config.posterior == "with_prior" else q_z

    def forward(self, x: Tensor, generator: Noise = None, cue: Tensor | None = None) -> Bound:
        """`bound` without its checks: the training step, and the name that DistributedDataParallel wraps."""
        return self._bound(x, generator, cue)

    def noise(self, x: Tensor, generator: torch.Generator | Share | None = None) -> tuple[Tensor]:
        """Epsilon of one sample of z for x, [B, T, L], as `KanervaPlusPlus.noise` has it."""
        return (epsilon((*x.shape[:2], self.config.z_size), next(self.parameters()), generator),)

    def bound(self, x: Tensor, generator: torch.Generator | None = None, cue: Tensor | None = None) -> Bound:
        """-ELBO in its terms, [B, T], nats per image; kl_y is zero, there are no keys.

        x [B, T, C, H, W], as the likelihood scores them. cue: what q sees in place of x, of its shape; any grey.
        """
        x = images_of(self, "x", x)
        cue = None if cue is None else images_of(self, "cue", cue, grey=True, like=x)
        check_generator("generator", generator)
        return self._bound(x, generator, cue)

    def _bound(self, x: Tensor, generator: Noise, cue: Tensor | None) -> Bound:
        q_z = self._infer(x if cue is None else cue)
        z = sample(q_z, generator[0] if isinstance(generator, tuple) else generator)
        recon = -self.decoder(z).log_prob(x)
        return Bound(recon, kl_divergence(q_z, self._p_z(q_z.mean)), torch.zeros_like(recon))

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
        like = check_tensor("like", like, ("B", "T", self.config.z_size))
        return self._p_z(like)

    def _p_z(self, like: Tensor) -> Independent:
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
        return self.decoder(sample(standard_normal((1, n, self.config.z_size), 1, like), generator)).mean
