"""p(X|Z): a conv-transpose network with EvoNorm-S0 between layers (Appendix E).

The decoder sees z alone. Equation 4 writes p(X|Z, M, Y) and section 3.4 sends the blocks to the decoder, but Figures 4
and 5 route them through the prior into z; we follow the figures, so the memory can help only through p(Z|M_hat, Y).
With decoder_sees="z_and_blocks" it sees both, as the equation has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .config import Config
from .layers import UpStack
from .likelihood import Likelihood, likelihood_of


class Decoder(nn.Module):
    """z [B, T, L] -> p(x_t|z_t), batch shape [B, T], event shape [C, H, W].

    body: from [N, L] to what p_x takes, [N, outputs, H, W]. blocks: a net from blocks [B, T, K, C, g, g] to as many
    numbers as z has, which stand beside z; None: the decoder sees z alone.
    """

    def __init__(self, body: nn.Module, p_x: Likelihood, blocks: nn.Module | None = None) -> None:
        super().__init__()
        self.up, self.p_x, self.blocks = body, p_x, blocks

    def forward(self, z: Tensor, blocks: Tensor | None = None) -> Distribution:
        if self.blocks is not None:
            z = torch.cat([z, self.blocks(blocks)[0]], dim=-1)  # [B, T, 2L]
        return self.p_x(self.up(z.flatten(0, 1)).unflatten(0, z.shape[:2]))


def vector_decoder(config: Config) -> nn.Module:
    """From z as a vector to the outputs of each pixel."""
    given = 2 if config.decoder_sees == "z_and_blocks" else 1
    return UpStack(given * config.latent, config.decoder_base, likelihood_of(config).outputs, config.image_size)
