"""KanervaPlusPlus: the model of the paper, put together from its parts (section 3, Figures 2 to 5)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from .bound import Bound, bound_terms, gaussian, regroup, rows, sample, standard_normal
from .config import Config
from .decoder import Decoder
from .encoder import Encoder
from .keys import make_keys, squash
from .layers import dense
from .likelihood import check_binary
from .memory import WRITERS, PriorNet, read_blocks


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
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.write not in WRITERS:
            raise ValueError(
                f"write: got {config.write!r}, expected one of {', '.join(WRITERS)} for a model with a memory"
            )
        self.config = c = config
        self.encoder = Encoder(c, shifted=c.shift == "all")
        self.write_encoder = Encoder(c, shifted=True) if c.shift == "write" else None
        self.key_model = make_keys(c)
        self.posterior_net = dense(c.embed, 2 * c.latent, c.dense_width, c.dense_layers, c.spectral_norm)
        self.writer = WRITERS[c.write](c)
        self.prior_net = PriorNet(c)
        self.decoder = Decoder(c)

    # --- inference ----------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Posterior:
        """q(Z|X), and q(Y|X) as far as the encoder knows it: with keys="lookup" that of the position written to."""
        check_images(x, self.config)
        e = self.encoder(x)
        mean, log_var = self.posterior_net(e).chunk(2, dim=-1)
        q_y = self.key_model(e)
        return Posterior(e, gaussian(mean, log_var, self.config.log_var_range), q_y, q_y.mean)

    def infer(self, x: Tensor, memory: Tensor | None = None) -> Posterior:
        """q(Z|X) and q(Y|X) of the episodes x [B, T, C, H, W].

        With keys="lookup" the keys are those that find x in `memory` [B, 3, S, S], or, without one, in what x itself
        writes; other keys do not depend on the memory.
        """
        posterior = self.encode(x)
        if memory is None:
            memory = self.write(x, posterior) if self.config.keys == "lookup" else None
        else:
            self._check_memory(memory, x.shape[0])
        return self.find(x, posterior, memory)

    def find(self, x: Tensor, posterior: Posterior, memory: Tensor | None) -> Posterior:
        """`posterior` with the keys that find x in the memory, where keys are looked up; else as it is."""
        return posterior._replace(q_y=self.look_up(x, memory)) if self.config.keys == "lookup" else posterior

    def look_up(self, x: Tensor, memory: Tensor, held: Tensor | None = None) -> Independent:
        """q(Y | X, M): for each image the slot whose picture it is most likely a noisy copy of, at that slot's spread.

        x [B, T, C, H, W], memory [B, 3, S, S]. All slots are read and decoded at their means; a bit of x differs from
        the picture with probability `lookup_flip`. The Dynamic Kanerva Machine (Wu et al.,
        2018) too takes the address from the memory: it solves for it. The memory is given and q may depend on it, so
        equation 4 stays a bound. Ours. `held`: slot_pictures(memory), where
        they are at hand.
        """
        with torch.no_grad():
            pictures = (self.slot_pictures(memory) if held is None else held).flatten(2)  # [B, N, D]
            ink = pictures + (1 - 2 * pictures) * self.config.lookup_flip  # chance of ink in a copy
            cue = x.flatten(2)  # [B, T, D]
            match = cue @ ink.log().mT + (1 - cue) @ (1 - ink).log().mT  # [B, T, N]
        return self.key_model.at(match.argmax(dim=-1))

    def slot_pictures(self, memory: Tensor) -> Tensor:
        """What each place of the memory holds, decoded at the means: [B, 3, S, S] -> [B, N, C, H, W]; keys="lookup"."""
        return self.read_images(memory, self.key_model.slots().mean.expand(memory.shape[0], -1, -1, -1), sampled=False)

    def write(self, x: Tensor, posterior: Posterior | None = None) -> Tensor:
        """The memory of each episode, [B, T, C, H, W] -> [B, 3, S, S]. Deterministic.

        A placed write uses the key *means*. Were it to use the sample that reads the memory, M would depend on y and
        p(y|M) = p(y) of equation 2 would be false: the sum of the three terms would bound nothing.
        """
        posterior = self.encode(x) if posterior is None else posterior
        e = posterior.e if self.write_encoder is None else self.write_encoder(x)
        return self.writer(e, self.window(posterior.place))

    # --- reading and decoding -----------------------------------------------------------------------------------

    def window(self, y: Tensor) -> Tensor:
        """The part of the memory that keys y [..., 3] point at: (s, x, y) [..., 3]."""
        return squash(y, self.config.squash, self.config.window)

    def read(self, memory: Tensor, y: Tensor) -> Tensor:
        """M_hat (eq. 5): memory [B, 3, S, S], y [B, T, K, 3] -> blocks [B, T, K, 3, g, g]."""
        c = self.config
        return read_blocks(memory, self.window(y), c.block_size, c.read_mode, c.read_padding, c.align_corners)

    def prior(self, memory: Tensor, y: Tensor) -> Independent:
        """p(Z | M_hat, Y), event [L]."""
        mean, log_var = self.prior_net(self.read(memory, y))
        return gaussian(mean, log_var, self.config.log_var_range)

    def p_y(self, batch: int, length: int) -> Independent:
        """p(Y) = N(0, I), batch [B, T], event [K, 3]."""
        like = next(self.parameters())
        return standard_normal((batch, length, self.config.reads, 3), 2, like)

    def decode(self, z: Tensor) -> Independent:
        """p(X|Z), event [C, H, W]; `.mean` is the picture."""
        return self.decoder(z)

    # --- the bound ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, generator: torch.Generator | None = None, cue: Tensor | None = None) -> Bound:
        """The bound as trained; the name that DistributedDataParallel wraps.

        Where keys are looked up, training reads each image where it was written: a bound as well, and one with a
        gradient before there is anything to find.
        """
        return self.bound(x, generator=generator, cue=cue, by_position=True)

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
        looked up. Raises ValueError for images that are not binary or not of the model's shape, and for a memory of
        other episodes' number.
        """
        check_binary(x)
        b = x.shape[0]
        seen = self.encode(x if cue is None else torch.cat([x, cue]))  # one pass, so that BatchNorm sees both alike
        memory = self.write(x, seen.rows(slice(b))) if memory is None else self._check_memory(memory, b)
        posterior = seen.rows(slice(-b, None))
        if not by_position:
            posterior = self.find(x if cue is None else cue, posterior, memory)
        return self.terms(x, posterior, memory, generator)

    def terms(self, x: Tensor, posterior: Posterior, memory: Tensor, generator: torch.Generator | None = None) -> Bound:
        """Equation 4's terms of x with one sample of y and z from `posterior`, read from `memory`: [B, T] each."""
        y, z = sample(posterior.q_y, generator), sample(posterior.q_z, generator)
        return bound_terms(
            x, self.decode(z), posterior.q_z, self.prior(memory, y), posterior.q_y, self.p_y(*x.shape[:2])
        )

    # --- pictures -----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def reconstruct(self, x: Tensor, memory: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decoded means [B, T, C, H, W]. With a memory, from memory alone: z ~ p(z | M_hat, y); else z ~ q(z|x)."""
        if memory is None:
            return self.decode(sample(self.encode(x).q_z, generator)).mean
        posterior = self.infer(x, memory)
        return self.read_images(memory, sample(posterior.q_y, generator), generator)

    @torch.no_grad()
    def read_images(
        self, memory: Tensor, y: Tensor, generator: torch.Generator | None = None, sampled: bool = True
    ) -> Tensor:
        """What the memory holds at keys y [B, T, K, 3]: decoded z ~ p(z | M_hat, y), or its mean; [B, T, C, H, W]."""
        p_z = self.prior(memory, y)
        return self.decode(sample(p_z, generator) if sampled else p_z.mean).mean

    @torch.no_grad()
    def generate(self, memory: Tensor, n: int = 16, generator: torch.Generator | None = None) -> Tensor:
        """n pictures from random keys y ~ p(Y) (section 3.4): [B, n, C, H, W]."""
        y = sample(self.p_y(memory.shape[0], at_least_one("n", n)), generator)
        return self.read_images(memory, y, generator)

    @torch.no_grad()
    def perturb(
        self, memory: Tensor, keys: Tensor, std: float = 0.1, n: int = 16, generator: torch.Generator | None = None
    ) -> Tensor:
        """n pictures around each key, y + N(0, std^2) (section 4.1.1): keys [B, T, K, 3] -> [B, T, n, C, H, W].

        The paper writes N(0, 0.1); we read 0.1 as the standard deviation.
        """
        b, t = keys.shape[:2]
        spread = keys[:, :, None].expand(-1, -1, at_least_one("n", n), -1, -1)  # [B, T, n, K, 3]
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
        check_images(x, self.config)
        memory, found = self._check_memory(memory, x.shape[0]), self.config.keys == "lookup"
        held = self.slot_pictures(memory) if found and held is None else held  # once: the memory stays as it is
        pictures = [x]
        for _ in range(at_least_one("steps", steps)):
            q_y = self.look_up(pictures[-1], memory, held) if found else self.encode(pictures[-1]).q_y
            y = sample(q_y, generator) if sampled else q_y.mean
            pictures.append(self.read_images(memory, y, generator, sampled))
        return torch.stack(pictures)

    # --- checks -------------------------------------------------------------------------------------------------

    def _check_memory(self, memory: Tensor, episodes: int) -> Tensor:
        c = self.config
        expected = (episodes, c.memory_channels, c.memory_size, c.memory_size)
        if tuple(memory.shape) != expected:
            raise ValueError(
                f"memory: got shape {tuple(memory.shape)}, expected {expected}, one memory per episode of x"
            )
        return memory


def check_images(x: Tensor, config: Config) -> None:
    """ValueError unless x is [B, T, C, H, W] with the config's C, H and W."""
    c = config
    if x.dim() != 5 or x.shape[2:] != (c.channels, c.image_size, c.image_size):
        raise ValueError(
            f"x: got shape {tuple(x.shape)}, expected [B, T, {c.channels}, {c.image_size}, {c.image_size}]"
        )


def at_least_one(name: str, value: int) -> int:
    """`value`, or a ValueError that names the argument."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: got {value!r}, expected a whole number of at least 1")
    return value
