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
# Thirty-two digits go into one small picture, the memory. Then each digit, by means of two keys, reads a piece of it
# and gets a prior for its own latent. This notebook follows one real episode through a trained model, part by part: $X
# \to E \to M$, $(X, M) \to Y$, $(M, Y) \to \hat M \to p(Z|\hat M, Y)$. At the end we ask the question that the bound alone
# does not answer: *is the memory read at all?*
#
# **Objectives.** After this notebook you can
#
# - say what the temporal shift moves, and what it does to an episode of one image;
# - compare the paper's pooled writer with the placed writer of this course, which is **ours**;
# - read a picture of $q(Y|X)$ over the memory, tell who wrote where, and find an address by looking it up;
# - show what the memory contributes: without the image, with another memory, with shuffled, single and noisy cues;
# - explain why the write must not use the keys that were sampled for the read.
#
# **Prerequisites.** Notebook 02 (windows, block reads, the placed write); section 3.3 to 3.5 of the paper; the three
# terms of equation 4 (notebook 01).
#
# **Minutes on CPU:** under 1 to run, about 40 to read and think, 25 for the exercises. In minutes: 10 for sections 1 to 3,
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
from torch.distributions import Independent, Normal, kl_divergence

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.bound import sample
from kpp_lib.course import checks, plots, widgets
from kpp_lib.encoder import Encoder, temporal_shift
from kpp_lib.evaluation.diagnostics import SCORES
from kpp_lib.memory import PooledWriter, place_blocks

# %% tags=["parameters"]
seed = 0
episodes_scored = 8  # episodes of T images in the tables

# %%
torch.set_grad_enabled(False)  # nothing is trained here
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
tour.record_source(data)
model = kpp.load_pretrained("mnist-cpu")
content = kpp.load_pretrained("mnist-content-cpu")  # another recipe, for contrast
c = model.config
first = next(kpp.Episodes(data.test, c.length, episodes=1, seed=seed).cover())
x = first.x  # [1, T, 1, 28, 28]
labels = data.test.labels[first.index[0]]  # for pictures only; the model never sees them
print(f"recipe {c.recipe_name}: write={c.write}, keys={c.keys}, shift={c.shift}, squash={c.squash}")
print(f"T = {c.length} images, K = {c.reads} keys")

# %% [markdown]
# **What kind of Kanerva++ is this?** The paper's recipe is `write="pooled", keys="content", shift="all"`. The shipped
# CPU model differs in all three:
#
# | part | paper | this model (`recipe="associative"`, ours) | why |
# |---|---|---|---|
# | write | pool over the episode, then one conv-transpose net | each image puts $K$ blocks at key means that belong to its place $t$: a learned table | so that each image has ground of its own: section 6 |
# | keys $q(Y)$ | computed from $E$ | the slot of $M$ whose picture is most like the cue: `model.look_up` | so that a cue finds its image alone, in any order, and noisy: section 9 |
# | encoder | temporal shift | no shift | for the same reason |
#
# The Dynamic Kanerva Machine takes its address from the memory as well: it solves for it (Wu et al., 2018). K++, like the
# first Kanerva Machine, has a network compute it from the image, which is simpler and quicker. The second model here, `content`, works like that: placed
# write, address from the image alone. It is the contrast. Everything else is as in the paper. Wherever it matters, the
# text says "the paper's" or "ours".
#
# ## 1 · One episode, and every shape on the way

# %%
fig = plots.grid(x[0], columns=16, titles=[f"t = {t}" for t in range(c.length)], size=0.75)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the 32 binarized digits of the episode, in order of their place $t$.
#
# > **Predict** the shapes of $E$, $M$, $Y$, $\hat M$ and $z$ from the paper's text before you run the cell. Which one
# > does not depend on $T$?

