import math

import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: the importance-weighted bound.** From the logarithms of the weights, $S$ draws for each of $T$ images.
# Mind images of 784 pixels: $\ln w$ may be $-900$. When it passes, try it on the `log_w` of the next cell.


# %%
def importance_weighted(log_w):
    """ln w [S, T] -> -ln of the mean weight, [T], nats."""
    # <solution>
    return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)
    # </solution>


checks.importance_weighted(importance_weighted)

# %% [markdown]
# $-\ln\frac1S\sum_s w_s=\ln S-\ln\sum_s e^{\ln w_s}$. With $S=1$ it is `recon + kl_z + kl_y` of one draw.
