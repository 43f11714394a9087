from kpp_lib.course import checks

# %% [markdown]
# **Exercise: the memory swap.** You get a function `total(x, memory)` that scores episodes with given memories, the
# episodes, and the memory that each of them wrote. By how many nats/image is the score worse if every episode reads
# *another* one's memory? Make sure that nobody keeps their own. When it passes, try it on the model: `swap_gap(lambda
# x, m: model.bound(x, m, kpp.seeded(0)).total, batch, model.write(batch))`.


# %%
def swap_gap(total, x, memory):
    """total(x, memory) -> [B, T] nats; x [B, T, C, H, W], memory [B, 3, S, S], B >= 2 -> one number, nats/image."""
    # <solution>
    others = memory.roll(1, dims=0)
    return total(x, others).mean() - total(x, memory).mean()
    # </solution>


checks.swap_gap(swap_gap)

# %% [markdown]
# A random permutation leaves, on average, one episode with its own memory, and `flip(0)` leaves the middle one of an
# odd number. An empty memory is a fair control too, but another one: no model was trained on it.
