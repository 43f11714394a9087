"""What a `Config` describes: Kanerva++, or the memory-free VAE beside it."""

from __future__ import annotations

from .baselines import VAE
from .config import Config
from .model import KanervaPlusPlus

Model = KanervaPlusPlus | VAE


def make_model(config: Config) -> Model:
    """The model that `config` describes, with weights as torch draws them: Kanerva++, or the VAE where write='none'."""
    return VAE(config) if config.write == "none" else KanervaPlusPlus(config)
