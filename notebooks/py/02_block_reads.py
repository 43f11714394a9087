# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Reading a block of the memory
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/02_block_reads.ipynb)
# [![Launch on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/02_block_reads.ipynb)
#
# An array is indexed with whole numbers, and whole numbers have no gradient. Kanerva++ wants to *learn* where to read,
# so it replaces the index by three real numbers, a **key**, and the slice `M[a:b, c:d]` by a small resampled picture, a **block**.
# The tool is the spatial transformer (Jaderberg et al., 2015), which the paper reviews in Appendix A. Here we build it
# from zero, by hand, until it equals what the package uses, and then ask what kind of gradient it really gives a key.
#
# **Objectives.** After this notebook you can
#
# - say which part of the memory a key $(s, x, y)$ reads, and redraw the crop of Figure 11;
# - write equation 9 without `grid_sample`, for both meanings of `align_corners`;
# - read all $T \cdot K$ blocks of an episode with one call and no copy of the memory;
# - derive the gradient of a read with respect to its key, and say where it is useful and where it is zero;
# - explain why a Gaussian key needs a *squash*, and what each choice costs;
# - write a block with the inverse of a read.
#
# **Prerequisites.** PyTorch tensors and `autograd`; Appendix A of the paper beside you. Nothing from notebook 01 is
# needed.
#
# **Minutes on CPU:** under 1 to run, about 40 to read and think, 25 for the exercises.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("kpp_lib") is None:  # on Colab; its torch, numpy and matplotlib stay as they are
    source = "kpp-lib @ git+https://github.com/kanerva-plus-plus/kpp@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
    importlib.invalidate_caches()

# %%
import statistics
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.course import checks, plots, widgets
from kpp_lib.keys import squash
from kpp_lib.memory import place_blocks, read_blocks, window_grid

# %% tags=["parameters"]
seed = 0
random_keys = 20000  # Monte Carlo draws of a key
timing_runs = 15  # the median of these is shown
field_side = 17  # arrows along each axis of the gradient field

# %%
data = kpp.load_dataset("mnist", binarize="none", quiet=True)  # grey: a smooth picture shows more of what a read does
tour.record_source(data)
digit = kpp.episode(data.test, length=1, seed=seed)[0]  # [1, 1, 28, 28]
model = kpp.load_pretrained("mnist-content-cpu")  # blocks overlap into a smooth memory, a slope nearly everywhere
with torch.no_grad():
    written = kpp.episode(data.test, length=model.config.length, seed=seed)  # [1, 32, 1, 28, 28]
    M = model.write((written > 0.5).float())  # [1, 3, 64, 64]: a memory as a trained model writes it
digit.shape, M.shape

# %% [markdown]
# ## 1 · Three numbers are a window
#
# Put a frame around the memory: $x$ runs from $-1$ at the left edge to $1$ at the right, $y$ from $-1$ at the top to
# $1$ at the bottom. The centre is $(0, 0)$ and **$y$ points down**, as rows do. A window is $(s, x, y)$: its centre is
# $(x, y)$, and $s$ is its half-width as a fraction of the memory's half-width. So $s = 0.5$ reads half of the memory
# along each axis.
#
# A block has a frame of its own, also from $-1$ to $1$. Equation 8 joins the two:
#
# $$\begin{bmatrix} i^t \\ j^t \end{bmatrix} = \underbrace{\begin{bmatrix} s & 0 & x \\ 0 & s & y \end{bmatrix}}_{\theta}
# \begin{bmatrix} i^s \\ j^s \\ 1 \end{bmatrix} \qquad \text{(8)}$$
#
# **A word on the direction.** The paper calls this a map from *source* coordinates to *target* coordinates. A sampler
# needs it the other way round: for each pixel of the block (the picture to be made, usually called the target) it has
# to know the place in the memory (the source) to look at. The formula is right as it stands if you read the right-hand
# side as a place in the block and the left-hand side as a place in the memory. That is how the paper's own example
# works, and how we use it.

# %% [markdown] tags=["exercise:sample_places"]
# **Exercise: where a block looks.** Write equation 8 as a function: from a window $(s, x, y)$ to the $g \times g$
# places of the memory, $(x, y)$ each, at the centres of the block's pixels. No `affine_grid`. The next cells do it
# for one window; try before you look.

# %% tags=["exercise:sample_places"]
def sample_places(window, g):
    """Window (s, x, y), a tensor [3] -> places [g, g, 2]: the row goes down, the column to the right."""
    ...  # your lines


checks.sample_places(sample_places)

# %% [markdown] tags=["exercise:sample_places"]
# <details><summary>Solution: sample_places</summary>
#
# ```python
# def sample_places(window, g):
#     """Window (s, x, y), a tensor [3] -> places [g, g, 2]: the row goes down, the column to the right."""
#     s, x, y = window
#     centres = (2 * torch.arange(g) + 1) / g - 1  # of the block's pixels, in its own frame
#     across, down = s * centres + x, s * centres + y
#     return torch.stack([across.expand(g, g), down[:, None].expand(g, g)], dim=-1)
# ```
#
# The block's frame is from -1 to 1 too, so $s$ is a half-width. A negative $s$ needs no case of its own: it turns
# both axes, and the block comes out turned by 180 degrees.
#
# </details>

# %% [markdown]
# > **Before you run it:** for $\theta = (0.5;\ 0.3, 0.5)$, which are the first and last $x$ that a block four pixels
# > wide looks at? Is it the edge of the window, or half a block pixel inside it?

# %%
window = torch.tensor([[0.5, 0.3, 0.5]])  # (s, x, y): the paper's example under equation 9
g = 4
centres = (2 * torch.arange(g) + 1) / g - 1  # the block's pixel centres in its own frame
s, x, y = window[0]
by_hand = torch.stack([(s * centres + x).expand(g, g), (s * centres + y)[:, None].expand(g, g)], dim=-1)  # [g, g, 2]
print("x looked at:", [f"{v:.3f}" for v in by_hand[0, :, 0]])
print("y looked at:", [f"{v:.3f}" for v in by_hand[:, 0, 1]])
assert torch.allclose(by_hand, window_grid(window, g)[0])  # the package: F.affine_grid

