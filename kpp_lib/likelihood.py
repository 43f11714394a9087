"""p(x|z): what the decoder's output means. Bernoulli for binary images (section 4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent

from .bound import full


def bernoulli(logits: Tensor) -> Independent:
    """Independent Bernoulli pixels for logits [B, T, C, H, W]; `log_prob` is in nats per image."""
    return Independent(
        Bernoulli(logits=full(logits), validate_args=False), 3
    )  # `check_binary` says it better, and once


def check_binary(x: Tensor) -> None:
    """ValueError unless every pixel is 0 or 1. Grey targets would add their own entropy to a Bernoulli 'likelihood'."""
    if not torch.all((x == 0) | (x == 1)):
        raise ValueError(
            f"x: got values in [{x.min():.3g}, {x.max():.3g}] that are not all 0 or 1, expected binary images; "
            "load the data with binarize='fixed', 'dynamic' or 'threshold'"
        )
