"""Several processes, one run: under torchrun each takes its rows of every batch, and all hold the same weights.

`Config.episodes` is the batch of the run, not of a process. Batch, noise and BatchNorm statistics depend on seed and
step alone, so one process and eight do the same run, up to the order in which floats are added.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ..bound import Bound
from ..draws import Share

# How long a process waits for the others before it gives up. Torchrun sees a process that *died* at once; this bounds
# one that hangs. It has to be longer than what rank 0 does while the others wait: a validation of 32 episodes, a save.
TIMEOUT = timedelta(minutes=10)
T = TypeVar("T")
_joins = count()  # by this process so far; the same in all of them


class LostWorker(RuntimeError):
    """Another process of the run died or hangs; the message says which one this is, and how to go on."""


@dataclass(frozen=True)
class World:
    """The processes of a run: this one is `rank` of `size`. Alone, all methods give back what they are given."""

    rank: int = 0
    size: int = 1

    @classmethod
    def now(cls) -> World:
        """The processes that `joined` has brought together; alone outside of it."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def main(self) -> bool:
        """Whether this is process 0, which writes files, validates and shows progress."""
        return self.rank == 0

    def rows(self, episodes: int) -> slice:
        """Which of a batch of `episodes` are this process's; ValueError unless they divide evenly."""
        if episodes % self.size:
            self._refuse(
                f"episodes: got {episodes} for {self.size} processes, expected a multiple of {self.size}: "
                "each takes an equal share of the batch"
            )
        each = episodes // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrap(self, model: nn.Module) -> nn.Module:
        """What to call in place of `model` in training: it averages gradients, and BatchNorm sees the whole batch.

        The parameters are those of `model`, and its state_dict keeps its keys. All start from the weights of process 0.
        """
        if self.size == 1:
            return model
        synchronise(model)
        return DistributedDataParallel(model)

    def noise(self, generator: torch.Generator) -> torch.Generator | Share:
        """What to draw this process's noise with: the rows `rows` of the noise of the whole batch."""
        return generator if self.size == 1 else Share(generator, self.rank, self.size)

    def mean(self, bound: Bound) -> Bound:
        """The terms averaged over the processes, the same on all of them, for log and checks; no host sync."""
        if self.size == 1:
            return bound
        terms = torch.stack([bound.recon, bound.kl_z, bound.kl_y]).detach()
        dist.all_reduce(terms)
        return Bound(*(terms / self.size))

    def any(self, flag: bool) -> bool:
        """True on every process once it is on one: they stop after the same step. Goes through the CPU, so that no GPU
        is waited for."""
        if self.size == 1:
            return flag
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags)

    def wait(self) -> None:
        """Until all processes are here."""
        self.any(False)

    def of_main(self, value: T) -> T:
        """The value that process 0 has, such as the number of steps for which there is time."""
        return self.from_main(lambda: value)

    def from_main(self, make: Callable[[], T]) -> T:
        """What `make()` gives in process 0, on every process: only that one touches the disk.

        An error is raised there and reported once; the others end with SystemExit(2), without a word.
        """
        if self.size == 1:
            return make()
        box: list[Any] = [None, False]  # value, whether there is one
        try:
            if self.main:
                box = [make(), True]
        finally:
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        if not box[1]:
            raise SystemExit(2)
        return box[0]

    def agree(self, **facts: Any) -> None:
        """ValueError, on every process, unless all have the same facts, such as the same data."""
        if self.size == 1:
            return
        everyone: list[dict[str, Any]] = [{}] * self.size
        dist.all_gather_object(everyone, facts)
        for rank, theirs in enumerate(everyone):
            for name, value in theirs.items():
                if value != everyone[0][name]:
                    self._refuse(
                        f"{name}: got {value!r} in process {rank} and {everyone[0][name]!r} in process 0, expected the "
                        "same in all"
                    )

    def _refuse(self, reason: str) -> NoReturn:
        """ValueError for what is wrong in all processes alike: one of them says it."""
        raise ValueError(reason) if self.main else SystemExit(2)


