"""KanervaPlusPlus: the model of the paper, put together from its parts (section 3, Figures 2 to 5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from .bound import Bound, bound_terms, epsilon, exact, full, gaussian, regroup, rows, sample, standard_normal
from .config import Config
from .decoder import Decoder
from .draws import Share
from .encoder import Encoder
from .inputs import (
    check_choice,
    check_count,
    check_flag,
    check_generator,
    check_images,
    check_kind,
    check_number,
    check_tensor,
    wrong,
)
from .keys import SlotKeys, make_keys, squash_unchecked
from .layers import dense
from .memory import WRITERS, PriorNet, read_unchecked

Noise = torch.Generator | Share | tuple[Tensor, Tensor] | None  # where samples come from, or epsilon itself (`noise`)


class Posterior(NamedTuple):
    """What the encoder infers from an episode."""

    e: Tensor  # [B, T, F]
    q_z: Independent  # q(Z|X), event [L]
    q_y: Independent  # q(Y|X), event [K, 3]: where to read
    place: Tensor  # [B, T, K, 3]: the key means that a placed write uses; those of q_y but for keys="lookup"

    def rows(self, which: slice | Tensor) -> Posterior:
        """That of some of the episodes."""
        return Posterior(self.e[which], rows(self.q_z, which), rows(self.q_y, which), self.place[which])

    def regroup(self, b: int, t: int) -> Posterior:
        """That of the same images as b episodes of t."""
        e, place = (v.reshape(b, t, *v.shape[2:]) for v in (self.e, self.place))
        return Posterior(e, regroup(self.q_z, b, t), regroup(self.q_y, b, t), place)


class KanervaPlusPlus(nn.Module):
    """A VAE whose prior is read from a memory that the episode itself was written into.

    >>> memory = model.write(x)            # x [B, T, C, H, W] -> [B, 3, S, S]
    >>> model.bound(x).total               # [B, T], nats per image, lower is better

    Images that are written or scored are binary; what is only shown to the encoder (a cue) may be grey, in [0, 1].
    Torch tensors and NumPy arrays of any number type are taken. Every public method raises ValueError, naming the
    argument, for another type, shape, device or range, for NaN, and for something empty. `forward`, the training step,
    checks no values.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        check_kind("config", config, Config, "a Config, such as Config.preset('tiny')")
        check_choice("write", config.write, WRITERS)  # "none" is the VAE's
        self.config = c = config
        self.encoder = Encoder(c, shifted=c.shift == "all")
        self.write_encoder = Encoder(c, shifted=True) if c.shift == "write" else None
        self.key_model = make_keys(c)
        self.posterior_net = dense(c.embed, 2 * c.latent, c.dense_width, c.dense_layers, c.spectral_norm)
        self.writer = WRITERS[c.write](c)
        self.prior_net = PriorNet(c)
        self.decoder = Decoder(c)
        self.products: bool | None = None  # how blocks are read, see `read_blocks`

    # --- inference ----------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Posterior:
        """q(Z|X), and q(Y|X) as far as the encoder knows it: with keys="lookup" that of the position written to.

        x [B, T, C, H, W], binary or grey.
        """
        return self._encode(images_of(self, "x", x, grey=True))

    def _encode(self, x: Tensor) -> Posterior:
        e = full(self.encoder(x))
        with exact(x.device):
            mean, log_var = self.posterior_net(e).chunk(2, dim=-1)
            q_y = self.key_model(e)
        return Posterior(e, gaussian(mean, log_var, self.config.log_var_range), q_y, q_y.mean)

    def infer(self, x: Tensor, memory: Tensor | None = None) -> Posterior:
        """q(Z|X) and q(Y|X) of the episodes x [B, T, C, H, W], binary or grey.

        With keys="lookup" the keys are those that find x in `memory` [B, 3, S, S], or, without one, in what x itself
        writes; other keys do not depend on the memory.
        """
        x = images_of(self, "x", x, grey=True)
        memory = None if memory is None else memory_of(self, memory, len(x))
        posterior = self._encode(x)
        if memory is None and self.config.keys == "lookup":
            memory = self._write(x, posterior)
        return self.find(x, posterior, memory)

    def find(self, x: Tensor, posterior: Posterior, memory: Tensor | None) -> Posterior:
        """`posterior` with the keys that find x in the memory, where keys are looked up; else as it is."""
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        return posterior._replace(q_y=self.look_up(x, memory)) if self.config.keys == "lookup" else posterior

    def look_up(self, x: Tensor, memory: Tensor, held: Tensor | None = None) -> Independent:
        """q(Y | X, M): for each image the slot whose picture it is most likely a noisy copy of, at that slot's spread.

        x [B, T, C, H, W], binary or grey, memory [B, 3, S, S]. All slots are read and decoded at their means; a bit of
        x differs from the picture with probability `lookup_flip`. The Dynamic Kanerva Machine (Wu et al., 2018) too
        takes the address from the memory: it solves for it. The memory is given and q may depend on it, so equation 4
        stays a bound. Ours. `held`: slot_pictures(memory), where they are at hand.
        """
        x = images_of(self, "x", x, grey=True)
        memory, held = memory_of(self, memory, len(x)), self._held(held, len(x))
        with torch.no_grad():
            pictures = (self.slot_pictures(memory) if held is None else held).flatten(2)  # [B, N, D]
            ink = pictures + (1 - 2 * pictures) * self.config.lookup_flip  # chance of ink in a copy
            cue = x.flatten(2)  # [B, T, D]
            match = cue @ ink.log().mT + (1 - cue) @ (1 - ink).log().mT  # [B, T, N]
        return self.key_model.at(match.argmax(dim=-1))

    def slot_pictures(self, memory: Tensor) -> Tensor:
        """What each place of the memory holds, decoded at the means: [B, 3, S, S] -> [B, N, C, H, W].

        For keys that come from a table, keys="lookup" or "slots"; ValueError for others.
        """
        memory = memory_of(self, memory)
        if not isinstance(self.key_model, SlotKeys):
            raise wrong("keys", self.config.keys, "a model with a table of places, keys='lookup' or 'slots'")
        return self.read_images(memory, self.key_model.slots().mean.expand(len(memory), -1, -1, -1), sampled=False)

    def write(self, x: Tensor, posterior: Posterior | None = None) -> Tensor:
        """The memory of each episode, binary x [B, T, C, H, W] -> [B, 3, S, S]. Deterministic.

        A placed write uses the key *means*. Were it to use the sample that reads the memory, M would depend on y and
        p(y|M) = p(y) of equation 2 would be false: the sum of the three terms would bound nothing.
        """
        x = images_of(self, "x", x)
        if posterior is None:
            return self._write(x, self._encode(x))
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        if posterior.e.shape[:2] != x.shape[:2]:
            raise wrong("posterior", list(posterior.e.shape[:2]), f"that of x, {list(x.shape[:2])} images")
        return self._write(x, posterior)

    def _write(self, x: Tensor, posterior: Posterior) -> Tensor:
        e = posterior.e if self.write_encoder is None else full(self.write_encoder(x))
        return self.writer(e, squash_unchecked(posterior.place, self.config.squash, self.config.window))

    # --- reading and decoding -----------------------------------------------------------------------------------

    def window(self, y: Tensor) -> Tensor:
        """The part of the memory that keys y [..., 3] point at: (s, x, y) [..., 3]."""
        y = check_tensor("y", y, ("...", 3), self._at.device, self._at.dtype)
        return squash_unchecked(y, self.config.squash, self.config.window)

    def read(self, memory: Tensor, y: Tensor) -> Tensor:
        """M_hat (eq. 5): memory [B, 3, S, S], y [B, T, K, 3] -> blocks [B, T, K, 3, g, g]."""
        memory = memory_of(self, memory)
        return self._read(memory, self._keys("y", y, len(memory)))

    def _read(self, memory: Tensor, y: Tensor) -> Tensor:
        c = self.config
        window = squash_unchecked(y, c.squash, c.window)
        with exact(memory.device):
            return read_unchecked(
                memory, window, c.block_size, c.read_mode, c.read_padding, c.align_corners, self.products
            )

    def prior(self, memory: Tensor, y: Tensor) -> Independent:
        """p(Z | M_hat, Y), event [L]: memory [B, 3, S, S], y [B, T, K, 3]."""
        memory = memory_of(self, memory)
        return self._prior(memory, self._keys("y", y, len(memory)))

    def _prior(self, memory: Tensor, y: Tensor) -> Independent:
        mean, log_var = self.prior_net(self._read(memory, y))
        return gaussian(mean, log_var, self.config.log_var_range)

    def p_y(self, batch: int, length: int) -> Independent:
        """p(Y) = N(0, I), batch [B, T], event [K, 3]."""
        shape = (check_count("batch", batch), check_count("length", length), self.config.reads, 3)
        return standard_normal(shape, 2, self._at)

    def decode(self, z: Tensor) -> Independent:
        """p(X|Z), event [C, H, W]; z [B, T, L]; `.mean` is the picture."""
        return self.decoder(check_tensor("z", z, ("B", "T", self.config.latent), self._at.device, self._at.dtype))

    # --- the bound ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, generator: Noise = None, cue: Tensor | None = None) -> Bound:
        """The bound as trained; the name that DistributedDataParallel wraps.

        Where keys are looked up, training reads each image where it was written: a bound as well, and one with a
        gradient before there is anything to find. No values are checked here: a GPU would be waited for at every step.
        """
        return self._bound(x, None, generator, cue, by_position=True)

    def noise(self, x: Tensor, generator: torch.Generator | Share | None = None) -> tuple[Tensor, Tensor]:
        """Epsilon of one sample of y and z for x, [B, T, K, 3] and [B, T, L]: what `forward` takes for a generator.

        The same draws in the same order; a compiled or captured model cannot draw them itself.
        """
        c, images = self.config, x.shape[:2]
        return epsilon((*images, c.reads, 3), self._at, generator), epsilon((*images, c.latent), self._at, generator)

    def bound(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        generator: torch.Generator | None = None,
        cue: Tensor | None = None,
        by_position: bool = False,
    ) -> Bound:
        """Equation 4, negated, with one sample of y and z: three terms [B, T], nats per image.

        memory: [B, 3, S, S]; without it, the one that x itself writes. cue: what q(Y) and q(Z) see in place of x, such
        as a noisy x; any q keeps equation 4 a bound. by_position: image t is read where the t-th was written, and not
        looked up. Raises ValueError for images that are not binary (a cue may be grey) or not of the model's shape, for
        a cue of another shape than x, and for a memory of another number of episodes.
        """
        x = images_of(self, "x", x)
        cue = None if cue is None else images_of(self, "cue", cue, grey=True, like=x)
        memory = None if memory is None else memory_of(self, memory, len(x))
        check_generator("generator", generator)
        return self._bound(x, memory, generator, cue, check_flag("by_position", by_position))

    def _bound(
        self, x: Tensor, memory: Tensor | None, generator: Noise, cue: Tensor | None, by_position: bool
    ) -> Bound:
        b = x.shape[0]
        seen = self._encode(x if cue is None else torch.cat([x, cue]))  # one pass, so that BatchNorm sees both alike
        memory = self._write(x, seen.rows(slice(b))) if memory is None else memory
        posterior = seen.rows(slice(-b, None))
        if not by_position:
            posterior = self.find(x if cue is None else cue, posterior, memory)
        return self._terms(x, posterior, memory, generator)

    def terms(self, x: Tensor, posterior: Posterior, memory: Tensor, generator: torch.Generator | None = None) -> Bound:
        """Equation 4's terms of x with one sample of y and z from `posterior`, read from `memory`: [B, T] each."""
        x = images_of(self, "x", x)
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        check_generator("generator", generator)
        return self._terms(x, posterior, memory_of(self, memory, len(x)), generator)

    def _terms(self, x: Tensor, posterior: Posterior, memory: Tensor, generator: Noise) -> Bound:
        of_y, of_z = generator if isinstance(generator, tuple) else (generator, generator)
        y, z = sample(posterior.q_y, of_y), sample(posterior.q_z, of_z)
        return bound_terms(
            x, self.decoder(z), posterior.q_z, self._prior(memory, y), posterior.q_y, self.p_y(*x.shape[:2])
        )

    # --- pictures -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def reconstruct(self, x: Tensor, memory: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decoded means [B, T, C, H, W]. With a memory, from memory alone: z ~ p(z | M_hat, y); else z ~ q(z|x).

        x [B, T, C, H, W], binary or grey.
        """
        x = images_of(self, "x", x, grey=True)
        check_generator("generator", generator)
        if memory is None:
            return self.decoder(sample(self._encode(x).q_z, generator)).mean
        memory = memory_of(self, memory, len(x))
        posterior = self.infer(x, memory)
        return self.read_images(memory, sample(posterior.q_y, generator), generator)

    @torch.no_grad()
    def read_images(
        self, memory: Tensor, y: Tensor, generator: torch.Generator | None = None, sampled: bool = True
    ) -> Tensor:
        """What the memory holds at keys y [B, T, K, 3]: decoded z ~ p(z | M_hat, y), or its mean; [B, T, C, H, W]."""
        p_z, draw = self.prior(memory, y), check_flag("sampled", sampled)
        check_generator("generator", generator)
        return self.decoder(sample(p_z, generator) if draw else p_z.mean).mean

    @torch.no_grad()
    def generate(self, memory: Tensor, n: int = 16, generator: torch.Generator | None = None) -> Tensor:
        """n pictures from random keys y ~ p(Y) (section 3.4): [B, n, C, H, W]."""
        memory = memory_of(self, memory)
        check_generator("generator", generator)
        y = sample(self.p_y(len(memory), check_count("n", n)), generator)
        return self.read_images(memory, y, generator)

    @torch.no_grad()
    def perturb(
        self, memory: Tensor, keys: Tensor, std: float = 0.1, n: int = 16, generator: torch.Generator | None = None
    ) -> Tensor:
        """n pictures around each key, y + N(0, std^2) (section 4.1.1): keys [B, T, K, 3] -> [B, T, n, C, H, W].

        The paper writes N(0, 0.1); we read 0.1 as the standard deviation.
        """
        memory = memory_of(self, memory)
        keys, std = self._keys("keys", keys, len(memory)), check_number("std", std, least=0)
        check_generator("generator", generator)
        t, n = keys.shape[1], check_count("n", n)
        spread = keys[:, :, None].expand(-1, -1, n, -1, -1)  # [B, T, n, K, 3]
        noise = sample(standard_normal(tuple(spread.shape), 2, keys), generator)
        pictures = self.read_images(memory, (spread + std * noise).flatten(1, 2), generator)
        return pictures.unflatten(1, (t, n))

    @torch.no_grad()
    def iterate(
        self,
        x: Tensor,
        memory: Tensor,
        steps: int = 10,
        generator: torch.Generator | None = None,
        sampled: bool = False,
        held: Tensor | None = None,
    ) -> Tensor:
        """Iterative reading (eq. 7): infer keys from the last picture, read, decode, again; the memory stays as it is.

        x: [B, T, C, H, W], noisy or not, grey or not. Returns [steps + 1, B, T, C, H, W], the input first. Means are
        fed back; with `sampled`, y and z are drawn (eq. 7 draws y). held: as in `look_up`.
        """
        x = images_of(self, "x", x, grey=True)
        memory, found = memory_of(self, memory, len(x)), self.config.keys == "lookup"
        check_generator("generator", generator)
        steps, sampled, held = check_count("steps", steps), check_flag("sampled", sampled), self._held(held, len(x))
        held = self.slot_pictures(memory) if found and held is None else held  # once: the memory stays as it is
        pictures = [x]
        for _ in range(steps):
            q_y = self.look_up(pictures[-1], memory, held) if found else self._encode(pictures[-1]).q_y
            y = sample(q_y, generator) if sampled else q_y.mean
            pictures.append(self.read_images(memory, y, generator, sampled))
        return torch.stack(pictures)

    # --- checks -------------------------------------------------------------------------------------------------

    @property
    def _at(self) -> Tensor:
        """A tensor on the device and of the dtype of the weights."""
        return next(self.parameters())

    def _keys(self, name: str, y: Any, episodes: int) -> Tensor:
        return check_tensor(name, y, (episodes, "T", self.config.reads, 3), self._at.device, self._at.dtype)

    def _held(self, held: Any, episodes: int) -> Tensor | None:
        c = self.config
        shape = (episodes, c.length, c.channels, c.image_size, c.image_size)
        return None if held is None else check_images("held", held, shape, self._at.device, self._at.dtype, grey=True)


def images_of(model: nn.Module, name: str, x: Any, grey: bool = False, like: Tensor | None = None) -> Tensor:
    """Images [B, T, C, H, W] for a model, or those of the shape of `like`; see `inputs.check_images`."""
    c, at = model.config, next(model.parameters())
    b, t = ("B", "T") if like is None else like.shape[:2]
    return check_images(name, x, (b, t, c.channels, c.image_size, c.image_size), at.device, at.dtype, grey)


def memory_of(model: KanervaPlusPlus, memory: Any, episodes: int | None = None) -> Tensor:
    """Memories [B, 3, S, S] for a model, one per episode where their number is given; see `inputs.check_tensor`."""
    c, at, b = model.config, next(model.parameters()), "B" if episodes is None else episodes
    shape = (b, c.memory_channels, c.memory_size, c.memory_size)
    return check_tensor("memory", memory, shape, at.device, at.dtype)
