from kpp_lib.course import checks

# %% [markdown]
# **Exercise: equation 4 from draws.** Somebody has drawn $y\sim q(y\mid x)$ and $z\sim q(z\mid x)$, $S$ times for
# each of $T$ images, and hands you five log-densities at the draws. Estimate the three terms of $-\mathcal L_T$ for
# each image. Begin with equation 3: $\mathbb E_q$ of one logarithm. Which factors belong together? When it passes,
# try it on the draws above and compare with `terms`: `three_terms(decode(z).log_prob(x), p_z_at_y.log_prob(z),
# p_y.log_prob(y), many_z.log_prob(z), many_y.log_prob(y))`.


# %%
def three_terms(log_p_x, log_p_z, log_p_y, log_q_z, log_q_y):
    """ln p(x|z), ln p(z|M,y), ln p(y), ln q(z), ln q(y), each [S, T] -> dict of recon, kl_z, kl_y, each [T], nats."""
    # <solution>
    return {
        "recon": -log_p_x.mean(0),
        "kl_z": (log_q_z - log_p_z).mean(0),
        "kl_y": (log_q_y - log_p_y).mean(0),
    }
    # </solution>


checks.three_terms(three_terms)

# %% [markdown]
# Write $-\mathbb E_q\ln\frac{p(x|z)\,p(z|M,y)\,p(y)}{q(z)\,q(y)}$: the logarithm makes a sum of it, and each $q$ goes
# with the $p$ of the same variable. Closed forms (`kl_gaussians`) give the last two with less noise; the estimate is
# the same on average.
