# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Writing an episode, and reading it back
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/03_write_and_read.ipynb)
# [![Launch on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/03_write_and_read.ipynb)
#
# Thirty-two digits go into one small picture, the memory. Then each digit, by means of a key, reads a piece of it
# and gets a prior for its own latent. This notebook follows one real episode through a trained model, part by part: $X
# \to M$, $(X, M) \to Y$, $(M, Y) \to \hat M \to p(Z|\hat M, Y)$. At the end we ask the question that the bound alone
# does not answer: *is the memory read at all?*
#
# **Objectives.** After this notebook you can
#
# - say what the temporal shift moves, and what it does to an episode of one image;
# - compare the paper's pooled writer with the placed writer of this course, which is **ours**;
# - give the images of an episode their cells by content, and find an image again by searching the memory;
# - show what the memory contributes: without the image, with another memory, with shuffled, single and noisy cues;
# - explain why the write must not use the keys that were sampled for the read;
# - add images to a memory, free them, and ask whether an image is there.
#
# **Prerequisites.** Notebook 02 (windows, block reads, the placed write); section 3.3 to 3.5 of the paper; the three
# terms of equation 4 (notebook 01).
#
# **Minutes on CPU:** under 2 to run, about 40 to read and think, 25 for the exercises. In minutes: 10 for sections 1 to 3,
# 20 for 4 to 7, 10 for the rest.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("kpp_lib") is None:  # on Colab; its torch, numpy and matplotlib stay as they are
    source = "kpp-lib @ git+https://github.com/kanerva-plus-plus/kpp@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
    importlib.invalidate_caches()

# %%
import matplotlib.pyplot as plt
import torch
from scipy.optimize import linear_sum_assignment
from torch.distributions import Independent, Normal, kl_divergence

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.allocate import in_plane
from kpp_lib.bound import bound_terms, sample
from kpp_lib.course import checks, plots, widgets
from kpp_lib.encoder import Encoder, temporal_shift
from kpp_lib.evaluation.diagnostics import SCORES
from kpp_lib.maps import resized
from kpp_lib.memory import PooledWriter, place_blocks, read_blocks

# %% tags=["parameters"]
seed = 0
episodes_scored = 8  # episodes of T images in the tables

# %%
torch.set_grad_enabled(False)  # nothing is trained here
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
if data.test.labels is None:  # the released text files have none, and section 5 counts by label
    data = kpp.load_dataset("mnist", binarize="threshold", quiet=True)
tour.record_source(data)
model = kpp.load_pretrained("mnist-cpu")
content = kpp.load_pretrained("mnist-content-cpu")  # another recipe, for contrast
c = model.config
first = next(kpp.Episodes(data.test, c.length, episodes=1, seed=seed).cover())
x = first.x  # [1, T, 1, 28, 28]
labels = data.test.labels[first.index[0]]  # for pictures only; the model never sees them
print(f"recipe {c.recipe_name}: write={c.write}, keys={c.keys}, shift={c.shift}, squash={c.squash}")
print(f"T = {c.length} images, K = {c.reads} key per image, z of {c.z_size} numbers")

# %% [markdown]
# **What kind of Kanerva++ is this?** The paper's recipe is `write="pooled", keys="content", shift="all"`. The shipped
# CPU model differs from it:
#
# | part | paper | this model (`recipe="allocated"`, ours) | why |
# |---|---|---|---|
# | write | pool over the episode, then one conv-transpose net | each image puts a block into a cell of its own: section 4 | so that images stay apart: section 6 |
# | place | in no one place: the pooled write fills all of $M$ | the cell is chosen by content, for the whole episode at once: section 5 | so that similar images are neighbours, in any order |
# | keys $q(Y)$ | computed from $E$; $K = 2$ | the cell of $M$ whose picture is most like the cue: `model.look_up`; $K = 1$ | so that a cue finds its image alone, in any order, and noisy: section 9 |
# | latents | of a size that is not given; $q(Z\|X)$ | maps [4, 7, 7]; $q(Z\|X, M, Y) \propto q(Z\|X)\, p(Z\|\hat M, Y)$ | section 8 |
# | encoder | ResNet-18 with temporal shift | small convolutions without it | so that no image sees its neighbours: section 3 |
#
# The Dynamic Kanerva Machine takes its address from the memory as well: it solves for it (Wu et al., 2018). K++, like the
# first Kanerva Machine, has a network compute it from the image, which is simpler and quicker. The second model here, `content`, works like that: placed write, address from the image alone.
# It is the contrast. It has two keys per image, and other networks: a ResNet-18 without the shift, $z$ a vector of 64 numbers, $q(Z|X)$ from the image alone. So compare what its memory does for it, not its total.
# Wherever it matters, the text says "the paper's" or "ours".
#
# ## 1 · One episode, and every shape on the way

# %%
fig = plots.grid(x[0], columns=16, titles=[f"t = {t}" for t in range(c.length)], size=0.75)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the 32 binarized digits of the episode, in order of their place $t$.
#
# > **Predict** the shapes of $M$, $Y$, $\hat M$ and $z$ before you run the cell. Which one does not depend on $T$?

# %%
posterior = model.infer(x)
q_y, place = posterior.q_y, posterior.place  # place: the key means that write
memory = model.write(x, posterior)
y = q_y.mean  # the means of the keys that were found; sampling comes later
blocks = model.read(memory, y)
p_z = model.prior(memory, y)
q_z = model.z_posterior(posterior, p_z)
shapes = {"X": x, "maps of f_enc(X)": posterior.maps, "content code": posterior.code, "M": memory, "Y": y,
          "window (s, x, y)": model.window(y), "M_hat": blocks, "mean of p(Z|M_hat,Y)": p_z.mean,
          "mean of q(z)": q_z.mean, "mean of p(X|Z)": model.decode(q_z.mean).mean}
for name, value in shapes.items():
    print(f"{name:22} {tuple(value.shape)}")
print("keys found where they were written:", int((y == place).all(-1).all(-1).sum()), "of", c.length)
print(f"numbers in the images: {x.numel()}, in the maps: {posterior.maps.numel()}, in the memory: {memory.numel()}")

# %% [markdown]
# $M$ has one size, whatever $T$ is: that is the point of equation 5, "decoupling the size of the memory from
# inference". For $T = 32$ it holds fewer numbers than the images have pixels, though in floating point and not in bits.
#
# ## 2 · The temporal shift
#
# The paper's encoder is a ResNet-18 that sees one image at a time, except that at the entrance of each residual branch
# a part of the channels is taken from the *neighbours* in the episode: 1/8 from the next image, 1/8 from the one before
# (Lin et al., 2019; "0.125" in Appendix E is 1/8 *each way*, so a quarter moves).
#
# > **Predict:** a toy episode of five images with 16 channels, where every channel of image $t$ holds the number $t$.
# > What stands in the table after one shift? What stands at the two ends?