# %%
posterior = model.infer(x)
e, q_z, q_y, place = posterior[:4]  # place: the key means that write
memory = model.write(x, posterior)
y = q_y.mean  # the means of the keys that were found; sampling comes later
blocks = model.read(memory, y)
p_z = model.prior(memory, y)
shapes = {"X": x, "E = f_enc(X)": e, "M": memory, "Y": y, "window (s, x, y)": model.window(y), "M_hat": blocks,
          "mean of q(Z|X)": q_z.mean, "mean of p(Z|M_hat,Y)": p_z.mean, "mean of p(X|Z)": model.decode(p_z.mean).mean}
for name, value in shapes.items():
    print(f"{name:22} {tuple(value.shape)}")
print("keys found where they were written:", int((y == place).all(-1).all(-1).sum()), "of", c.length)
print(f"numbers in the images: {x.numel()}, in the embeddings: {e.numel()}, in the memory: {memory.numel()}")

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
# > 32 embeddings change, with the shift and without?

# %%
torch.manual_seed(seed)
shifted = Encoder(kpp.Config.preset("cpu", recipe="paper"), shifted=True).eval()  # reach needs no training
other = kpp.episode(data.test, c.length, seed=seed + 1)
changed = x.clone()
changed[0, 16] = other[0, 0]
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, encoder, style in (("with the shift (untrained)", shifted, "o-"), ("without (trained)", model.encoder, "s")):
    moved = (encoder(changed) - encoder(x))[0].norm(dim=-1)  # [T]
    at = moved.nonzero()[:, 0]
    ax.semilogy(at - 16, moved[at] / moved.max(), style, markersize=5, label=name)
    print(f"{name}: embeddings at distances {int(at.min()) - 16} to {int(at.max()) - 16} changed")
ax.set(xlabel="place in the episode, relative to the replaced image", ylabel="change / largest", xlim=(-16, 16))
ax.legend(fontsize=8)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the relative change of each embedding against its distance from the replaced image, on a logarithmic
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
# **The placed write, ours**: each image makes its own $K$ blocks, and each block is put at its key's mean by the
# inverse of the read. These are the lines of `PlacedWriter.forward`, opened up; the arithmetic of `place_blocks` by hand is in notebook 02,
# section 9.

# %%
size, floor = c.memory_size, c.place_floor
pieces = model.writer.up(e.flatten(0, 1))  # [T, K*3, g, g]
pieces = pieces.view(1, c.length, c.reads, c.memory_channels, c.block_size, c.block_size)
by_hand = place_blocks(pieces, model.window(place), size, floor)  # summed, over summed masks + floor
print(f"placed write by hand: largest difference {(by_hand - memory).abs().max():.1e}")
torch.manual_seed(seed)
pooled = PooledWriter(kpp.Config.preset("cpu", recipe="paper")).eval()  # the paper's, untrained
assert torch.equal(pooled(e, None), pooled.up(e.mean(dim=1)))

# %% [markdown]
# > **Predict:** one image of 32 is replaced. Which pixels of the memory change in each case?

# %%
after = model.infer(changed)
difference = {
    "pooled (paper, untrained)": (pooled(after.e, None) - pooled(e, None))[0].abs().mean(0),  # [S, S]
    "placed (ours, trained)": (model.write(changed, after) - memory)[0].abs().mean(0),
}
fig = plots.memory_maps(difference, "mean |change|", "One image of 32 replaced", shared=False)
windows = model.window(place)[0, 16]  # [K, 3]; the same before and after
for s, left, top in (windows - windows[:, :1] * torch.tensor([0, 1, 1])).tolist():
    fig.axes[1].add_patch(plt.Rectangle((left, top), 2 * s, 2 * s, fill=False, edgecolor="white", linewidth=0.8))
plt.close(fig)
fig

# %% [markdown]
# *Picture:* two maps over the memory of the absolute change when one image is replaced. The paper's pooled write,
# here untrained, changes everywhere. The placed write changes only inside the image's two windows and half a pixel around them, which lie
# on each other. The new image takes the ground of the old one, as it has the same place $t$. Each map has its own scale.

