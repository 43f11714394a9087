"""What the tests of several processes run under torchrun: `torchrun --nproc-per-node=2 two_processes.py JOB ...`."""

import os
import signal
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
from tiny_model import bar_set, episodes

import kpp_lib as kpp
from kpp_lib.data.noise import noisy_cue
from kpp_lib.training import distributed
from kpp_lib.training.distributed import World, joined
from kpp_lib.training.fit import new_model

# one of each kind: shifts over the episode, in one encoder or two; placed writes; normalised keys on noisy cues; none
CASES = {
    "paper": dict(recipe="paper"),
    "second encoder": dict(recipe="paper", shift="write"),
    "allocated": dict(recipe="allocated"),
    "content": dict(recipe="content"),
    "slots": dict(recipe="slots"),
    "vae": dict(recipe="vae"),
}


def gradients(world, case, dtype):
    """Gradients and buffers of one training step on four episodes, as {name: tensor}."""
    config = kpp.Config.preset("tiny", **CASES[case])
    # in float32 not channels last: a CPU sums batch norms coarsely there, and the order of sums is what is asked about
    layout = torch.contiguous_format if dtype == torch.float32 else torch.channels_last
    model = new_model(config).to(dtype).to(memory_format=layout)
    forward = world.wrap(model)
    x = episodes(b=config.episodes, t=config.length).to(dtype)[world.rows(config.episodes)]
    generator = world.noise(kpp.seeded(0, 7, 0))
    bound = forward(x, generator, noisy_cue(x, config.cue_noise, generator)).mean()
    bound.weighted(0.7, 0.3).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    return {"gradients": grads, "buffers": dict(model.named_buffers()), "loss": world.mean(bound).total.detach()}


@joined()
def save_gradients(out):
    """Those of every case in float32 and float64, from each process into a file of its own."""
    world = World.now()
    found = {(case, t): gradients(world, case, getattr(torch, t)) for case in CASES for t in ("float32", "float64")}
    torch.save(found, out / f"rank{world.rank}.pt")


STEPS = 8


def config(**overrides):
    """Of the whole runs: dense, and each image at its own place. With keys that are computed, or BatchNorm near z,
    rounding grows to hundredths of a nat within eight steps."""
    placed = dict(recipe="content", keys="slots", squash="centre", key_log_var=-5.5, cue_noise=0.0)
    return kpp.Config.preset("tiny", **(placed | dict(steps=STEPS, kl_z_warmup=0.5) | overrides))


def train(out, stop=None, **overrides):
    """The run, or what it does until it is cut off within step number `stop`; laid out as in float32 above."""
    with at_step(stop, cut_off), mock.patch.dict(os.environ, KPP_SPEED="channels_last=off"):
        usual = {"quiet": True, "device": "cpu", "log_every": 1, "eval_every": 4, "save_every": 0.0}
        return kpp.fit(config(**overrides), bar_set(), out, **usual)


@contextmanager
def at_step(step, act, rank=None):
    """Call `act`, in process `rank` or in all, within the step of that number, counted from the start of this call."""
    mean, calls = World.mean, []

    def stand_in(world, bound):
        calls.append(1)
        if len(calls) == step and rank in (None, world.rank):
            act()
        return mean(world, bound)

    World.mean = stand_in
    try:
        yield
    finally:
        World.mean = mean


def cut_off():
    raise KeyboardInterrupt


def fail():
    raise OSError("a disk that went away")


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(3600)


ENDS = {
    "exception": fail,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": hang,
}


def runs(out):
    """Gradients; a whole run; the first part of one; the second part of one that a single process began; a batch that
    does not divide. All in one launch: a library may call fit as often as it likes."""
    save_gradients(out)
    train(out / "whole")
    try:
        train(out / "two-one", stop=6)
    except KeyboardInterrupt:
        pass
    train(out / "one-two")
    try:
        train(out / "odd", episodes=3)
    except (ValueError, SystemExit) as error:
        (out / f"refused{os.environ['RANK']}").write_text(repr(error))


STOPS = (4, 6, 7)  # in the middle of an epoch of six steps, at a validation; at its end; the step after


def stops(out):
    """A whole run, and runs that a signal to one process stops, each gone on with."""
    train(out / "whole")
    for stop in STOPS:
        try:
            with at_step(stop, interrupt, rank=1):
                train(out / f"stopped at {stop}")
        except KeyboardInterrupt:
            pass
        train(out / f"stopped at {stop}")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def main(job, out, how=None):
    out = Path(out)
    if job == "runs":
        runs(out)
    elif job == "end":
        distributed.TIMEOUT = timedelta(seconds=5 if how == "hang" else 600)
        with at_step(7, ENDS[how], rank=1):
            train(out / "run")
    elif job == "stops":
        stops(out)
    elif job == "long":
        train(out / "run", steps=100_000)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except distributed.LostWorker as error:  # as the command line does
        sys.exit(f"{type(error).__name__}: {error}")
