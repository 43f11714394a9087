from kpp_lib.course import checks

# %% [markdown]
# **Exercise: the weight of a KL.** 0 at the first step, rising in a straight line over the share `warmup` of all
# steps, 1 from then on. No warm-up (0) means full price from the start.


# %%
def warmup_weight(step, steps, warmup):
    """step 0 ... steps - 1, warmup a share of the steps -> a weight in [0, 1]."""
    # <solution>
    if warmup == 0:
        return 1.0
    return min(1.0, step / (warmup * steps))
    # </solution>


checks.warmup_weight(warmup_weight)
