"""fit: one training loop, resumable, on CPU, CUDA, MPS, or several processes under torchrun."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from ..bound import Bound
from ..config import Config
from ..data.episodes import Episodes, seeded
from ..data.images import ImageSet
from ..data.noise import noisy_cue
from ..inputs import check_number
from ..models import Model, make_model
from . import checkpoint as ckpt
from . import meter
from .arguments import check_run
from .compiled import faster
from .device import Speed, best_device
from .distributed import World, joined, local_device
from .optim import kl_weight, length_at, make_optimizer, make_schedule, match_layout
from .runlog import RunLog, Tracker, trackers
from .state import Run
from .watch import Watch


@joined()
def fit(
    config: Config,
    data: ImageSet,
    out: str | Path,
    *,
    resume: bool = True,
    extend: bool = False,
    device: str | None = None,
    minutes: float | None = None,
    log_every: int = 50,
    eval_every: int = 500,
    save_every: float = 60.0,
    tensorboard: bool = False,
    on_log: Tracker | None = None,
    quiet: bool = False,
) -> Model:
    """Train a model on data.train and return the one that is best on data.valid, in eval mode.

    Writes `out/log.csv` (a row per `log_every` steps and per validation), `out/last` every `save_every` seconds, at the
    start and at the end, and `out/best` when a validation (`eval_every` steps) is the best so far. Called again with
    the same config and data, a stopped run goes on from `out/last`, step for step as if never stopped.

    Ctrl-C, the stop button of a notebook and SIGTERM let the step at work end, save it, say in one line where the run
    stands, and then raise what they always do: KeyboardInterrupt, and for SIGTERM SystemExit with status 143, so that a
    notebook or a script does not go on with half a model. The second one stops at once, at what was last saved. In a
    thread other than the main one, signals do not reach fit; a KeyboardInterrupt raised by `on_log` stops it there.

    `extend`: go on to more steps than the run in `out` was asked for; everything else must be equal. The steps that
    are done, their log and `best` stay. From there on the learning rate and the weights of the KLs are those of step n
    of `config.steps`, so they jump, and the outcome is not that of a run of `config.steps` from the start; the card
    lists each such change under "extended" as [step, steps before].

    A folder that holds another run, or that another process trains in, is a ValueError, as is one with a run in it when
    `resume` is False, or with strangers' files under the names above: nothing on disk is lost. CheckpointError if what
    it holds is damaged, or the disk is full. FloatingPointError, with the step and the term, when the loss is not
    finite. `device`: None takes KPP_DEVICE, else the best there is. Under torchrun the processes share the batch of
    `config.episodes` episodes: ValueError unless it divides evenly, LostWorker when one of them dies.

    minutes: train as well as that time allows: `config.steps` is set to what fits, by trying for some seconds, and kept
    in the run's card, so that a run that is gone on with has the same schedule. If the machine turns slower, the run
    stops in time, before its last step, and the same call goes on with it. ValueError if no step fits. on_log:
    called on process 0 with (step, split, numbers by name) for each row of the log, so that any tracker is one line:
    `fit(..., on_log=lambda step, split, numbers: wandb.log({f"{split}/{k}": v for k, v in numbers.items()}, step))`.
    tensorboard: rows go to `out/tensorboard` too; ValueError if it is not installed. KPP_SPEED: see `device.Speed`.
    """
    flags = {"resume": resume, "extend": extend, "quiet": quiet, "tensorboard": tensorboard}
    out = check_run(config, data, out, {"log_every": log_every, "eval_every": eval_every}, flags)
    world, began = World.now(), time.monotonic()
    told = trackers(out, world.main, tensorboard, on_log)
    # with `minutes`, steps are not known yet, and a compilation would be a large part of the time
    speed = Speed.of(local_device(device or best_device()), 0 if minutes else config.steps)
    if minutes is not None:
        config = in_time(config, data, out, minutes, eval_every, speed.device)
    model = speed.lay_out(new_model(config))
    optimizer = make_optimizer(model, config, speed.fused)
    with Run(out, config, model, optimizer, data, world, save_every).open(resume, extend) as run, speed.loop():
        match_layout(optimizer)
        schedule = make_schedule(optimizer, config, run.step)
        episodes = Episodes(speed.place(data.train), config.length, config.episodes, config.seed)
        world.agree(step=run.step, data=data.digest, **config.to_dict())
        rates, listeners = speed.meter(config, world.size), run.stopping(told)
        log = RunLog(out, world.rank, quiet, run.step, rates, config, listeners)
        mine, watch = world.rows(config.episodes), Watch(speed.device, log_every)
        run.check = watch.check
        forward = faster(speed, model, world.wrap(model), episodes, mine)

        for step in run.steps(log.bar(run.step, config.steps)):
            x = episodes.batch(step).x[mine].to(speed.device)  # [B, T, C, H, W]
            x = x.flatten(0, 1).unflatten(0, (-1, length_at(step, config)))
            generator = world.noise(speed.generator(config.seed, step, 0))
            optimizer.zero_grad()
            with speed.autocast():
                bound = forward(x, generator, noisy_cue(x, config.cue_noise, generator)).mean()
            beta_z, beta_y = (kl_weight(step, config.steps, w) for w in (config.kl_z_warmup, config.kl_y_warmup))
            bound.weighted(beta_z, beta_y).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            bound = world.mean(bound)
            watch.see(step, bound, norm)  # stops a run whose loss is no number
            optimizer.step()
            lr = schedule.get_last_lr()[0]
            schedule.step()
            done, last = step + 1, step + 1 == config.steps
            late = minutes is not None and world.any(time.monotonic() - began > 0.97 * 60 * minutes)
            if done % log_every == 0 or last or late:
                log.write(done, "train", bound, beta_y, lr, run.seconds)
            if world.main and (done % eval_every == 0 or last or late):
                valid = validate(model, data)
                log.write(done, "valid", valid, beta_y, lr, run.seconds)
                run.validated(done, valid, full=beta_z == beta_y == 1)
            if late:  # the machine was slower than at first: what is done is on disk, and the same call goes on
                run.enough = True
        world.wait()
    return ckpt.load_model(out, speed.device)


def new_model(config: Config) -> Model:
    """A fresh model with the initial weights of `config.seed`; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return make_model(config)


