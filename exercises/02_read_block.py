import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: read a block.** Write equation 9 with sums and products alone: no `grid_sample`. Use
# `align_corners=False`, and let what lies outside the memory count as zero. The two tents are separable: weights of
# the columns [g, W], weights of the rows [g, H], one `einsum`. When it passes, try it on the memory above:
# `read_block(M[0], window[0], 16)` should be the `piece` of the last picture.


# %%
def read_block(memory, window, g):
    """Equation 9: memory [C, H, W], window (s, x, y), a tensor [3] -> block [C, g, g]."""
    # <solution>
    height, width = memory.shape[1:]
    s, x, y = window
    centres = (2 * torch.arange(g) + 1) / g - 1
    i = ((s * centres + x + 1) * width - 1) / 2  # pixel numbers along x, not whole
    j = ((s * centres + y + 1) * height - 1) / 2
    columns = torch.clamp(1 - (i[:, None] - torch.arange(width)).abs(), min=0)  # [g, W]
    rows = torch.clamp(1 - (j[:, None] - torch.arange(height)).abs(), min=0)  # [g, H]
    return torch.einsum("cnr,in,jr->cij", memory, rows, columns)
    # </solution>


checks.read_block(read_block)

# %% [markdown]
# Outside needs no `if`: a place more than one pixel beyond the last centre has weight zero everywhere.
