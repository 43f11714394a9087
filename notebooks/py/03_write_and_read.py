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
# \to E \to M$, $E \to Y$, $(M, Y) \to \hat M \to p(Z|\hat M, Y)$. At the end we ask the question that the bound alone
# does not answer: *is the memory read at all?*
#
# **Objectives.** After this notebook you can
#
# - say what the temporal shift moves, and what it does to an episode of one image;
# - compare the paper's pooled writer with the placed writer of this course, which is **ours**;
# - read a picture of $q(Y|X)$ over the memory, and tell who wrote where;
# - show what the memory contributes, with a swapped memory, shuffled cues and single cues;
# - explain why the write must not use the keys that were sampled for the read.
#
# **Prerequisites.** Notebook 02 (windows, block reads, the placed write); section 3.3 to 3.5 of the paper; the three
# terms of equation 4 (notebook 01).
#
# **Time.** 40 minutes to read and think; about half a minute to run on a CPU. In minutes: 10 for sections 1 to 3, 20
# for 4 to 7, 10 for the rest.

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
from torch.distributions import kl_divergence

import kpp_lib as kpp
from kpp_lib import plots, tour
from kpp_lib.bound import sample
from kpp_lib.diagnostics import SCORES
from kpp_lib.encoder import Encoder, temporal_shift
from kpp_lib.memory import PooledWriter, place_blocks

# %% tags=["parameters"]
seed = 0
episodes_scored = 8  # episodes of T images in the tables

# %%
torch.set_grad_enabled(False)  # nothing is trained here
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
tour.record_source(data)
model = kpp.load_pretrained("mnist-content-cpu")
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
# | write | pool over the episode, then one conv-transpose net | each image writes $K$ blocks at its key means, overlaps averaged | so that small models *use* their memory: section 10 |
# | keys | from $E$ | the same, means batch-normalised | so that they spread over the memory |
# | encoder | temporal shift | no shift | so that a cue finds its image alone or in any order: section 9 |
#
# Everything else is as in the paper. Wherever it matters, the text says "the paper's" or "ours".
#
# ## 1 · One episode, and every shape on the way
#
# **Picture:** the 32 binarized digits of the episode, in order of their place $t$.

# %%
fig = plots.grid(x[0], columns=16, titles=[f"t = {t}" for t in range(c.length)], size=0.75)
plt.close(fig)
fig

# %% [markdown]
# > **Predict** the shapes of $E$, $M$, $Y$, $\hat M$ and $z$ from the paper's text before you run the cell. Which one
# > does not depend on $T$?

# %%
posterior = model.infer(x)
e, q_z, q_y = posterior
memory = model.write(x, posterior)
y = q_y.mean  # the keys' means; sampling comes later
blocks = model.read(memory, y)
p_z = model.prior(memory, y)
shapes = {"X": x, "E = f_enc(X)": e, "M": memory, "Y": y, "window (s, x, y)": model.window(y), "M_hat": blocks,
          "mean of q(Z|X)": q_z.mean, "mean of p(Z|M_hat,Y)": p_z.mean, "mean of p(X|Z)": model.decode(p_z.mean).mean}
for name, value in shapes.items():
    print(f"{name:22} {tuple(value.shape)}")
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
#
# **Picture:** three tables of five rows, the images, and sixteen columns, the channels. Before, each row holds its own
# number. After, two columns have moved up by one and two moved down, with zeros where nothing came in. For an episode
# of one image moved without a bypass, four of the sixteen columns would be zero.

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
# Eight branches, one step each. So an image can be felt eight places away, and no further.
#
# > **Predict:** replace image 16 of the episode by another digit. Which of the 32 embeddings change, with the shift and
# > without?
#
# **Picture:** the relative change of each embedding against its distance from the replaced image, on a logarithmic
# scale. With the shift (an untrained encoder, the paper's layout) it falls off on both sides and ends at eight; without
# (the trained model) only distance 0 has a point.

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

# %%
reach = (shifted(changed) != shifted(x)).any(-1)[0].nonzero()[:, 0] - 16
tour.record("shift_reach", reach.abs().max(), "images")