# %%
toy = torch.arange(1.0, 6)[:, None, None, None].expand(5, 16, 1, 1)  # [T, C, 1, 1]
nothing = torch.zeros_like(toy[:1])
naive = temporal_shift(torch.cat([nothing, toy[2:3], nothing]), length=3)[1:2]  # one image between zeros
tables = {"before": toy, "after one shift": temporal_shift(toy, length=5), "T = 1 without a bypass": naive}
fig, axes = plots.panels(3, 3.6, 2.3)
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    ax.imshow(table[:, :, 0, 0], vmin=0, vmax=6, cmap="Blues", aspect="auto")
    for t, row in enumerate(table[:, :, 0, 0].tolist()):
        for channel, value in enumerate(row):
            ax.text(channel, t, f"{value:.0f}", ha="center", va="center", fontsize=7)
    ax.set(title=name, xlabel="channel", ylabel="image t", yticks=range(len(table)), xticks=(0, 5, 10, 15))
plt.close(fig)
fig

# %% [markdown]
# *Picture:* three tables with a column for each of sixteen channels. The first two have five rows, the images. Before,
# each row holds its own number. After, two columns have moved up by one and two moved down, with zeros where nothing
# came in. The third has one row, a single image moved without a bypass: four of its sixteen columns are zero.

# %%
def shift_by_hand(v):
    """The same in three lines: [T, C, ...] -> [T, C, ...], C/8 channels each way, zeros at the ends."""
    n, out = v.shape[1] // 8, v.clone()
    out[:-1, :n], out[-1, :n] = v[1:, :n], 0  # from t + 1
    out[1:, n : 2 * n], out[0, n : 2 * n] = v[:-1, n : 2 * n], 0  # from t - 1
    return out


some = torch.randn(7, 24, 3, 3, generator=kpp.seeded(seed, 1))
assert torch.equal(shift_by_hand(some), temporal_shift(some, length=7))
assert torch.equal(temporal_shift(some[:1], length=1), some[:1])  # T = 1: no neighbours, left alone
print("channels lost by one image without the bypass:", int((naive == 0).sum()), "of", naive.shape[1])

# %% [markdown]
# An episode of a single image has no neighbours. Shifted all the same, a quarter of its channels would be blanked in
# every one of the eight branches. Ours is bypassed at $T = 1$. (In public code by the paper's first author for a
# related model, the shift is built with a segment length of 1, where it does just that; what K++ itself used is not
# known.)
#
# ## 3 · The encoder: how far does a neighbour reach?
#
# > **Predict:** a ResNet-18 has eight residual branches. Replace image 16 of the episode by another digit. Which of the
# > 32 rows of the encoder's output change, with the shift and without?

# %%
torch.manual_seed(seed)
shifted = Encoder(kpp.Config.preset("cpu", recipe="paper"), shifted=True).eval()  # reach needs no training
other = kpp.episode(data.test, c.length, seed=seed + 1)
changed = x.clone()
changed[0, 16] = other[0, 0]
e_paper = shifted(x)  # [1, T, F], what the paper's write and keys look at


def ours(episode):
    return model.encoder.see(episode).maps.flatten(2)  # ours looks at maps


# %%
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, encode, style in (("with the shift (untrained)", shifted, "o-"), ("without (trained)", ours, "s")):
    moved = (encode(changed) - encode(x))[0].norm(dim=-1)  # [T]
    at = moved.nonzero()[:, 0]
    ax.semilogy(at - 16, moved[at] / moved.max(), style, markersize=5, label=name)
    print(f"{name}: images at distances {int(at.min()) - 16} to {int(at.max()) - 16} changed")
ax.set(xlabel="place in the episode, relative to the replaced image", ylabel="change / largest", xlim=(-16, 16))
ax.legend(fontsize=8)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the relative change of what the encoder gives for each image against its distance from the replaced image, on a logarithmic
# scale. With the shift (an untrained encoder, the paper's layout) it falls off on both sides and ends at eight; without
# (the trained model) only distance 0 has a point.

# %%
reach = (shifted(changed) != shifted(x)).any(-1)[0].nonzero()[:, 0] - 16
tour.record("shift_reach", reach.abs().max(), "images")

# %% [markdown]
# Eight branches, one step each: an image is felt eight places away, and no further. Two consequences. The paper calls the episode exchangeable, "the ordering of the samples within the
# episode does not matter" (section 3.1), and with the shift that is not so: $E$, and with it the keys and the memory,
# depend on the order. And a cue shown *alone* is encoded unlike the same image among its neighbours. Our recipe gives
# the shift up for that reason.
#
# ## 4 · Two ways to write
#
# **The paper's pooled write**: average the embeddings over the episode and let one conv-transpose network make the
# whole memory, $M = f_{mem}(\frac{1}{T}\sum_t e_t)$. (Which pooling the paper does not say; "deep linear" in Appendix E
# and "non-linearly" in section 3.3 contradict each other. We take the mean, and the latter.)
#
# **The placed write, ours**: each image makes its own block from the maps of the encoder, and the block is put at its
# key's mean by the inverse of the read. The window that writes has the centre of the window that reads, and is narrower
# (`write_window`); section 6 shows both. Here are the lines of `MapWriter.forward`, opened up; the arithmetic of
# `place_blocks` by hand is in notebook 02, section 9.

# %%
def writing(m, keys):
    """The windows through which m writes at keys [B, T, K, 3]: the centres of the reads, another half-width."""
    half, centre = m.window(keys).split([1, 2], dim=-1)
    return torch.cat([half * (m.config.write_window or m.config.window) / m.config.window, centre], dim=-1)


# %%
size, floor, writer = c.memory_size, c.place_floor, model.writer
maps = writer.body(posterior.maps.flatten(0, 1))  # [T, 48, 7, 7], one residual block and a convolution
pieces = writer.blocks(resized(maps, writer.side))  # [T, K*3, 10, 10]: made larger, then a 1x1 convolution
pieces = pieces.view(1, c.length, c.reads, c.memory_channels, writer.side, writer.side)
by_hand = place_blocks(pieces, writing(model, place), size, floor)  # summed, over summed masks + floor
print(f"placed write by hand: largest difference {(by_hand - memory).abs().max():.1e}")
torch.manual_seed(seed)
pooled = PooledWriter(kpp.Config.preset("cpu", recipe="paper")).eval()  # the paper's, untrained
assert torch.equal(pooled(e_paper, None), pooled.up(e_paper.mean(dim=1)))

# %% [markdown]
# > **Predict:** one image of 32 is replaced by a quite different one. Which pixels of the memory change in each case? The third map lets the new
# > image have a cell by its own content: how many of the 31 *others* will have to move?

# %%
far = (model.encode(other).code[0] - posterior.code[0, 16]).norm(dim=-1).argmax()
changed[0, 16] = other[0, far]  # the one whose code is furthest away
after = model.encode(changed)
in_its_cell = after._replace(place=place)  # the new image, in the cell of the old one
difference = {
    "pooled (paper, untrained)": (pooled(shifted(changed), None) - pooled(e_paper, None))[0].abs().mean(0),  # [S, S]
    "placed, same cell": (model.write(changed, in_its_cell) - memory)[0].abs().mean(0),
    "placed, cells given anew": (model.write(changed, after) - memory)[0].abs().mean(0),
}
fig = plots.memory_maps(difference, "mean |change|", "One image of 32 replaced", shared=False)
s, left, top = (writing(model, place)[0, 16, 0] - torch.tensor([0, 1, 1]) * c.write_window).tolist()
for ax in fig.axes[1:3]:
    ax.add_patch(plt.Rectangle((left, top), 2 * s, 2 * s, fill=False, edgecolor="white", linewidth=0.8))
