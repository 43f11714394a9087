from kpp_lib.course import checks

# %% [markdown]
# **Exercise: who cleans?** Four batches of pictures with values in [0, 1]: clean, noisy, read from their own memory,
# read from another episode's. Return the bit error in percent of the last three against the clean one (a bit is what
# lies above one half), and who has cleaned: `"nobody"` if the own memory's error is not below that of the noisy
# picture; else `"memory"` if it is below the other memory's; else `"decoder"`. When it passes, try it: `x =
# noisy["speckle"]`, then `who_cleans(target, x, *(model.iterate(x, m, 1)[1] for m in (memory, memory.roll(1, 0))))`.


# %%
def who_cleans(clean, noisy, own, another):
    """Pictures, all of one shape -> dict of noisy, own, another (bit errors, %) and who."""
    # <solution>
    pictures = {"noisy": noisy, "own": own, "another": another}
    e = {name: 100 * ((p > 0.5) != (clean > 0.5)).float().mean() for name, p in pictures.items()}
    who = "memory" if e["own"] < e["another"] else "decoder"
    return {**e, "who": who if e["own"] < e["noisy"] else "nobody"}
    # </solution>


checks.who_cleans(who_cleans)

# %% [markdown]
# In practice neither word is the whole truth: own below another says that the memory adds *something*. How much is
# the difference of the two errors.