@contextmanager
def joined() -> Iterator[None]:
    """Inside, `World.now()` has the processes that torchrun started; left at the end, also after an error.

    Without torchrun (no WORLD_SIZE) nothing happens. Tensors on the CPU go through gloo, those on CUDA through nccl. A
    collective that fails, since another process died or did not come within TIMEOUT, is a LostWorker.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        yield
        return
    _join()
    world = World.now()
    try:
        yield
    except RuntimeError as error:
        if not _from_collective(error):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher's: this process ends by itself, and says why
        atexit.register(time.sleep, 1)  # the launcher is to see the dead one first, and to name it as the cause
        raise LostWorker(
            f"process {world.rank} of {world.size} lost another one, which died or hangs; the launcher says which. "
            f"Called again, the run goes on from its last checkpoint. ({_reason(error)})"
        ) from error
    finally:
        dist.destroy_process_group()


@cache
def _meeting_place() -> tuple[dist.Store, int, int]:
    """Where the processes find each other, and rank and number, as torchrun says in the environment."""
    return next(dist.rendezvous("env://", timeout=TIMEOUT))


def _join() -> None:
    store, rank, size = _meeting_place()
    place = dist.PrefixStore(f"kpp{next(_joins)}", store)  # in a second run, what the first left must not be met
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=place, rank=rank, world_size=size, timeout=TIMEOUT)


def first_process() -> bool:
    """Whether this is the process that speaks for all; also before `joined` and after it."""
    return int(os.environ.get("RANK", 0)) == 0


def local_device(device: str) -> torch.device:
    """`device`; under torchrun, for CUDA, the GPU of this process. ValueError where there is none for it."""
    chosen = torch.device(device)
    if chosen.type == "cuda" and "LOCAL_RANK" in os.environ:
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(
                f"torchrun --nproc-per-node: got at least {local + 1}, expected at most {gpus}, one per GPU"
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    elif chosen.type == "mps" and World.now().size > 1:
        raise ValueError("device: got 'mps' for several processes, expected cpu or cuda")
    return chosen


def _from_collective(error: RuntimeError) -> bool:
    """Whether an error comes from a collective. Gloo raises plain RuntimeErrors, named by their text alone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def _reason(error: Exception) -> str:
    """ "[/src/gloo/pair.cc:1] Connection closed by peer [::1]:1. And more" -> "Connection closed by peer"."""
    return re.sub(r"^\[[^]]*\] *", "", str(error).strip().splitlines()[0]).split(" [")[0]


# --- BatchNorm over all processes ------------------------------------------------------------------------------------


def synchronise(model: nn.Module) -> None:
    """Give every BatchNorm of `model` the statistics of the whole batch, in place; parameters and names stay.

    Why not torch.nn.SyncBatchNorm: it refuses CPU tensors, and stops the GPU at each layer to look at the counts. Ours
    are equal shares (`World.rows`), so plain averages do.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and not isinstance(child, SyncedBatchNorm):
                setattr(parent, name, SyncedBatchNorm.of(child))


class SyncedBatchNorm(_BatchNorm):
    """BatchNorm whose training statistics are those of all processes' values together, for any [N, C, ...]."""

    @classmethod
    def of(cls, norm: _BatchNorm) -> SyncedBatchNorm:
        """One with the parameters and buffers of `norm`, the same tensors."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine)
        new._parameters, new._buffers, new.training = norm._parameters, norm._buffers, norm.training
        return new

    def _check_input_dim(self, x: Tensor) -> None:
        if x.dim() < 2:
            raise ValueError(f"x: got shape {tuple(x.shape)}, expected [N, C, ...]")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            mean, var = self._moments(x)
            n = x.numel() // x.shape[1] * dist.get_world_size()
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (n / (n - 1)), self.momentum)  # unbiased, as torch keeps it
        return _Normalised.apply(x, self.weight, self.bias, mean, var, self.eps)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance over all processes, [C] each, in the precision of the running statistics."""
        scratch = torch.zeros_like(self.running_mean)  # decides the precision, is otherwise not used
        mine = torch.stack(torch.batch_norm_update_stats(x, scratch, scratch.clone(), 0.0))  # [2, C]
        everyone = mine.new_empty(dist.get_world_size(), *mine.shape)
        dist.all_gather(list(everyone.unbind()), mine)
        means, variances = everyone.unbind(1)  # [processes, C] each
        return means.mean(0), variances.mean(0) + means.var(0, correction=0)


class _Normalised(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, where mean and var [C] are the moments of all processes' x."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float):
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx, dy: Tensor):
        x, weight, mean, var = ctx.saved_tensors
        scale = torch.ones_like(mean) if weight is None else weight
        # with the moments held fixed: dx = dy * scale / std, dw = sum(dy * x_hat), db = sum(dy), of this process
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            dy, x, scale, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([dw, db])
        dist.all_reduce(sums)
        # what reaches x through the moments: -scale / std * (mean(dy) + x_hat * mean(dy * x_hat)), over all processes
        n = x.numel() // x.shape[1] * dist.get_world_size()
        by_var, by_mean = -scale * (var + ctx.eps).rsqrt() * sums / n
        dx = dx + F.batch_norm(x, mean, var, by_var, by_mean, eps=ctx.eps)
        return dx, *((dw, db) if weight is not None else (None, None)), None, None, None
