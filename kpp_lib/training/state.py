"""Run: what the folder of a training run holds, where the run stands, saving it and going on."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch.optim import Optimizer

from ..bound import Bound
from ..config import Config
from ..data.images import ImageSet
from ..inputs import check_number
from ..models import Model
from . import checkpoint as ckpt
from .atomic import CARD, LOG, TRAINING, present, refuse_strangers, remove, tidy, write_file
from .distributed import World
from .lock import locked
from .provenance import commit, data_card, hardware
from .stop import Stop


class Run:
    """A run in the folder `out`: steps done, seconds spent, best validation total so far (nats per image).

    `out/last` holds what is needed to go on: weights, optimiser, log. `out/best` holds the model that fit returns.
    Only the main process of `world` writes, and holds the folder against other runs. save_every: seconds.
    """

    def __init__(
        self,
        out: Path,
        config: Config,
        model: Model,
        optimizer: Optimizer,
        data: ImageSet,
        world: World | None = None,
        save_every: float = 60.0,
    ) -> None:
        self.out, self.config, self.model, self.optimizer, self.data = Path(out), config, model, optimizer, data
        self.world, self.save_every = world or World(), check_number("save_every", save_every, least=0.0)
        self.step, self.best, self.code = 0, math.inf, commit()  # the checkout may move on while this process runs
        self.valid: dict[str, float] | None = None  # the last validation, nats per image
        self.extended: list[list[int]] = []  # [step, steps asked for until then] of each time that more were asked for
        self.stop, self.told, self.saved, self.saved_at = Stop(), False, 0, time.monotonic()
        self.began = time.monotonic()
        self.enough = False  # set by the loop: this step is the last one of this call
        self.check: Callable[[], None] = lambda: None  # raises where weights may be no numbers; before each save

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a stop included."""
        return time.monotonic() - self.began

    @contextlib.contextmanager
    def open(self, resume: bool = True, extend: bool = False) -> Iterator[Run]:
        """Hold the folder and take up what is in it; inside, a signal to stop waits for the end of a step.

        ValueError, with nothing changed on disk, if another process trains in the folder, or if it holds another run or
        strangers' files; CheckpointError if what it holds is damaged. See `fit` for `resume` and `extend`.
        """
        with contextlib.ExitStack() as held:
            self.world.from_main(lambda: self._take_up(held, resume, extend))
            if not self.world.main:  # from what process 0 found or has just begun, in a folder that all see
                self._resume(True, extend)
            with self.stop:
                try:
                    yield self
                except (KeyboardInterrupt, SystemExit):
                    if not self.told:  # a second signal, or one that did not come through our handlers
                        self._say(f"stopped within step {self.step + 1}", f"{self.out}/last is of step {self.saved}")
                    raise

    def _take_up(self, held: contextlib.ExitStack, resume: bool, extend: bool) -> None:
        held.enter_context(locked(self.out))
        if (present(self.out / "last") / CARD).is_file():
            self._resume(resume, extend)
            for name in ("last", "best"):  # a run that is finished saves no more, and would leave it
                tidy(self.out / name)
        else:
            self._refuse_strangers()
            self.save()  # so that there is something to go on from, and a full disk shows now

    # --- while it goes ------------------------------------------------------------------------------------------------

    def steps(self, bar: Generator[int]) -> Iterator[int]:
        """The steps of `bar`. When the loop asks for another one, the last is done: that is when `last` is saved, if it
        is time, and when a stop that was asked for happens."""
        for step in bar:
            yield step
            self.step = step + 1
            asked = self.world.any(self.stop.asked is not None)  # all processes stop after the same step
            if (
                asked
                or self.enough
                or self.step == self.config.steps
                or time.monotonic() - self.saved_at >= self.save_every
            ):
                self.save()
            if asked:
                bar.close()
                self._say(f"stopped at step {self.step} of {self.config.steps}", f"saved in {self.out}/last")
                self.stop.leave()
            if self.enough:
                bar.close()
                return

    def stopping(self, trackers: Iterable[Callable[..., object]]) -> tuple[Callable[..., object], ...]:
        """`trackers`, whose KeyboardInterrupt asks to stop once the step is done, as Ctrl-C would."""

        def guarded(tracker: Callable[..., object]) -> Callable[..., None]:
            def call(*args: Any) -> None:
                try:
                    tracker(*args)
                except KeyboardInterrupt:
                    self.stop.ask()

            return call

        return tuple(guarded(tracker) for tracker in trackers)

    def validated(self, step: int, valid: Bound, full: bool) -> None:
        """Keep the model of `step` as `best` if it is: a total counts only once both KLs are paid for in full."""
        self.check()
        total = float(valid.total)
        improved = full and total < self.best
        if improved:
            self.best = total
        self.valid = {k: round(float(getattr(valid, k)), 3) for k in ("total", "recon", "kl_z", "kl_y")}
        if improved or step == self.config.steps and not math.isfinite(self.best):
            self._write("best", self._card(step))

    def save(self) -> None:
        """Write `last`. FloatingPointError, and the one before stays, if a weight or its state is NaN or infinite."""
        self.check()
        if self.world.main:
            file = self.out / LOG
            log = file.read_bytes() if file.is_file() else b""
            self._write("last", self._card(self.step), training=ckpt.pack_optimizer(self.optimizer), log=log)
            self.saved = self.step
        self.saved_at = time.monotonic()

    def _write(self, name: str, card: dict[str, Any], **beside: Any) -> None:
        try:
            ckpt.write_checkpoint(self.model, self.out / name, card, **beside)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"step {card['step']}: {error}; that of step {self.saved} is kept. Try a lower lr or clip_norm"
            ) from error

    def _card(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "seconds": round(self.seconds, 1),
            "best": self.best if math.isfinite(self.best) else None,
            "valid": self.valid,
            "extended": self.extended,
            "data": data_card(self.data),
            "hardware": hardware(next(self.model.parameters()).device, self.world.size),
            "processes": self.world.size,
            "commit": self.code,
        }

    def _say(self, *words: str) -> None:
        self.told = True
        if self.world.main:
            print(*words, "call it again with the same arguments to go on", sep="; ", file=sys.stderr, flush=True)

    # --- going on -----------------------------------------------------------------------------------------------------

    def _resume(self, resume: bool, extend: bool) -> None:
        if not resume:
            raise ValueError(f"out: {self.out} holds a training run, expected an empty or new folder with resume=False")
        found = ckpt.read_checkpoint(self.out / "last")
        step, best, seconds, code, steps = self._stand(found)
        self._same(found.card, extend)
        self._tell_processes(found.card.get("processes", self.world.size))
        ckpt.load_weights(self.model, found)
        try:
            ckpt.unpack_optimizer(ckpt.unpack(found, TRAINING), self.optimizer, begun=step > 0)
        except ValueError as error:
            raise ckpt.CheckpointError(f"{found.folder / TRAINING}: {error}; expected the optimiser's") from error
        if best is not None:
            ckpt.read_checkpoint(self.out / "best")  # that the end will need: better known now than then
        self.step = self.saved = step
        self.best, self.extended = math.inf if best is None else best, found.card.get("extended", [])
        self.valid = found.card.get("valid")
        self.began = time.monotonic() - seconds
        # the commits that trained it so far, the one at work last
        self.code = ", ".join([*(c for c in code.split(", ") if c != self.code), self.code])
        if self.world.main:
            write_file(self.out / LOG, found.files.get(LOG, b""))  # a stopped run wrote further than it saved
        if steps != self.config.steps:  # on process 0; the others come after it has saved that
            self.extended = [*self.extended, [step, steps]]
            self.save()

    def _stand(self, found: ckpt.Checkpoint) -> tuple[int, float | None, float, str, int]:
        card = found.card
        try:
            card["data"]["digest"]  # that _same needs
            return card["step"], card["best"], card["seconds"], card["commit"], card["config"]["steps"]
        except (KeyError, TypeError) as error:
            raise ckpt.CheckpointError(
                f"{found.folder / CARD}: no {error}; expected the checkpoint of a run, as fit writes it"
            ) from error

    def _tell_processes(self, before: Any) -> None:
        if before != self.world.size and self.world.main:
            print(
                f"{self.out}: processes: {before} when it was saved, {self.world.size} now; the same run, but for the "
                "order of its sums",
                file=sys.stderr,
                flush=True,
            )

    def _same(self, card: dict[str, Any], extend: bool) -> None:
        now = self.config.to_dict()
        before = Config().to_dict() | card["config"]  # a field that is newer than the run had its default value
        more = before["steps"] < now["steps"]
        changed = [k for k, v in now.items() if before.get(k) != v and not (extend and more and k == "steps")]
        if changed or card["data"]["digest"] != self.data.digest:
            hint = " (extend=True goes on to more steps)" if changed == ["steps"] and more else ""
            raise ValueError(
                f"out: {self.out} holds a run with other {', '.join(changed) or 'data'}; expected the same config and "
                f"data to resume it{hint}, or another folder"
            )

    def _refuse_strangers(self) -> None:
        for name in ("last", "best"):
            refuse_strangers(self.out / name)
        for name in ("best", LOG):
            if (self.out / name).exists():
                raise ValueError(
                    f"out: {self.out} holds {name} and no run to go on with, expected an empty or new folder"
                )