# %%
for name, change in difference.items():
    print(f"{name:26} {(change > 0).float().mean():6.1%} of the memory's pixels changed")
tour.record("pooled_pixels_changed", (difference["pooled (paper, untrained)"] > 0).float().mean())
tour.record("placed_pixels_changed", (difference["placed (ours, trained)"] > 0).float().mean())

# %% [markdown]
# That is a fact of the architecture, not of the weights. After pooling, one image is 1/32 of one vector, and to keep it
# apart from the others is left to the network. When it is placed, it stays apart by construction, as long as the keys
# keep it apart; a table of places does.
#
# ## 5 · $q(Y|X)$ over the memory
#
# A key posterior gives each image $K = 2$ Gaussian keys of three numbers. The squash turns them into windows.
# **Equation 6 prints $\sigma^2 \odot \epsilon$;** the Gaussian whose KL stands in equation 4 has to be sampled with
# $\sigma \odot \epsilon$, and so it is here.
#
# > **Predict:** will digits of one kind lie together, in either memory? Will an ellipse (two standard deviations of a
# > window's centre) be larger than a digit, or smaller?

# %%
def centres(m, keys):
    """Centre of each window, [..., 2], and its spread through the squash, to first order."""
    half, centre = m.window(keys.mean).split([1, 2], dim=-1)
    return centre, (1 - half) * (1 - keys.mean[..., 1:].tanh().square()) * keys.stddev[..., 1:]


fig, axes = plots.panels(2, 4.6, 4.8)
for ax, (name, m) in zip(axes, {"looked up (ours)": model, "computed from the image": content}.items(), strict=True):
    centre, spread = (v[0, :, 0] for v in centres(m, m.infer(x).q_y))
    plots.key_map(ax, m.write(x)[0], centre, 2 * spread, x[0], f"{name}: windows of key 1")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the first key of every image over two colourful memories. At the centre of each window stands the digit
# itself, with a red ellipse for the spread. Left, our memory: a grid, filled row by row in the order of $t$, whatever
# the digit; the ellipses are smaller than a digit's picture. Right, the contrast, with addresses computed from the image:
# look-alikes stand near each other and on each other, with ellipses of many sizes.

# %%
scored = kpp.Episodes(data.test, c.length, episodes_scored, seed=seed).batch(0)
batch = scored.x  # [B, T, 1, 28, 28]
kinds = data.test.labels[scored.index]  # [B, T]
alike, oneself = kinds[:, :, None] == kinds[:, None], torch.eye(c.length, dtype=torch.bool)
for name, m in (("looked up", model), ("content", content)):
    centre, spread = centres(m, m.infer(batch).q_y)
    gaps = torch.cdist(centre.transpose(1, 2), centre.transpose(1, 2)).mean(1)  # [B, T, T], mean over the two keys
    same, different = gaps[alike & ~oneself].mean(), gaps[~alike].mean()
    print(f"{name:9} distance of two windows: same digit {same:.2f}, different digits {different:.2f};"
          f" spread of a centre {spread.mean():.3f}")
    tour.record("same_over_different" + ("_content" if m is content else ""), same / different)

# %% [markdown]
# The paper hopes that similar samples come to lie in "an overlapping latent representation space" (section 1). The
# contrast does that: its address says something about the *content*, and section 10 shows what it costs. In our memory
# the address says nothing about it. Each image has its own ground, and similar images share none.
#
# Then how does a cue know where to look? By trying: `look_up` reads and decodes all $T$ slots at their means, and asks
# of each picture how likely the cue is a copy of it in which each bit is wrong with probability `lookup_flip`. The best
# slot's Gaussian is $q(Y|X, M)$. That depends on $M$, and may: $M$ is given, and any $q$ keeps equation 4 a bound.

