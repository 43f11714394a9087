# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · The bound, on a model that can be added up
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/01_elbo.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/01_elbo.ipynb)
#
# Every number in this course is a value of equation 4 of the paper. Here we take that equation apart on a Kanerva++ so small that
# $-\ln p(x_t\mid M)$ can be computed exactly, and hold the bound, its gap and its common mistakes against the truth.
#
# **Objectives.** After this notebook you can state equation 1 and derive 2 to 4 from it; say what the gap of the bound consists of; say why no
# honest mean over $T$ distinct images lies below $\ln T$; and recognise four ways in which a number that looks like a bound is none.
#
# **Prerequisites.** [`00_start_here`](00_start_here.ipynb); KL divergences; sections 3.1 and 3.2 of the paper at hand.
#
# **Minutes on CPU:** under 1 to run, about 30 to read, 25 for the exercises.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("kpp_lib") is None:  # on Colab; its torch, numpy and matplotlib stay as they are
    source = "kpp-lib @ git+https://github.com/kanerva-plus-plus/kpp@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
    importlib.invalidate_caches()

# %%
import math

import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal

from kpp_lib import tour
from kpp_lib.bound import Bound, bound_terms, gaussian, importance_bound, log_weight, sample, standard_normal
from kpp_lib.course import checks
from kpp_lib.data.episodes import seeded
from kpp_lib.keys import squash
from kpp_lib.likelihood import bernoulli
from kpp_lib.memory import place_blocks, read_blocks

torch.set_default_dtype(torch.float64)  # identities are checked to rounding

# %% tags=["parameters"]
seed = 0
grid_points = 641  # values of y, and of z, that are summed over
fit_steps = 400  # gradient steps for q
samples = 4096  # draws per image for the importance-weighted bound
memories = 300  # memories written with sampled keys, section 9

# %%
grid = torch.linspace(-8, 8, grid_points)  # the values that y and z can take
p_y = standard_normal((1, 1), 2, grid)  # p(Y): one key (K = 1) of one number

# %% [markdown]
# ## 1. What is maximised (equation 1)
#
# An episode is a set $X=\{x_t\}_{t=1}^T$. Given the memory $M$, its images are independent (section 3.1), so
#
# $$\mathcal J=\mathbb E_{p(X)\,p(M\mid X)}\;\sum_{t=1}^T \ln p_\theta(x_t\mid M). \tag{1}$$
#
# Read it slowly: *the memory is written from the very images that are then scored*. This is the log-probability of an episode for
# somebody who already holds its summary, and says nothing yet about $\ln p(X)$.
#
# > **A slip in section 3.1.** The paper writes $I(X;M)=H(X)+\mathcal J=H(X)-H(X;M)$. The identity is
# > $I(X;M)=H(X)-H(X\mid M)$: a bar, not a semicolon. And since $\mathcal J\le -H(X\mid M)$ (Barber & Agakov, 2004),
# > $H(X)+\mathcal J\le I(X;M)$: a lower bound, with equality only if $p_\theta$ is the true conditional. For a *deterministic*
# > $M=f(X)$ with real entries the information is already as large as it can be for almost any untrained $f$: an injective $f$ loses nothing.
# > What training improves is
# > $p_\theta$: how well the reader gets the images back out.

# %% [markdown]
# ## 2. A Kanerva++ that can be added up
#
# Four images of 2x2 pixels ($T=4$; there are only 16 such images). A key is **one** number $y$ and moves a small window from left to right
# over a memory of one channel; $z$ is **one** number too. Writing and reading are the package's own functions; the decoder is a soft
# look-up that turns $z$ into four pixel probabilities. Nothing is learned yet: each image has an address and a code.

# %%
x = torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).double().view(4, 1, 2, 2)  # [T, C, H, W]
every_x = torch.tensor([[int(bit) for bit in f"{i:04b}"] for i in range(16)]).double().view(16, 1, 2, 2)
T, size, half_width = len(x), 32, 0.1
code = torch.tensor([-2.25, -0.75, 0.75, 2.25])  # what image t writes, and the z that decodes to it
address = torch.atanh(torch.tensor([-0.75, -0.25, 0.25, 0.75]) / (1 - half_width))  # where it writes, as a key


def window(y):  # y [..., 1] -> (s, x, y) [..., 3]: only x is free
    return squash(torch.cat([torch.zeros_like(y), y, torch.zeros_like(y)], -1), "fixed", half_width)


# %%
def write(y):  # keys [B, T, 1, 1] -> memory [B, 1, S, S]; each image leaves a block of its code
    blocks = code.view(1, T, 1, 1, 1, 1).expand(len(y), T, 1, 1, 4, 4)
    return place_blocks(blocks, window(y), size)


