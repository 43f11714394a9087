"""Run: what the folder of a training run holds, where the run stands, saving it and going on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torch.optim import Optimizer

from ..bound import Bound
from ..config import Config
from ..data.images import ImageSet
from . import checkpoint as ckpt
from .provenance import commit, data_card, hardware


class Run:
    """A run in the folder `out`: steps done, seconds spent, best validation total so far (nats per image).

    `out/last` holds what is needed to go on, `out/best` the model that is returned. Only rank 0 of `world` writes.
    """

    def __init__(
        self,
        out: Path,
        config: Config,
        model: ckpt.Model,
        optimizer: Optimizer,
        data: ImageSet,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.out, self.config, self.model, self.optimizer, self.data = out, config, model, optimizer, data
        self.rank, self.world = rank, world
        self.step, self.best, self.code = 0, math.inf, commit()  # the checkout may move on while this process runs
        self.began = time.monotonic()
        self.check: Callable[[], None] = lambda: None  # raises where weights may be no numbers; before each save

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a stop included."""
        return time.monotonic() - self.began

    def steps(self, bar: Iterable[int]) -> Iterator[int]:
        """The steps of `bar`; when the loop asks for another one, the last is done: the weights are those of `step`."""
        for step in bar:
            yield step
            self.step = step + 1

    def resume(self, resume: bool = True) -> None:
        """Take weights, optimiser and step from `out/last`, if there is one. ValueError if it is another run's."""
        try:
            folder = ckpt.find(self.out / "last")
        except ckpt.CheckpointError:
            return
        if not resume:
            raise ValueError(f"out: {self.out} holds a training run, expected an empty or new folder with resume=False")
        card = ckpt.load_card(folder)
        changed = [k for k, v in self.config.to_dict().items() if card["config"].get(k) != v]
        if changed or card["data"]["digest"] != self.data.digest:
            raise ValueError(
                f"out: {self.out} holds a run with other {', '.join(changed) or 'data'}; expected the same config and "
                "data to resume it, or another folder"
            )
        self.model.load_state_dict(ckpt.read_tensors(folder / ckpt.WEIGHTS))
        packed = ckpt.read_tensors(folder / ckpt.TRAINING)
        self.optimizer.load_state_dict(ckpt.unpack_optimizer(packed, self.optimizer.state_dict()))
        self.step, self.best = card["step"], math.inf if card["best"] is None else card["best"]
        self.began = time.monotonic() - card["seconds"]
        before = [c for c in card["commit"].split(", ") if c != self.code]
        self.code = ", ".join([*before, self.code])  # the commits that trained it so far, the one at work last

    def validated(self, step: int, valid: Bound, full: bool) -> None:
        """Keep the model of `step` as `best` if it is: a total counts only once both KLs are paid for in full."""
        self.check()
        total = float(valid.total)
        improved = full and total < self.best
        if improved:
            self.best = total
        card = self._card(step) | {
            "valid": {k: round(float(getattr(valid, k)), 3) for k in ("total", "recon", "kl_z", "kl_y")}
        }
        if improved or step == self.config.steps and not math.isfinite(self.best):
            ckpt.save_model(self.model, self.out / "best", card)
        training = ckpt.pack_optimizer(self.optimizer.state_dict())
        ckpt.save_model(self.model, self.out / "last", card, training=training)

    def _card(self, step: int) -> dict:
        return {
            "step": step,
            "seconds": round(self.seconds, 1),
            "best": self.best if math.isfinite(self.best) else None,
            "data": data_card(self.data),
            "hardware": hardware(next(self.model.parameters()).device, self.world),
            "commit": self.code,
        }