# %% [markdown] tags=["exercise:TableMemory"]
# **Exercise: an associative memory in ten lines.** Write the search as a class of your own. `write` keeps pictures,
# whose pixels are probabilities of ink; `find` gives the number of the picture that the cue is most likely a copy of,
# if each bit of the copy is turned over with probability `flip`. When it passes, try it on the slots of the next
# cell: `.write(pictures.flatten(1))`, `.find(cue.flatten())`.

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
# > **Predict:** a tenth of a cue's bits are flipped. By how many nats does the right slot win?

# %%
t, flip = 16, c.lookup_flip
slots = model.key_model.slots()  # q(y) of every place: batch shape [T]
pictures = model.read_images(memory, slots.mean[None], sampled=False)[0]  # [T, 1, 28, 28]
cue = (x[0, t] - (torch.rand(x[0, t].shape, generator=kpp.seeded(seed, 6)) < flip).float()).abs()
ink = pictures * (1 - flip) + (1 - pictures) * flip  # chance of ink in a noisy copy
match = (cue * ink.log() + (1 - cue) * (1 - ink).log()).sum((1, 2, 3))  # [T], ln p(cue | slot), nats
assert torch.equal(slots.mean[match.argmax()], model.look_up(cue[None, None], memory).mean[0, 0])

# %%
fig, axes = plots.panels(3, 3.2, 3.0)
plots.show_picture(axes[0], cue, f"the cue: image {t}, noisy")
axes[1].imshow(plots.sheet(pictures, 6), cmap="gray_r")
axes[1].set_axis_off()
axes[1].set_title("what the slots hold", fontsize=9)
colours = ["tab:orange" if n == t else "tab:blue" for n in range(c.length)]
axes[2].bar(range(c.length), match - match.min() + 1, bottom=match.min() - 1, color=colours)
axes[2].set(xlabel="slot", ylabel="ln p(cue | slot), nats")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* left, a noisy cue. Middle, what the slots hold, in the order of the grid: the digits of the episode,
# legible. Right, each slot's match with the cue in nats, higher is better; the right slot, in orange, is the highest.

# %%
values, at = match.topk(2)
print(f"best slot: {int(at[0])}, ahead of the next by {values[0] - values[1]:.0f} nats")
tour.record("look_up_margin", values[0] - values[1], "nats")

# %% [markdown]
# ## 6 · Who wrote where
#
# > **Predict:** 64 windows, each covering an eighth of the width and of the height of the memory's frame, so $1/64$ of
# > its area. An image's two windows lie in one cell. How many blocks lie on a pixel on average, and how many at most?

# %%
pixel = (2 * torch.arange(size) + 1) / size - 1


def cover(windows):
    """Which pixels each of the windows [N, 3] covers: [N, S, S]."""
    across, down = (((pixel - windows[:, i : i + 1]).abs() < windows[:, :1]).float() for i in (1, 2))  # [N, S]
    return down[:, :, None] * across[:, None]



# %%
box = model.window(place)[0].flatten(0, 1)  # [T*K, 3]
count = cover(box).sum(0)  # [S, S]
fig, axes = plots.panels(2, 4.2, 4.2)
colours = [plt.get_cmap("turbo")(t / c.length) for t in range(c.length) for _ in range(c.reads)]
plots.show_memory(axes[0], memory[0], box, colours, "64 windows, a colour per image")
shade = axes[1].imshow(count, extent=(-1, 1, 1, -1))
axes[1].set_title("windows over each pixel", fontsize=9)
axes[1].set_xlabel("x", fontsize=8)
axes[1].tick_params(labelsize=7)
fig.colorbar(shade, ax=axes[1], shrink=0.75, label="windows")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* left, the memory with 64 outlined windows, one colour per image: pairs of squares that almost coincide.
# Right, the number of windows over each pixel: two in the cells, one along some edges, none between the cells and in
# the four unused ones.

