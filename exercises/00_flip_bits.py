import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: damage a cue.** Turn over each bit of `x` with probability `share`, ink and blank alike. Draw with the
# generator that you are given, and leave `x` itself as it is. (A cell below does it; try before you look.)


# %%
def flip_bits(x, share, generator):
    """Bits x [..., C, H, W] of 0. and 1. -> the same shape, each bit turned over with probability `share`."""
    # <solution>
    flip = torch.rand(x.shape, generator=generator) < share
    return torch.where(flip, 1 - x, x)
    # </solution>


checks.flip_bits(flip_bits)

# %% [markdown]
# `(x - flip.float()).abs()` does the same. To *replace* the chosen pixels by random bits (salt & pepper) is another
# noise: half of them are right by luck.