def prior(memory, y):  # p(z | M_hat, y): [B, 1, S, S], [B, N, 1, 1] -> batch [B, N], event [1]
    block = read_blocks(memory, window(y), 4)  # [B, N, 1, 1, 4, 4]
    return gaussian(block.flatten(2).mean(-1, keepdim=True), torch.tensor([2 * math.log(0.3)]), (-6, 2))


def decode(z):  # p(x | z): [..., 1] -> event [C, H, W]
    near = torch.softmax(-((z - code) ** 2) / (2 * 0.35**2), -1)  # [..., T]
    return bernoulli(4 * torch.einsum("...t,tchw->...chw", near, 2 * x - 1))


# %% [markdown]
# > **Predict:** between two addresses the memory is empty, that is 0. What does a key that points there expect $z$ to be, and
# > which image does that give?

# %%
M = write(address.view(1, T, 1, 1))  # [1, 1, S, S]
fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
shown = left.imshow(M[0, 0], extent=(-1, 1, 1, -1), cmap="coolwarm", vmin=-2.25, vmax=2.25)
fig.colorbar(shown, ax=left, label="content")
left.set(title="The memory M", xlabel="x (fraction of half-width)", ylabel="y")
middle.plot(grid, prior(M, grid.view(1, -1, 1, 1)).mean[0], color="black")
middle.plot(address, code, "o", color="tab:red", label="written here")
middle.set(title="The read: mean of $p(z|\\hat{M},y)$", xlabel="key y", ylabel="z", xlim=(-3.5, 3.5))
middle.legend(fontsize=8)
for pixel, p in enumerate(decode(grid.view(-1, 1)).mean.flatten(1).T):
    right.plot(grid, p + 0.01 * pixel, label=f"pixel {pixel + 1}")  # a little apart, so that none hides another
right.set(title="The decoder: $p(\\mathrm{ink})$ of each pixel", xlabel="z", ylabel="probability", xlim=(-3.5, 3.5))
right.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* left, the memory with four small squares side by side, one per image; middle, the expected $z$ against the key: four
# peaks near the four codes, zero between them; right, the ink probability of each pixel against $z$, steps between the codes.
#
# Empty memory reads as $z\approx 0$, half-way between the second and third image. (The peaks stay a little short of the codes: a lone
# block fades at its rim, see `place_floor`.) An address is thus worth something: a reader
# who does not know it draws $y\sim\mathcal N(0,1)$ and often gets the wrong image or a mixture.

# %% [markdown]
# ## 3. The exact answer (equation 2)
#
# The product rule gives, for every image and *any* $y$ and $z$,
#
# $$\ln p(x\mid M)=\ln\frac{p(x,z,y\mid M)}{p(z,y\mid x,M)}
#   =\ln\frac{p(x\mid z,M,y)\;p(z\mid M,y)\;p(y\mid M)}{p(z\mid M,y,x)\;p(y\mid M,x)}. \tag{2}$$
#
# Two assumptions come with it: $p(y\mid M)=p(y)$, and (Figures 4 and 5, and here) a decoder that sees $z$ alone. Usually the
# denominators are out of reach. Not here: we let $y$ and $z$ take the values of a fine grid and **sum**.

# %%
def log_factors(memory, images):  # ln p(y) [N_y], ln p(z|M_hat,y) [N_y, N_z], ln p(x|z) [images, N_z] on the grid
    log_p_y = torch.log_softmax(p_y.log_prob(grid.view(-1, 1, 1)), 0)  # normalised on the grid
    p_z = prior(memory, grid.view(1, -1, 1, 1))  # batch [1, N_y]
    log_p_z = torch.log_softmax(p_z.log_prob(grid.view(-1, 1, 1)), 0).T
    return log_p_y, log_p_z, decode(grid.view(-1, 1, 1)).log_prob(images).T


# %%
def exact(memory, images):  # -ln p(x | M), nats: [images]
    p_y_grid, p_z_grid, p_x_grid = (v.exp() for v in log_factors(memory, images))
    return -torch.log(p_x_grid @ (p_y_grid @ p_z_grid))  # the two sums


truth = exact(M, x)
print("probabilities of all 16 images sum to", round(float(torch.exp(-exact(M, every_x)).sum()), 12))
print("-ln p(x_t|M), nats:", [round(v, 4) for v in truth.tolist()], " mean", round(float(truth.mean()), 4))

# %%
tour.record("sum_of_probabilities", torch.exp(-exact(M, every_x)).sum())
tour.record("exact", truth.mean(), "nats/image")

# %% [markdown]
# All 16 probabilities sum to one: this is a distribution over images, and `truth` its value at our four. The outer two are
# dearer, because $\mathcal N(0,1)$ rarely points that far out.

