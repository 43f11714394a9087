"""What the tests of several processes run under torchrun: `torchrun --nproc-per-node=2 two_processes.py JOB ...`."""

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

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
    "associative": dict(recipe="associative"),
    "content": dict(recipe="content"),
    "slots": dict(recipe="slots"),
    "vae": dict(recipe="vae"),
}


def gradients(world, case, dtype):
    """Gradients and buffers of one training step on four episodes, as {name: tensor}."""
    config = kpp.Config.preset("tiny", **CASES[case])
    model = new_model(config).to(dtype)
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


def tiny_config(**overrides):
    """Of the whole runs."""
    return kpp.Config.preset("tiny", **({"recipe": "associative", "steps": 12, "kl_y_warmup": 0.5} | overrides))


def train(out, **overrides):
    """A run of twelve steps."""
    return kpp.fit(tiny_config(**overrides), bar_set(), out, quiet=True, device="cpu", log_every=1, eval_every=4)


def at_step(step, act):
    """Call `act` in process 1 before it takes part in the average of that step."""
    mean, calls = World.mean, []

    def stand_in(world, bound):
        calls.append(1)
        if world.rank == 1 and len(calls) == step:
            act()
        return mean(world, bound)

    World.mean = stand_in


def fail():
    raise OSError("a disk that went away")


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(3600)


ENDS = {
    "exception": fail,
    "exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": hang,
}


def main(job, out, *rest):
    out = Path(out)
    if job == "gradients":
        save_gradients(out)
    elif job == "train":
        model = train(out / "run")
        torch.save(model.state_dict(), out / f"rank{os.environ['RANK']}.pt")
    elif job == "end":
        distributed.TIMEOUT = timedelta(seconds=5 if rest == ("hang",) else 600)
        at_step(7, ENDS[rest[0]])
        train(out / "run")


if __name__ == "__main__":
    main(*sys.argv[1:])