# %% [markdown]
# Eight, as counted. Two consequences. The paper calls the episode exchangeable, "the ordering of the samples within the
# episode does not matter" (section 3.1), and with the shift that is not so: $E$, and with it the keys and the memory,
# depend on the order. And a cue shown *alone* is encoded unlike the same image among its neighbours. Our associative
# recipe gives the shift up for that reason.
#
# ## 4 · Two ways to write
#
# **The paper's pooled write**: average the embeddings over the episode and let one conv-transpose network make the
# whole memory, $M = f_{mem}(\frac{1}{T}\sum_t e_t)$. (Which pooling the paper does not say; "deep linear" in Appendix E
# and "non-linearly" in section 3.3 contradict each other. We take the mean, and the latter.)
#
# **The placed write, ours**: each image makes its own $K$ blocks, and each block is put at its key's mean by the
# inverse of the read (notebook 02, section 9). Step by step, and equal to the package:

# %%
size, floor = c.memory_size, c.place_floor
pieces = model.writer.up(e.flatten(0, 1))  # [T, K*3, g, g]
pieces = pieces.view(1, c.length, c.reads, c.memory_channels, c.block_size, c.block_size)
by_hand = place_blocks(pieces, model.window(q_y.mean), size, floor)  # summed, over summed masks + floor
print(f"placed write by hand: largest difference {(by_hand - memory).abs().max():.1e}")
torch.manual_seed(seed)
pooled = PooledWriter(kpp.Config.preset("cpu", recipe="paper")).eval()  # the paper's, untrained
assert torch.equal(pooled(e, None), pooled.up(e.mean(dim=1)))

# %% [markdown]
# > **Predict:** one image of 32 is replaced. Which pixels of the memory change in each case?
#
# **Picture:** two maps over the memory of the absolute change when one image is replaced. The paper's pooled write,
# here untrained, changes everywhere. The placed write changes only inside four outlined windows: the two that the old
# image left and the two that the new one took. Each map has its own scale.

# %%
after = model.infer(changed)
difference = {
    "pooled (paper, untrained)": (pooled(after.e, None) - pooled(e, None))[0].abs().mean(0),  # [S, S]
    "placed (ours, trained)": (model.write(changed, after) - memory)[0].abs().mean(0),
}
fig = plots.memory_maps(difference, "mean |change|", "One image of 32 replaced", shared=False)
windows = torch.cat([model.window(q.mean)[0, 16] for q in (q_y, after.q_y)])  # [4, 3]: before, after
for s, left, top in (windows - windows[:, :1] * torch.tensor([0, 1, 1])).tolist():
    fig.axes[1].add_patch(plt.Rectangle((left, top), 2 * s, 2 * s, fill=False, edgecolor="white", linewidth=0.8))
plt.close(fig)
fig

# %%
for name, change in difference.items():
    print(f"{name:26} {(change > 0).float().mean():6.1%} of the memory's pixels changed")
tour.record("pooled_pixels_changed", (difference["pooled (paper, untrained)"] > 0).float().mean())
tour.record("placed_pixels_changed", (difference["placed (ours, trained)"] > 0).float().mean())

# %% [markdown]
# That is a fact of the architecture, not of the weights. After pooling, one image is 1/32 of one vector, and to keep it
# apart from the others is left to the network. When it is placed, it stays apart by construction, as long as the keys
# keep it apart.
#
# ## 5 · $q(Y|X)$ over the memory
#
# The key model (equation 6) gives each image $K = 2$ Gaussian keys of three numbers. The squash turns them into
# windows. **Equation 6 prints $\sigma^2 \odot \epsilon$;** the Gaussian whose KL stands in equation 4 has to be sampled
# with $\sigma \odot \epsilon$, and so it is here.
#
# > **Predict:** will digits of one kind lie together? Will an ellipse (two standard deviations of a window's centre) be
# > larger than a digit, or smaller?
#
# **Picture:** two copies of one colourful memory, one per key. At the centre of every image's window stands the digit
# itself, with a red ellipse for the posterior's spread. Look-alikes tend to stand near each other; the ellipses are
# from the size of a digit to several times that, widest for images that look like many others.