# %%
for name, m in (("looked up", model), ("content", content)):
    covered = cover(m.window(m.encode(x).place)[0].flatten(0, 1))  # [T*K, S, S]
    over = covered.sum(0)
    image = covered.view(c.length, c.reads, size, size).sum(1)  # [T, S, S]: blocks of one image
    own = (image * image / over.clamp(min=1)).sum((1, 2)) / image.sum((1, 2))  # of what lies under an image's windows
    written = (over > 0).float().mean()
    print(f"{name:9} written {written:.0%} of M; windows over a pixel: {over.mean():.1f} on average, {over.max():.0f}"
          f" at most; own share under an image's windows {own.mean():.2f}")
    tour.record("memory_written" + ("_content" if m is content else ""), written)
    tour.record("own_share" + ("_content" if m is content else ""), own.mean())

# %% [markdown]
# Choose for yourself: a model, an episode, an image. The third panel takes the picture out of the memory again: it shows what
# changes there when this one image's embedding is replaced by another's.
#
# > **Predict:** in which of the two models does an image change more of the memory than lies under its own windows?

# %%
several = torch.cat([kpp.episode(data.test, c.length, seed=seed + i) for i in range(8)])  # [8, T, 1, 28, 28]
widgets.written({"looked up (ours)": model, "computed from the image": content}, several)

# %% [markdown]
# *Picture:* four panels: a digit; the memory with all windows as thin white squares and the digit's own in red and blue; a dark
# map with one bright spot, the change, under those two; and the digit as it is read there.
#
# In ours an image changes its own two windows and half a pixel around them, wherever it moves. In the contrast the place depends on the image:
# replace it, and four windows change, the two that it left and the two of the newcomer.
#
# Back to the count. One on average, two at most: the image's own two blocks. So what an image reads is its own writing. In the contrast,
# with larger windows, it is mostly its neighbours'.
#
# ## 7 · What is read
#
# > **Predict:** compare the block that an image wrote with the block that it reads at the same key. What can the second
# > key add to the first?

# %%
six = torch.linspace(0, c.length - 1, 6).long()  # six images
pairs = torch.stack([pieces, blocks], dim=3)[0, six]  # [6, K, 2, 3, g, g]
names = [f"t={t} {what} {k + 1}" for t in six.tolist() for k in range(2) for what in ("wrote", "reads")]
fig = plots.blocks(pairs.flatten(0, 2), columns=8, titles=names, title="Blocks as written and as read, keys 1 and 2")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* for six images four small coloured blocks: first key written and read, second key written and read. All
# four look much alike; the two that are read are smoother, and nearly the same.

# %%
def cosine(a, b):
    return torch.cosine_similarity(a.flatten(-3), b.flatten(-3), dim=-1).mean()  # of blocks [..., 3, g, g]


mean_of_two = pieces[0].mean(1, keepdim=True).expand_as(pieces[0])
print(f"cosine of what a key wrote and reads {cosine(pieces[0], blocks[0]):.3f}")
print(f"of the mean of the image's two blocks and what is read {cosine(mean_of_two, blocks[0]):.3f}")
print(f"of the two blocks that are read {cosine(blocks[0, :, 0], blocks[0, :, 1]):.3f}")
tour.record("written_read_cosine", cosine(pieces[0], blocks[0]))
tour.record("two_reads_cosine", cosine(blocks[0, :, 0], blocks[0, :, 1]))

# %% [markdown]
# The two reads are nearly one block. Each is about as close to what its key wrote as to the mean of the two: the rest is the smoothing of the
# bilinear write and read. At their means, the second key adds next to nothing.
#
# ## 8 · The prior that comes out
#
# The $K$ blocks are stacked on channels, and a small convolutional network gives $p_\theta(Z|\hat M, Y)$ (Appendix E).
# To see what it knows we decode its *mean*, and set it beside the image, its reconstruction from $q(Z|X)$, and two
# controls: the same cues in **another episode's memory**, and in an **empty memory** ($M = 0$). Keys are looked up anew
# in each: the slot there that fits best. In an empty one all slots are alike.
#
# > **Predict:** which rows will you be able to tell apart from the first one?

