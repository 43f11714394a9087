"""Draws at the doors: each public function with arguments of all kinds; what comes back is right, or a clear error.

An argument is drawn from a pool of `Given`s. A Given knows what it *means*: the plain value that the function must take
it for (a NumPy array for the tensor in it, a uint8 image for the float one), or that it has to be refused. So each call
has one right answer: a refusal in a sentence, or what the plain values give, which is checked by itself.

right    the answer is right, and equal to that of the plain values
clear    refused with ValueError, TypeError or an error of ours: "argument: got ..., expected ..."
obscure  any other error, a warning, or no answer in time
wrong    an answer where a refusal was due, another answer than the plain values give, or a refusal of plain values
"""

from __future__ import annotations

import contextlib
import io
import re
import signal
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

KINDS = ("right", "clear", "obscure", "wrong")
PATIENCE = 120  # seconds: what takes longer hangs, on the busiest machine


@dataclass(frozen=True)
class Given:
    """One value for an argument, made anew for each call; `means` makes the plain one, None where it is refused."""

    words: str
    make: Callable[[], Any]
    means: Callable[[], Any] | None

    def __repr__(self) -> str:
        return self.words


def plain(words: str, make: Callable[[], Any]) -> Given:
    """A value that means itself."""
    return Given(words, make, make)


def bad(words: str, make: Callable[[], Any]) -> Given:
    """A value that must be refused."""
    return Given(words, make, None)


Pool = st.SearchStrategy  # of Given


@dataclass(frozen=True)
class Door:
    """A public function: how it is called, two pools for each argument (plain values, others), and its check."""

    name: str
    call: Callable[..., Any]
    pools: dict[str, tuple[Pool, Pool]]
    check: Callable[..., None] = lambda result, **args: None  # AssertionError where an answer is wrong
    also: tuple[str, ...] = ()  # names that an error may give instead of an argument's
    weight: int = 4

    def __repr__(self) -> str:
        return self.name


@dataclass
class Tally:
    """How many draws ended how, and the faults in words."""

    counts: Counter = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@st.composite
def draws(draw: st.DrawFn, doors: list[Door]) -> tuple[Door, dict[str, Given]]:
    """A door, and a Given for each argument: mostly one that is strange, sometimes none or several."""
    door = draw(st.sampled_from([d for d in doors for _ in range(d.weight)]))
    names = list(door.pools)
    strange = draw(st.sets(st.sampled_from(names), max_size=2)) if names else set()
    return door, {name: draw(door.pools[name][name in strange]) for name in names}


def judge(door: Door, args: dict[str, Given]) -> tuple[str, str]:
    """How one call ends: a kind of `KINDS`, and why."""
    refuse = any(g.means is None for g in args.values())
    try:
        with _limits() as warned:
            result = door.call(**{name: g.make() for name, g in args.items()})
    except Exception as error:  # noqa: BLE001 - that is what is judged
        return _error(door, args, error, refuse)
    if warned:
        return "obscure", f"warns: {warned[0].message}"
    if refuse:
        return "wrong", f"an answer, {_short(result)}, where a refusal was due"
    return _answer(door, args, result)


def _error(door: Door, args: dict[str, Given], error: Exception, refuse: bool) -> tuple[str, str]:
    words = f"{type(error).__name__}: {str(error)[:300]}"
    named = re.match(r"([\w \[\]']+?)(?: of .*?)?: (?:got|expected) ", str(error)) or re.match(
        r"([\w.]+): ", str(error)
    )
    known = {*args, *door.also, *(f"{name}['a']" for name in args)}  # or an entry of a dict
    clear = isinstance(error, ValueError | TypeError) or type(error).__module__.startswith("kpp_lib")
    if not (clear and named and named[1] in known and "expected" in str(error)):
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "obscure", f"{words}   [{last.filename.rpartition('/')[2]}:{last.lineno}]"
    return ("clear", words) if refuse else ("wrong", f"refuses plain values: {words}")


def _answer(door: Door, args: dict[str, Given], result: Any) -> tuple[str, str]:
    try:
        usual = {name: g.means() for name, g in args.items()}
        with _limits():
            door.check(result, **usual)
            again = door.call(**{name: g.means() for name, g in args.items()})
    except Exception as error:  # noqa: BLE001
        return "wrong", f"{_short(result)} fails its check: {type(error).__name__}: {str(error)[:300]}"
    if not same(result, again):
        return "wrong", f"{_short(result)}, but the plain values give {_short(again)}"
    return "right", ""


ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # of an object in a sentence: another one each time


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal, up to rounding, as far as they can be compared."""
    if isinstance(a, torch.Tensor):
        ok = isinstance(b, torch.Tensor) and a.shape == b.shape
        return ok and torch.allclose(a.detach().double(), b.detach().double(), rtol=1e-4, atol=1e-5, equal_nan=True)
    if isinstance(a, float):
        return isinstance(b, float) and (a == b or abs(a - b) <= 1e-5 + 1e-4 * abs(b))
    if isinstance(a, torch.distributions.Distribution):
        return same(a.mean, b.mean) and same(a.stddev, b.stddev)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items() if k not in ("seconds", "date"))
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)
    if isinstance(a, str):
        return isinstance(b, str) and ADDRESS.sub("", a) == ADDRESS.sub("", b)
    return a == b if isinstance(a, int | bytes | type(None)) else True


@contextlib.contextmanager
def _limits() -> Iterator[list[warnings.WarningMessage]]:
    """Nothing printed, warnings caught, an alarm where the platform and the thread have one."""
    clock = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()

    def late(*_: Any) -> None:
        raise TimeoutError(f"no answer in {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late) if clock else None
    signal.alarm(PATIENCE) if clock else None
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("always")
            yield caught
    finally:
        if clock:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return (
            f"a tensor {tuple(value.shape)} in [{value.min():.3g}, {value.max():.3g}]"
            if value.numel()
            else "an empty tensor"
        )
    return repr(value)[:80]


def spelled(door: Door, args: dict[str, Given]) -> str:
    """The call in words."""
    return f"{door.name}({', '.join(f'{name}={g.words}' for name, g in args.items())})"


def run(doors: list[Door], count: int, start: int) -> Tally:
    """`count` draws from seed `start`."""
    tally = Tally()

    @seed(start)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(draws(doors))
    def draw(drawn: tuple[Door, dict[str, Given]]) -> None:
        kind, why = judge(*drawn)
        tally.counts[kind] += 1
        if kind in ("obscure", "wrong"):
            tally.faults.append(f"{kind}: {spelled(*drawn)}\n    {why}")

    draw()
    return tally
