"""Config: every choice that the model and its training make, in one frozen dataclass, with presets and recipes.

A *preset* sets the size (tiny | cpu | paper), a *recipe* sets how the memory is written and addressed (paper |
associative | content | slots | vae). `Config.preset("cpu", recipe="associative", steps=500)` combines both and takes
overrides. Where the paper is silent or contradicts itself, the comment of the field says what we chose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

CHOICES = {
    "write": ("pooled", "slot_pooled", "placed", "none"),
    "keys": ("content", "content_bn", "slots", "lookup"),
    "shift": ("all", "write", "none"),
    "squash": ("tanh", "in_frame", "fixed", "clip", "none"),
    "stem": ("imagenet", "small"),
    "features": ("average", "flatten"),
    "likelihood": ("bernoulli",),
    "read_mode": ("bilinear", "nearest"),
    "read_padding": ("zeros", "border", "reflection"),
    "optimizer": ("adamw", "lars"),
}


@dataclass(frozen=True)
class Config:
    """All settings of one model and its training run. Raises ValueError for a value outside its range."""

    # --- images -------------------------------------------------------------------------------------------------
    image_size: int = 28  # H = W, pixels; the paper's MNIST and Omniglot loaders are not published, 28 is the standard
    channels: int = 1  # C
    likelihood: str = "bernoulli"  # p(x|z): Bernoulli for binary images (section 4)
    # --- episode and latents ------------------------------------------------------------------------------------
    length: int = 32  # T, images per episode; not stated for Table 1, 32 in the Kanerva machines it compares with
    reads: int = 2  # K, keys per image (section 4.3)
    latent: int = 64  # L, size of z; not in the paper
    log_var_range: tuple[float, float] = (-6.0, 2.0)  # of q(z) and p(z), kept by a soft clamp; not in the paper
    # --- encoder f_enc (section 3.3, Appendix E) ----------------------------------------------------------------
    widths: tuple[int, int, int, int] = (16, 32, 64, 128)  # channels of the four ResNet-18 stages
    stem: str = "small"  # "imagenet": 7x7/2 + max-pool; "small": one 3x3/2
    # what the last maps become before the linear layer to e_t: ResNet's mean over pixels, or all pixels. At 28x28 the
    # ImageNet stem ends at 1x1, where both are the same; the small stem ends at 2x2, and the mean would lose 3/4
    features: str = "flatten"
    embed: int = 256  # F, size of e_t
    shift: str = "all"  # temporal shift: in the one encoder | in a second encoder that only writes | nowhere
    shift_div: int = 8  # 1/8 of the channels move each way (Appendix E: "0.125")
    shift_wrap: bool = False  # circular shift instead of zeros at both ends of the episode
    dense_width: int = 256  # hidden width of the dense nets (Appendix E: 512)
    dense_layers: int = 3
    spectral_norm: bool = True  # on the hidden dense layers (Appendix E)
    # --- memory and its reads (section 3.3, Appendix A) ---------------------------------------------------------
    memory_size: int = 64  # S
    memory_channels: int = 3
    write: str = "pooled"  # the paper's; "slot_pooled" and "placed" are ours; "none": a memory-free VAE
    writer_base: int = 64  # channels of the writer's first map, halved per layer (Appendix E: 256)
    writer_linear: bool = False  # Appendix E says "deep linear", section 3.3 "non-linearly": we default to the latter
    place_floor: float = 0.1  # placed write: added to the summed masks, fades the rim of a lone block
    block_size: int = 16  # g, side of a block as read; not in the paper
    read_mode: str = "bilinear"  # eq. 9
    read_padding: str = "zeros"  # what lies outside M; not in the paper
    align_corners: bool = False  # not in the paper; PyTorch's default since 1.3
    # --- keys (eq. 6) -------------------------------------------------------------------------------------------
    # the paper's, from e_t; ours: those batch-normalised ("content_bn"), from the position in the episode ("slots"), or
    # written by position and found by searching the memory ("lookup")
    keys: str = "content"
    lookup_flip: float = 0.1  # lookup: chance that a bit of the cue differs from the picture it is a copy of
    squash: str = "tanh"  # key -> window (s, x, y); the paper bounds it to [-1, 1] without saying how
    window: float = 0.25  # half-width s of the window as a fraction of M, where squash="fixed"
    key_spread: float = 0.9  # content_bn: standard deviation of the key means over the data
    key_log_var: float = 0.0  # added to the network's log-variance: where q(y) starts
    # of q(y): at -7 a fixed window of s = 0.25 is placed to within a pixel of M. Without a floor, keys that are still
    # cheap (kl_y_warmup) turn into a content code of 30 nats instead of an address
    key_log_var_range: tuple[float, float] = (-7.0, 2.0)
    # --- prior and decoder --------------------------------------------------------------------------------------
    prior_base: int = 16  # channels of the prior's first convolution, doubled per layer
    decoder_base: int = 128  # channels of the decoder's first map, halved per layer
    # --- objective ----------------------------------------------------------------------------------------------
    kl_z_warmup: float = 0.0  # fraction of the steps over which KL_Z's weight goes 0 -> 1; it is 1 at the end, always
    kl_y_warmup: float = 0.0  # the same for KL_Y
    # up to this share of the cue's bits is flipped in training (uniform per image): q sees a noisy x, the write and the
    # likelihood the clean one. Without it, keys are a hash: one other bit, another place. Ours
    cue_noise: float = 0.0
    # --- optimisation (Appendix E) ------------------------------------------------------------------------------
    episodes: int = 4  # B, episodes per step
    steps: int = 16_000
    lr: float = 2e-3  # peak learning rate; not in the paper
    lr_warmup: float = 0.1  # fraction of the steps with linear warm-up, then cosine to 0
    optimizer: str = "adamw"  # "lars": layer-normalised gradients into Adam, as in Appendix E
    weight_decay: float = 1e-3  # decoupled; not on biases and norm affines (Appendix E)
    clip_norm: float = 50.0  # gradient norm above which a step is scaled down
    seed: int = 0
    # --- names, kept for results --------------------------------------------------------------------------------
    preset_name: str = "custom"
    recipe_name: str = "custom"

    def __post_init__(self) -> None:
        for name in ("widths", "log_var_range", "key_log_var_range"):  # JSON gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, allowed in CHOICES.items():
            _check(getattr(self, name) in allowed, name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name in (
            "image_size",
            "channels",
            "length",
            "reads",
            "latent",
            "embed",
            "shift_div",
            "dense_width",
            "dense_layers",
            "memory_channels",
            "writer_base",
            "prior_base",
            "decoder_base",
            "episodes",
            "steps",
        ):
            _check(
                isinstance(getattr(self, name), int) and getattr(self, name) >= 1,
                name,
                getattr(self, name),
                "a whole number of at least 1",
            )
        for name in ("kl_z_warmup", "kl_y_warmup", "lr_warmup", "cue_noise"):
            _check(
                _number(getattr(self, name)) and 0 <= getattr(self, name) <= 1,
                name,
                getattr(self, name),
                "a fraction in [0, 1]",
            )
        for name in ("lr", "clip_norm", "key_spread", "place_floor"):
            _check(
                _number(getattr(self, name)) and getattr(self, name) > 0, name, getattr(self, name), "a number above 0"
            )
        _check(
            _number(self.lookup_flip) and 0 < self.lookup_flip < 0.5,
            "lookup_flip",
            self.lookup_flip,
            "a probability in (0, 0.5)",
        )
        _check(
            _number(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "a number of at least 0",
        )
        self._check_shapes()

    def _check_shapes(self) -> None:
        for name in ("memory_size", "block_size"):
            size = getattr(self, name)
            _check(size >= 4 and size & (size - 1) == 0, name, size, "a power of two of at least 4 (pixels)")
        _check(0 < self.window <= 1, "window", self.window, "a half-width in (0, 1], as a fraction of the memory")
        _check(len(self.widths) == 4, "widths", self.widths, "four channel counts, one per ResNet stage")
        _check(
            min(self.widths) >= self.shift_div or self.shift == "none",
            "widths",
            self.widths,
            f"at least shift_div = {self.shift_div} channels each, so that a shift moves something",
        )
        for name in ("log_var_range", "key_log_var_range"):
            low_high = getattr(self, name)
            _check(len(low_high) == 2 and low_high[0] < low_high[1], name, low_high, "(low, high) with low < high")
        placeable = self.squash in ("in_frame", "fixed")
        _check(
            self.write != "placed" or placeable,
            "squash",
            self.squash,
            "'in_frame' or 'fixed' with write='placed': a block can only be placed where its window lies in the memory",
        )

    @classmethod
    def preset(cls, name: str = "cpu", recipe: str = "associative", **overrides: Any) -> Config:
        """The Config of a size preset with a memory recipe on top; `overrides` win over both."""
        _check(name in PRESETS, "preset", name, f"one of {', '.join(PRESETS)}")
        _check(recipe in RECIPES, "recipe", recipe, f"one of {', '.join(RECIPES)}")
        settings = PRESETS[name] | RECIPES[recipe] | PRESET_RECIPES.get((name, recipe), {})
        return cls.from_dict(settings | {"preset_name": name, "recipe_name": recipe} | overrides)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """A Config from plain values, as `to_dict` or JSON gives them; unknown fields are an error."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(settings) - known)
        _check(not unknown, "Config field", ", ".join(unknown), f"one of {', '.join(sorted(known))}")
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed."""
        return replace(self, **changes)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(ok: bool, name: str, given: object, expected: str) -> None:
    if not ok:
        raise ValueError(f"{name}: got {given!r}, expected {expected}")


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

# Ours: every image writes its blocks into a cell of its own. Keys start sharp (a standard deviation of just under
# two pixels of M) and stay within reach of a block: as wide as p(Y), they never learn to point; the memory is not read
_PLACED = dict(
    write="placed",
    squash="fixed",
    window=0.125,
    block_size=8,
    spectral_norm=False,
    key_log_var=-5.5,
    key_log_var_range=(-7.0, -3.0),
    kl_z_warmup=0.25,
    kl_y_warmup=0.25,
)

RECIPES: dict[str, dict[str, Any]] = {
    "paper": dict(write="pooled", keys="content", shift="all", squash="tanh"),
    # the address is found by searching the memory for the cue: it finds its image in any order, or alone
    "associative": _PLACED | dict(keys="lookup", shift="none"),
    # the address is computed from the image alone, as in the paper: associative too, but in part a code of the kind of
    # digit, so the memory is worth less. Cues are noisy in training, or the keys become a hash
    "content": _PLACED
    | dict(
        keys="content_bn",
        shift="none",
        window=0.25,
        block_size=16,
        key_log_var=-5.0,
        key_log_var_range=(-7.0, 2.0),
        kl_z_warmup=0.0,
        kl_y_warmup=0.35,
        cue_noise=0.15,
    ),
    # the address is the position in the episode: a random-access memory, the contrast. It trains as the associative
    # one does, step for step, and is read otherwise
    "slots": _PLACED | dict(keys="slots", shift="none"),
    # no memory at all: the baseline that shows what one is worth
    "vae": dict(write="none", shift="none", spectral_norm=False, kl_z_warmup=0.25),
}

# Where a recipe needs another value at one size.
PRESET_RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("tiny", recipe): dict(window=0.25, block_size=4) for recipe in ("associative", "content", "slots")
}
