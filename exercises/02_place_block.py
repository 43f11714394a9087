import torch
import torch.nn.functional as F

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: the inverse.** Place one block at a window: for each pixel of the memory, find its place in the block,
# and sample the block there. `F.affine_grid` and `F.grid_sample` may help (`align_corners=False`); outside the window
# the memory is zero. No masks yet, no floor.


# %%
def place_block(block, window, size):
    """Block [C, g, g], window (s, x, y), a tensor [3], s > 0 -> memory [C, size, size]."""
    # <solution>
    s, x, y = window
    theta = torch.tensor([[1 / s, 0, -x / s], [0, 1 / s, -y / s]])
    grid = F.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
    return F.grid_sample(block[None], grid, align_corners=False)[0]
    # </solution>


checks.place_block(place_block)

# %% [markdown]
# A mask is the same function on a block of ones. With several blocks, sum both and divide: that is `place_blocks`.