plt.close(fig)
fig

# %% [markdown]
# *Picture:* three maps over the memory of the absolute change when one image is replaced. The paper's pooled write,
# here untrained, changes everywhere. The placed write, if the new image takes the cell of the old one, changes only inside the image's window, drawn white, and half
# a pixel around it. If cells are given anew, several whole cells change. Each map has its own scale.

# %%
for name, change in difference.items():
    print(f"{name:26} {(change > 0).float().mean():6.1%} of the memory's pixels changed")
moved = (after.place != place).flatten(2).any(-1)[0]  # [T]
print(f"other images that were given another cell: {int(moved.sum()) - int(moved[16])} of {c.length - 1}")
tour.record("pooled_pixels_changed", (difference["pooled (paper, untrained)"] > 0).float().mean())
tour.record("placed_pixels_changed", (difference["placed, same cell"] > 0).float().mean())

# %% [markdown]
# The first two maps are facts of the architecture, not of the weights. After pooling, one image is 1/32 of one vector,
# and to keep it apart from the others is left to the network. When it is placed, it stays apart by construction, as long as the
# keys keep it apart. The third map is how this model gives out its keys: for the whole episode at once.
#
# ## 5 · From content to a cell
#
# The memory is a grid of cells. Which image goes where? In our model it takes three steps.
#
# 1. Each image has a *content code*: two numbers, `posterior.code`. A small decoder, used in training only, has to draw
#    the image from these two numbers and some noise, so that near codes mean images that look alike.
# 2. The codes are spread like $p(Y) = N(0, 1)$; $\mathrm{erf}(\text{code}/\sqrt 2)$ spreads them evenly over the memory.
# 3. Images and cells are matched so that the sum of squared distances between codes and centres of cells is least: a *linear assignment*,
#    solved exactly by SciPy.
#
# > **Predict:** why not simply take the nearest cell for each image? How many of the 36 cells would be used?

# %%
places = model.key_model.places  # [36, 2], centres of the cells
spread = in_plane(posterior.code)[0]  # [T, 2] in [-1, 1]
cost = torch.cdist(spread, places).square()  # [T, 36]
cell = torch.from_numpy(linear_sum_assignment(cost.numpy())[1])  # [T]
assert torch.equal(cell, model.key_model.allocated(posterior.code)[0])
nearest = cost.argmin(1)
print(f"each image in its nearest cell: {len(nearest.unique())} cells for {c.length} images")
print(f"by assignment: {len(cell.unique())} cells; {int((cell == nearest).sum())} images are in their nearest one")
print(f"mean distance from code to cell: {(spread - places[cell]).norm(dim=-1).mean():.2f};"
      f" a cell is {2 / model.key_model.side:.2f} wide")

# %% [markdown]
# > **Predict:** will digits of one kind lie together? In the contrast, where each image computes its address by itself,
# > what becomes of two images that look alike?

# %%
def centres(m, keys):
    """Centre of each window, [..., 2], and its spread through the squash, to first order."""
    centre = m.window(keys.mean)[..., 1:]
    room = 1 if m.config.squash == "centre" else 1 - m.config.window  # centre = room * tanh(y)
    return centre, room * (1 - (centre / room).square()) * keys.stddev[..., 1:]


# %%
fig, axes = plots.panels(3, 3.7, 3.9)
plots.key_map(axes[0], torch.zeros_like(memory[0]), spread, torch.zeros_like(spread), x[0], "codes, lines to cells")
axes[0].plot(*torch.stack([spread, places[cell]]).permute(2, 0, 1), color="crimson", linewidth=0.8)
models = {"allocated": model, "content": content}
for ax, (name, m) in zip(axes[1:], models.items(), strict=True):
    centre, std = (v[0, :, 0] for v in centres(m, m.infer(x).q_y))
    plots.key_map(ax, m.write(x)[0], centre, 2 * std, x[0], f"{name}: windows of key 1")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* three squares. Left, each digit of the episode at its content code, on grey, with a short red line to the
# cell that it was given. Middle, our memory: a digit at the centre of each cell, on colourful blocks, with a red ellipse of two standard
# deviations of the key, much smaller than a digit; digits of one kind are mostly neighbours. Right, the contrast with the first of its two keys: look-alikes stand near each other and on each other, with ellipses of many sizes.

# %%
scored = kpp.Episodes(data.test, c.length, episodes_scored, seed=seed).batch(0)
batch = scored.x  # [B, T, 1, 28, 28]
kinds = data.test.labels[scored.index]  # [B, T]
alike, oneself = kinds[:, :, None] == kinds[:, None], torch.eye(c.length, dtype=torch.bool)
for name, m in models.items():
    centre, std = centres(m, m.infer(batch).q_y)  # [B, T, K, 2]
    gaps = torch.cdist(centre.transpose(1, 2), centre.transpose(1, 2)).mean(1)  # [B, T, T], mean over the keys
    same, different = gaps[alike & ~oneself].mean(), gaps[~alike].mean()
    print(f"{name:9} distance of two windows: same digit {same:.2f}, different digits {different:.2f};"
          f" spread of a centre {std.mean():.3f}")
    tour.record("same_over_different" + ("_content" if m is content else ""), same / different)

# %% [markdown]
# Cells given at random would make the two distances equal. The paper hopes that similar samples come to lie in "an overlapping
# latent representation space" (section 1). In both models similar images are near each other. In ours they do not overlap: each has a cell of its own.
#
# The labels were used for this table only. The code has never seen one: it knows what looks alike.
#
# > **Predict:** show the episode in another order. What changes in the memory? And show an image in other company: is it
# > given the same cell?

# %%
permutation = torch.randperm(c.length, generator=kpp.seeded(seed, 2))
permuted, means = model.encode(x[:, permutation]), SCORES["mean_decoding"]  # the three terms at the means of y and z
in_memory = (model.write(x[:, permutation], permuted) - memory).abs().max()
in_total = (means(model, x[:, permutation], kpp.seeded(0)) - means(model, x, kpp.seeded(0))[:, permutation]).abs().max()
print(f"another order: memory changes by {in_memory:.1e} at most, an image's total by {in_total:.1e} nats")
tour.record("memory_change_permuted", in_memory)

# %%
rows = torch.arange(c.length)
company = other.repeat(c.length, 1, 1, 1, 1)  # T episodes: in number t, image t is ours
company[rows, rows] = x[0]
for name, m in models.items():
    same_key = (m.encode(company).place[rows, rows] - m.encode(x).place[0]).abs().amax((1, 2)) < 1e-4
    print(f"{name:9} in another episode {same_key.float().mean():.0%} of the images are written at the same place")
    tour.record("same_place_in_other_company" + ("_content" if m is content else ""), same_key.float().mean())