# %% [markdown]
# Half a pixel inside: pixel *centres* are sampled, and the window's edges at $0.3 \pm 0.5$ are the outer edges of the
# outer pixels. (That is `align_corners=False`. Section 4 has the other convention.)
#
# ## 2 · The crop of Figure 11
#
# The paper's Figure 11 reads a picture with exactly this $\theta$. From the last section, it covers $x \in [-0.2, 0.8]$
# and $y \in [0, 1]$: right of the middle, and the lower half.
#
# > **Predict:** sketch the block before you look. Where in the block does the centre of the digit land?

# %%
windows = window.view(1, 1, 1, 3)  # [B, T, K, 3] with B = T = K = 1
crop = read_blocks(digit, windows, 28)[0, 0, 0]  # [1, 28, 28]
piece = read_blocks(M, windows, 16)[0, 0, 0]  # [3, 16, 16]
fig, axes = plots.panels(4, 2.6)
axes[0].imshow(plots.picture(digit[0]), cmap="gray_r", extent=(-1, 1, 1, -1))
axes[0].add_patch(plt.Rectangle((-0.2, 0), 1, 1, fill=False, color="crimson"))
axes[1].imshow(plots.picture(crop), cmap="gray_r", extent=(-1, 1, 1, -1))
plots.show_memory(axes[2], M[0], window, ["crimson"])
axes[3].imshow(plots.memory_picture(piece), extent=(-1, 1, 1, -1))
names = ("digit, 28 x 28 pixels", "its block, 28 x 28", "a memory, 3 x 64 x 64", "its block, 3 x 16 x 16")
for ax, name in zip(axes, names, strict=True):
    ax.set(xlabel="x", ylabel="y (down)" if ax is axes[0] else "", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    ax.set_title(name, fontsize=10)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* four panels; a grey digit with a red window in its lower right, the block read from it, a memory with the
# same window, and the block read from that. The centre of the digit, at (0, 0), lies on the top edge of the block at a
# fifth of its width.

# %%
corners = window_grid(window, 2, align_corners=True)[0]  # the corners themselves
reach = torch.stack([corners[0, 0], corners[1, 1]])
print(f"x in [{reach[0, 0]:.1f}, {reach[1, 0]:.1f}], y in [{reach[0, 1]:.1f}, {reach[1, 1]:.1f}]")
tour.record("figure11_left_edge", reach[0, 0], "half-widths")
tour.record("figure11_bottom_edge", reach[1, 1], "half-widths")

# %% [markdown]
# A block need not have the resolution of what it reads. The digit's block magnifies 14 pixels to 28; the memory's block
# shrinks 32 pixels to 16. **The size $g$ of a block is not in the paper**; the course's CPU models use 16.
#
# ## 3 · Equation 9: a tent over each sampling point
#
# The place to look at is hardly ever a pixel centre. Equation 9 mixes the neighbours, each weighted by how near it is:
#
# $$m = \sum_{n}\sum_{r} M_{nr}\ \max(0,\ 1 - |i - r|)\ \max(0,\ 1 - |j - n|) \qquad \text{(9)}$$
#
# with $r$ counting the columns and $n$ the rows of $M$. Each factor is a *tent*: 1 on the pixel, 0 one pixel away,
# straight lines between. The product is bilinear interpolation, and at most four pixels count.
#
# **Where the printed sum needs help.** The paper lets $n$ and $r$ run from $-1$ to $J$, and feeds in the $i^t, j^t$ of
# equation 8, which lie in $[-1, 1]$. But $r$ and $n$ are pixel numbers. The two have to be in one unit first:
#
# $$i = \frac{(i^t + 1)\,W - 1}{2} \quad\text{(align}\_\text{corners=False)}, \qquad i = \frac{(i^t + 1)\,(W - 1)}{2} \quad\text{(align}\_\text{corners=True)}.$$
#
# The sums then run over the pixels that exist, $0 \dots W - 1$. Whatever lies outside simply has no term, which is
# "zero padding".

# %% [markdown] tags=["exercise:read_block"]
# **Exercise: read a block.** Write equation 9 with sums and products alone: no `grid_sample`. Use
# `align_corners=False`, and let what lies outside the memory count as zero. The two tents are separable: weights of
# the columns [g, W], weights of the rows [g, H], one `einsum`. When it passes, try it on the memory above:
# `read_block(M[0], window[0], 16)` should be the `piece` of the last picture.

# %% tags=["exercise:read_block"]
def read_block(memory, window, g):
    """Equation 9: memory [C, H, W], window (s, x, y), a tensor [3] -> block [C, g, g]."""
    ...  # your lines


checks.read_block(read_block)

# %% [markdown] tags=["exercise:read_block"]
# <details><summary>Solution: read_block</summary>
#
# ```python
# def read_block(memory, window, g):
#     """Equation 9: memory [C, H, W], window (s, x, y), a tensor [3] -> block [C, g, g]."""
#     height, width = memory.shape[1:]
#     s, x, y = window
#     centres = (2 * torch.arange(g) + 1) / g - 1
#     i = ((s * centres + x + 1) * width - 1) / 2  # pixel numbers along x, not whole
#     j = ((s * centres + y + 1) * height - 1) / 2
#     columns = torch.clamp(1 - (i[:, None] - torch.arange(width)).abs(), min=0)  # [g, W]
#     rows = torch.clamp(1 - (j[:, None] - torch.arange(height)).abs(), min=0)  # [g, H]
#     return torch.einsum("cnr,in,jr->cij", memory, rows, columns)
# ```
#
# Outside needs no `if`: a place more than one pixel beyond the last centre has weight zero everywhere.
#
# </details>

# %% [markdown]
# > **Predict:** what would a block show if you took equation 9 at its word, and compared $i^t \in [-1, 1]$ with pixel
# > numbers?

# %%
def to_pixels(place, size, align_corners=False):
    """A coordinate in [-1, 1] -> a pixel number, 0 for the centre of the first pixel."""
    return (place + 1) / 2 * (size - 1) if align_corners else ((place + 1) * size - 1) / 2


def tent(place, size):
    """max(0, 1 - |i - r|) for every pixel r: [...] -> [..., size]."""
    return torch.clamp(1 - (place[..., None] - torch.arange(size)).abs(), min=0)


# %%
def read_by_hand(memory, window, g, align_corners=False):
    """Equation 9: memory [C, H, W], window (s, x, y) -> [C, g, g]. Nothing but sums and products."""
    steps = torch.linspace(-1, 1, g) if align_corners else (2 * torch.arange(g) + 1) / g - 1
    s, x, y = window
    columns = tent(to_pixels(s * steps + x, memory.shape[2], align_corners), memory.shape[2])  # [g, W]
    rows = tent(to_pixels(s * steps + y, memory.shape[1], align_corners), memory.shape[1])  # [g, H]
    return torch.einsum("cnr,in,jr->cij", memory, rows, columns)


# %%
point, steps = torch.tensor(3.3), (2 * torch.arange(16) + 1) / 16 - 1  # a block of 16 over the window (1, 0, 0)
right, literal = tent(to_pixels(steps, 8), 8).sum(0), tent(steps, 8).sum(0)  # [8] each
fine = torch.linspace(0, 7, 200)
fig, axes = plots.panels(4, 2.6, 2.8)
axes[0].plot(fine, torch.clamp(1 - (fine - point).abs(), min=0), color="grey")
axes[0].plot(torch.arange(8), tent(point, 8), "o")
shown = {"two tents at (3.3, 4.6)": torch.outer(tent(torch.tensor(4.6), 8), tent(point, 8)),
         "pixels read, units right": torch.outer(right, right), "pixels read, literally": torch.outer(literal, literal)}
for ax, (name, weights) in zip(axes[1:], shown.items(), strict=True):
    ax.imshow(weights, vmin=0)
    ax.set(title=name, xlabel="pixel r", ylabel="pixel n")
axes[0].set(title="a tent at i = 3.3", xlabel="pixel r", ylabel="weight")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* first a tent along one axis, a triangle over the sampling point with dots on the pixels that it weighs;
# then the product of two tents over 8 by 8 pixels, four of them bright; then the total weight of each pixel when a
# block reads the whole 8 by 8 memory: nearly even with the units put right (a little less at the rim, where part of a tent falls
# outside), but the upper left corner only with equation 9 at its word.
#
# Taken at its word, every place in $[-1, 1]$ is near the pixels $0$ and $1$ only: any window reads the same top left
# corner of a 64-pixel memory. With the units put right, our few lines must agree with PyTorch's `grid_sample`, and with
# the package, for windows inside, across the edge, and mirrored ($s < 0$).

# %%
cases = torch.tensor([[0.5, 0.3, 0.5], [0.25, -0.75, 0.1], [0.6, 0.9, -0.8], [-0.4, 0.2, 0.0], [0.1, 1.5, 0.0]])
worst = 0.0
for align in (False, True):
    theirs = F.grid_sample(M.expand(len(cases), -1, -1, -1), window_grid(cases, 16, align), mode="bilinear",
                           padding_mode="zeros", align_corners=align)  # [5, 3, 16, 16]
    package = read_blocks(M, cases.view(1, 1, -1, 3), 16, align_corners=align)[0, 0]  # [5, 3, 16, 16]
    ours = torch.stack([read_by_hand(M[0], case, 16, align) for case in cases])
    gaps = (ours - theirs).abs().max(), (package - theirs).abs().max()
    print(f"align_corners={align!s:5}  by hand - grid_sample: {gaps[0]:.1e}  read_blocks - grid_sample: {gaps[1]:.1e}")
    worst = max(worst, *map(float, gaps))
assert worst < 1e-4
tour.record("eq9_worst_difference", worst)

# %% [markdown]
# Only rounding is left. From here on `read_blocks` is no black box.
#
# ## 4 · `align_corners`: what do the edges of a window mean?
#
# The paper does not say which convention it used. With `False`, PyTorch's default since 1.3, $-1$ and $1$ are the *outer
# edges* of the outer pixels; with `True` they are their *centres*. Neither is wrong, but a model trained with one must
# be read with the same one.
#
# > **Predict:** the window is the whole memory, $(1, 0, 0)$, and $g$ is its size. Which of the two conventions gives
# > the memory back unchanged? And for $g$ half its size?

# %%
fig, ax = plt.subplots(figsize=(7, 1.7), layout="constrained")
for row, align in enumerate((False, True)):
    for pixel in range(8):
        ax.add_patch(plt.Rectangle((pixel - 0.5, row - 0.3), 1, 0.6, fill=False, edgecolor="grey"))
    steps = torch.linspace(-1, 1, 4) if align else (2 * torch.arange(4) + 1) / 4 - 1
    ax.plot(to_pixels(steps, 8, align), [row] * 4, "x", color="crimson", markersize=9, markeredgewidth=2)
ax.set(yticks=(0, 1), yticklabels=("False", "True"), ylabel="align_corners", xlim=(-0.8, 7.8), ylim=(1.6, -0.6))
ax.set(xlabel="pixel r of an 8-pixel memory", title="The window (1, 0, 0) read with g = 4")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* two rows of pixels, one per convention, each drawn as eight boxes with four marks for the four places
# that a block looks at. With False, the marks lie on the borders between pairs of boxes; with True, the outer two lie
# in the middle of the outer boxes.

# %%
whole = torch.tensor([[[[1.0, 0.0, 0.0]]]])
for align in (False, True):
    same = (read_blocks(M, whole, 64, align_corners=align)[0, 0, 0] - M[0]).abs().max()
    half = (read_blocks(M, whole, 32, align_corners=align)[0, 0, 0] - F.avg_pool2d(M, 2)[0]).abs().max()
    print(f"align_corners={align!s:5}  g = 64: largest change {same:.1e}  g = 32: from 2 x 2 averages {half:.1e}")

# %% [markdown]
# At $g = 64$ both give the memory back. At $g = 32$, `False` gives exactly the averages of 2 x 2 pixels, since each
# point falls where four pixels meet; `True` does not. `False` is our choice: a window of $n$ memory pixels is $n$ pixels
# wide, whatever $g$ is.
#
# ## 5 · One tall grid in place of $T \cdot K$ copies
#
# An episode reads $T \cdot K$ blocks from **one** memory. `grid_sample` wants one input per grid, so the obvious code
# repeats the memory $T \cdot K$ times. `expand` makes such a view for free, but calling `grid_sample` on it still costs
# more than it must. The package stacks the $T \cdot K$ grids of size $g \times g$ into one grid, $T K g$ rows tall and
# $g$ wide, samples once, and cuts the result.
#
# > **Predict:** for $T = 32$ and $K = 2$, how much longer does the copying version take? And with the backward pass?

# %%
B, T, K, size = 4, 32, 2, 16
many = torch.randn(B, 3, 64, 64, generator=kpp.seeded(seed, 1), requires_grad=True)
many_windows = squash(torch.randn(B, T, K, 3, generator=kpp.seeded(seed, 2)), "fixed")  # [B, T, K, 3]


def read_copies(memory, window, g):
    """The obvious way: the memory repeated T*K times. [B, T, K, C, g, g]."""
    copies = memory.repeat_interleave(T * K, dim=0)  # [B*T*K, C, S, S]
    grid = window_grid(window.reshape(-1, 3), g)
    return F.grid_sample(copies, grid, align_corners=False).unflatten(0, (B, T, K))


# %%
def milliseconds(function):
    """Median wall-clock time of several calls."""
    times = []
    for _ in range(timing_runs):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


# %%
gap = (read_blocks(many, many_windows, size) - read_copies(many, many_windows, size)).abs().max().item()
held = many.nbytes / 2**20  # MiB
print(f"largest difference {gap:.1e};  input, MiB: {held:.2f} once, {held * T * K:.2f} in copies")
for name, after in (("forward", lambda block: None), ("and backward", lambda block: block.sum().backward())):
    tall = milliseconds(lambda after=after: after(read_blocks(many, many_windows, size)))
    copied = milliseconds(lambda after=after: after(read_copies(many, many_windows, size)))
    print(f"{name:13} copies take {copied / tall:.1f} times as long as the tall grid (medians of {timing_runs})")
tour.record("tall_grid_difference", gap)

# %% [markdown]
# The same numbers from a fraction of the memory: $T \cdot K$ times less input. How much time that saves depends on the machine; in the
# backward pass each copy gets a gradient of its own, and all are summed afterwards.
#
# ## 6 · The gradient of a read with respect to its key
#
# This is what the whole detour is for. Equation 9 is a product of tents, and a tent has a slope. With $i = ((s u + x + 1)
# W - 1) / 2$ for a block pixel at $(u, v)$ in its own frame, and $j$ likewise from $v$ and $y$,
#
# $$\frac{\partial m}{\partial x} = \frac{W}{2} \sum_{n, r} M_{nr}\ \mathrm{tent}'(i - r)\ \mathrm{tent}(j - n), \qquad
# \frac{\partial m}{\partial s} = u\, \frac{\partial m}{\partial x} + v\, \frac{\partial m}{\partial y},$$
#
# where $\mathrm{tent}'$ is $+1$ on the rising side, $-1$ on the falling side, and $0$ elsewhere. So $\partial m /
# \partial x$ is the **difference of neighbouring pixels**: the slope of the picture where the point happens to lie.
# Three routes to it must agree: this formula, `autograd`, and finite differences.

# %%
def read_and_slopes(memory, window, g):
    """A block [C, g, g] and its derivatives with respect to s, x and y, [3, C, g, g], from the formulas above."""
    s, x, y = window
    u = (2 * torch.arange(g, dtype=memory.dtype) + 1) / g - 1
    size = memory.shape[-1]
    i, j = to_pixels(s * u + x, size), to_pixels(s * u + y, size)
    near_i, near_j = (p[:, None] - torch.arange(size) for p in (i, j))  # [g, W] signed distances
    tent_i, tent_j = (torch.clamp(1 - d.abs(), min=0) for d in (near_i, near_j))
    slope_i, slope_j = (-torch.sign(d) * (d.abs() < 1) for d in (near_i, near_j))
    block = torch.einsum("cnr,an,br->cab", memory, tent_j, tent_i)
    dx = size / 2 * torch.einsum("cnr,an,br->cab", memory, tent_j, slope_i)
    dy = size / 2 * torch.einsum("cnr,an,br->cab", memory, slope_j, tent_i)
    return block, torch.stack([dx * u + dy * u[:, None], dx, dy])


# %%
exact = M.double()
at = torch.tensor([0.25, 0.213, -0.117], dtype=torch.float64, requires_grad=True)
target = read_blocks(exact, torch.tensor([0.25, 0.0, 0.0], dtype=torch.float64).view(1, 1, 1, 3), 16)[0, 0, 0]


def mismatch(window):
    """Mean squared difference between what the window reads and the target block."""
    return (read_blocks(exact, window.view(1, 1, 1, 3), 16)[0, 0, 0] - target).square().mean()

# %%
(autograd,) = torch.autograd.grad(mismatch(at), at)
block, slopes = read_and_slopes(exact[0], at.detach(), 16)
formula = (2 * (block - target) * slopes).mean(dim=(1, 2, 3))
step = 1e-7 * torch.eye(3, dtype=torch.float64)
finite = torch.stack([(mismatch(at + h) - mismatch(at - h)) / 2e-7 for h in step]).detach()
for name, values in (("formula", formula), ("autograd", autograd), ("finite differences", finite)):
    print(f"{name:20}" + "".join(f"{v:14.8f}" for v in values))
apart = torch.stack([formula - autograd, finite - autograd]).abs().max()
tour.record("key_gradient_difference", apart / autograd.abs().max())

# %% [markdown]
# ### One window slides
#
# > **Predict:** slide the window from far left to far right, past the edges of the memory. Draw one pixel of its block
# > against $x$, then the mismatch with a target that was read at $x = 0$, then the gradient of that mismatch.

# %%
places = torch.linspace(-2, 2, 1601, dtype=torch.float64)
line = torch.stack([torch.full_like(places, 0.25), places, torch.zeros_like(places)], -1).requires_grad_()
strips = read_blocks(exact, line.view(1, -1, 1, 3), 16)[0, :, 0]  # [1601, 3, 16, 16]
losses = (strips - target).square().mean(dim=(1, 2, 3))
(slope,) = torch.autograd.grad(losses.sum(), line)
fig, axes = plt.subplots(3, 1, figsize=(7, 5.2), sharex=True, layout="constrained")
curves = {"one block pixel": strips[:, 0, 8, 8], "mismatch": losses, "d mismatch / dx": slope[:, 1]}
for ax, (name, values) in zip(axes, curves.items(), strict=True):
    ax.plot(places, values.detach(), linewidth=1)
    ax.set_ylabel(name, fontsize=9)
    for edge in (-2, 1.25):
        ax.axvspan(edge, edge + 0.75, color="grey", alpha=0.2)
axes[2].set_xlabel("x of the window, s = 0.25, y = 0; shaded: wholly outside the memory")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* three curves against the window's x from -2 to 2. One block pixel is made of straight pieces with kinks, and flat where
# nothing was written. The mismatch has a wide overall slope down to its 0 at the target, with interpolation ripples on it, which the eye sees far from the target only.
# In the gradient they show everywhere: it jumps up and down with each of them. It is exactly 0 in the shaded parts, where the
# window lies wholly outside the memory.

# %%
outside = slope[(places.abs() > 1.27)]  # half a pixel beyond the edge the last tent has ended
print(f"largest |gradient| wholly outside: {outside.abs().max():.1e}; inside: {slope.abs().max():.2f}")
tour.record("gradient_outside", outside.abs().max())

# %% [markdown]
# - **Piecewise linear.** Between kinks the read is a straight line in $x$, so its slope knows only the pixels on either
#   side.
# - **Local.** The gradient says which way the *nearest* pixels improve. On the steep sides the overall slope dominates. Near the
#   target, and far out where the curve is flat, interpolation ripples do: each time the sampling points pass from pixel
#   centres to the places between them, the interpolation blurs a
#   little less or more, and the mismatch goes up and down with it.
# - **Zero outside.** A window wholly outside reads zeros, and nothing it could do by a small step changes that. Such a
#   key is not merely wrong, it is stuck.
#
# ### The field over the plane, and what noise does to it
#
# First by hand, if a kernel runs. The sliders move a window over the memory, from a start beside the target, which was read at
# $(0.25, 0, 0)$, in the middle; the still picture is that start. Try to come home by the arrow alone.
#
# > **Predict:** the start lies to the right of the target and a little above it, so home is left and down. Does the arrow point
# > there? And is the bar of $s$, which is right already, zero?

# %%
widgets.read(M, torch.tensor([0.25, 0.0, 0.0]), 16)  # a window at (0.25, 0, 0) reads the target

# %% [markdown]
# *Picture:* four panels: the memory with a red window, its 16 x 16 sampling points in white and a yellow arrow, the way downhill;
# the block that is read; the target block; and minus the gradient with respect to $s$, $x$ and $y$ as three bars.
#
# At the start the arrow points left, which helps, and a little up, which does not; and it wants to change the size as well. The gradient
# knows the nearest pixels only.
#
# Now in two dimensions. The target block was read at the star. At every arrow a window of the same size asks the
# gradient which way to go; an arrow shows the direction alone. On the right the same question is put to *random* windows, and the answers are averaged:
# noise of standard deviation 0.06 on the centre, about what the keys of this model's recipe start their training
# with. Remember that K++ never reads at a fixed key: it reads at $y \sim q(Y|X)$, equation 6.
#
# > **Predict:** at which distance from the star do the arrows of the two columns differ most: far out, or close by?

# %%
def downhill(centres, noise=0.0, draws=1, generator=None):
    """Mismatch [N] at window centres [N, 2] and minus its gradient [N, 2], averaged over noise on the centre."""
    centres = centres.detach().requires_grad_()
    moves = noise * torch.randn(draws, *centres.shape, generator=generator, dtype=centres.dtype)
    loss, slope = 0, 0
    for move in moves:  # one draw at a time: the blocks of all draws at once would take most of a GB
        windows = torch.cat([torch.full_like(centres[:, :1], 0.25), centres + move], -1)  # [N, 3]
        blocks = read_blocks(exact, windows.view(1, -1, 1, 3), 16)[0, :, 0]
        one = (blocks - target).square().mean(dim=(1, 2, 3)) / draws  # [N]
        loss, slope = loss + one.detach(), slope + torch.autograd.grad(one.sum(), centres)[0]
    return loss, -slope


# %%
def draw_field(ax, reach, noise, draws, title):
    """Mismatch and ways downhill over window centres up to `reach` from the target; the star is the target."""
    side = torch.linspace(-reach, reach, field_side, dtype=torch.float64)
    cx, cy = torch.meshgrid(side, side, indexing="xy")
    loss, way = downhill(torch.stack([cx, cy], -1).view(-1, 2), noise, draws, kpp.seeded(seed, 4))
    shade = ax.contourf(cx, cy, loss.view_as(cx), torch.linspace(0, 0.56, 21), extend="max")
    arrows = way / (way.norm(dim=1, keepdim=True) + 1e-3)  # directions; zero stays zero
    ax.quiver(cx, cy, *arrows.T, color="white", angles="xy", scale=22, width=0.004)
    ax.plot(0, 0, "*", color="crimson", markersize=14)
    ax.add_patch(plt.Rectangle((-1.25, -1.25), 2.5, 2.5, fill=False, linestyle="--", color="white"))
    ax.set(xlabel="x of the window", ylabel="y (down)", aspect="equal", title=title)
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach))
    return shade


