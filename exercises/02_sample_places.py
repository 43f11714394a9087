import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: where a block looks.** Write equation 8 as a function: from a window $(s, x, y)$ to the $g \times g$
# places of the memory, $(x, y)$ each, at the centres of the block's pixels. No `affine_grid`. The next cells do it
# for one window; try before you look.


# %%
def sample_places(window, g):
    """Window (s, x, y), a tensor [3] -> places [g, g, 2]: the row goes down, the column to the right."""
    # <solution>
    s, x, y = window
    centres = (2 * torch.arange(g) + 1) / g - 1  # of the block's pixels, in its own frame
    across, down = s * centres + x, s * centres + y
    return torch.stack([across.expand(g, g), down[:, None].expand(g, g)], dim=-1)
    # </solution>


checks.sample_places(sample_places)

# %% [markdown]
# The block's frame is from -1 to 1 too, so $s$ is a half-width. A negative $s$ needs no case of its own: it turns
# both axes, and the block comes out turned by 180 degrees.