# %%
swapped, empty = model.write(other), torch.zeros_like(memory)


def decoded(m):
    """What the looked-up keys find in memory m: the prior's mean at the keys' means, as pictures [T, 1, 28, 28]."""
    return model.read_images(m, model.infer(x, m).q_y.mean, sampled=False)[0]


fig = plots.rows({"image": x[0], "from q(Z|X)": model.decode(q_z.mean).mean[0], "its memory": decoded(memory),
                  "another memory": decoded(swapped), "empty memory": decoded(empty)})
plt.close(fig)
fig

# %% [markdown]
# *Picture:* five rows of twelve digits. Images; their reconstructions; what is found in their own memory: the same
# digits, hard to tell from the row above; what is found in another memory: whole digits, the best
# match that it holds, at times of another kind; and in an empty one, the same shape each time, no digit.
#
# The same question in nats: KL$_Z$ is the price of the image's latent under the prior that was read.

# %%
def kl_z(m, mem):
    """KL_Z of x read from memory mem at the keys' means, [T] nats."""
    q = m.infer(x, mem)
    return kl_divergence(q.q_z, m.prior(mem, q.q_y.mean))[0]


costs = {}
print("KL_Z, mean over the episode (nats):")
for name, m in (("looked up", model), ("content", content)):
    costs[name] = [kl_z(m, v).mean() for v in (m.write(x), m.write(other), torch.zeros_like(memory))]
    print("{:9} own {:.1f}, another {:.1f}, empty {:.1f}".format(name, *costs[name]))
tour.record("kl_z_own_memory", costs["looked up"][0], "nats")
tour.record("kl_z_swapped_minus_own", costs["looked up"][1] - costs["looked up"][0], "nats")
tour.record("kl_z_swapped_minus_own_content", costs["content"][1] - costs["content"][0], "nats")

# %% [markdown]
# If another memory costs little more than the right one, the keys alone say much: a *content code*, where the location
# stands for a kind of digit and any memory has something suitable there. That is the contrast. If it costs a lot, the
# memory holds what only this episode has. How *much* it costs measures the sharpness of the prior: a confident
# wrong prior gives a large KL, here a larger one than an empty memory. It does not say how many nats a memory is worth.
#
# ## 9 · Shuffled cues, and a single cue
#
# Is an image found by its looks, or by its place in the episode? Present the images to the finished memory in another
# order, one by one, and with flipped bits. The memory has to be named: `model.infer(cue, memory)`. Without it, the cue
# is taken for an episode of its own and writes one.
#
# > **Predict:** what changes for a model without the shift? And for one with it? How many flipped bits lead astray?

# %%
permutation = torch.randperm(c.length, generator=kpp.seeded(seed, 2))
alone = x[0][:, None]  # [T, 1, 1, 28, 28]: 32 episodes of one image
shuffled_gap = (model.infer(x[:, permutation], memory).q_y.mean - y[:, permutation]).abs().max()
single_gap = (model.infer(alone, memory.expand(c.length, -1, -1, -1)).q_y.mean[:, 0] - y[0]).abs().max()
print(f"largest change of a key, this model:          shuffled {shuffled_gap:.1e}, alone {single_gap:.1e}")
e_paper = shifted(x)
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
# Order and company of the cues change nothing: no neighbour is seen, and the memory is searched. Up to 30 % of flipped bits change nothing;
# at 40 % about half of the keys are lost. With the shift, every embedding changes. A model that also *reads* by position (the recipe `slots`, ours as well) cannot find a lone cue.
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
models = {"looked up": model, "content": content}
bounds = {name: m.bound(batch, generator=kpp.seeded(seed, 3)).mean() for name, m in models.items()}
scores = {name: {s: SCORES[s](m, batch, kpp.seeded(seed, 3)).nanmean() for s in names} for name, m in models.items()}
for name, value in bounds.items():
    print(f"{name:9} {value}")