# %% [markdown]
# The order of the episode plays no part, as section 3.1 of the paper asks ("the ordering of the samples within the episode
# does not matter"): rows of $Y$ and of the totals are permuted with $X$, and $M$ is the same. (So it is in the contrast, whose images do not see each other.)
#
# The company does play a part. An image's neighbours take cells, too, so its cell cannot be computed from the image alone. In the contrast it can.
#
# Then how does a cue know where to look? By trying: `look_up` reads and decodes all 36 cells at their means, and asks
# of each picture how likely the cue is a copy of it in which each bit is wrong with probability `lookup_flip`. The best
# cell's Gaussian is $q(Y|X, M)$. That depends on $M$, and may: $M$ is given, and any $q$ keeps equation 4 a bound.

# %% [markdown] tags=["exercise:TableMemory"]
# **Exercise: an associative memory in ten lines.** Write the search as a class of your own. `write` keeps pictures,
# whose pixels are probabilities of ink; `find` gives the number of the picture that the cue is most likely a copy of,
# if each bit of the copy is turned over with probability `flip`. When it passes, try it on what the cells of the memory
# hold (computed below): `.write(pictures.flatten(1))`, `.find(cue.flatten())`.

# %% tags=["exercise:TableMemory"]
class TableMemory:
    """write(pictures [N, D] in [0, 1]), then find(cue [D], bits) -> the number of the likeliest picture."""

    def __init__(self, flip):
        self.flip = flip

    def write(self, pictures):
        ...  # your lines

    def find(self, cue):
        ...  # your lines


checks.TableMemory(TableMemory)

# %% [markdown] tags=["exercise:TableMemory"]
# <details><summary>Solution: TableMemory</summary>
#
# ```python
# class TableMemory:
#     """write(pictures [N, D] in [0, 1]), then find(cue [D], bits) -> the number of the likeliest picture."""
#
#     def __init__(self, flip):
#         self.flip = flip
#
#     def write(self, pictures):
#         self.ink = pictures * (1 - self.flip) + (1 - pictures) * self.flip  # chance of ink in a damaged copy
#
#     def find(self, cue):
#         log_p = cue * self.ink.log() + (1 - cue) * (1 - self.ink).log()  # [N, D]
#         return int(log_p.sum(-1).argmax())
# ```
#
# No picture is sure of anything after a noisy copy, so no logarithm is of zero. For black and white pictures this is
# the smallest number of differing bits; for grey ones it is not.
#
# </details>

# %% [markdown]
# > **Predict:** a tenth of a cue's bits are flipped. By how many nats does the right cell win? Four cells are empty: what
# > will be decoded there?

# %%
t, flip = 16, c.lookup_flip
q_cells = model.key_model.slots()  # q(y) of every cell: batch shape [36]
pictures = model.read_images(memory, q_cells.mean[None], sampled=False)[0]  # [36, 1, 28, 28]
cue = (x[0, t] - (torch.rand(x[0, t].shape, generator=kpp.seeded(seed, 6)) < flip).float()).abs()
ink = pictures * (1 - flip) + (1 - pictures) * flip  # chance of ink in a noisy copy
match = (cue * ink.log() + (1 - cue) * (1 - ink).log()).sum((1, 2, 3))  # [36], ln p(cue | cell), nats
assert torch.equal(q_cells.mean[match.argmax()], model.look_up(cue[None, None], memory).mean[0, 0])

# %%
fig, axes = plots.panels(3, 3.2, 3.0)
plots.show_picture(axes[0], cue, f"the cue: image {t}, noisy")
axes[1].imshow(plots.sheet(pictures, model.key_model.side), cmap="gray_r")
axes[1].set_axis_off()
axes[1].set_title("what the cells hold", fontsize=9)
colours = ["tab:orange" if n == cell[t] else "tab:blue" for n in range(len(places))]
axes[2].bar(range(len(places)), match - match.min() + 1, bottom=match.min() - 1, color=colours)
axes[2].set(xlabel="cell", ylabel="ln p(cue | cell), nats")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* left, a noisy cue. Middle, what the cells hold, in the order of the grid: the digits of the episode,
# legible, similar ones side by side, and four dark smudges where cells are empty. Right, each cell's match with the cue in nats, higher is better; the right cell, in orange, is the highest.

# %%
values, at = match.topk(2)
print(f"best cell: {int(at[0])}, written to: {int(cell[t])}; ahead of the next by {values[0] - values[1]:.0f} nats")
tour.record("look_up_margin", values[0] - values[1], "nats")
for n in (1, 4, 9):
    among = (model.key_model.nearest(posterior.code, n)[0] == cell[:, None]).any(-1).float().mean()
    print(f"an image's cell is among the {n} nearest to its code: {among:.0%} of the images")

# %% [markdown]
# The code tells the neighbourhood. So a search need not look everywhere: `look_up(x, memory, near=9)` decodes the nine cells nearest to the cue's code
# first, however large the memory is, and the others only where none of the nine is surely the image. A damaged cue has a
# damaged code; `kpp study search` counts how often all cells are then needed.
#
# ## 6 · Who wrote where
#
# > **Predict:** a cell is $64/6 = 10.7$ pixels wide, a block is written through a window of 9.6 pixels and read through one
# > of 12. How much of the memory is written? How many *written* blocks lie on a pixel at most, and how many *reads*?

# %%
pixel = (2 * torch.arange(size) + 1) / size - 1


def cover(windows):
    """Which pixels each of the windows [N, 3] covers: [N, S, S]."""
    across, down = (((pixel - windows[:, i : i + 1]).abs() < windows[:, :1]).float() for i in (1, 2))  # [N, S]
    return down[:, :, None] * across[:, None]



# %%
writes, reads = writing(model, place)[0, :, 0], model.window(place)[0, :, 0]  # [T, 3]
fig, axes = plots.panels(2, 4.2, 4.2)
colours = [plt.get_cmap("turbo")(t / c.length) for t in range(c.length)]
plots.show_memory(axes[0], memory[0], writes, colours, "windows as written, a colour per image")
shade = axes[1].imshow(cover(reads).sum(0), extent=(-1, 1, 1, -1))
axes[1].set_title("windows as read, over each pixel", fontsize=9)
axes[1].set_xlabel("x", fontsize=8)
axes[1].tick_params(labelsize=7)
fig.colorbar(shade, ax=axes[1], shrink=0.75, label="windows")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* left, the memory with 32 outlined squares in a grid, one colour per image, thin gaps between them, and four empty cells. Right, the number
# of reads over each pixel: one inside the cells, two along their edges, four at their corners.

# %%
for name, m in models.items():
    covered = cover(writing(m, m.encode(x).place)[0].flatten(0, 1))  # [T*K, S, S]
    over, image = covered.sum(0), covered.view(c.length, -1, size, size).sum(1)  # [T, S, S]: blocks of one image
    own = (image * image / over.clamp(min=1)).sum((1, 2)) / image.sum((1, 2))  # of what lies under its windows
    written = (over > 0).float().mean()
    print(f"{name:9} written {written:.0%} of M; blocks over a written pixel {over[over > 0].mean():.1f} on average,"
          f" {over.max():.0f} at most; own share under an image's windows {own.mean():.2f}")
    tour.record("memory_written" + ("_content" if m is content else ""), written)
    tour.record("own_share" + ("_content" if m is content else ""), own.mean())

