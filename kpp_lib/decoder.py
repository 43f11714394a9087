"""p(X|Z): a conv-transpose network with EvoNorm-S0 between layers (Appendix E).

The decoder sees z alone. Equation 4 writes p(X|Z, M, Y) and section 3.4 sends the blocks to the decoder, but Figures 4
and 5 route them through the prior into z; we follow the figures, so the memory can help only through p(Z|M_hat, Y).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Independent

from .config import Config
from .layers import UpStack
from .likelihood import bernoulli


class Decoder(nn.Module):
    """z [B, T, L] -> p(x_t|z_t), batch shape [B, T], event shape [C, H, W]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.up = UpStack(config.latent, config.decoder_base, config.channels, config.image_size)

    def forward(self, z: Tensor) -> Independent:
        logits = self.up(z.flatten(0, 1))  # [B*T, C, H, W]
        return bernoulli(logits.unflatten(0, z.shape[:2]))