# %%
print(f"\n{'nats per image, lower is better':34} {'looked up':>9} {'content':>9}")
print(f"{'its own memory':34} " + " ".join(f"{b.total:9.1f}" for b in bounds.values()))
for s, text in names.items():
    if s == "retrieval_top1":
        print(f"\nread from memory alone, nearest to the right image (chance {1 / c.length:.0%})")
    values = [row[s] for row in scores.values()]
    print(f"{text:34} " + " ".join(f"{v:9.0%}" if s.startswith("retrieval") else f"{v:9.1f}" for v in values))

# %%
bound, ours, theirs = bounds["looked up"], scores["looked up"], scores["content"]
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
# - **Without the image**, our memory costs as much as **another episode's**, or a little more: it holds *these* images, and little
#   that images have in common. The contrast loses less than 5 nats in either row. A swap costs something, so the memory is read. It costs
#   little, because keys mostly encode the digit class. A total alone would have hidden that. (Leave-one-out scores a quarter of the images: do not rank
#   the two rows.)
# - **Random keys** cost far more: what is read depends on where. That alone would not show that the episode is stored: see question 2.
# - **Shuffled and single cues** cost the same, up to the noise of the samples: both memories are associative. The retrieval rates of the
#   contrast differ from row to row because each image is drawn once here; over 10,000 images they agree ([results](../docs/results.md)).
# - **Retrieval:** from our memory alone, with a sampled key and a sampled latent, comes back almost always the very
#   image that was written, noisy cue or not. From the contrast, another image comes back in about a quarter of the cases.
# - **KL$_Y$** is the price of the keys. To name one image of 32 takes $\ln 32 = 3.5$ nats; two keys, each placed to
#   just under two pixels, take more, and more than the content keys of the contrast.
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
one, two = (model.writer(e, model.window(sample(q_y, kpp.seeded(seed, 4, n)))) for n in range(2))
print("write(x) twice, bit for bit the same:", same_bits)
print(f"written at sampled keys, twice: largest difference {(one - two).abs().max():.2f}")
tour.record("write_bit_equal", same_bits)

# %% [markdown]
# The key *means*; ours depend on the place $t$ alone, the content recipe's on $X$. It would be tempting to write at the
# sampled keys $y$ and to read at the same $y$: write and read would meet exactly, and KL$_Z$ could be smaller.
#
# > **Predict:** which step of the derivation would break?
#
# Equation 2 needs $p(Y|M) = p(Y)$: the memory is given, the keys are drawn independently of it. If $M$ was written at
# $y$, it *tells* where $y$ is, and the key's information would reach the prior of $z$ without being paid for in KL$_Y$.
# The sum of the three terms could look better and would bound nothing. So $q(Y)$ may look at $M$, as `look_up` does,
# but $M$ must not look at the drawn $y$. Here are both, on the same draws, for keys as trained and for wider ones:

# %%
q = model.infer(batch)
fixed, p_y = model.write(batch, q), model.p_y(*batch.shape[:2])
for width in (1, 2, 4):  # times the standard deviation that was trained
    q_wide = Independent(Normal(q.q_y.mean, (width * q.q_y.stddev).clamp(max=1)), 2)
    honest = leaky = 0
    for n in range(4):
        y_n = sample(q_wide, kpp.seeded(seed, 5, n))
        honest += kl_divergence(q.q_z, model.prior(fixed, y_n)).mean() / 4
        leaky += kl_divergence(q.q_z, model.prior(model.writer(q.e, model.window(y_n)), y_n)).mean() / 4
    price = kl_divergence(q_wide, p_y).mean()
    print(f"width x {width}: KL_Y {price:5.2f}; KL_Z written at the means {honest:.2f}, at the sample {leaky:.2f} nats")
    tour.record(f"kl_z_leak_width_{width}", honest - leaky, "nats")

