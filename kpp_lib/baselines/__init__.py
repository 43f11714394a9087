"""Models to compare with, built from the same encoders and decoders."""

from .vae import VAE

__all__ = ["VAE"]
