import torch

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: the price in closed form.** Two of the three terms of equation 4 are KL divergences of Gaussians with
# independent numbers. Derive $\mathrm{KL}[q\,\|\,p]$ from $\mathbb E_q[\ln q-\ln p]$ and write it down, without
# `torch.distributions`. (When it passes, and once `q_y` is there: `kl_gaussians(q_y.mean[..., 0], q_y.stddev[..., 0],
# torch.zeros(T, 1), torch.ones(T, 1))` is `terms.kl_y`.)


# %%
def kl_gaussians(mean_q, std_q, mean_p, std_p):
    """KL[N(mean_q, std_q^2) || N(mean_p, std_p^2)], nats; all [..., L], the last dimension is summed: -> [...]."""
    # <solution>
    square = (std_q**2 + (mean_q - mean_p) ** 2) / std_p**2
    each = torch.log(std_p / std_q) + 0.5 * square - 0.5  # [..., L]
    return each.sum(-1)
    # </solution>


checks.kl_gaussians(kl_gaussians)

# %% [markdown]
# The cross entropy is $\mathbb E_q[-\ln p]=\ln\sigma_p+\tfrac12\ln
# 2\pi+\frac{\sigma_q^2+(\mu_q-\mu_p)^2}{2\sigma_p^2}$, and with $p=q$ it is the entropy, $\ln\sigma_q+\tfrac12\ln
# 2\pi+\tfrac12$. The difference is the KL.