# %% [markdown]
# In our memory one block at most lies on a pixel: what an image finds in its cell is its own writing. A read is wider than the cell, and its *rim* shows
# the gap and the edge of the neighbours. In the contrast look-alikes share ground, and a pixel there is the mean of several blocks.
#
# Choose for yourself: a model, an episode, an image. The third panel takes the picture out of the memory again: it shows what
# changes there when this one image is replaced by the next.
#
# > **Predict:** in which of the two models does an image change more of the memory than lies under its own windows?

# %%
several = torch.cat([kpp.episode(data.test, c.length, seed=seed + i) for i in range(8)])  # [8, T, 1, 28, 28]
widgets.written(models, several)

# %% [markdown]
# *Picture:* four panels: a digit; the memory with all windows as thin white squares and the digit's own in colour; a dark
# map of the change, bright in one or a few places; and the digit as it is read there.
#
# In both. In ours other images may move to other cells, as in section 4: whole cells change. In the contrast nobody else moves, but four windows change, the two that the image left and
# the two of the newcomer.
#
# ## 7 · What is read
#
# > **Predict:** write one image alone, and read it; then read it at the same key from the memory of all 32. What will differ? And what
# > if the key misses by one pixel of the memory?

# %%
def missed(pixels):
    """The keys y, with windows that stand so many pixels of the memory further to the right."""
    centre = model.window(y)[..., 1:] + torch.tensor([2 * pixels / size, 0])
    return torch.cat([y[..., :1], torch.atanh(centre.clamp(-0.999, 0.999))], dim=-1)


# %%
six = torch.linspace(0, c.length - 1, 6).long()  # six images
each = writing(model, place).transpose(0, 1)  # [T, 1, K, 3]
lonely = place_blocks(pieces.transpose(0, 1), each, size, floor)  # T memories of one block
alone_read = model.read(lonely, y.transpose(0, 1))[:, 0]  # [T, K, 3, g, g]
triples = torch.stack([alone_read[six], blocks[0, six], model.read(memory, missed(1))[0, six]], dim=1)
names = [f"t={t} {what}" for t in six.tolist() for what in ("alone", "of all 32", "1 pixel off")]
fig = plots.blocks(triples.flatten(0, 2), columns=6, titles=names, title="What is read, three times per image")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* for six images three small coloured blocks. Alone: the block on grey, with a grey rim. From the memory of all: the same block, and
# edges of other colours along the rim where there are neighbours. One pixel off: the same, moved by a little more than a pixel.

# %%
def cosine(a, b):
    return torch.cosine_similarity(a.flatten(-3), b.flatten(-3), dim=-1).mean()  # of blocks [..., 3, g, g]


back = read_blocks(memory, writing(model, place), writer.side)  # read through the window that wrote
print(f"cosine of a block as made and as read through its own window: {cosine(pieces, back):.3f}")
print(f"of what is read alone and among 32, rim and all: {cosine(alone_read, blocks[0]):.3f}")
tour.record("written_read_cosine", cosine(pieces, back))
print(f"a key's spread is {centres(model, q_y)[1].mean() * size / 2:.2f} pixels of the memory. With the window off by")
for pixels in (0, 0.5, 1, 2, 3):
    found = model.read_images(memory, missed(pixels), sampled=False)
    print(f"{pixels:4} pixels: {((found > 0.5) != (x > 0.5)).float().mean():6.1%} of the picture's bits are wrong")
    tour.record(f"bits_wrong_{pixels}_off", ((found > 0.5) != (x > 0.5)).float().mean())

# %% [markdown]
# What comes back is the block as it was made, a little smoothed by the bilinear write and read. And the key need not be exact: sampled keys miss by a fraction of a
# pixel, and a miss of one pixel costs few bits. Two or three pixels cost many. The prior network can see a miss: the edges of the block and of its neighbours
# stand elsewhere in the rim. (That it uses the rim is the reason why we read wider than we write; these rows do not prove it.)
#
# ## 8 · The prior that comes out
#
# A small convolutional network makes $p_\theta(Z|\hat M, Y)$ of the block. The paper's posterior is $q(Z|X)$, from the image
# alone. Ours is $q(z) \propto q(Z|X)\, p(Z|\hat M, Y)$: the encoder's Gaussian times the prior that was just read (`model.z_posterior`). Precisions add, so the
# sharper of the two decides. Footnote 2 of the paper names such a posterior, $q(Z|X, Y, M)$, for the Dynamic Kanerva Machine.
#
# > **Predict:** which of the two will be the sharper? And if a cue is read from another episode's memory, will $q(z)$ show the cue, or what was read?

# %%
own = posterior.q_z  # the encoder's factor
for name, p in {"encoder's Gaussian alone": own, "prior, as read": p_z, "q(z), their product": q_z}.items():
    print(f"{name:25} mean standard deviation {p.stddev.mean():.3f}")
print(f"KL_Z = KL[q(z) || p_z], mean over the episode: {kl_divergence(q_z, p_z).mean():.2f} nats")
print(f"the same with the encoder's Gaussian in place of q(z): {kl_divergence(own, p_z).mean():.0f} nats")

# %% [markdown]
# To see what each of them knows we decode its *mean*: of the encoder's Gaussian, of the prior, and of $q(z)$. Two
# controls: the same cues in **another episode's memory**, and in an **empty memory** ($M = 0$). Keys are looked up anew
# in each: the cell there that fits best. In an empty one all cells are alike.
#
# > **Predict:** which rows will you be able to tell apart from the first one?

# %%
swapped, empty = model.write(other), torch.zeros_like(memory)


def decoded(m):
    """Means of the prior that the looked-up keys find in memory m, and of q(z) with it, as pictures [T, 1, 28, 28]."""
    p = model.prior(m, model.infer(x, m).q_y.mean)
    return (model.decode(v.mean).mean[0] for v in (p, model.z_posterior(posterior, p)))


named = {"image": x[0], "encoder alone": model.decode(own.mean).mean[0]}
for name, m in {"its memory": memory, "another memory": swapped, "empty memory": empty}.items():
    named[f"{name}: prior"], named[f"{name}: q(z)"] = decoded(m)
fig = plots.rows(named)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* eight rows of twelve digits. Images; the encoder's Gaussian alone, the same digits. Their own memory, prior and $q(z)$: the same digits again.
# Another memory: whole digits, the best match that it holds, at times of another kind; $q(z)$ shows these too,
# and not the image. An empty memory: the same dark smudge each time; $q(z)$ shows a broken digit in it.
#
# So $z$ follows the read. The encoder knows the image well enough to draw it, but its Gaussian is wide and the prior is sharp, so the product is where the prior is.
# A small KL$_Z$ is no sign of a collapse here: it says that posterior and prior agree, and they agree because $q(z)$ is made of the prior.
# Where the memory is wrong, KL$_Z$ may stay small, and the price is paid in the reconstruction. In the contrast, with $q(Z|X)$ from the image alone,
# it is the other way round. So look at the sum:

# %%
def cost_of(m, mem):
    """KL_Z and -ln p(x|z) of x read from memory mem, at the means of y and z: nats, mean over the episode."""
    q = m.infer(x, mem)
    p = m.prior(mem, q.q_y.mean)
    z = m.z_posterior(q, p)
    return kl_divergence(z, p).mean(), -m.decode(z.mean).log_prob(x).mean()