# %%
fig, axes = plt.subplots(2, 2, figsize=(9, 8.4), layout="constrained")
for row, reach in zip(axes, (1.6, 0.3), strict=True):
    draw_field(row[0], reach, 0.0, 1, "at one key" if reach > 1 else "close by, at one key")
    shade = draw_field(row[1], reach, 0.06, 64, "averaged over noisy keys")
fig.colorbar(shade, ax=axes, label="mean squared difference", shrink=0.6)
plt.close(fig)
fig

# %% [markdown]
# *Picture:* four maps of the mismatch over window centres with arrows of descent and a star at the target; left at one key, right
# averaged over noise. Above, up to 1.6 from the target: in the inner part both columns flow towards the star, near the rim both
# point out of the memory, and beyond the dashed line, where a window is wholly outside, there is nothing on the left and a few arrows
# on the right. Below, up to 0.3: left the arrows form stripes that contradict each other, right nearly all point at the star.

# %%
def spread(model):
    """Mean standard deviation of the windows that a trained model reads, through the squash of section 8."""
    with torch.no_grad():
        q_y = model.infer((written > 0.5).float()).q_y
    slope = 1 - q_y.mean[..., 1:].tanh().square()
    slope = slope * (1 - model.config.window) if model.config.squash == "fixed" else slope  # else it is "centre"
    return (slope * q_y.stddev[..., 1:]).mean()