# %% [markdown]
# ## 4. The bound (equations 3 and 4)
#
# Multiply numerator and denominator of equation 2 by $q(z\mid x)\,q(y\mid x)$ and take the expectation over both. The left side does
# not depend on $y$ or $z$, so it stays as it is:
#
# $$\ln p(x\mid M)=\underbrace{\mathbb E_{q(y)q(z)}\ln\frac{p(x\mid z)\,p(z\mid M,y)\,p(y)}{q(z)\,q(y)}}_{\mathcal L_T}
#   +\underbrace{\mathbb E_{q(y)}\mathrm{KL}\big[q(z)\,\|\,p(z\mid M,y,x)\big]}_{\ge 0}
#   +\underbrace{\mathrm{KL}\big[q(y)\,\|\,p(y\mid M,x)\big]}_{\ge 0} \tag{3}$$
#
# Here $x$ is one image $x_t$, and $\mathcal L_T$ is counted per image; (1) sums it over $t$. Where did the pieces come from? The posterior
# splits as $p(y,z\mid M,x)=p(y\mid M,x)\,p(z\mid M,y,x)$. The average of $\ln q(z)/p(z\mid M,y,x)$ over $z$ is a KL for *each* $y$, so
# $\mathbb E_{q(y)}$ stays in front of it; in the last term $z$ is averaged away. Two assumptions of the model stand in the numerator: the
# decoder sees $z$ alone, $p(x\mid z,M,y)=p(x\mid z)$, and a memory says nothing about the key, $p(y\mid M)=p(y)$.
#
# Now split the first logarithm. $-\ln p(x\mid z)$ depends on $z$ alone, $\ln q(z)/p(z\mid M,y)$ on both, $\ln q(y)/p(y)$ on $y$ alone; and
# since $q(y)\,q(z)$ factorises, each is averaged over what it depends on:
#
# $$-\mathcal L_T=\underbrace{\mathbb E_{q(z)}[-\ln p(x\mid z)]}_{\texttt{recon}}
#   +\underbrace{\mathbb E_{q(y)}\mathrm{KL}\big[q(z)\,\|\,p(z\mid M,y)\big]}_{\texttt{kl}\_\texttt{z}}
#   +\underbrace{\mathrm{KL}\big[q(y)\,\|\,p(y)\big]}_{\texttt{kl}\_\texttt{y}}\;\ge\;-\ln p(x\mid M). \tag{4}$$
#
# The course prints $-\mathcal L_T$, so **lower is better and the truth lies below**.

# %% [markdown] tags=["exercise:kl_gaussians"]
# **Exercise: the price in closed form.** Two of the three terms of equation 4 are KL divergences of Gaussians with
# independent numbers. Derive $\mathrm{KL}[q\,\|\,p]$ from $\mathbb E_q[\ln q-\ln p]$ and write it down, without
# `torch.distributions`. (When it passes, and once `q_y` is there: `kl_gaussians(q_y.mean[..., 0], q_y.stddev[..., 0],
# torch.zeros(T, 1), torch.ones(T, 1))` is `terms.kl_y`.)

# %% tags=["exercise:kl_gaussians"]
def kl_gaussians(mean_q, std_q, mean_p, std_p):
    """KL[N(mean_q, std_q^2) || N(mean_p, std_p^2)], nats; all [..., L], the last dimension is summed: -> [...]."""
    ...  # your lines


checks.kl_gaussians(kl_gaussians)

# %% [markdown] tags=["exercise:kl_gaussians"]
# <details><summary>Solution: kl_gaussians</summary>
#
# ```python
# def kl_gaussians(mean_q, std_q, mean_p, std_p):
#     """KL[N(mean_q, std_q^2) || N(mean_p, std_p^2)], nats; all [..., L], the last dimension is summed: -> [...]."""
#     square = (std_q**2 + (mean_q - mean_p) ** 2) / std_p**2
#     each = torch.log(std_p / std_q) + 0.5 * square - 0.5  # [..., L]
#     return each.sum(-1)
# ```
#
# The cross entropy is $\mathbb E_q[-\ln p]=\ln\sigma_p+\tfrac12\ln
# 2\pi+\frac{\sigma_q^2+(\mu_q-\mu_p)^2}{2\sigma_p^2}$, and with $p=q$ it is the entropy, $\ln\sigma_q+\tfrac12\ln
# 2\pi+\tfrac12$. The difference is the KL.
#
# </details>

# %% [markdown]
# > **Two small corrections.** The "$\approx$" before equation 3 is an equality: nothing is approximated until one samples. And
# > "$\ln p(X\mid M)>\mathcal L_T$" should read $\ge$; the paper itself names the case of equality one line later.

# %%
def posteriors(numbers):  # four vectors [T]: mean and log sigma of q(y), then of q(z)
    mean_y, log_std_y, mean_z, log_std_z = (v[:, None] for v in numbers)
    q_y = gaussian(mean_y[..., None], 2 * log_std_y[..., None], (-14, 2), event_dims=2)
    return q_y, gaussian(mean_z, 2 * log_std_z, (-14, 2))


def average(values, q, noise=1.0):  # E_q of values [N, T] on the grid; `noise` scales sigma (section 9)
    narrowed = Normal(q.mean.flatten(), noise * q.stddev.flatten())
    return (torch.softmax(narrowed.log_prob(grid[:, None]), 0) * values).sum(0)


