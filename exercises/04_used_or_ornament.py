from kpp_lib.course import checks

# %% [markdown]
# **Exercise: used, or ornament?** Write down your judgement before you see the numbers. `scores` has the means
# `total`, `kl_y`, `memory_swap` and `prior_keys`. Return the *swap gap*, the *key gap* (what a random key costs more
# than an inferred one, prices left out: compare `prior_keys`, whose KL$_Y$ is 0, with recon + KL$_Z$), and a word:
# `"ornament"` if a swap costs less than 1 nat; else `"not addressed"` if a random key does; else `"used"`. When it
# passes, and the reports below are there:
# `{name: used_or_ornament({s: r["scores"][s]["mean"] for s in shown}) for name, r in reports.items()}`.


# %%
def used_or_ornament(scores):
    """Scores in nats/image -> dict of swap_gap, key_gap (nats/image) and word."""
    # <solution>
    swap_gap = scores["memory_swap"] - scores["total"]
    key_gap = scores["prior_keys"] + scores["kl_y"] - scores["total"]
    word = "ornament" if swap_gap < 1 else "not addressed" if key_gap < 1 else "used"
    return {"swap_gap": swap_gap, "key_gap": key_gap, "word": word}
    # </solution>


checks.used_or_ornament(used_or_ornament)

# %% [markdown]
# `total - kl_y` and `prior_keys` are the same two terms, once with inferred and once with random keys. If they agree,
# the keys say nothing. With sharp keys and no swap gap, the location is a code of the content, and the memory is an
# ornament all the same.