print(f"spread of the windows after training: {spread(model):.3f} half-widths of the memory; "
      f"in the course's default model {spread(kpp.load_pretrained('mnist-cpu')):.3f}")

# %% [markdown]
# Training moves the noise: this model ends with more of it (it was trained on noisy images too, which may be why), and the default
# model, whose images lie in cells of their own, with less.
#
# How far does the slope reach? Let a ring of windows start at each distance from the target, and follow the gradient: at one
# key, and at a noisy key (one fresh draw a step, as in training).

# %%
def arrives(distance, noise, starts=16, steps=300):
    """The fraction of windows that start `distance` from the target and end on it, going downhill with Adam."""
    angle = torch.arange(starts, dtype=torch.float64) * (2 * torch.pi / starts)
    centre = distance * torch.stack([angle.cos(), angle.sin()], -1)  # [16, 2]
    optimizer = torch.optim.Adam([centre], lr=0.01)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = kpp.seeded(seed, 5)
    for _ in range(steps):
        centre.grad = -downhill(centre, noise, generator=generator)[1]
        optimizer.step()
        cosine.step()
    return (centre.norm(dim=1) < 0.05).double().mean().item()


# %%
found = {(distance, noise): arrives(distance, noise) for distance in (0.1, 0.2, 0.4, 0.8, 1.5) for noise in (0.0, 0.06)}
print("start (half-widths)   at one key   with noise 0.06")
for distance in (0.1, 0.2, 0.4, 0.8, 1.5):
    print(f"{distance:19.1f}   {found[distance, 0.0]:10.0%}   {found[distance, 0.06]:15.0%}")

