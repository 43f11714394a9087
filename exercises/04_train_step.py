from torch import nn

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: one step.** Write it as a function: one bound, one loss with the weights of the KLs, the gradient scaled
# down to norm `clip` if it is longer, one step of the optimiser. Return the loss. The next cell shows it line by
# line; try before you look.


# %%
def train_step(model, optimizer, x, generator, beta_z, beta_y, clip):
    """x [B, T, C, H, W]; model(x, generator) is a Bound of [B, T], see Bound.mean and Bound.weighted -> the loss."""
    # <solution>
    loss = model(x, generator).mean().weighted(beta_z, beta_y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.item()
    # </solution>


checks.train_step(train_step)

# %% [markdown]
# The order is the lesson: zero, backward, clip, step.