costs = {}
print("KL_Z + reconstruction, mean over the episode (nats):")
for name, m in models.items():
    costs[name] = [cost_of(m, v) for v in (m.write(x), m.write(other), torch.zeros_like(memory))]
    print(f"{name:9} " + ", ".join(f"{of} memory {kl:.1f} + {recon:.1f}" for of, (kl, recon) in
                                  zip(("own", "another", "empty"), costs[name], strict=True)))

# %%
totals = {name: [sum(pair) for pair in pairs] for name, pairs in costs.items()}
tour.record("kl_z_own_memory", costs["allocated"][0][0], "nats")
tour.record("cost_own_memory", totals["allocated"][0], "nats")
tour.record("cost_swapped_minus_own", totals["allocated"][1] - totals["allocated"][0], "nats")
tour.record("cost_swapped_minus_own_content", totals["content"][1] - totals["content"][0], "nats")

# %% [markdown]
# If another memory costs little more than the right one, the keys alone say much: a *content code*, where the location
# stands for a kind of digit and any memory has something suitable there. That is the contrast. If it costs a lot, the
# memory holds what only this episode has. How *much* it costs measures the sharpness of the prior: a confident
# wrong prior gives a large cost. It does not say how many nats a memory is worth.
#
# ## 9 · Shuffled cues, and a single cue
#
# Is an image found by its looks, or by its place in the episode? Present the images to the finished memory in another
# order, one by one, and with flipped bits. The memory has to be named: `model.infer(cue, memory)`. Without it, the cue
# is taken for an episode of its own and writes one.
#
# > **Predict:** what changes for a model without the shift? And for one with it? How many flipped bits lead astray?

# %%
alone = x[0][:, None]  # [T, 1, 1, 28, 28]: 32 episodes of one image
shuffled_gap = (model.infer(x[:, permutation], memory).q_y.mean - y[:, permutation]).abs().max()
single_gap = (model.infer(alone, memory.expand(c.length, -1, -1, -1)).q_y.mean[:, 0] - y[0]).abs().max()
print(f"largest change of a key, this model:          shuffled {shuffled_gap:.1e}, alone {single_gap:.1e}")
shuffled_e = (shifted(x[:, permutation]) - e_paper[:, permutation]).norm() / e_paper.norm()
single_e = (shifted(alone)[:, 0] - e_paper[0]).norm() / e_paper.norm()
print(f"relative change of the embeddings with shift: shuffled {shuffled_e:.2f}, alone {single_e:.2f} (untrained)")
tour.record("key_change_shuffled", shuffled_gap)
tour.record("key_change_alone", single_gap)

# %%
for share in (0.1, 0.2, 0.3, 0.4):
    flips = (torch.rand(x.shape, generator=kpp.seeded(seed, 7)) < share).float()
    found = (model.infer((x - flips).abs(), memory).q_y.mean == place).all(-1).all(-1).float().mean()
    print(f"{share:.0%} of the bits flipped: {found:.0%} of the keys are found where they were written")
    tour.record(f"found_with_{share}_flipped", found)

# %% [markdown]
# Order and company of the cues change nothing: no neighbour is seen, and the memory is searched. With few flipped bits every key is found;
# somewhere towards 40 % many are lost. With the shift, every embedding changes. A model that also *reads* by position (the recipe `slots`, ours as well) cannot find a lone cue.
#
# ## 10 · Is the memory used?
#
# A good bound and good pictures prove nothing: a model can ignore its memory and be a fair VAE. The test is to take the
# memory away, and it belongs beside every number. All rows in nats are per image, with *sampled* keys and latents, over
# the same test episodes. *Without the image* is a memory written by the 31 others (a quarter of the images is scored).

# %% [markdown] tags=["exercise:swap_gap"]
# **Exercise: the memory swap.** You get a function `total(x, memory)` that scores episodes with given memories, the
# episodes, and the memory that each of them wrote. By how many nats/image is the score worse if every episode reads
# *another* one's memory? Make sure that nobody keeps their own. When it passes, try it on the model: `swap_gap(lambda
# x, m: model.bound(x, m, kpp.seeded(0)).total, batch, model.write(batch))`.

# %% tags=["exercise:swap_gap"]
def swap_gap(total, x, memory):
    """total(x, memory) -> [B, T] nats; x [B, T, C, H, W], memory [B, 3, S, S], B >= 2 -> one number, nats/image."""
    ...  # your lines


checks.swap_gap(swap_gap)

# %% [markdown] tags=["exercise:swap_gap"]
# <details><summary>Solution: swap_gap</summary>
#
# ```python
# def swap_gap(total, x, memory):
#     """total(x, memory) -> [B, T] nats; x [B, T, C, H, W], memory [B, 3, S, S], B >= 2 -> one number, nats/image."""
#     others = memory.roll(1, dims=0)
#     return total(x, others).mean() - total(x, memory).mean()
# ```
#
# A random permutation leaves, on average, one episode with its own memory, and `flip(0)` leaves the middle one of an
# odd number. An empty memory is a fair control too, but another one: no model was trained on it.
#
# </details>

# %% [markdown] tags=["exercise:retrieval_top1"]
# **Exercise: retrieval.** For each picture that was read from memory alone: is the nearest of the $T$ written images
# its own? Return the share. (Nearest by the sum of squared differences.) When it passes, try it:
# `retrieval_top1(model.reconstruct(x, memory)[0], x[0])`.

# %% tags=["exercise:retrieval_top1"]
def retrieval_top1(pictures, images):
    """pictures, images [T, C, H, W]; picture t was read for image t -> a share between 0 and 1."""
    ...  # your lines


checks.retrieval_top1(retrieval_top1)

# %% [markdown] tags=["exercise:retrieval_top1"]
# <details><summary>Solution: retrieval_top1</summary>
#
# ```python
# def retrieval_top1(pictures, images):
#     """pictures, images [T, C, H, W]; picture t was read for image t -> a share between 0 and 1."""
#     distances = torch.cdist(pictures.flatten(1), images.flatten(1))  # [T pictures, T images]
#     nearest = distances.argmin(dim=1)
#     return (nearest == torch.arange(len(images))).float().mean()
# ```
#
# The other way round, "which picture is nearest to image $t$?", is another question: a memory that gives everybody a
# blur can do well there.
#
# </details>

# %% [markdown]
# > **Predict** the order of the rows before you run the cell, for both memories.

# %%
names = {"shuffled_cues": "cues shuffled", "single_cues": "cues one by one",
         "leave_one_out": "its own memory, without the image", "memory_swap": "another episode's memory",
         "prior_keys": "random keys, without KL_Y", "retrieval_top1": "in order",
         "retrieval_shuffled": "shuffled", "retrieval_single": "one by one", "retrieval_noisy": "shuffled and noisy"}
bounds = {name: m.bound(batch, generator=kpp.seeded(seed, 3)).mean() for name, m in models.items()}
scores = {name: {s: SCORES[s](m, batch, kpp.seeded(seed, 3)).nanmean() for s in names} for name, m in models.items()}
for name, value in bounds.items():
    print(f"{name:9} {value}")