# %%
tour.record("arrive_from_0.2_at_one_key", found[0.2, 0.0])
tour.record("arrive_from_0.2_with_noise", found[0.2, 0.06])
tour.record("arrive_from_1.5_with_noise", found[1.5, 0.06])

# %% [markdown]
# At one key many windows that start close by do not arrive: they come near, and stop in a ripple a few memory pixels short. A little
# noise on the key averages the ripples away, and they arrive. From 0.8 none arrive at one key; with noise some do, and others are still
# on their way when the steps end. From outside none do.
#
# (The default model's memory is a grid of separate cells. How far does the slope reach there? To see it, load `mnist-cpu` at the top and
# run this section again.)
#
# Look at the rim of the map again: a key near the edge is pushed *out* of the memory. Reading nothing, zeros, is a
# better guess at the target than reading something wrong. Once outside, its gradient is zero for good.
#
# So the randomness of the keys, which the paper asks to "disperse information within the memory" (abstract), has a
# second use that the paper does not mention: it makes the gradient to a key mean something. And a key that starts out
# of reach needs help of another kind: it is *amortised*, one network proposes keys for all images and gets the
# gradients of all.
#
# ## 7 · A Gaussian key misses the memory
#
# The prior of a key is $p(Y) = \mathcal{N}(0, 1)$ on all three numbers (section 3.4). Appendix A says that $\{s, x,
# y\}$ is "bound between $[-1, 1]$". A Gaussian is not bounded, and **the paper does not say how the one becomes the
# other**. Suppose nothing is done.
#
# > **Predict:** draw keys from the prior and read. What fraction of all sampling points lies outside the memory? What
# > fraction of the blocks sees nothing of the memory at all? And what fraction is turned over?

