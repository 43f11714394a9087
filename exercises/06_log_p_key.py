import math

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: where the prior looks.** Write $\ln p(y)$ of the $K$ keys of an image together, $p(Y)=\mathcal N(0,I)$,
# in nats. When it passes, try it on the keys of the episode: `log_p_key(y)`. The next cell prints their range.


# %%
def log_p_key(y):
    """Keys y [..., K, 3], before the squash -> ln p(y) [...], nats."""
    # <solution>
    each = -0.5 * y**2 - 0.5 * math.log(2 * math.pi)
    return each.sum(dim=(-2, -1))
    # </solution>


checks.log_p_key(log_p_key)

# %% [markdown]
# Three numbers and $K=1$ key bring three constants: at most $-\tfrac32\ln 2\pi\approx-2.8$ nats, at the mode. A density
# has no scale of its own, so compare two of them, never one with zero.
