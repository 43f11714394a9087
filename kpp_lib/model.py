"""KanervaPlusPlus: the model of the paper, put together from its parts (section 3, Figures 2 to 5)."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from .allocate import AllocatedKeys, make_keys
from .bound import Bound, bound_terms, epsilon, exact, full, gaussian, product, sample, standard_normal
from .config import Config, cells_for
from .doors import images_of, keys_of, memory_of
from .draws import Share
from .encoder import make_encoder
from .heap import Heap
from .inputs import check_choice, check_count, check_flag, check_generator, check_kind, check_tensor, wrong
from .keys import squash_unchecked
from .maps import MapWriter, make_decoder, make_prior_net, make_writer
from .memory import read_unchecked
from .posterior import Posterior, infer_z, posterior_net
from .reading import Reading

Noise = torch.Generator | Share | tuple[Tensor, Tensor] | None  # where samples come from, or epsilon itself (`noise`)


class KanervaPlusPlus(Reading, Heap, nn.Module):
    """A VAE whose prior is read from a memory that the episode itself was written into.

    >>> memory = model.write(x)            # x [B, T, C, H, W] -> [B, 3, S, S]
    >>> model.bound(x).total               # [B, T], nats per image, lower is better

    Images that are written or scored are binary, or, with likelihood="logistic_mixture", multiples of 1/255 in [0, 1];
    what is only shown to the encoder (a cue) may be any grey in [0, 1].
    Torch tensors and NumPy arrays of any number type are taken. Every public method raises ValueError, naming the
    argument, for another type, shape, device or range, for NaN, and for something empty. `forward`, the training step,
    checks no values.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        check_kind("config", config, Config, "a Config, such as Config.preset('tiny')")
        check_choice("write", config.write, ("pooled", "placed"))  # "none" is the VAE's
        self.config = c = config
        self.encoder = make_encoder(c, shifted=c.shift == "all")
        self.write_encoder = make_encoder(c, shifted=True) if c.shift == "write" else None
        self.key_model = make_keys(c)
        self.posterior_net = posterior_net(c)
        self.writer = make_writer(c)
        self.prior_net = make_prior_net(c)
        self.decoder = make_decoder(c)
        self.products: bool | None = None  # how blocks are read, see `read_blocks`
        self.to(memory_format=torch.channels_last)  # in which convolutions are fast

    def holding(self, length: int) -> KanervaPlusPlus:
        """The same weights with smaller cells where `length` images need them: keys="allocated"; else the model itself.

        Windows, and the spreads of keys, shrink as the cells do.
        """
        c, length = self.config, check_count("length", length)
        scale = cells_for(c.length) / cells_for(length)
        if c.keys != "allocated" or scale >= 1:
            return self
        other, shift = copy(self), 2 * math.log(scale)
        other._modules = dict(self._modules)
        low, high = c.key_log_var_range
        smaller = {"window": c.window * scale, "write_window": c.write_window * scale}
        other.config = c.replace(length=length, key_log_var_range=(low + shift, high + shift), **smaller)
        other.key_model = copy(self.key_model)
        other.key_model.config = other.config
        return other

    # --- inference ----------------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Posterior:
        """q(Z|X), and q(Y|X) as far as the encoder knows it: where keys are looked up, that of the place written to.

        x [B, T, C, H, W], binary or grey.
        """
        return self._encode(images_of(self, "x", x, grey=True))

    def _encode(self, x: Tensor) -> Posterior:
        seen, keys, code = self.encoder.see(x), self.key_model, None
        with exact(x.device):
            if isinstance(keys, AllocatedKeys):
                code = keys.code(full(seen.maps))
                q_y = keys.at(keys.allocated(code))
            else:
                q_y = keys(seen.maps if seen.e is None else seen.e)
        maps = None if seen.maps is None else seen.maps.contiguous()
        return Posterior(seen.e, infer_z(self.posterior_net, seen, self.config), q_y, q_y.mean, maps, code)

    def z_posterior(self, posterior: Posterior, p_z: Independent) -> Independent:
        """q(z), event [L], where the memory was read as `p_z`: with posterior="with_prior" proportional to the image's
        Gaussian times p_z, so that z follows what was read; else q(Z|X) as it is."""
        return product(posterior.q_z, p_z) if self.config.posterior == "with_prior" else posterior.q_z

    def infer(self, x: Tensor, memory: Tensor | None = None) -> Posterior:
        """q(Z|X) and q(Y|X) of the episodes x [B, T, C, H, W], binary or grey.

        With keys="allocated" the keys are those that find x in `memory` [B, 3, S, S], or, without one, in what x itself
        writes; other keys do not depend on the memory.
        """
        x = images_of(self, "x", x, grey=True)
        memory = None if memory is None else memory_of(self, memory, len(x))
        posterior = self._encode(x)
        if memory is None and self.searches:
            memory = self._write(x, posterior)
        return self.find(x, posterior, memory)

    def write(self, x: Tensor, posterior: Posterior | None = None) -> Tensor:
        """The memory of each episode, x [B, T, C, H, W] -> [B, 3, S, S]. Deterministic.

        A placed write uses the key *means*. Were it to use the sample that reads the memory, M would depend on y and
        p(y|M) = p(y) of equation 2 would be false: the sum of the three terms would bound nothing.
        """
        x = images_of(self, "x", x)
        if posterior is None:
            return self._write(x, self._encode(x))
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        if posterior.place.shape[:2] != x.shape[:2]:
            raise wrong("posterior", list(posterior.place.shape[:2]), f"that of x, {list(x.shape[:2])} images")
        return self._write(x, posterior)

    def _write(self, x: Tensor, posterior: Posterior) -> Tensor:
        c = self.config
        seen = posterior if self.write_encoder is None else self.write_encoder.see(x)
        window = squash_unchecked(posterior.place, c.squash, c.window)
        if c.write_window:  # at the same centre
            window = torch.cat([torch.full_like(window[..., :1], c.write_window), window[..., 1:]], -1)
        return self.writer(seen.maps if isinstance(self.writer, MapWriter) else seen.e, window)

    # --- reading and decoding -----------------------------------------------------------------------------------

    def window(self, y: Tensor) -> Tensor:
        """The part of the memory that keys y [..., 3] point at: (s, x, y) [..., 3]."""
        y = check_tensor("y", y, ("...", 3), self._at.device, self._at.dtype)
        return squash_unchecked(y, self.config.squash, self.config.window)

    def read(self, memory: Tensor, y: Tensor) -> Tensor:
        """M_hat (eq. 5): memory [B, 3, S, S], y [B, T, K, 3] -> blocks [B, T, K, 3, g, g]."""
        memory = memory_of(self, memory)
        return self._read(memory, keys_of(self, "y", y, len(memory)))

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
        return self._prior(memory, keys_of(self, "y", y, len(memory)))

    def _prior(self, memory: Tensor, y: Tensor) -> Independent:
        mean, log_var = self.prior_net(self._read(memory, y))
        return gaussian(mean, log_var, self.config.log_var_range)

    def p_y(self, batch: int, length: int) -> Independent:
        """p(Y) = N(0, I), batch [B, T], event [K, 3]."""
        shape = (check_count("batch", batch), check_count("length", length), self.config.reads, 3)
        return standard_normal(shape, 2, self._at)

    def decode(self, z: Tensor, memory: Tensor | None = None, y: Tensor | None = None) -> Distribution:
        """p(X|Z), event [C, H, W]; z [B, T, L]; `.mean` is the picture.

        With decoder_sees="z_and_blocks" p(X|Z, M, Y): memory [B, 3, S, S] and y [B, T, K, 3] are then needed.
        """
        z = check_tensor("z", z, ("B", "T", self.config.z_size), self._at.device, self._at.dtype)
        if self.config.decoder_sees == "z":
            return self.decoder(z)
        memory = memory_of(self, memory, len(z))
        return self._decode(z, memory, keys_of(self, "y", y, len(memory)))

    def _decode(self, z: Tensor, memory: Tensor, y: Tensor) -> Distribution:
        return self.decoder(z, None if self.config.decoder_sees == "z" else self._read(memory, y))

    # --- the bound ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, generator: Noise = None, cue: Tensor | None = None) -> Bound:
        """The bound as trained; the name that DistributedDataParallel wraps.

        Where keys are looked up, training reads each image where it was written: a bound as well, and one with a
        gradient before there is anything to find. No values are checked here: a GPU would be waited for at every step.
        """
        return self.holding(x.shape[1])._bound(x, None, generator, cue, by_position=True)

    def noise(self, x: Tensor, generator: torch.Generator | Share | None = None) -> tuple[Tensor, Tensor]:
        """Epsilon of one sample of y and z for x, [B, T, K, 3] and [B, T, L]: what `forward` takes for a generator.

        The same draws in the same order; a compiled or captured model cannot draw them itself.
        """
        c, images = self.config, x.shape[:2]
        return epsilon((*images, c.reads, 3), self._at, generator), epsilon((*images, c.z_size), self._at, generator)

    def bound(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        generator: torch.Generator | None = None,
        cue: Tensor | None = None,
        by_position: bool = False,
    ) -> Bound:
        """Equation 4, negated, with one sample of y and z: three terms [B, T], nats per image.

        memory: [B, 3, S, S]; without it, the one that x itself writes, in smaller cells if it needs them (`holding`;
        `write` by itself has several images share a cell). cue: what q(Y) and q(Z) see in place of x, such
        as a noisy x; any q keeps equation 4 a bound. by_position: image t is read where the t-th was written, and not
        looked up. Raises ValueError for images that the likelihood does not score (a cue may be grey) or not of the
        model's shape, for a cue of another shape than x, and for a memory of another number of episodes.
        """
        x = images_of(self, "x", x)
        cue = None if cue is None else images_of(self, "cue", cue, grey=True, like=x)
        memory = None if memory is None else memory_of(self, memory, len(x))
        check_generator("generator", generator)
        model = self.holding(x.shape[1]) if memory is None else self
        return model._bound(x, memory, generator, cue, check_flag("by_position", by_position))

    def _bound(
        self, x: Tensor, memory: Tensor | None, generator: Noise, cue: Tensor | None, by_position: bool
    ) -> Bound:
        b, noise = x.shape[0], generator if isinstance(generator, tuple) else self.noise(x, generator)
        written = posterior = seen = self._encode(x if cue is None else torch.cat([x, cue]))
        if cue is not None:  # one pass for both, so that BatchNorm sees them alike
            written, posterior = seen.rows(slice(b)), seen.rows(slice(-b, None))
        memory = self._write(x, written) if memory is None else memory
        if not by_position:
            posterior = self.find(x if cue is None else cue, posterior, memory)
        elif self.searches:
            posterior = posterior._replace(q_y=written.q_y)
        terms = self._terms(x, posterior, memory, noise)
        if written.code is None or not self.training:
            return terms
        # the keys' own noise: of another loss, so it may be
        return replace(terms, code=self.key_model.code.loss(written.code, noise[0][:, :, 0, 1:], x))

    def terms(self, x: Tensor, posterior: Posterior, memory: Tensor, generator: torch.Generator | None = None) -> Bound:
        """Equation 4's terms of x with one sample of y and z from `posterior`, read from `memory`: [B, T] each."""
        x = images_of(self, "x", x)
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        check_generator("generator", generator)
        return self._terms(x, posterior, memory_of(self, memory, len(x)), generator)

    def _terms(self, x: Tensor, posterior: Posterior, memory: Tensor, generator: Noise) -> Bound:
        of_y, of_z = generator if isinstance(generator, tuple) else (generator, generator)
        y = sample(posterior.q_y, of_y)
        p_z = self._prior(memory, y)
        q_z = self.z_posterior(posterior, p_z)
        p_x = self._decode(sample(q_z, of_z), memory, y)
        return bound_terms(x, p_x, q_z, p_z, posterior.q_y, self.p_y(*x.shape[:2]))

    # --- checks -------------------------------------------------------------------------------------------------

    @property
    def _at(self) -> Tensor:
        """A tensor on the device and of the dtype of the weights."""
        return next(self.parameters())