# %%
draws = torch.randn(random_keys, 3, generator=kpp.seeded(seed, 3))


def score(kind):
    """Fractions: sampling points outside M, blocks wholly outside, mirrored, and narrower than two memory pixels."""
    window = squash(draws, kind)
    off = (window_grid(window, 16).abs() > 1).any(dim=-1).flatten(1).float().mean(dim=1)  # [N]
    half = window[:, 0]
    return torch.stack([off, (off == 1).float(), (half < 0).float(), (half.abs() * 64 < 2).float()]).mean(dim=1)


# %%
scores = {kind: score(kind) for kind in ("none", "tanh", "clip", "in_frame", "fixed", "centre")}
print(f"{'squash':10}{'points outside':>16}{'blocks outside':>16}{'mirrored':>12}{'under 2 px':>12}")
for kind, row in scores.items():
    print(f"{kind:10}{row[0]:16.2f}{row[1]:16.2f}{row[2]:12.2f}{row[3]:12.2f}")
tour.record("raw_points_outside", scores["none"][0])
tour.record("raw_blocks_outside", scores["none"][1])
tour.record("tanh_points_outside", scores["tanh"][0])
tour.record("in_frame_points_outside", scores["in_frame"][0])

# %% [markdown]
# Raw keys look mostly at nothing, a good part of them with no gradient to come back by, and half of all blocks are
# mirrored twice (that is, turned by 180 degrees). Some squash is needed. The KL of the keys needs no change for it: it
# is charged on the Gaussian, before the squash.
#
# ## 8 · Which squash?
#
# | `squash` | $s$ | centre | for and against |
# |---|---|---|---|
# | `none` | $y_0$ | $(y_1, y_2)$ | misses, as above |
# | `tanh` | $\tanh y_0$ | $\tanh y_1, \tanh y_2$ | nearest to the text; windows cross the edge, and turn over |
# | `clip` | $y_0 / 3$, cut at $\pm 1$ | the same | what the first author's public code for a related model does; windows turn over, some cross the edge, some are almost no pixels wide |
# | `in_frame` | $0.05 + 0.9\,\sigma(y_0)$ | $\tanh(\cdot)(1 - s)$ | always inside, never turned; **ours** |
# | `fixed` | a constant | $\tanh(\cdot)(1 - s)$ | one size for all, always inside; $y_0$ is not used; **ours**, and what this notebook's model has |
# | `centre` | a constant | $\tanh y_1, \tanh y_2$ | one size for all; the centre lies inside, the rim may not; $y_0$ is not used; **ours**, and what the course's default model has |
#
# > **Predict:** which parts of the memory does each of them read most? Does any treat the whole memory alike?

