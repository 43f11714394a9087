"""Reading a memory: find an image in it, and show what it holds (sections 3.4 and 4.1.1, equation 7)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent

from .bound import sample, standard_normal
from .doors import images_of, keys_of, memory_of
from .inputs import check_count, check_flag, check_generator, check_images, check_kind, check_number, wrong
from .keys import SlotKeys
from .posterior import Posterior

SURE = 30.0  # nats of margin: what is found near an image's code is not looked for elsewhere


class Reading:
    """The part of `KanervaPlusPlus` that reads: what its parameters mean is said there."""

    @property
    def searches(self) -> bool:
        """Whether a key is found by searching the memory for the image."""
        return self.config.keys == "allocated"

    def find(self, x: Tensor, posterior: Posterior, memory: Tensor | None) -> Posterior:
        """`posterior` with the keys that find x in the memory, where keys are looked up; else as it is."""
        check_kind("posterior", posterior, Posterior, "what encode or infer gives")
        return posterior._replace(q_y=self.look_up(x, memory)) if self.searches else posterior

    def look_up(self, x: Tensor, memory: Tensor, held: Tensor | None = None, near: int | None = None) -> Independent:
        """q(Y | X, M): for each image the filled cell whose picture it is most likely a noisy copy of, at its spread.

        x [B, T, C, H, W], binary or grey, memory [B, 3, S, S]. Cells are read and decoded at their means; a bit of x
        differs from the picture with probability `lookup_flip`, and grey counts as that share of a bit. The Dynamic
        Kanerva Machine (Wu et al., 2018) too takes the address from the memory: it solves for it. The memory is given
        and q may depend on it, so equation 4 stays a bound. Ours. `held`: slot_pictures(memory), where they are at
        hand. `near`: with keys="allocated" that many cells nearest to the image's content code first, the others only
        where none of these is SURE; None: all. It saves work for a few cues only, for all cells are decoded once for
        many.
        """
        x = images_of(self, "x", x, grey=True)
        memory, held = memory_of(self, memory, len(x)), self._held(held, len(x))
        with torch.no_grad():
            near = None if near is None else self._near(near)
            if near is not None and x.shape[1] * near >= len(self.key_model.places):
                near = None  # all cells are decoded once for all cues, so a few for each would cost more
            cell, sure = (None, None) if near is None else self._best_near(x, memory, near)
            if sure is None or not bool(sure.all()):
                best = self._best(x, memory, held)
                cell = best if sure is None else torch.where(sure, cell, best)
        return self.key_model.at(cell)

    def _best(self, x: Tensor, memory: Tensor, held: Tensor | None) -> Tensor:
        """The best of all filled cells: numbers of cells [B, T]."""
        match = self._match(x, (self.slot_pictures(memory) if held is None else held)[:, None])
        return (match.masked_fill(~self._filled(memory)[:, None], -torch.inf) if self.searches else match).argmax(-1)

    def _match(self, x: Tensor, pictures: Tensor) -> Tensor:
        """ln p(x) as a copy of each picture with bits flipped, nats: [B, T, C, H, W], [B, T or 1, N, C, H, W] ->
        [B, T, N]. Of grey x the mean over bits of that probability, greatest for the picture that equals x: a score, no
        likelihood."""
        ink = pictures.flatten(3)  # [B, T or 1, N, D]
        ink = ink + (1 - 2 * ink) * self.config.lookup_flip  # chance of ink in a copy
        cue = x.flatten(2).to(ink)[:, :, None]  # [B, T, 1, D]
        if ink.shape[1] == 1:  # all images look at the same cells: two products
            ink, cue = ink[:, 0], cue[:, :, 0]
            return cue @ ink.log().mT + (1 - cue) @ (1 - ink).log().mT
        return (cue * ink.log() + (1 - cue) * (1 - ink).log()).sum(-1)

    def _margins(self, x: Tensor, pictures: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the pictures [B, T or 1, N, C, H, W] that `among` [B, T or 1, N] names each x is best a copy of, and
        by how many nats better than an image like them all: [B, T] each; -inf where it names none."""
        best, at = self._match(x, pictures).masked_fill(~among, -torch.inf).max(-1)
        share = among / among.sum(-1, keepdim=True).clamp(min=1)
        shared = pictures.shape[1] == 1
        like_all = torch.einsum(
            f"btn,b{'' if shared else 't'}nchw->btchw", share, pictures[:, 0] if shared else pictures
        )
        return at, best - self._match(x, like_all[:, :, None])[..., 0]

    def _best_near(self, x: Tensor, memory: Tensor, near: int) -> tuple[Tensor, Tensor]:
        """The best of the `near` cells nearest to each image's content code, and whether it is surely it: [B, T]."""
        cells = self.key_model.nearest(self._encode(x).code, near)  # [B, T, n]
        keys = self.key_model.at(cells.flatten(1)).mean  # [B, T*n, K, 3]
        pictures = self.read_images(memory, keys, sampled=False).unflatten(1, cells.shape[1:])
        filled = self._filled(memory)[:, None].expand(-1, cells.shape[1], -1).gather(-1, cells)
        at, margin = self._margins(x, pictures, filled)
        return cells.gather(-1, at[..., None])[..., 0], margin >= SURE

    def _near(self, near: int) -> int:
        if self.config.keys != "allocated":
            raise wrong("near", near, f"None with keys={self.config.keys!r}: there are no content codes to be near to")
        return min(check_count("near", near), len(self.key_model.places))

    def slot_pictures(self, memory: Tensor) -> Tensor:
        """What each place of the memory holds, decoded at the means: [B, 3, S, S] -> [B, N, C, H, W].

        For keys that come from a table, keys="allocated" or "slots"; ValueError for others.
        """
        memory = memory_of(self, memory)
        if not isinstance(self.key_model, SlotKeys):
            raise wrong("keys", self.config.keys, "a model with a table of places, keys='allocated' or 'slots'")
        return self.read_images(memory, self.key_model.slots().mean.expand(len(memory), -1, -1, -1), sampled=False)

    @torch.no_grad()
    def reconstruct(self, x: Tensor, memory: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Decoded means [B, T, C, H, W]. With a memory, from memory alone: z ~ p(z | M_hat, y); else z ~ q(z|x).

        x [B, T, C, H, W], binary or grey.
        """
        x = images_of(self, "x", x, grey=True)
        check_generator("generator", generator)
        if memory is not None:
            memory = memory_of(self, memory, len(x))
            return self.read_images(memory, sample(self._keys_for(x, memory), generator), generator)
        posterior = self.infer(x)
        if self.config.posterior == "encoder" and self.config.decoder_sees == "z":
            return self.decoder(sample(posterior.q_z, generator)).mean
        memory, y = self._write(x, posterior), sample(posterior.q_y, generator)
        z = sample(self.z_posterior(posterior, self._prior(memory, y)), generator)
        return self._decode(z, memory, y).mean

    @torch.no_grad()
    def read_images(
        self, memory: Tensor, y: Tensor, generator: torch.Generator | None = None, sampled: bool = True
    ) -> Tensor:
        """What the memory holds at keys y [B, T, K, 3]: decoded z ~ p(z | M_hat, y), or its mean; [B, T, C, H, W]."""
        p_z, draw = self.prior(memory, y), check_flag("sampled", sampled)
        check_generator("generator", generator)
        return self.decode(sample(p_z, generator) if draw else p_z.mean, memory, y).mean

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
        keys, std = keys_of(self, "keys", keys, len(memory)), check_number("std", std, least=0)
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
        memory = memory_of(self, memory, len(x))
        check_generator("generator", generator)
        steps, sampled, held = check_count("steps", steps), check_flag("sampled", sampled), self._held(held, len(x))
        held = self.slot_pictures(memory) if self.searches and held is None else held  # once: the memory stays as it is
        pictures = [x]
        for _ in range(steps):
            q_y = self._keys_for(pictures[-1], memory, held)
            y = sample(q_y, generator) if sampled else q_y.mean
            pictures.append(self.read_images(memory, y, generator, sampled))
        return torch.stack(pictures)

    def _keys_for(self, x: Tensor, memory: Tensor, held: Tensor | None = None) -> Independent:
        """q(Y) of x: from the memory where keys are looked up, else from the encoder."""
        return self.look_up(x, memory, held) if self.searches else self._encode(x).q_y

    def _held(self, held: Any, episodes: int) -> Tensor | None:
        if held is None:
            return None
        c, places = self.config, len(self.key_model.slots().mean) if self.searches else "N"
        shape = (episodes, places, c.channels, c.image_size, c.image_size)
        return check_images("held", held, shape, self._at.device, self._at.dtype, values="grey")