# %%
half, centre = model.window(y)[0].split([1, 2], dim=-1)  # [T, K, 1], [T, K, 2]
spread = (1 - half) * (1 - y[0, ..., 1:].tanh().square()) * q_y.stddev[0, ..., 1:]  # through the squash, to first order
fig, axes = plots.panels(2, 4.6, 4.8)
for k, ax in enumerate(axes):
    plots.key_map(ax, memory[0], centre[:, k], 2 * spread[:, k], x[0], f"key k = {k + 1}: window centres")
plt.close(fig)
fig

# %%
gaps = torch.cdist(centre.transpose(0, 1), centre.transpose(0, 1)).mean(0)  # [T, T], mean over the two keys
alike = labels[:, None] == labels
same, different = gaps[alike & ~torch.eye(c.length, dtype=torch.bool)].mean(), gaps[~alike].mean()
print(f"mean distance of two windows: same digit {same:.2f}, different digits {different:.2f}")
print(f"mean spread of a window's centre: {spread.mean():.3f} (memory from -1 to 1)")
tour.record("same_over_different_distance", same / different)

# %% [markdown]
# The address says something about the *content*: this memory is associative. The paper hopes for the same, that similar
# samples come to lie in "an overlapping latent representation space" (section 1). The price of the keys is KL$_Y$;
# section 10 prints it.
#
# ## 6 · Who wrote where
#
# > **Predict:** 64 windows, each covering a quarter of the width and of the height of the memory's frame, $(2 \cdot
# > 0.25 / 2)^2 = 1/16$ of its area. How many blocks lie on top of each other on average, if they were spread evenly?
#
# **Picture:** left, the memory with 64 outlined windows, one colour per image. Right, the number of windows over each
# pixel: most of the frame is covered several times, the corners least.

# %%
pixel = (2 * torch.arange(size) + 1) / size - 1
box = model.window(y)[0].flatten(0, 1)  # [T*K, 3]
covers_x, covers_y = (((pixel - box[:, i : i + 1]).abs() < box[:, :1]).float() for i in (1, 2))  # [T*K, S]
count = covers_y.T @ covers_x  # [S, S]
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

# %%
shares = torch.einsum("nh,hw,nw->n", covers_y, 1 / (count + floor), covers_x)  # [T*K], summed over the window
own = shares / (covers_y.sum(1) * covers_x.sum(1))
print(f"written: {(count > 0).float().mean():.0%} of the memory")
print(f"windows over a pixel: {count.mean():.1f} on average, {count.max():.0f} at most")
print(f"own share of a window: {own.mean():.2f} on average, from {own.min():.2f} to {own.max():.2f}")
best = own.view(c.length, c.reads).max(dim=1).values
print(f"own share of the better of an image's two windows: {best.mean():.2f}")
tour.record("memory_written", (count > 0).float().mean())
tour.record("own_share", own.mean())

# %% [markdown]
# Four on average, if even: 64 blocks of 1/16 each. So a block that an image reads is mostly its neighbours' writing,
# and what is read must be understood from the mixture. Two keys give two mixtures with different neighbours.
#
# ## 7 · What is read
#
# > **Predict:** compare the block that an image wrote with the block that it reads at the same key. In which images
# > will they look most alike?
#
# **Picture:** for six images, from the one with the smallest own share to the one with the largest, four small coloured
# blocks: first key written and read, second key written and read. With a small share the read block looks smoothed and
# unlike what was written; with a large share the two resemble each other.

# %%
order = own.view(c.length, c.reads).mean(1).argsort()[torch.linspace(0, c.length - 1, 6).long()]  # six images
pairs = torch.stack([pieces, blocks], dim=3)[0, order]  # [6, K, 2, 3, g, g]
names = [f"t={t} {what} {k + 1}" for t in order.tolist() for k in range(2) for what in ("wrote", "reads")]
fig = plots.blocks(pairs.flatten(0, 2), columns=8, titles=names, title="Blocks as written and as read, keys 1 and 2")
plt.close(fig)
fig

# %%
alike = torch.cosine_similarity(pieces[0].flatten(2), blocks[0].flatten(2), dim=-1).flatten()  # [T*K]
together = torch.corrcoef(torch.stack([alike, own]))[0, 1]
print(f"cosine of written and read: {alike.mean():.2f} on average; correlation with the own share: {together:.2f}")
tour.record("written_read_cosine", alike.mean())