def in_time(config: Config, data: ImageSet, out: Path, minutes: float, eval_every: int, device: torch.device) -> Config:
    """`config` with the steps of the run in `out`, or with as many as fit into `minutes`, by short runs of `fit`."""
    minutes, began = check_number("minutes", minutes, above=0), time.monotonic()
    with contextlib.suppress(ckpt.CheckpointError):
        return config.replace(steps=ckpt.load_card(out / "last")["config"]["steps"])
    often = 1 if device.type == "cpu" else 10  # a log waits for a GPU

    def short_run(steps: int, on_log: Tracker) -> None:
        with tempfile.TemporaryDirectory(prefix="kpp-") as folder:
            short, name = config.replace(steps=steps), World.now().of_main(folder)
            fit(short, data, name, device=str(device), log_every=often, eval_every=steps, on_log=on_log, quiet=True)

    seconds, of_main = 60 * minutes - (time.monotonic() - began), World.now().of_main
    return config.replace(steps=meter.steps_for(seconds, short_run, eval_every, at_once=3 * often, of_main=of_main))


@torch.no_grad()
def validate(model: Model, data: ImageSet, episodes: int = 32) -> Bound:
    """The mean bound on the first `episodes` episodes of data.valid, in one fixed order with fixed noise."""
    model.eval()
    device, length, terms = next(model.parameters()).device, min(model.config.length, len(data.valid)), []
    per_batch = min(episodes, 8)
    for i, batch in enumerate(Episodes(data.valid, length, per_batch, seed=1).cover()):
        if i * per_batch >= episodes:
            break
        b = model.bound(batch.x.to(device), generator=seeded(1, i))
        keep = batch.scored.to(device)
        terms.append(torch.stack([b.recon[keep], b.kl_z[keep], b.kl_y[keep]]))
    model.train()
    return Bound(*torch.cat(terms, dim=1).mean(dim=1).cpu())
