"""fit: one training loop, resumable, on CPU, CUDA, MPS, or several processes under torchrun."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..bound import Bound
from ..config import Config
from ..data.episodes import Episodes, seeded
from ..data.images import ImageSet
from ..data.noise import noisy_cue
from . import checkpoint as ckpt
from .optim import kl_weight, make_optimizer, make_schedule
from .provenance import commit, data_card, hardware
from .runlog import RunLog


def fit(
    config: Config,
    data: ImageSet,
    out: str | Path,
    *,
    resume: bool = True,
    device: str | None = None,
    log_every: int = 50,
    eval_every: int = 500,
    quiet: bool = False,
) -> ckpt.Model:
    """Train a model on data.train and return the one that is best on data.valid, in eval mode.

    Writes `out/log.csv` (a row per `log_every` steps and per validation), `out/last` (to resume from) and `out/best`.
    Called again with the same config and data, a stopped run goes on where it was, step for step as if never stopped. A
    folder with another run in it is a ValueError, as is any run with `resume=False`: nothing on disk is lost. Raises
    FloatingPointError, with the step and the term, when the loss is not finite. `device`: None takes KPP_DEVICE, else
    the best there is. Under torchrun each process takes its own `config.episodes` episodes a step.
    """
    out, (rank, world) = Path(out), _join()
    device = torch.device(device or _best_device())
    model = new_model(config).to(device)
    optimizer = make_optimizer(model, config)
    state = _resume(out, model, optimizer, data, resume)
    schedule = make_schedule(optimizer, config, state.step)
    episodes = Episodes(data.train, config.length, config.episodes, config.seed)
    forward = DistributedDataParallel(model) if world > 1 else model
    log, began = RunLog(out, rank, quiet, state.step), time.monotonic() - state.seconds

    for step in log.bar(state.step, config.steps):
        x = episodes.batch(step * world + rank).x.to(device)  # [B, T, C, H, W]
        generator = seeded(config.seed, step, rank)
        bound = forward(x, generator, noisy_cue(x, config.cue_noise, generator)).mean()
        beta_z, beta_y = (kl_weight(step, config.steps, w) for w in (config.kl_z_warmup, config.kl_y_warmup))
        _check_finite(bound, step)
        optimizer.zero_grad()
        bound.weighted(beta_z, beta_y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        lr = schedule.get_last_lr()[0]
        schedule.step()
        done, last = step + 1, step + 1 == config.steps
        state.step, state.seconds = done, time.monotonic() - began
        if done % log_every == 0 or last:
            log.write(done, "train", bound, beta_y, lr, state.seconds)
        if rank == 0 and (done % eval_every == 0 or last):
            valid = validate(model, data)
            log.write(done, "valid", valid, beta_y, lr, state.seconds)
            # a total counts as best only once both KLs are paid for in full
            _save(out, model, optimizer, state, valid, data, world, final=last, full=beta_z == beta_y == 1)
    if world > 1:
        dist.barrier()
    return ckpt.load_model(out, device)


def new_model(config: Config) -> ckpt.Model:
    """A fresh model with the initial weights of `config.seed`; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ckpt.make_model(config)


@dataclass
class RunState:
    """Where a run stands: steps done, seconds spent, best validation total so far (nats per image)."""

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    code: str = field(default_factory=lambda: commit())  # that the process began with; the checkout may move on

    def resumed(self, code: str) -> RunState:
        """The same state with the commits that trained it so far, oldest first, the one at work last."""
        before = [c for c in code.split(", ") if c != self.code]
        return replace(self, code=", ".join([*before, self.code]))


def _save(
    out: Path,
    model: ckpt.Model,
    optimizer: Optimizer,
    state: RunState,
    valid: Bound,
    data: ImageSet,
    world: int,
    final: bool,
    full: bool,
) -> None:
    total = float(valid.total)
    improved = full and total < state.best
    if improved:
        state.best = total
    card = {
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "best": state.best if math.isfinite(state.best) else None,
        "valid": {k: round(float(getattr(valid, k)), 3) for k in ("total", "recon", "kl_z", "kl_y")},
        "data": data_card(data),
        "hardware": hardware(next(model.parameters()).device, world),
        "commit": state.code,
    }
    if improved or final and not math.isfinite(state.best):
        ckpt.save_model(model, out / "best", card)
    ckpt.save_model(model, out / "last", card, training=ckpt.pack_optimizer(optimizer.state_dict()))


@torch.no_grad()
def validate(model: ckpt.Model, data: ImageSet, episodes: int = 32) -> Bound:
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


def _resume(out: Path, model: ckpt.Model, optimizer: Optimizer, data: ImageSet, resume: bool) -> RunState:
    try:
        folder = ckpt.find(out / "last")
    except ckpt.CheckpointError:
        return RunState()
    if not resume:
        raise ValueError(f"out: {out} holds a training run, expected an empty or new folder with resume=False")
    card = ckpt.load_card(folder)
    changed = [k for k, v in model.config.to_dict().items() if card["config"].get(k) != v]
    if changed or card["data"]["digest"] != data.digest:
        raise ValueError(
            f"out: {out} holds a run with other {', '.join(changed) or 'data'}; expected the same config and data to "
            "resume it, or another folder"
        )
    model.load_state_dict(ckpt.read_tensors(folder / ckpt.WEIGHTS))
    packed = ckpt.read_tensors(folder / ckpt.TRAINING)
    optimizer.load_state_dict(ckpt.unpack_optimizer(packed, optimizer.state_dict()))
    state = RunState(card["step"], card["seconds"], math.inf if card["best"] is None else card["best"])
    return state.resumed(card["commit"])


def _check_finite(bound: Bound, step: int) -> None:
    for term in ("recon", "kl_z", "kl_y"):
        value = float(getattr(bound, term).detach())
        if not math.isfinite(value):
            raise FloatingPointError(
                f"step {step}: {term} is {value}; the last checkpoint is kept. Try a lower lr or clip_norm"
            )


def _best_device() -> str:
    if named := os.environ.get("KPP_DEVICE"):  # for notebooks, which name none: an Apple GPU may lack an operation
        return named
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _join() -> tuple[int, int]:
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return (dist.get_rank(), world) if world > 1 else (0, 1)