# %% [markdown]
# ## 8 · The prior that comes out
#
# The $K$ blocks are stacked on channels, and a small convolutional network gives $p_\theta(Z|\hat M, Y)$ (Appendix E).
# To see what it knows we decode its *mean*, and set it beside the image, its reconstruction from $q(Z|X)$, and two
# controls: the same keys in **another episode's memory**, and in an **empty memory** ($M = 0$).
#
# > **Predict:** which rows will you be able to tell apart from the first one?
#
# **Picture:** five rows of twelve digits. Images; their reconstructions; what their keys find in their own memory,
# softer but mostly the same digit; what the same keys find in another memory, often of the same kind and less exact;
# and in an empty one, the same vague shape each time.

# %%
swapped = model.write(other)  # another episode's memory


def decoded(m):
    """The prior's mean at the keys' means in memory m, as pictures [T, 1, 28, 28]."""
    return model.read_images(m, y, sampled=False)[0]


fig = plots.rows({"image": x[0], "from q(Z|X)": model.decode(q_z.mean).mean[0], "its memory": decoded(memory),
                  "another memory": decoded(swapped), "empty memory": decoded(torch.zeros_like(memory))})
plt.close(fig)
fig

# %% [markdown]
# The same question in nats: KL$_Z$ is the price of the image's latent under the prior that was read.
#
# **Picture:** one dot per image: KL$_Z$ with its own memory across, with another episode's memory upwards, both in
# nats. Most dots lie above the diagonal.

# %%
kl_own = kl_divergence(q_z, model.prior(memory, y))[0]  # [T] nats
kl_swapped = kl_divergence(q_z, model.prior(swapped, y))[0]
kl_empty = kl_divergence(q_z, model.prior(torch.zeros_like(memory), y))[0]
fig, ax = plt.subplots(figsize=(4.2, 4.0), layout="constrained")
ax.scatter(kl_own, kl_swapped, s=18)
top = float(torch.stack([kl_own, kl_swapped]).max()) * 1.05
ax.plot([0, top], [0, top], color="grey", linewidth=1)
ax.set(xlabel="KL$_Z$ with its own memory (nats)", ylabel="KL$_Z$ with another memory (nats)")
ax.set(xlim=(0, top), ylim=(0, top))
ax.set_title("One dot per image of the episode", fontsize=10)
plt.close(fig)
fig

# %%
print("KL_Z, mean over the episode (nats):")
print(f"own {kl_own.mean():.2f}, another {kl_swapped.mean():.2f}, empty {kl_empty.mean():.2f}")
print(f"dearer with another memory: {(kl_swapped > kl_own).float().mean():.0%} of the images")
tour.record("kl_z_own_memory", kl_own.mean(), "nats")
tour.record("kl_z_swapped_minus_own", kl_swapped.mean() - kl_own.mean(), "nats")

# %% [markdown]
# If another memory costs little more than the right one, the keys alone say much: a *content code*, where the location
# stands for a kind of digit and any memory has something suitable there. If it costs a lot, the memory holds what only
# this episode has. Both occur together, and the difference above tells in which proportion.
#
# ## 9 · Shuffled cues, and a single cue
#
# Is an image found by its looks, or by its place in the episode? Present the images to a finished memory in another
# order, and one by one.
#
# > **Predict:** what changes for a model without the shift? And for one with it?

# %%
permutation = torch.randperm(c.length, generator=kpp.seeded(seed, 2))
alone = x[0][:, None]  # [T, 1, 1, 28, 28]: 32 episodes of one image
shuffled_gap = (model.infer(x[:, permutation]).q_y.mean - y[:, permutation]).abs().max()
single_gap = (model.infer(alone).q_y.mean[:, 0] - y[0]).abs().max()
print(f"largest change of a key, this model:          shuffled {shuffled_gap:.1e}, alone {single_gap:.1e}")
e_paper = shifted(x)
shuffled_e = (shifted(x[:, permutation]) - e_paper[:, permutation]).norm() / e_paper.norm()
single_e = (shifted(alone)[:, 0] - e_paper[0]).norm() / e_paper.norm()
print(f"relative change of the embeddings with shift: shuffled {shuffled_e:.2f}, alone {single_e:.2f} (untrained)")
tour.record("key_change_shuffled", shuffled_gap)
tour.record("key_change_alone", single_gap)

