from kpp_lib.course import checks

# %% [markdown]
# **Exercise: a perfect memory, and what it pays.** Let the memory be a table: slot $n$ holds one image, bit by bit.
# The reader draws a slot with probability $p(n)$ and prints what it holds. What is the mean of $-\ln p(x_t\mid M)$
# over the images $x$ that are asked for (all of them stored somewhere)? Then try it: even slots, uneven slots, an
# image that is stored twice.


# %%
def table_total(stored, p_slot, x):
    """stored [N, D] bits, p_slot [N], x [T, D] bits -> the mean of -ln p(x_t | M), nats/image."""
    # <solution>
    same = (x[:, None] == stored[None]).all(-1)  # [T, N]: which slots hold image t
    p_x = same.to(p_slot.dtype) @ p_slot  # [T]
    return -p_x.log().mean()
    # </solution>


checks.table_total(table_total)

# %% [markdown]
# Nothing is left to learn about the pixels, and an episode of distinct images still pays $\ln T$ at even slots, and
# more at any others: the price of saying *which*. A VAE without a memory pays for the pixels, too; so this number and
# its likelihood answer different questions. (Images that repeat share the price: there, and only there, the mean
# falls below $\ln T$.)