# %%
print(f"\n{'nats per image, lower is better':34} {'allocated':>9} {'content':>9}")
print(f"{'its own memory':34} " + " ".join(f"{b.total:9.1f}" for b in bounds.values()))
for s, text in names.items():
    if s == "retrieval_top1":
        print(f"\nread from memory alone, nearest to the right image (chance {1 / c.length:.0%})")
    values = [row[s] for row in scores.values()]
    print(f"{text:34} " + " ".join(f"{v:9.0%}" if s.startswith("retrieval") else f"{v:9.1f}" for v in values))

# %%
bound, ours, theirs = bounds["allocated"], scores["allocated"], scores["content"]
tour.record("total", bound.total, "nats/image")
tour.record("recon", bound.recon, "nats/image")
tour.record("kl_y", bound.kl_y, "nats/image")
tour.record("swap_gap", ours["memory_swap"] - bound.total, "nats/image")
tour.record("leave_one_out_gap", ours["leave_one_out"] - bound.total, "nats/image")
tour.record("shuffled_gap", ours["shuffled_cues"] - bound.total, "nats/image")
tour.record("single_gap", ours["single_cues"] - bound.total, "nats/image")
for s in ("retrieval_top1", "retrieval_shuffled", "retrieval_single", "retrieval_noisy"):
    tour.record(s, ours[s])
tour.record("swap_gap_content", theirs["memory_swap"] - bounds["content"].total, "nats/image")
tour.record("retrieval_top1_content", theirs["retrieval_top1"])

# %% [markdown]
# - **Without the image**, our memory costs as much as **another episode's**, or more: it holds *these* images, and little
#   that images have in common. The contrast loses a few nats in either row. A swap costs something, so its memory is read. It costs
#   little, because its keys mostly encode the kind of digit, and $q(Z|X)$ knows the image anyway. A total alone would have hidden that.
#   (Leave-one-out scores a quarter of the images: do not rank the two rows.)
# - **Random keys** cost far more: what is read depends on where. That alone would not show that the episode is stored: see question 2.
# - **Shuffled and single cues** cost the same, up to the noise of the samples: both memories are associative. The retrieval rates of the
#   contrast differ from row to row because each image is drawn once here; over 10,000 images they agree ([results](../docs/results.md)).
# - **Retrieval:** from our memory alone, with a sampled key and a sampled latent, comes back almost always the very
#   image that was written, noisy cue or not. From the contrast, another image comes back in a good part of the cases.
# - **KL$_Y$** is the price of the key. To name one image of 32 takes $\ln 32 = 3.5$ nats; ours costs more, because $p(Y)$ is a Gaussian
#   over the whole memory, and the key is placed to a fraction of a pixel. KL$_Z$ is small for the reason of section 8.
#
# Do not set this total beside an unconditional likelihood of MNIST. It is *conditional*: the memory has seen the very
# images that are scored. For distinct binary images its floor is $\ln T$, not the entropy of digits.
#
# ## 11 · Written twice is written the same
#
# The paper's write is deterministic, $M \sim \delta[f_{mem}(f_{enc}(X))]$ (section 3.2). A placed write needs keys, and
# key posteriors have a spread. Which keys should it use?

# %%
same_bits = torch.equal(model.write(x), model.write(x))
drawn = [sample(q_y, kpp.seeded(seed, 4, n)) for n in range(2)]
one, two = (model.writer(posterior.maps, writing(model, y_n)) for y_n in drawn)
print("write(x) twice, bit for bit the same:", same_bits)
print(f"written at sampled keys, twice: largest difference {(one - two).abs().max():.2f}")
tour.record("write_bit_equal", same_bits)

# %% [markdown]
# The key *means*; ours are centres of cells. It would be tempting to write at the
# sampled keys $y$ and to read at the same $y$: write and read would meet exactly, and the read would miss nothing.
#
# > **Predict:** which step of the derivation would break?
#
# Equation 2 needs $p(Y|M) = p(Y)$: the memory is given, the keys are drawn independently of it. If $M$ was written at
# $y$, it *tells* where $y$ is, and the key's information would reach the prior of $z$ without being paid for in KL$_Y$.
# The sum of the three terms could look better and would bound nothing. So $q(Y)$ may look at $M$, as `look_up` does,
# but $M$ must not look at the drawn $y$. Here are both, on the same draws, for keys as trained and for wider ones. Each image is
# alone in its memory, so that no blocks collide:

# %%
def three_terms(m, memories, q, q_y, y_n):
    """The total of images x that are read from `memories` at y_n: nats, mean."""
    p = m.prior(memories, y_n)
    z = m.z_posterior(q, p)
    p_x = m.decode(sample(z, kpp.seeded(seed, 6)))
    return bound_terms(singles, p_x, z, p, q_y, m.p_y(*y_n.shape[:2])).total.mean()


# %%
singles = batch.flatten(0, 1)[:, None]  # B*T episodes of one image
q = model.encode(singles)  # read where it was written: with one image there is nothing to search
honest, leaky, widths = [], [], (1, 2, 4)  # times the standard deviation that was trained
for width in widths:
    wide = Independent(Normal(q.q_y.mean, (width * q.q_y.stddev).clamp(max=1)), 2)
    y_n = sample(wide, kpp.seeded(seed, 5))
    honest.append(three_terms(model, model.write(singles, q), q, wide, y_n))
    leaky.append(three_terms(model, model.writer(q.maps, writing(model, y_n)), q, wide, y_n))
    price = kl_divergence(wide, model.p_y(len(singles), 1)).mean()
    print(f"width x {width}: KL_Y {price:.2f}; total written at means {honest[-1]:5.1f}, at samples {leaky[-1]:5.1f}")
tour.record("leak_gain", min(honest) - min(leaky), "nats/image")

# %% [markdown]
# Honest reads with wider keys miss their block, and the total grows fast: the trained width is about the best. Written at the sample, a
# wider key misses nothing and costs less KL$_Y$. The leaky total falls below the best honest one. That is no better model. The reader was told
# the pointer, and nobody paid for it: the number bounds $-\ln p(X|M, y)$ of a given pointer, and not $-\ln p(X|M)$. (In a full memory, wide keys also
# write over each other, so it would gain less.) That a model which trained with the leak reports a number below the truth is shown in
# notebook 01, section 9.
#
# ## 12 · Malloc and free
#
# Figure 1 of the paper sets K++ beside a heap: `malloc` gives an image a piece of memory and a pointer to it, `free`
# takes the piece back. With cells this can be taken at its word; it is ours, not the paper's. `add` gives new images
# the free cells that suit their codes, `free` empties the cells that keys point at, `taken` tells which cells are in use, and `locate` looks an
# image up and says how sure that is.
#
# > **Predict:** the episode fills 32 of 36 cells. Add four images, free two of the old ones: which pixels change each time?

# %%
fuller = model.add(memory, other[:, :4])
freed = model.free(fuller, y[:, [5, 6]])
for name, m, before in (("written", memory, memory), ("four added", fuller, memory), ("two freed", freed, fuller)):
    changed_pixels = (m != before).any(1).float().mean()
    print(f"{name:11} {int(model.taken(m).sum())} cells taken; {changed_pixels:.1%} of the pixels changed by that")