# %% [markdown]
# Without the shift each image is encoded on its own: the keys do not change but for rounding. With it, every embedding
# changes. This is a choice of design. With an address by position (the recipe `slots`, ours as well) a model can score
# better, and cannot find a lone cue.
#
# ## 10 · Is the memory used?
#
# A good bound and good pictures prove nothing: a model can ignore its memory and be a fair VAE. The test is to take the
# memory away, and it belongs beside every number. All rows are totals in nats per image with *sampled* keys and
# latents, over the same test episodes.
#
# > **Predict** the order of the rows before you run the cell.

# %%
batch = kpp.Episodes(data.test, c.length, episodes_scored, seed=seed).batch(0).x  # [B, T, 1, 28, 28]
bound = model.bound(batch, generator=kpp.seeded(seed, 3)).mean()
names = ("memory_swap", "prior_keys", "shuffled_cues", "single_cues", "retrieval_top1")
scores = {name: SCORES[name](model, batch, kpp.seeded(seed, 3)).mean() for name in names}
print(bound)
rows = {"its own memory": bound.total, "cues shuffled": scores["shuffled_cues"],
        "cues one by one": scores["single_cues"], "another episode's memory": scores["memory_swap"],
        "random keys, without KL_Y": scores["prior_keys"]}
for name, value in rows.items():
    print(f"{name:27} {value:8.2f} nats/image")
print(f"read from memory alone, nearest to the right image: {scores['retrieval_top1']:.0%} (chance {1 / c.length:.0%})")

# %%
tour.record("total", bound.total, "nats/image")
tour.record("recon", bound.recon, "nats/image")
tour.record("kl_y", bound.kl_y, "nats/image")
tour.record("swap_gap", scores["memory_swap"] - bound.total, "nats/image")
tour.record("shuffled_gap", scores["shuffled_cues"] - bound.total, "nats/image")
tour.record("single_gap", scores["single_cues"] - bound.total, "nats/image")
tour.record("retrieval_top1", scores["retrieval_top1"])

# %% [markdown]
# - **Another episode's memory** costs more than its own: the memory is read. A model that ignores it would show no
#   difference here, however good its total.
# - **Random keys** cost far more: what is read depends on where.
# - **Shuffled and single cues** cost the same, up to the noise of the samples: the memory is associative.
# - **Retrieval** is far above chance: what comes back from memory alone, with a sampled key and a sampled latent, is
#   often nearest to the very image that was written.
#
# Do not set this total beside an unconditional likelihood of MNIST. It is *conditional*: the memory has seen the very
# images that are scored. For distinct binary images its floor is $\ln T$, not the entropy of digits.
#
# ## 11 · Written twice is written the same
#
# The paper's write is deterministic, $M \sim \delta[f_{mem}(f_{enc}(X))]$ (section 3.2). A placed write needs keys, and
# keys are random. Which ones should it use?

# %%
same_bits = torch.equal(model.write(x), model.write(x))
one, two = (model.writer(e, model.window(sample(q_y, kpp.seeded(seed, 4, n)))) for n in range(2))
print("write(x) twice, bit for bit the same:", same_bits)
print(f"written at sampled keys, twice: largest difference {(one - two).abs().max():.2f}")
tour.record("write_bit_equal", same_bits)

# %% [markdown]
# The key *means*, which depend on $X$ alone. It would be tempting to write at the sampled keys $y$ and to read at the
# same $y$: write and read would meet exactly, and KL$_Z$ would be smaller.
#
# > **Predict:** which step of the derivation would break?
#
# Equation 2 needs $p(Y|M) = p(Y)$: the memory is given, the keys are drawn independently of it. If $M$ was written at
# $y$, it *tells* where $y$ is, and the key's information would reach the prior of $z$ without being paid for in KL$_Y$.
# The sum of the three terms would look better and bound nothing. Here are both, on the same draws of the keys:

