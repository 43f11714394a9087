"""Models to compare with, on the same encoder, decoder and budget."""

from .vae import VAE

__all__ = ["VAE"]
