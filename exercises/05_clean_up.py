from kpp_lib.course import checks

# %% [markdown]
# **Exercise: iterate.** You get a cue and two functions, `keys_of(picture)` (the means of the keys that are inferred)
# and `read(keys)` (the mean picture that the memory holds there). Return the whole path: the cue, then the picture
# after each of `steps` steps. When it passes, try it on the model: `clean_up(clean, lambda x: model.infer(x,
# memory).q_y.mean, lambda y: model.read_images(memory, y, sampled=False), 3)` is what `model.iterate(clean, memory,
# 3)` gives.


# %%
def clean_up(cue, keys_of, read, steps):
    """A cue -> a list of steps + 1 pictures, the cue first (equation 7, with means)."""
    # <solution>
    pictures = [cue]
    for _ in range(steps):
        pictures.append(read(keys_of(pictures[-1])))
    return pictures
    # </solution>


checks.clean_up(clean_up)

# %% [markdown]
# What moves is the picture; the memory, inside `read`, stays as it is. Nothing of the cue is left in the answer but
# the choice of where to look.
