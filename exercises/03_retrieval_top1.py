import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: retrieval.** For each picture that was read from memory alone: is the nearest of the $T$ written images
# its own? Return the share. (Nearest by the sum of squared differences.) When it passes, try it:
# `retrieval_top1(model.reconstruct(x, memory)[0], x[0])`.


# %%
def retrieval_top1(pictures, images):
    """pictures, images [T, C, H, W]; picture t was read for image t -> a share between 0 and 1."""
    # <solution>
    distances = torch.cdist(pictures.flatten(1), images.flatten(1))  # [T pictures, T images]
    nearest = distances.argmin(dim=1)
    return (nearest == torch.arange(len(images))).float().mean()
    # </solution>


checks.retrieval_top1(retrieval_top1)

# %% [markdown]
# The other way round, "which picture is nearest to image $t$?", is another question: a memory that gives everybody a
# blur can do well there.