# %% [markdown]
# At the trained width the leaky write costs *more*, 8.5 nats against 3.3: the keys are sharp, so there is little to leak, and the prior network
# has only ever read blocks that were written at the means. A block that is written beside its trained place falls on other pixels. (Which part of
# that costs the 5 nats, we did not take apart.) Wider keys are cheaper in KL$_Y$. An honest read then misses its cell and pays for it in KL$_Z$:
# at twice the width the two writes cost about the same, at four times the leaky one costs half. The sum KL$_Y$ + KL$_Z$ is still lowest for narrow, honest
# keys, in a model that never trained with the leak. That a model which did reports a number below the truth is shown in
# notebook 01, section 9.

# %% [markdown]
# ## Questions to think about
#
# 1. A pooled write averages $e_t$ over the episode. Show that the mean itself does not depend on the order. Why may the
#    paper's $M$ depend on it nevertheless?
# 2. Which of the totals of section 10 would be equal for a model with key collapse, $q(y|X) = p(y)$? And for one whose
#    keys are sharp but whose memory is the same for every episode?
# 3. Write an episode of 64 images into both memories and take the bound. What do you expect of KL$_Z$ in each?
#
# <details><summary>Solutions</summary>
#
# 1. A sum has no order. But with the temporal shift each $e_t$ depends on its neighbours (section 3), so another order
#    gives other terms.
# 2. With collapse, KL$_Y$ is 0 and random keys are as good as inferred ones: `prior_keys` equals the total. The swap
#    may still cost something, since a read anywhere can tell something about the episode. With sharp keys and a
#    constant memory, the swap costs nothing and random keys cost a lot: the location is a code of the content, and only
#    the swap shows that the episode is not stored.
# 3. `model.bound(kpp.episode(data.test, 64, seed=3)).mean()`. Our table has 32 places, so images $t$ and $t + 32$ share
#    a cell. The look-up finds it, but what is read there is the mean of two images, and KL$_Z$ grows many
#    times over. The contrast loses a nat or two: its mixtures grow denser, and the code of the kind stays. A memory
#    that stores single images has a capacity. Train it for the length that you need.
#
# </details>
#
# ## Summary
#
# - $X \to E \to M$ is the write, $(X, M) \to Y$ the address (in the paper $E \to Y$), $(M, Y) \to \hat M \to p(Z|\hat M,
#   Y)$ the read. $M$ has one size for any $T$.
# - The temporal shift takes 1/8 of the channels from each neighbour, reaches eight images far, and must be bypassed at
#   $T = 1$. It makes $E$ depend on the order.
# - The paper's pooled write spreads each image over all of $M$. The placed write, ours, keeps it in its windows.
# - Ours writes each image at a place of its own and finds it by searching the memory. With addresses computed from the
#   image, look-alikes share ground, and a read is a mixture.
# - Leaving the image out, memory swap, random keys, shuffled, single and noisy cues tell how the memory is used. The
#   total does not.
# - The write uses the key means: deterministic, and the only choice here that keeps $p(Y|M) = p(Y)$.
#
# Next: **04 · Training**, where a memory learns to be used.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $X$ | `x` | [B, T, C, H, W] |
# | $E = f_{enc}(X)$ | `e` | [B, T, F] |
# | $M = f_{mem}(E)$ | `memory` | [B, 3, S, S] |
# | $q_\phi(Y\|X)$, ours $q_\phi(Y\|X, M)$; $y_{tk}$ | `q_y`, `y` | [B, T, K, 3], before the squash |
# | key means that write (ours) | `place` | [B, T, K, 3] |
# | $\hat M$, $m_k = f_{ST}(M, y_{tk})$ | `blocks` | [B, T, K, 3, g, g] |
# | $q_\phi(Z\|X)$, $p_\theta(Z\|\hat M, Y)$ | `q_z`, `p_z` | distributions over [B, T, L] |
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