# --- looking at a run from outside ------------------------------------------------------------------------------------


class Progress(NamedTuple):
    """Where a run stood when it was last saved."""

    step: int
    steps: int
    seconds: float
    best: float | None  # validation total, nats per image


def progress(out: str | Path) -> Progress | None:
    """Where the run in `out` stands, from its card alone; None if there is none. CheckpointError if it is damaged."""
    last = present(Path(out) / "last")
    if not (last / CARD).is_file():
        return None
    card = ckpt.load_card(last)
    try:
        return Progress(card["step"], card["config"]["steps"], card["seconds"], card["best"])
    except KeyError as error:
        raise ckpt.CheckpointError(f"{last / CARD}: no {error}; expected the checkpoint of a run") from error


def finished(out: str | Path) -> bool:
    """Whether the run in `out` has done all its steps."""
    there = progress(out)
    return there is not None and there.step >= there.steps


def discard(out: str | Path) -> None:
    """Delete the run in `out`: the checkpoints and the log that fit wrote, nothing else. ValueError if it is live."""
    out = Path(out)
    if progress(out) is None:
        return
    with locked(out):
        for folder in (out / "best", out / "last"):  # last goes last: it is what says that there is a run
            if folder == out / "last":
                (out / LOG).unlink(missing_ok=True)
            remove(folder)
    with contextlib.suppress(OSError):  # others' files are there
        out.rmdir()