# %%
p_x_on_grid = decode(grid.view(-1, 1, 1))  # batch [N, 1]
p_z_on_grid = prior(M.expand(len(grid), -1, -1, -1), grid.view(-1, 1, 1, 1))  # batch [N, 1]


def bound(numbers, noise=1.0):  # equation 4 without sampling error: Bound of [T]
    q_y, q_z = posteriors(numbers)
    b = bound_terms(x, p_x_on_grid, q_z, p_z_on_grid, q_y, p_y)
    return Bound(average(b.recon, q_z, noise), average(b.kl_z, q_y, noise), b.kl_y)


# %% [markdown]
# Each image gets its own $q(y)$ and $q(z)$: eight numbers for means, eight for spreads. We start them at the address and code that the image was
# written with and follow the gradient of the bound.

# %%
def fit(loss, steps=fit_steps):
    start = (address, torch.full((T,), -1.0), code, torch.full((T,), -1.0))
    numbers = [v.clone().requires_grad_() for v in start]
    optimizer = torch.optim.Adam(numbers, lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(numbers).backward()
        optimizer.step()
    return [v.detach() for v in numbers]


# %%
numbers = fit(lambda n: bound(n).total.mean())
q_y, q_z = posteriors(numbers)
terms = bound(numbers)
print(terms)
print(f"exact {truth.mean():.2f}; total - exact per image:", [round(v, 3) for v in (terms.total - truth).tolist()])
tour.record("total", terms.mean().total, "nats/image")

# %% [markdown]
# The bound holds for each image, and the largest of its terms is the price of the key. In training one cannot sum over a grid; one draws
# $y$ and $z$ with `sample` and averages. Same function `bound_terms`, same answer:

# %%
g = seeded(seed)
many_y, many_z = q_y.expand((samples, T)), q_z.expand((samples, T))
y, z = sample(many_y, g), sample(many_z, g)  # [samples, T, 1, 1], [samples, T, 1]
p_z_at_y = prior(M.expand(samples, -1, -1, -1), y)
drawn = bound_terms(x, decode(z), many_z, p_z_at_y, many_y, p_y)
error = drawn.total.mean(1).std() / math.sqrt(samples)
print(f"sampled {drawn.total.mean():.3f} +- {error:.3f}, summed {terms.total.mean():.3f} nats/image")
tour.record("sampled_minus_summed", drawn.total.mean() - terms.total.mean(), "nats/image")

# %% [markdown] tags=["exercise:three_terms"]
# **Exercise: equation 4 from draws.** Somebody has drawn $y\sim q(y\mid x)$ and $z\sim q(z\mid x)$, $S$ times for
# each of $T$ images, and hands you five log-densities at the draws. Estimate the three terms of $-\mathcal L_T$ for
# each image. Begin with equation 3: $\mathbb E_q$ of one logarithm. Which factors belong together? When it passes,
# try it on the draws above and compare with `terms`: `three_terms(decode(z).log_prob(x), p_z_at_y.log_prob(z),
# p_y.log_prob(y), many_z.log_prob(z), many_y.log_prob(y))`.

# %% tags=["exercise:three_terms"]
def three_terms(log_p_x, log_p_z, log_p_y, log_q_z, log_q_y):
    """ln p(x|z), ln p(z|M,y), ln p(y), ln q(z), ln q(y), each [S, T] -> dict of recon, kl_z, kl_y, each [T], nats."""
    ...  # your lines


checks.three_terms(three_terms)

# %% [markdown] tags=["exercise:three_terms"]
# <details><summary>Solution: three_terms</summary>
#
# ```python
# def three_terms(log_p_x, log_p_z, log_p_y, log_q_z, log_q_y):
#     """ln p(x|z), ln p(z|M,y), ln p(y), ln q(z), ln q(y), each [S, T] -> dict of recon, kl_z, kl_y, each [T], nats."""
#     return {
#         "recon": -log_p_x.mean(0),
#         "kl_z": (log_q_z - log_p_z).mean(0),
#         "kl_y": (log_q_y - log_p_y).mean(0),
#     }
# ```
#
# Write $-\mathbb E_q\ln\frac{p(x|z)\,p(z|M,y)\,p(y)}{q(z)\,q(y)}$: the logarithm makes a sum of it, and each $q$ goes
# with the $p$ of the same variable. Closed forms (`kl_gaussians`) give the last two with less noise; the estimate is
# the same on average.
#
# </details>

# %% [markdown]
# **Equation 6 at the line.** The paper prints $y=\mu+\sigma^2\odot\epsilon$. The Gaussian whose KL is charged has standard deviation
# $\sigma$, so the draw has to be $\mu+\sigma\odot\epsilon$; `sample` does that. The difference is not cosmetic:

# %%
print("spread of the draws:", [round(v, 3) for v in y.std(0).flatten().tolist()])
print("sigma of q(y):      ", [round(v, 3) for v in q_y.stddev.flatten().tolist()])
print("sigma^2:            ", [round(v, 3) for v in q_y.variance.flatten().tolist()])

# %% [markdown]
# ## 5. The gap is two KL divergences, to the last digit
#
# Equation 3 claims that what separates the bound from the truth is *exactly* the two KLs to the true posteriors. On the grid these are
# known: $p(z,y\mid x,M)$ is the joint divided by its sum.

# %%
log_p_y, log_p_z, log_p_x = log_factors(M, x)
joint = log_p_y[:, None] + log_p_z + log_p_x[:, None]  # ln p(x, y, z | M): [T, N_y, N_z]
log_post = joint + truth[:, None, None]  # ln p(y, z | x, M)
log_post_y = torch.logsumexp(log_post, 2)  # ln p(y | x, M): [T, N_y]
log_post_z = log_post - log_post_y[..., None]  # ln p(z | y, x, M)

log_q_y = torch.log_softmax(q_y.log_prob(grid.view(-1, 1, 1, 1)), 0).T  # [T, N_y]
log_q_z = torch.log_softmax(q_z.log_prob(grid.view(-1, 1, 1)), 0).T  # [T, N_z]
kl_z_given_y = (log_q_z.exp()[:, None] * (log_q_z[:, None] - log_post_z)).sum(2)  # [T, N_y]
gap_z = (log_q_y.exp() * kl_z_given_y).sum(1)
gap_y = (log_q_y.exp() * (log_q_y - log_post_y)).sum(1)

# %%
print("total - exact :", terms.total - truth)
print("sum of two KLs:", gap_z + gap_y)
tour.record("gap_identity_error", (terms.total - truth - gap_z - gap_y).abs().max(), "nats")

# %% [markdown]
# ## 6. When is it tight?
#
# The paper: tight if $q(Z\mid X)=p(Z\mid M,Y,X)$ and $q(Y\mid X)=p(Y\mid M,X)$. Look at the first condition: its right side depends on
# $Y$, its left side must not. So equality needs a posterior in which $z$ and $y$ are **independent**. We compare three $q$: the true posterior
# (allowed to tie $z$ to $y$), the best *factorised* $q(y)q(z)$ of any shape (found by updating one factor at a time), and our Gaussians.

# %%
log_y, log_z = log_q_y, log_q_z
for _ in range(60):  # mean-field updates, each lowers the total
    log_y = torch.log_softmax(torch.einsum("tz,tyz->ty", log_z.exp(), joint), 1)
    log_z = torch.log_softmax(torch.einsum("ty,tyz->tz", log_y.exp(), joint), 1)


def total_of(log_q):  # E_q[ln q - ln p(x, y, z | M)] for a table ln q [T, N_y, N_z]
    return (log_q.exp() * (log_q - joint)).sum((1, 2))


# %%
tables = {"true posterior": log_post, "best factorised": log_y[..., None] + log_z[:, None],
          "fitted Gaussians": log_q_y[..., None] + log_q_z[:, None]}
for name, table in tables.items():
    print(f"{name:17s} total {total_of(table).mean():.4f}   gap {(total_of(table) - truth).mean():.1e}")
tour.record("tight_gap", (total_of(log_post) - truth).abs().max(), "nats")
tour.record("factorised_gap", (total_of(tables["best factorised"]) - truth).mean(), "nats/image")

# %% [markdown]
# > **Predict:** the first image was written at the far left. Which other keys could also explain it, if less well?

# %%
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    density = table[0].exp().T / table[0].exp().max()  # [N_z, N_y]
    ax.imshow(density.sqrt(), extent=(-8, 8, -8, 8), origin="lower", cmap="magma_r", aspect="auto")
    ax.axvline(address[0], color="tab:blue", linewidth=0.8)
    ax.set(title=name, xlabel="key y", xlim=(-3.5, 1), ylim=(-4, 1))
axes[0].set_ylabel("z")
fig.suptitle("q(y, z) of the first image (square root of the density; blue: where it was written)", fontsize=10)
plt.show()

# %% [markdown]
# *Picture:* three maps over key and $z$ for the first image. The true posterior bends: keys at the rim of the block go with
# a $z$ nearer to zero. A factorised $q$ can only be an upright blob.
#
# At the true posterior the gap vanishes to rounding. Every factorised $q$ leaves a remainder, however flexible: the price of
# $q(Z\mid X)$ in place of $q(Z\mid X,Y,M)$, which the paper chooses for a "more stable objective" (footnote 2).

# %% [markdown]
# ## 7. Closer without a better q: importance weighting
#
# With $S$ draws, $-\ln\frac1S\sum_s w_s$, $w_s=\frac{p(x\mid z_s)\,p(z_s\mid\hat M_s,y_s)\,p(y_s)}{q(z_s)\,q(y_s)}$, is a bound for every $S$, is the total of
# equation 4 at $S=1$, and closes on the truth as $S$ grows (Burda et al., 2016).

# %% [markdown] tags=["exercise:importance_weighted"]
# **Exercise: the importance-weighted bound.** From the logarithms of the weights, $S$ draws for each of $T$ images.
# Mind images of 784 pixels: $\ln w$ may be $-900$. When it passes, try it on the `log_w` of the next cell.

# %% tags=["exercise:importance_weighted"]
def importance_weighted(log_w):
    """ln w [S, T] -> -ln of the mean weight, [T], nats."""
    ...  # your lines


checks.importance_weighted(importance_weighted)

# %% [markdown] tags=["exercise:importance_weighted"]
# <details><summary>Solution: importance_weighted</summary>
#
# ```python
# def importance_weighted(log_w):
#     """ln w [S, T] -> -ln of the mean weight, [T], nats."""
#     return math.log(len(log_w)) - torch.logsumexp(log_w, dim=0)
# ```
#
# $-\ln\frac1S\sum_s w_s=\ln S-\ln\sum_s e^{\ln w_s}$. With $S=1$ it is `recon + kl_z + kl_y` of one draw.
#
# </details>

# %% [markdown]
# > **Predict:** how many draws to close half the gap?

# %%
log_w = log_weight(x, z, y, decode(z), many_z, p_z_at_y, many_y, p_y)  # [samples, T]
counts = [2**i for i in range(11)]
closer = [float(importance_bound(log_w[: samples // s * s].view(-1, s, T).transpose(0, 1)).mean()) for s in counts]
fig, ax = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
ax.semilogx(counts, closer, "o-", base=2, label="importance-weighted bound")
ax.axhline(float(terms.total.mean()), color="tab:orange", label="total, equation 4")
ax.axhline(float(truth.mean()), color="black", label="exact")
ax.set(title="From the bound to the truth", xlabel="draws S per image", ylabel="nats / image")
ax.set_ylim(top=closer[0] + 0.25)
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* the importance-weighted bound against the number of draws, falling from the total of equation 4 towards the black line of the exact
# value: fast up to about eight draws, then slowly, with part of the gap left at the end.

# %%
# how fast depends on q: where it misses a part of the posterior (section 6), S has to be large
print(f"S=1: {closer[0]:.3f}   S=64: {closer[6]:.3f}   S=1024: {closer[-1]:.3f}   exact: {truth.mean():.3f} nats/image")
tour.record("importance_64", closer[6], "nats/image")

# %% [markdown]
# ## 8. The floor: ln T
#
# The same $p(\cdot\mid M)$ scores every image of the episode, so for $T$ **distinct discrete** images
# $\sum_t p(x_t\mid M)\le 1$. By Jensen's inequality,
#
# $$\frac1T\sum_{t=1}^T-\ln p(x_t\mid M)\;\ge\;-\ln\Big(\frac1T\sum_t p(x_t\mid M)\Big)\;\ge\;\ln T .$$

# %% [markdown] tags=["exercise:table_total"]
# **Exercise: a perfect memory, and what it pays.** Let the memory be a table: slot $n$ holds one image, bit by bit.
# The reader draws a slot with probability $p(n)$ and prints what it holds. What is the mean of $-\ln p(x_t\mid M)$
# over the images $x$ that are asked for (all of them stored somewhere)? Then try it: even slots, uneven slots, an
# image that is stored twice.

# %% tags=["exercise:table_total"]
def table_total(stored, p_slot, x):
    """stored [N, D] bits, p_slot [N], x [T, D] bits -> the mean of -ln p(x_t | M), nats/image."""
    ...  # your lines


checks.table_total(table_total)

# %% [markdown] tags=["exercise:table_total"]
# <details><summary>Solution: table_total</summary>
#
# ```python
# def table_total(stored, p_slot, x):
#     """stored [N, D] bits, p_slot [N], x [T, D] bits -> the mean of -ln p(x_t | M), nats/image."""
#     same = (x[:, None] == stored[None]).all(-1)  # [T, N]: which slots hold image t
#     p_x = same.to(p_slot.dtype) @ p_slot  # [T]
#     return -p_x.log().mean()
# ```
#
# Nothing is left to learn about the pixels, and an episode of distinct images still pays $\ln T$ at even slots, and
# more at any others: the price of saying *which*. A VAE without a memory pays for the pixels, too; so this number and
# its likelihood answer different questions. (Images that repeat share the price: there, and only there, the mean
# falls below $\ln T$.)
#
# </details>

# %% [markdown]
# Whatever the memory holds, somebody has to say *which* of the $T$ images is meant, and that costs $\ln T$ nats: 1.39 for our four,
# 3.47 for $T=32$. A perfect memory pays only this. Let us try to get below: 300 memories with random contents at random places, each scored
# on the four distinct images that it likes **best**.
#
# > **Predict:** how close to $\ln 4$ does the best of the 300 come, and what keeps it away?

# %%
g = seeded(seed, 1)
keys = 1.5 * torch.randn(300, T, 1, 1, generator=g)
amount = 3 * torch.randn(300, 1, 1, 1, generator=g)
attempts = [exact(m[None] * a, every_x) for m, a in zip(write(keys), amount, strict=True)]  # 16 values each
best = torch.stack([a.sort().values[:T].mean() for a in attempts])
fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
ax.hist(best, 40, color="tab:blue", alpha=0.8)
ax.axvline(math.log(T), color="black", label=f"ln {T} = {math.log(T):.2f}")
ax.set(title="Four best images of 300 random memories", ylabel="memories")
ax.set_xlabel("mean of $-\\ln p(x|M)$, nats / image")
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* a histogram of the mean over the four best images of each random memory; a black line marks $\ln 4$, and all memories lie to
# its right. To touch the line a memory has to spend all its probability on its four images, in equal shares, and none on the other twelve.

# %%
print(f"lowest of 300: {best.min():.4f} nats/image, ln T = {math.log(T):.4f}")
tour.record("lowest_attempt_above_floor", best.min() - math.log(T), "nats/image")

# %% [markdown]
# **What this means for the paper's numbers.** A conditional bound is measured from $\ln T$ upwards. The limit of an unconditional one is,
# on average, the entropy of the data. Nobody knows that entropy. Good models bound it from above: the best of the plain likelihoods in Table 1
# are near 78 nats on binarized MNIST (MAE 77.98, PixelVAE++ 78.00), and Ordered ACN, whose prior is conditioned on a
# neighbour's code, has $\le$ 73.9. The paper's 41.58 in the same table is conditional: its floor is $\ln T$, so it can lie below all of them without being a
# better model of digits. They are different quantities and cannot be ranked against each other. Nor is ours a bound on $\ln p(X)$: $M=f(X)$ has seen $X$.

# %% [markdown]
# ## 9. What breaks it
#
# Four small changes, each easy to make and hard to see: the pictures stay fine and the number gets *better*. The first three
# can be found in public code of the paper's first author (a VAE library and a Dynamic Kanerva Machine). **The code of Kanerva++ is not public,
# and whether any of them touched its numbers is unknown.** We name them because anyone could make them.
#
# | change | what happens |
# |---|---|
# | half sigma | draw with $\tfrac12\sigma$, charge the KL for $\sigma$: up to $\ln 2$ nats per number for free |
# | mean decoding | put in the means of $y$ and $z$, charge the KL as if they were noisy (common in eval mode) |
# | KL / T | divide the KLs by $T$ once too often: the loss is already per image |
# | sampled write | write the memory with the key *sample* that later reads it: then $p(y\mid M)\ne p(y)$ and equation 2 fails |
#
# > **Predict:** which of the four lands below $\ln T$, where no bound can be? Each is trained on its own number, as it would be in practice.

# %%
def at_means(numbers):  # mean decoding
    q_y, q_z = posteriors(numbers)
    p_z = prior(M, q_y.mean[None])
    b = bound_terms(x, decode(q_z.mean), q_z, p_z, q_y, p_y)
    return Bound(b.recon, b.kl_z[0], b.kl_y)


def sampled_write(numbers, count, generator):  # each draw of the keys writes a memory of its own and reads that
    q_y, q_z = (q.expand((count, T)) for q in posteriors(numbers))
    y, z = sample(q_y, generator), sample(q_z, generator)
    memory = write(y)
    return bound_terms(x, decode(z), q_z, prior(memory, y), q_y, p_y), memory


# %%
scores = {
    "half sigma": lambda n: bound(n, noise=0.5).total.mean(),
    "mean decoding": lambda n: at_means(n).total.mean(),
    "KL / T": lambda n: bound(n).weighted(1 / T, 1 / T).mean(),
}
reported = {"equation 4": float(terms.total.mean())}
reported |= {name: float(score(fit(score))) for name, score in scores.items()}
actual = dict.fromkeys(reported, float(truth.mean()))
g = seeded(seed, 2)
cheat = fit(lambda n: sampled_write(n, 32, g)[0].total.mean())
claimed, written = sampled_write(cheat, memories, seeded(seed, 3))
reported["sampled write"] = float(claimed.total.mean())
actual["sampled write"] = float(torch.stack([exact(m[None], x) for m in written]).mean())  # of those memories

# %%
fig, ax = plt.subplots(figsize=(8.4, 3.4), layout="constrained")
place = torch.arange(len(reported))
colours = ["tab:blue"] + ["tab:red"] * 4
ax.bar(place, list(reported.values()), 0.55, color=colours, label="reported")
ax.hlines(list(actual.values()), place - 0.4, place + 0.4, color="black", linewidth=2.5, label="exact $-\\ln p(x|M)$")
ax.axhline(math.log(T), color="grey", linestyle="--", label="ln T")
ax.set_xticks(place, list(reported))
ax.set(title="Only the first is a bound", ylabel="nats / image")
fig.legend(fontsize=8, loc="outside right upper")
plt.show()

# %% [markdown]
# *Picture:* five bars with the reported number, each with a black mark at the exact value of the memories it was scored on. The bar of equation 4 ends
# above its mark, the four others end below theirs; a dashed line marks $\ln T$.

# %%
for name, value in reported.items():
    print(f"{name:14s} reported {value:5.2f}   exact {actual[name]:5.2f}   below exact: {value < actual[name]}   "
          f"below ln T: {value < math.log(T)}")
    tour.record("over_exact_" + name.lower().replace(" / ", "_").replace(" ", "_"), value - actual[name], "nats/image")

# %% [markdown]
# - **Mean decoding** and **KL / T** fall far below $\ln T$: the floor alone convicts them.
# - **Half sigma** stays close to $\ln T$ here, and still undercuts the exact value. Passing the floor test is necessary, not sufficient.
# - **Sampled write** is the subtlest. Each memory carries the secret of where the sample went, so a wide $q(y)$, cheap in
#   KL, still reads the right place. A *placed* write must use the key **means**; `model.write` does.
#
# The package keeps one standard deviation for sample and KL, samples at test, divides nothing by $T$, and writes with means. Where
# an evaluation shows mean decoding, it is labelled "not a bound".

# %% [markdown]
# ## 10. Questions to think about
#
# 1. Score an "episode" that holds the same image four times. Can the mean fall below $\ln 4$? Which step of section 8 fails?
# 2. Is there a floor for CIFAR-10 with a density in place of probabilities? And with the discretised logistic mixture of section 4 of the paper?
# 3. Two of the four images are equal. What is the lowest possible mean?
#
# <details><summary>Solutions</summary>
#
# 1. Yes: a memory that stores one image can give it probability near one, and the mean tends to zero. The images are not distinct, so
#    $\sum_t p(x_t\mid M)$ counts one probability four times and is not at most one. MNIST episodes practically never repeat; 2x2 images do.
# 2. A density can exceed one, so $\sum_t p(x_t\mid M)\le 1$ fails: no floor. The discretised mixture gives true probabilities over 256
#    values per channel: the floor $\ln T$ holds again (divided by $D\ln 2$ for bits/dim, hence tiny).
# 3. Minimise $-\tfrac14(2\ln a+\ln b+\ln c)$ with $a+b+c=1$: $a=\tfrac12$, $b=c=\tfrac14$, mean $=\tfrac12\ln 2+\tfrac12\ln 4=\tfrac34\ln 4\approx 1.04$.
#
# </details>

# %% [markdown]
# ## Summary
#
# - Equation 4 bounds $-\ln p(x_t\mid M)$ for the memory at hand. Its gap is exactly two KLs; both vanish only if $z$ and $y$ are
#   independent under the true posterior.
# - Importance weighting closes the gap with draws in place of a better $q$.
# - No mean over $T$ distinct discrete images lies below $\ln T$, and being above it proves nothing.
# - A number is a bound only if the noise that is paid for is the noise that is used.
#
# ## Notation used
#
# | paper | code here | shape |
# |---|---|---|
# | $X$, $x_t$ | `x` | [T, C, H, W], one episode |
# | $M$ | `M`, `memory` | [B, 1, S, S] |
# | $y_t$, $q(Y\mid X)$, $p(Y)$ | `y`, `q_y`, `p_y` | event [1, 1]: K = 1 key of one number |
# | $z_t$, $q(Z\mid X)$, $p(Z\mid\hat M,Y)$ | `z`, `q_z`, `prior(memory, y)` | event [1] |
# | $p(x\mid z)$ | `decode(z)` | event [C, H, W] |
# | $-\mathcal L_T$ (eq. 4) | `bound(...).total` = `recon + kl_z + kl_y` | [T], nats |
# | $-\ln p(x_t\mid M)$ | `exact(M, x)` | [T], nats |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++*, ICLR 2021. Section 3.1 (eq. 1), 3.2 (eq. 2 to 5, footnote 2), 3.3 (eq. 6), Table 1, Appendix E.1.
# - Barber, Agakov: *The IM Algorithm: a variational approach to information maximization*, NIPS 2003 (the paper cites it as 2004).
# - Burda, Grosse, Salakhutdinov: *Importance Weighted Autoencoders*, ICLR 2016.
# - Public code named in section 9: `jramapuram/vae` (`reparameterizers/isotropic_gaussian.py`: means in eval mode, half sigma) and
#   `jramapuram/dynamic_kanerva_machine` (`models/dkm.py`: KLs divided by $T$, then averaged over $T$).
#
# Next: [`02_block_reads`](02_block_reads.ipynb), how a key reads a block.
