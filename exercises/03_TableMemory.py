from kpp_lib.course import checks

# %% [markdown]
# **Exercise: an associative memory in ten lines.** Write the search as a class of your own. `write` keeps pictures,
# whose pixels are probabilities of ink; `find` gives the number of the picture that the cue is most likely a copy of,
# if each bit of the copy is turned over with probability `flip`. When it passes, try it on what the cells of the memory
# hold (computed below): `.write(pictures.flatten(1))`, `.find(cue.flatten())`.


# %%
class TableMemory:
    """write(pictures [N, D] in [0, 1]), then find(cue [D], bits) -> the number of the likeliest picture."""

    def __init__(self, flip):
        self.flip = flip

    def write(self, pictures):
        # <solution>
        self.ink = pictures * (1 - self.flip) + (1 - pictures) * self.flip  # chance of ink in a damaged copy
        # </solution>

    def find(self, cue):
        # <solution>
        log_p = cue * self.ink.log() + (1 - cue) * (1 - self.ink).log()  # [N, D]
        return int(log_p.sum(-1).argmax())
        # </solution>


checks.TableMemory(TableMemory)

# %% [markdown]
# No picture is sure of anything after a noisy copy, so no logarithm is of zero. For black and white pictures this is
# the smallest number of differing bits; for grey ones it is not.
