import math

from kpp_lib.course import checks

# %% [markdown]
# **Exercise: read a score.** A colleague sends you a mean total, the mean total with another episode's memory, and
# $T$, all in nats/image over distinct binary images. Answer with one of three words: `"impossible"` if the total lies
# below the floor, `"read"` if another memory costs more than 1 nat, else `"not read"`. When it passes, try it on the
# numbers above: `read_score(score["total"], score["memory_swap"], length)`.


# %%
def read_score(total, swap, length):
    """Two totals in nats/image and the episode length T -> "impossible", "read" or "not read"."""
    # <solution>
    if total < math.log(length):
        return "impossible"
    return "read" if swap - total > 1 else "not read"
    # </solution>


checks.read_score(read_score)

# %% [markdown]
# The order matters: a number below the floor is no bound, and then its gap says nothing either. The 1 nat is only a
# margin for the noise of sampling.
