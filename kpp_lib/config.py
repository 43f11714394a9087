"""Config: every choice that the model and its training make, in one frozen dataclass, with presets and recipes.

A *preset* sets the size (tiny | cpu | paper), a *recipe* sets how the memory is written and addressed (allocated |
cells | slots | content | paper | vae). `Config.preset("cpu", recipe="allocated", steps=500)` combines both and takes
overrides. Where the paper is silent or contradicts itself, the comment of the field says what we chose.
"""

from __future__ import annotations

import math
from dataclasses import Field, asdict, dataclass, fields
from typing import Any

from .fields import (
    checked,
    choice,
    count,
    counts,
    flag,
    fraction,
    number,
    parsed,
    power_of_two,
    random_seed,
    span,
    text,
)
from .inputs import check_choice, check_text, wrong


@dataclass(frozen=True)
class Config:
    """All settings of one model and its training run; each line says what it may be, the first choice is the default.

    Raises ValueError, naming the field, for a value of another kind or outside its range: True is no number, and a word
    is no flag.
    """

    # --- images -------------------------------------------------------------------------------------------------
    # H = W, pixels; the paper's MNIST and Omniglot loaders are not published, 28 is the standard
    image_size: int = count(28)
    channels: int = count(1)  # C
    # p(x|z), section 4: Bernoulli for binary images; for others a discretised mixture of logistics
    likelihood: str = choice("bernoulli", "logistic_mixture")
    mixture: int = count(10)  # its components; not in the paper, 10 in PixelCNN++
    # its green given red, its blue given both, linear in the means, as in PixelCNN++; not in the paper. One channel has
    # nothing to be given
    channel_conditioning: bool = flag(True)
    # --- episode and latents ------------------------------------------------------------------------------------
    # T, images per episode; not stated for Table 1, 32 in the Kanerva machines it compares with
    length: int = count(32)
    reads: int = count(2)  # K, keys per image (section 4.3)
    # z: one vector, or maps [C, h, w] at a quarter of the image's side, without a dense layer; not in the paper
    latents: str = choice("vector", "maps")
    latent: int = count(64)  # L, size of a vector; not in the paper
    latent_channels: int = count(4)  # C of maps; L = C * h * w
    # q(z): from the image alone, q(Z|X), as section 3.2 has it; or that times p(Z|M_hat, Y), so that q meets its prior
    # (footnote 2 names the DKM's q(Z|X, Y, M))
    posterior: str = choice("encoder", "with_prior")
    log_var_range: tuple[float, float] = span(-6.0, 2.0)  # of q(z) and p(z), kept by a soft clamp; not in the paper
    # --- encoder f_enc (section 3.3, Appendix E) ----------------------------------------------------------------
    trunk: str = choice("resnet18", "small")  # "small": two strided convolutions and three residual blocks; ours
    widths: tuple[int, int, int, int] = counts(16, 32, 64, 128)  # channels of the four ResNet-18 stages
    # channels at a half and at a quarter of the image's side: of the small trunk, and of the nets around maps
    map_widths: tuple[int, int] = counts(24, 48)
    stem: str = choice("small", "imagenet")  # "imagenet": 7x7/2 + max-pool; "small": one 3x3/2
    # what the last maps become before the linear layer to e_t: ResNet's mean over pixels, or all pixels. At 28x28 the
    # ImageNet stem ends at 1x1, where both are the same; the small stem ends at 2x2, and the mean would lose 3/4
    features: str = choice("flatten", "average")
    embed: int = count(256)  # F, size of e_t
    # temporal shift: in the one encoder | in a second encoder that only writes | nowhere
    shift: str = choice("all", "write", "none")
    shift_div: int = count(8)  # 1/8 of the channels move each way (Appendix E: "0.125")
    shift_wrap: bool = flag(False)  # circular shift instead of zeros at both ends of the episode
    dense_width: int = count(256)  # hidden width of the dense nets (Appendix E: 512)
    dense_layers: int = count(3)
    spectral_norm: bool = flag(True)  # on the hidden dense layers (Appendix E)
    # --- memory and its reads (section 3.3, Appendix A) ---------------------------------------------------------
    memory_size: int = power_of_two(64, least=4)  # S
    memory_channels: int = count(3)
    # the paper's; ours, each image's blocks at its keys; a memory-free VAE
    write: str = choice("pooled", "placed", "none")
    # pooled: how an episode's embeddings become one; the paper names none, its author's other code has a recurrent one
    pooling: str = choice("mean", "sum", "max", "attention", "recurrent")
    writer_base: int = count(64)  # channels of the writer's first map, halved per layer (Appendix E: 256)
    # Appendix E says "deep linear", section 3.3 "non-linearly": we default to the latter
    writer_linear: bool = flag(False)
    write_window: float = number(0.0, least=0, most=1)  # placed: half-width of a block as written; 0: as it is read
    write_size: int = count(0, least=0)  # placed, latents="maps": side of a block as written, pixels; 0: block_size
    place_floor: float = number(0.1, above=0)  # placed write: added to the summed masks, fades the rim of a lone block
    block_size: int = count(16, least=4)  # g, side of a block as read; not in the paper
    read_mode: str = choice("bilinear", "nearest")  # eq. 9
    read_padding: str = choice("zeros", "border", "reflection")  # what lies outside M; not in the paper
    align_corners: bool = flag(False)  # not in the paper; PyTorch's default since 1.3
    # --- keys (eq. 6) -------------------------------------------------------------------------------------------
    # the paper's, from e_t; ours: those batch-normalised ("content_bn"), from the position in the episode ("slots"), or
    # written where the content belongs and found by searching the memory ("allocated")
    keys: str = choice("content", "content_bn", "slots", "allocated")
    # allocated: chance that a bit of the cue differs from the picture it is a copy of
    lookup_flip: float = number(0.1, above=0, below=0.5)
    # key -> window (s, x, y); the paper bounds it to [-1, 1] without saying how
    squash: str = choice("tanh", "in_frame", "fixed", "centre", "cells", "clip", "none")
    # half-width s of the window as a fraction of M, where squash is "fixed" or "centre"; with "cells" always that of a
    # cell for T images
    window: float = number(0.25, above=0, most=1)
    key_spread: float = number(0.9, above=0)  # content_bn: standard deviation of the key means over the data
    key_log_var: float = number(0.0)  # added to the network's log-variance: where q(y) starts
    # of q(y): at -7 a fixed window of s = 0.25 is placed to within a pixel of M. Without a floor, keys that are still
    # cheap (kl_y_warmup) turn into a content code of 30 nats instead of an address
    key_log_var_range: tuple[float, float] = span(-7.0, 2.0)
    # --- prior and decoder --------------------------------------------------------------------------------------
    prior_base: int = count(16)  # channels of the prior's first convolution, doubled per layer
    decoder_base: int = count(128)  # channels of the decoder's first map, halved per layer
    # equation 4 writes p(X|Z, M, Y) and section 3.4 sends the blocks to the decoder; Figures 4 and 5 route them through
    # the prior into z, and so do we
    decoder_sees: str = choice("z", "z_and_blocks")
    # --- objective ----------------------------------------------------------------------------------------------
    # fraction of the steps over which KL_Z's weight goes 0 -> 1; it is 1 at the end, always
    kl_z_warmup: float = fraction(0.0)
    kl_y_warmup: float = fraction(0.0)  # the same for KL_Y
    # up to this share of the cue's bits is flipped in training (uniform per image): q sees a noisy x, the write and the
    # likelihood the clean one. Without it, keys are a hash: one other bit, another place. Ours
    cue_noise: float = fraction(0.0)
    # T in training, as many images a step: always `length`; 2, 4, ... up to it over the first half of the steps; or
    # drawn from `length` and its doublings, up to all images of the step
    lengths: str = choice("fixed", "growing", "mixed")
    # --- optimisation (Appendix E) ------------------------------------------------------------------------------
    episodes: int = count(4)  # B, episodes per step
    steps: int = count(16_000)
    lr: float = number(2e-3, above=0)  # peak learning rate; not in the paper
    lr_warmup: float = fraction(0.1)  # fraction of the steps with linear warm-up, then cosine to 0
    optimizer: str = choice("adamw", "lars")  # "lars": layer-normalised gradients into Adam, as in Appendix E
    weight_decay: float = number(1e-3, least=0)  # decoupled; not on biases and norm affines (Appendix E)
    clip_norm: float = number(50.0, above=0)  # gradient norm above which a step is scaled down
    seed: int = random_seed(0)
    # --- names, kept for results --------------------------------------------------------------------------------
    preset_name: str = text("custom")
    recipe_name: str = text("custom")

    def __post_init__(self) -> None:
        checked(self)
        if self.squash == "cells":
            object.__setattr__(self, "window", 1 / cells_for(self.length))
        if self.shift != "none" and min(self.widths) < self.shift_div:
            least = f"at least shift_div = {self.shift_div} channels each, so that a shift moves something"
            raise wrong("widths", self.widths, least)
        if self.lengths == "growing" and self.length & (self.length - 1):
            raise wrong("length", self.length, "a power of two with lengths='growing'")
        if self.decoder_sees == "z_and_blocks" and self.write == "none":
            raise wrong("decoder_sees", self.decoder_sees, "'z' with write='none': there are no blocks")
        if self.trunk == "small" and self.shift != "none":
            raise wrong("shift", self.shift, "'none' with trunk='small', which sees each image by itself")
        if self.latents == "vector" and self.block_size & (self.block_size - 1):
            raise wrong("block_size", self.block_size, "a power of two with latents='vector', whose prior halves it")
        if self.keys == "allocated" and self.latents != "maps":
            raise wrong("latents", self.latents, "'maps' with keys='allocated', whose content codes are made from maps")
        if self.keys == "slots" and self.squash != "centre":
            raise wrong("squash", self.squash, "'centre' with keys='slots', whose cells fill the memory")
        if self.keys == "allocated" and self.squash not in ("centre", "cells"):
            raise wrong("squash", self.squash, "'centre' or 'cells' with keys='allocated', whose cells fill the memory")
        if self.squash == "cells" and (self.keys != "allocated" or self.write_window):
            raise wrong(
                "squash", self.squash, "another one without keys='allocated', or with a write_window of its own"
            )
        if self.write == "placed" and self.squash not in ("in_frame", "fixed", "centre", "cells"):
            frame = "a block can only be placed where its window lies in the memory"
            raise wrong("squash", self.squash, f"'in_frame', 'fixed', 'centre' or 'cells' with write='placed': {frame}")
        if self.write_window and not (self.squash in ("fixed", "centre") and self.write_window <= self.window):
            inside = "a narrower window at the place of a read: at most `window`, with squash 'fixed' or 'centre'"
            raise wrong("write_window", self.write_window, inside)

    @classmethod
    def preset(cls, name: str = "cpu", recipe: str = "allocated", **overrides: Any) -> Config:
        """The Config of a size preset with a memory recipe on top; `overrides` win over both."""
        check_choice("preset", name, PRESETS)
        check_choice("recipe", recipe, RECIPES)
        settings = PRESETS[name] | RECIPES[recipe] | PRESET_RECIPES.get((name, recipe), {})
        return cls.from_dict(settings | {"preset_name": name, "recipe_name": recipe} | overrides)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """A Config from plain values, as `to_dict` or JSON gives them; unknown fields are an error."""
        if not isinstance(settings, dict):
            raise wrong("settings", settings, "a dict of fields of Config")
        for name in settings:
            cls._field(name)
        return cls(**settings)

    @classmethod
    def parse(cls, name: str, text: str) -> Any:
        """The value of field `name` from the text of a command line: parse("spectral_norm", "False") is False.

        Raises ValueError for an unknown field, and for text that is no value of it.
        """
        return parsed(cls._field(name), check_text(name, text))

    @classmethod
    def expected(cls, name: str) -> str:
        """What field `name` may be, as in "a whole number of at least 1". Raises ValueError for an unknown field."""
        return cls._field(name).metadata["expected"]

    @classmethod
    def _field(cls, name: str) -> Field:
        known = {f.name: f for f in fields(cls)}
        if not isinstance(name, str) or name not in known:
            raise wrong("Config field", name, f"one of {', '.join(sorted(known))}")
        return known[name]

    @property
    def latent_side(self) -> int:
        """Side of the maps of z, pixels: a quarter of the image's, rounded up."""
        return (self.image_size + 3) // 4

    @property
    def z_size(self) -> int:
        """L, how many numbers z has."""
        return self.latent if self.latents == "vector" else self.latent_channels * self.latent_side**2

    @property
    def embeds(self) -> bool:
        """Whether anything looks at the embedding e_t: spatial latents and placed writes take the encoder's maps."""
        placed = self.latents == "maps" and self.write in ("placed", "none")
        return not placed or (self.write != "none" and self.keys in ("content", "content_bn"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed. Raises ValueError for an unknown field or a value that it may not be."""
        return self.from_dict(self.to_dict() | changes)


def cells_for(length: int) -> int:
    """Side of the smallest square grid with a cell for each of `length` images."""
    return math.isqrt(length - 1) + 1


PRESETS: dict[str, dict[str, Any]] = {
    # seconds on one core; for tests
    "tiny": dict(
        length=4,
        episodes=4,
        latent=8,
        embed=32,
        widths=(8, 8, 16, 16),
        dense_width=32,
        memory_size=16,
        writer_base=16,
        block_size=4,
        prior_base=8,
        decoder_base=16,
        steps=20,
        lr=2e-3,
    ),
    # useful in minutes, best within two hours, on two cores
    "cpu": dict(),
    # Appendix E, with the sizes it leaves open as the comments of the fields say; 500 epochs of 32 x 32 images
    "paper": dict(
        widths=(64, 128, 256, 512),
        stem="imagenet",
        features="average",
        embed=512,
        dense_width=512,
        writer_base=256,
        block_size=32,
        prior_base=32,
        decoder_base=256,
        episodes=32,
        steps=29_000,
        lr=1e-3,
        lr_warmup=0.02,
    ),
}

# Ours: every image writes a block into a cell of its own, from the encoder's maps; z is maps; q(z) meets its prior.
# Keys start sharp (a standard deviation of about a pixel of M): as wide as p(Y), they never learn to point
_PLACED = dict(
    write="placed",
    squash="centre",
    shift="none",
    trunk="small",
    latents="maps",
    posterior="with_prior",
    reads=1,
    window=0.1875,
    write_window=0.15,
    block_size=16,
    write_size=10,
    spectral_norm=False,
    key_log_var=-7.0,
    key_log_var_range=(-9.0, 2.0),
    kl_z_warmup=0.25,
    kl_y_warmup=0.25,
)

RECIPES: dict[str, dict[str, Any]] = {
    # written where the content belongs, found by searching
    "allocated": _PLACED | dict(keys="allocated"),
    # the same, but a key reads the whole cell that it lies in: no more than a cell's number is paid for, and nothing is
    # read between cells
    "cells": _PLACED | dict(keys="allocated", squash="cells", write_window=0.0, block_size=12, write_size=12),
    # written and read by the position in the episode: a random-access memory, the contrast
    "slots": _PLACED | dict(keys="slots"),
    # the address is computed from the image alone, as in the paper, and in part a code of the kind of digit, so the
    # memory is worth less. Cues are noisy in training, or the keys become a hash. z is a vector, the networks are the
    # paper's
    "content": dict(
        write="placed",
        keys="content_bn",
        shift="none",
        squash="fixed",
        block_size=16,
        spectral_norm=False,
        key_log_var=-5.0,
        kl_y_warmup=0.35,
        cue_noise=0.15,
    ),
    "paper": dict(write="pooled", keys="content", shift="all", squash="tanh"),
    # no memory at all, and the paper's networks: the baseline that shows what a memory is worth. With trunk="small" and
    # latents="maps" it has the networks of `allocated`, and is a weaker one
    "vae": dict(write="none", shift="none", spectral_norm=False, kl_z_warmup=0.25),
}

# Where a recipe needs another value at one size. lr: after 1,500 steps 35.0 nats on MNIST's validation images, at 2e-3
# 42.4
_PLACED_AT = {
    "cpu": dict(lr=4e-3),
    "tiny": dict(map_widths=(8, 8), window=0.25, write_window=0.25, block_size=4, write_size=4),
}
PRESET_RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    (preset, recipe): settings for preset, settings in _PLACED_AT.items() for recipe in ("allocated", "slots")
} | {
    ("cpu", "cells"): dict(lr=4e-3),
    ("tiny", "cells"): dict(map_widths=(8, 8), block_size=4, write_size=4),
    ("tiny", "content"): dict(window=0.25, block_size=4),
}