# %%
def coverage(kind, size=64):
    """How often a random key's window covers each memory pixel, over the average pixel: [size, size]."""
    half, x, y = (v[:, None] for v in squash(draws, kind).unbind(-1))
    pixel = (2 * torch.arange(size) + 1) / size - 1
    inside_x, inside_y = (((pixel - c).abs() < half.abs()).float() for c in (x, y))  # [N, size]
    chance = inside_y.T @ inside_x / len(draws)
    return chance / chance.mean()


maps = {kind: coverage(kind) for kind in scores}
fig = plots.memory_maps(maps, "reads / average", "Where keys from N(0, I) read")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* six maps over the memory, one per squash, brighter where random keys read more often, each relative to
# its own average. Raw keys and tanh favour the centre a little; clip and in-frame favour it strongly and hardly reach
# the corners; fixed is a little dimmer in the middle, brighter along a square ring and brightest at its corners,
# and fades at the rim; centre has such a ring too, fainter and further out, and fades least.
#
# > **Predict:** now the blocks themselves, for six random keys. By what will you know a squash that lets windows leave the
# > memory?

# %%
six = draws[:6]
tiles = [read_blocks(M, squash(six, kind).view(1, 1, -1, 3), 16)[0, 0] for kind in scores]  # 6 x [6, 3, 16, 16]
labels = [f"{kind}, key {i + 1}" for kind in scores for i in range(6)]
fig = plots.blocks(torch.cat(tiles), columns=6, titles=labels, title="The same six keys, six squashes")
off = torch.cat([(window_grid(squash(six, kind), 16).abs() > 1).any(-1) for kind in scores])  # [36, 16, 16]
for ax, outside in zip(fig.axes, off, strict=True):
    ax.imshow(torch.where(outside, 0.0, torch.nan), cmap="gray", vmin=0, vmax=1)  # black; the rest shows through
plt.close(fig)
fig

# %% [markdown]
# *Picture:* six blocks per squash, read from one memory with the same six random keys. Black is
# outside the memory: much of what raw keys read, some of tanh and of centre, nothing of the other three with these keys. Plain grey is memory: the value 0, where nothing
# was written.
#
# Unread memory has no gradient: section 3.4 says so itself ("non-read memory regions receive zero gradients"). A squash
# therefore decides which memory can be learned at all.
#
# ## 9 · The placed write: a read turned round
#
# Figure 1 of the paper shows a heap: write at a pointer, read at the same pointer. The paper's own writer does not do
# that; it makes all of $M$ from one pooled vector (notebook 03). The course's CPU model uses the literal version, the **placed
# write, which is ours**. Each block is put at its window by the inverse of $\theta$:
#
# $$i^s = \frac{i^t - x}{s}, \quad j^s = \frac{j^t - y}{s}, \qquad \theta^{-1} = \begin{bmatrix} 1/s & 0 & -x/s \\ 0 & 1/s & -y/s \end{bmatrix}.$$
#
# Blocks are summed and divided by the sum of their masks, plus a small floor (0.1) that keeps empty memory at 0.
#
# > **Predict:** place a digit alone at a window and read it back with the same key. Is it the same digit? And how dark is a stroke
# > where two windows overlap?

# %%
three = F.pad(written[:, :3], (2, 2, 2, 2))  # [1, 3, 1, 32, 32]
homes = torch.tensor([[0.5, -0.5, -0.5], [0.5, 0.3, 0.4], [0.5, 0.5, 0.0]]).view(1, 3, 1, 3)
laid = place_blocks(three[:, :, None], homes, 64)  # [1, 1, 64, 64]
back = read_blocks(laid, homes, 32)[:, :, 0]  # [1, 3, 1, 32, 32]
fig, axes = plots.panels(7, 1.7, 2.0)
axes[0].imshow(laid[0, 0], cmap="gray_r", vmin=0, vmax=1, extent=(-1, 1, 1, -1))
for (s, x, y), colour in zip(homes.view(3, 3).tolist(), ("crimson", "tab:blue", "tab:green"), strict=True):
    axes[0].add_patch(plt.Rectangle((x - s, y - s), 2 * s, 2 * s, fill=False, edgecolor=colour))