tour.record("cells_taken_at_the_end", model.taken(freed).sum())

# %%
stay = [n for n in range(c.length) if n not in (5, 6)]
now, then = (model.read_images(m, y[:, stay], sampled=False) for m in (freed, memory))
print(f"the 30 others: {((now > 0.5) != (then > 0.5)).float().mean():.1%} of their pictures' bits have changed")
tour.record("kept_bits_changed", ((now > 0.5) != (then > 0.5)).float().mean())
try:
    model.add(fuller, other[:, 4:5])
except ValueError as error:
    print("a full memory:", error)

# %% [markdown]
# A cell is $1/36$, 2.8 % of the memory. Four images more change four cells, two images less change two, and nobody else is
# written again. The pictures of the others are almost the same: a neighbour that comes or goes shows only in the rim. A full memory says so and takes nothing.
#
# Is an image there at all? `locate` gives two numbers. The *margin*: by how many nats the image is more likely a noisy copy of the best
# picture that is held than an image like all that are held, their mean. The *p-value*: how often an image that is not stored has so
# large a margin. The memory itself says how often: each picture that it holds is looked for among the others, and so is the image.
#
# > **Predict:** every image of eight episodes is looked for in its own memory, and in another one that never saw it. Will the margins of the two overlap?

# %%
memories = model.write(batch)
there, not_there = (model.locate(batch, m) for m in (memories, memories.roll(1, 0)))
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for name, found in (("stored", there), ("not stored", not_there)):
    ax.hist(found.margin.flatten(), bins=range(-150, 400, 10), alpha=0.6, label=name)
ax.set(xlabel="margin, nats", ylabel="images")
ax.legend(fontsize=8)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* two histograms of the margin. Stored images lie to the right, those that were not stored around zero; the two hardly overlap.

# %%
larger = (there.margin.flatten()[:, None] > not_there.margin.flatten()).float().mean()
print(f"margin, median: stored {there.margin.median():.0f}, not stored {not_there.margin.median():.0f} nats")
print(f"AUROC: of a stored image and another one, the stored one has the larger margin in {larger:.1%} of the pairs")
for level in (0.1, 0.2):
    found, wrong = ((f.p_value <= level).float().mean() for f in (there, not_there))
    print(f"called stored at p <= {level}: {found:.0%} of those that are, {wrong:.0%} of those that are not")
tour.record("margin_pairs", larger)

# %% [markdown]
# The share of false alarms follows the level that you choose, roughly: the pictures that a memory holds stand for images that it does not,
# and thirty-two of them are a small sample. The clean cue of this cell is the easy case. A noisy cue has a smaller margin: fewer false
# alarms, and more stored images that are missed. `kpp study stored` measures both.

# %% [markdown]
# ## Questions to think about
#
# 1. A pooled write averages $e_t$ over the episode. Show that the mean itself does not depend on the order. Why may the
#    paper's $M$ depend on it nevertheless?
# 2. Which of the totals of section 10 would be equal for a model with key collapse, $q(y|X) = p(y)$? And for one whose
#    keys are sharp but whose memory is the same for every episode?
# 3. Take the bound of an episode of 64 images: there are 36 cells. What does `bound` have to do, and which terms will grow?
#
# <details><summary>Solutions</summary>
#
# 1. A sum has no order. But with the temporal shift each $e_t$ depends on its neighbours (section 3), so another order
#    gives other terms.
# 2. With collapse, KL$_Y$ is 0 and random keys are as good as inferred ones: `prior_keys` equals the total. The swap
#    may still cost something, since a read anywhere can tell something about the episode. With sharp keys and a
#    constant memory, the swap costs nothing and random keys cost a lot: the location is a code of the content, and only
#    the swap shows that the episode is not stored.
# 3. `model.bound(kpp.episode(data.test, 64, seed=3)).mean()`. `bound` makes smaller cells, 8 x 8 of them (`model.holding(64)`), with the
#    same weights. A block then has fewer pixels: the reconstruction gets worse, and a key that names a smaller window costs
#    more KL$_Y$. Without that, as in `model.bound(x, model.write(x))`, images share cells, and what is
#    read there is the mean of two: the total is several times as large.
#
# </details>
#
# ## Summary
#
# - The write makes $M$ from $X$; the address comes from $(X, M)$ (in the paper from $E$); the read is $(M, Y) \to \hat M
#   \to p(Z|\hat M, Y)$. $M$ has one size for any $T$.
# - The temporal shift takes 1/8 of the channels from each neighbour, reaches eight images far, and must be bypassed at
#   $T = 1$. It makes $E$ depend on the order.
# - The paper's pooled write spreads each image over all of $M$. The placed write, ours, keeps it in its window.
# - Ours matches content codes to cells: similar images are neighbours and share no ground, and the order plays no part. A cue finds its image by
#   searching the memory. With addresses computed from the image alone, look-alikes share ground, and a read is a mixture.
# - $q(z)$ is the encoder's Gaussian times the prior that was read. KL$_Z$ is then small, and a wrong memory shows in the reconstruction.
# - Leaving the image out, memory swap, random keys, shuffled, single and noisy cues tell how the memory is used. The
#   total does not.
# - The write uses the key means: deterministic, and the only choice here that keeps $p(Y|M) = p(Y)$.
# - Cells can be taken and freed one by one, as in a heap.
#
# Next: **04 · Training**, where a memory learns to be used.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $X$ | `x` | [B, T, C, H, W] |
# | $E = f_{enc}(X)$ | `e_paper`; ours `posterior.maps` | [B, T, F]; ours [B, T, 48, 7, 7] |
# | content code (ours) | `posterior.code` | [B, T, 2] |
# | $M = f_{mem}(E)$ | `memory` | [B, 3, S, S] |
# | $q_\phi(Y\|X)$, ours $q_\phi(Y\|X, M)$; $y_{tk}$ | `q_y`, `y` | [B, T, K, 3], before the squash |
# | key means that write (ours) | `place` | [B, T, K, 3] |
# | $\hat M$, $m_k = f_{ST}(M, y_{tk})$ | `blocks` | [B, T, K, 3, g, g] |
# | $q_\phi(Z\|X)$, ours times $p_\theta$; $p_\theta(Z\|\hat M, Y)$ | `q_z`, `p_z` | distributions over [B, T, L] |
# | terms of $\mathcal{L}_T$ (eq. 4) | `bound.recon`, `bound.kl_z`, `bound.kl_y` | [B, T], nats, lower is better |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++*, ICLR 2021. Section 3.1 (exchangeability), 3.2 with equations 2, 4 and 5, 3.3
#   with equation 6 and Figure 3, 3.5 with Figure 5, Appendix E and E.1.
# - Lin, Gan, Han: *TSM: Temporal shift module for efficient video understanding*, ICCV 2019. Section 3.
# - Wu, Wayne, Gregor, Lillicrap: *Learning attractor dynamics for generative memory*, NeurIPS 2018: the Dynamic Kanerva
#   Machine, whose address is solved for.
# - Zhu et al.: *A batch normalized inference network keeps the KL vanishing away*, ACL 2020: the idea behind the
#   batch-normalised key means of the recipe `content`.