# %%
q = model.infer(batch)
fixed = model.write(batch, q)
honest, leaky = [], []
for n in range(4):
    y_n = sample(q.q_y, kpp.seeded(seed, 5, n))
    honest.append(kl_divergence(q.q_z, model.prior(fixed, y_n)).mean())
    leaky.append(kl_divergence(q.q_z, model.prior(model.writer(q.e, model.window(y_n)), y_n)).mean())
honest, leaky = torch.stack(honest), torch.stack(leaky)

# %%
for name, values in (("written at the means", honest), ("at the sample it reads", leaky)):
    print(f"KL_Z, {name:22} {values.mean():.3f} nats (four draws: {values.min():.3f} to {values.max():.3f})")
tour.record("kl_z_leak", (honest - leaky).mean(), "nats")

# %% [markdown]
# The leak is small here because this model never trained with it. One that did would learn to live on it: wide keys are nearly free in KL$_Y$, and a write that
# follows the sample finds its reader every time.

# %% [markdown]
# ## Exercises
#
# 1. A pooled write averages $e_t$ over the episode. Show that the mean itself does not depend on the order. Why may the
#    paper's $M$ depend on it nevertheless?
# 2. Which of the totals of section 10 would be equal for a model with key collapse, $q(y|X) = p(y)$? And for one whose
#    keys are sharp but whose memory is the same for every episode?
# 3. Replace `memory` in section 8 by the memory of an episode that holds only this image, 32 times. What do you expect
#    of KL$_Z$, and why is it not zero?
#
# <details><summary>Solutions</summary>
#
# 1. A sum has no order. But with the temporal shift each $e_t$ depends on its neighbours (section 3), so another order
#    gives other terms.
# 2. With collapse, KL$_Y$ is 0 and random keys are as good as inferred ones: `prior_keys` equals the total. The swap
#    may still cost something, since a read anywhere can tell something about the episode. With sharp keys and a
#    constant memory, the swap costs nothing and random keys cost a lot: the location is a code of the content, and only
#    the swap shows that the episode is not stored.
# 3. All 64 blocks fall on two windows and agree, so each read gives back what the image wrote, up to blur and floor.
#    KL$_Z$ falls for lack of foreign writing, if the prior net copes with a memory that it has never seen in training:
#    it was trained on mixtures. It cannot be zero, since the block has finite precision, and the key is a sample, not
#    the mean.
#
# </details>
#
# ## Summary
#
# - $X \to E \to M$ is the write, $E \to Y$ the address, $(M, Y) \to \hat M \to p(Z|\hat M, Y)$ the read. $M$ has one
#   size for any $T$.
# - The temporal shift takes 1/8 of the channels from each neighbour, reaches eight images far, and must be bypassed at
#   $T = 1$. It makes $E$ depend on the order.
# - The paper's pooled write spreads each image over all of $M$. The placed write, ours, keeps it in its windows.
# - Keys spread over the memory by content. Each read is a mixture of the images that wrote there.
# - Memory swap, random keys, shuffled and single cues tell what the memory is worth. The total does not.
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
# | $q_\phi(Y\|X)$, $y_{tk}$ | `q_y`, `y` | [B, T, K, 3], before the squash |
# | $\hat M$, $m_k = f_{ST}(M, y_{tk})$ | `blocks` | [B, T, K, 3, g, g] |
# | $q_\phi(Z\|X)$, $p_\theta(Z\|\hat M, Y)$ | `q_z`, `p_z` | distributions over [B, T, L] |
# | terms of $\mathcal{L}_T$ (eq. 4) | `bound.recon`, `bound.kl_z`, `bound.kl_y` | [B, T], nats, lower is better |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++*, ICLR 2021. Section 3.1 (exchangeability), 3.2 with equations 2, 4 and 5, 3.3
#   with equation 6 and Figure 3, 3.5 with Figure 5, Appendix E and E.1.
# - Lin, Gan, Han: *TSM: Temporal shift module for efficient video understanding*, ICCV 2019. Section 3.
# - Zhu et al.: *A batch normalized inference network keeps the KL vanishing away*, ACL 2020: the idea behind our
#   batch-normalised key means.