axes[0].set(title="memory", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
for i in range(3):
    plots.show_picture(axes[2 * i + 1], three[0, i], f"written {i + 1}")
    plots.show_picture(axes[2 * i + 2], back[0, i], f"read {i + 1}")
plt.close(fig)
fig

# %% [markdown]
# *Picture:* first a memory with three digits placed at outlined windows, two of which overlap. Beside it the three
# digits as written and as read back: the one that lies alone is clean, the two that overlap show each other's
# strokes, at about half their ink: overlaps are averaged.

# %%
alone = three[:, :1, None]
home = homes[:, :1]


def there_and_back(window, floor):
    """Place the first digit alone, and read it back with the same window."""
    return read_blocks(place_blocks(alone, window, 64, floor), window, 32)[0, 0]  # 32 cells on 32 memory pixels


lost = (there_and_back(home, 1e-6) - alone[0, 0]).abs().max()
print(f"alone, floor ~ 0:  largest change {lost:.1e}")
ratio = (there_and_back(home, 0.1) / alone[0, 0])[alone[0, 0] > 0]
print(f"alone, floor 0.1:  read / written between {ratio.min():.3f} and {ratio.max():.3f} (1 / 1.1 = {1 / 1.1:.3f})")
blur = there_and_back(home + torch.tensor([0.0, 0.013, 0.007]), 1e-6) - alone[0, 0]  # no longer on whole pixels
print(f"off the pixel raster: mean |change| {blur.abs().mean():.3f} against a mean ink of {alone.mean():.3f}")

# %%
clash = (back[0] * 1.1 - three[0]).abs().mean(dim=(1, 2, 3))
print("mean |change| of digits 1 to 3:", [f"{v:.3f}" for v in clash])
tour.record("placed_alone_change", lost)
tour.record("placed_overlap_over_alone", clash[1:].min() / (clash[0] + 0.01))

# %% [markdown]
# Alone and on whole pixels, the block comes back exactly; the floor dims it by a fixed factor, which the next layer can
# undo. Off the raster the two bilinear steps blur it: by a fifth of its mean ink here. What really costs is a neighbour: two windows that share
# memory share its content. That is why a model that computes its keys from the image has to learn to spread its images
# out, and $K = 2$ keys give each image two chances to be alone. The course's default model gives each image of
# an episode a cell of its own instead, and takes $K = 1$ (notebook 03; ours).

# %% [markdown] tags=["exercise:place_block"]
# **Exercise: the inverse.** Place one block at a window: for each pixel of the memory, find its place in the block,
# and sample the block there. `F.affine_grid` and `F.grid_sample` may help (`align_corners=False`); outside the window
# the memory is zero. No masks yet, no floor.

# %% tags=["exercise:place_block"]
def place_block(block, window, size):
    """Block [C, g, g], window (s, x, y), a tensor [3], s > 0 -> memory [C, size, size]."""
    ...  # your lines


checks.place_block(place_block)

# %% [markdown] tags=["exercise:place_block"]
# <details><summary>Solution: place_block</summary>
#
# ```python
# def place_block(block, window, size):
#     """Block [C, g, g], window (s, x, y), a tensor [3], s > 0 -> memory [C, size, size]."""
#     s, x, y = window
#     theta = torch.tensor([[1 / s, 0, -x / s], [0, 1 / s, -y / s]])
#     grid = F.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
#     return F.grid_sample(block[None], grid, align_corners=False)[0]
# ```
#
# A mask is the same function on a block of ones. With several blocks, sum both and divide: that is `place_blocks`.
#
# </details>

# %% [markdown]
# The package's `place_blocks` is two matrix products. To be sure that it *is* the inverse read, here is the definition
# with `grid_sample`.

# %%
def place_by_grid_sample(block, window, size):
    """One block [C, g, g] put at one window: the inverse affine map, zeros outside. [C, size, size]."""
    s, x, y = window
    theta = torch.tensor([[1 / s, 0, -x / s], [0, 1 / s, -y / s]])
    grid = F.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
    return F.grid_sample(block[None], grid, align_corners=False)[0]


place = torch.tensor([0.3, -0.41, 0.22])
ink, mask = (place_by_grid_sample(b, place, 64) for b in (three[0, 0], torch.ones(1, 32, 32)))
ours = place_blocks(alone, place.view(1, 1, 1, 3), 64)[0]
print(f"largest difference {(ours - ink / (mask + 0.1)).abs().max():.1e}")
tour.record("place_blocks_difference", (ours - ink / (mask + 0.1)).abs().max())

# %% [markdown]
# ## Questions to think about
#
# 1. Which $\theta$ reads the upper left quarter of the memory? Which one reads the whole memory turned by 180 degrees?
#    Why can no key of K++ mirror only left and right?
# 2. In a block with `align_corners=False`, which pixels never move when only $s$ changes? What does that say about
#    their $\partial m / \partial s$?
# 3. A batch of keys from a freshly initialised network all start near $(0, 0, 0)$ with `squash="tanh"`. What do the
#    blocks show, and how large is $\partial m / \partial s$ there compared with `fixed`?
#
# <details><summary>Solutions</summary>
#
# 1. $(s, x, y) = (0.5, -0.5, -0.5)$. Turned: $(-1, 0, 0)$, since a negative $s$ flips both axes. Equation 8 has one $s$
#    for both axes; mirroring one of them would need two different signs.
# 2. Only a point at $u = v = 0$, the centre of the block. For even $g$ no pixel centre lies there, so every pixel
#    moves, those in the middle least: $\partial m / \partial s = u\,\partial m / \partial x + v\,\partial m / \partial
#    y$ is small there, and largest at the rim.
# 3. $s = \tanh 0 = 0$: all points of the block fall on one place, the centre of the memory, so each block is one flat
#    colour. The gradient to $s$ still exists (the memory has slopes there), with opposite signs on opposite sides of
#    the block. With `fixed` and `centre` the first number of the key is not used and its gradient is exactly zero.
#
# </details>
#
# ## Summary
#
# - A key is a window: half-width $s$, centre $(x, y)$, origin in the middle, $y$ down. Equation 8 maps places in the *block*
#   to places in the *memory*.
# - Equation 9 is bilinear interpolation once its coordinates are in pixels. Ours, `read_blocks` and `grid_sample` agree
#   for both `align_corners`.
# - One tall grid reads all $T \cdot K$ blocks without copying the memory.
# - The gradient to a key is a difference of neighbouring pixels: local, full of interpolation ripples, exactly zero wholly
#   outside. Noise on the key smooths the ripples away.
# - Raw Gaussian keys read mostly nothing; the paper leaves the squash open, and each choice decides what can be read
#   and learned.
# - A placed write (ours) is the inverse read. A block that lies alone comes back; overlaps are averaged.
#
# Next: **03 · Write and read**, where a trained model fills the memory.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $M$ | `memory`, `M` | [B, 3, S, S], S = 64 |
# | $y_{tk}$ | `keys`, `y` | [B, T, K, 3], before the squash |
# | $\{s, x, y\}$, $\theta$ | `window` | [B, T, K, 3], after the squash |
# | $(i^t, j^t)$ | `window_grid(window, g)` | [N, g, g, 2], places in the memory |
# | $m_k = f_{ST}(M, y_{tk})$ | `read_blocks(memory, window, g)` | [B, T, K, 3, g, g] |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++: extending the Kanerva Machine with differentiable, locally block allocated
#   latent memory*, ICLR 2021. Equations 5 and 6 (section 3.2, 3.3), section 3.4, Appendix A with equations 8 and 9 and
#   Figure 11, Figure 1.
# - Jaderberg, Simonyan, Zisserman, Kavukcuoglu: *Spatial transformer networks*, NeurIPS 2015. Section 3.
