"""Notebook 05: iterative reading (equation 7), and a clean-up with its control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .check import Case, Check, Mistake

# --- reading again and again ----------------------------------------------------------------------------------------


def _keys_of(picture: Tensor) -> Tensor:
    """A stand-in for q(Y|X): its mean."""
    return picture.mean().view(1)


def _read(keys: Tensor) -> Tensor:
    """A stand-in for memory and decoder: a picture that is nearer to a fixed point each time."""
    return torch.stack([0.5 * keys, 0.5 * keys + 0.4], -1)


def _path(cue: Tensor, keys_of: Callable, read: Callable, steps: int) -> list[Tensor]:
    pictures = [cue]
    for _ in range(steps):
        pictures.append(read(keys_of(pictures[-1])))
    return pictures


def _mixed(cue: Tensor, keys_of: Callable, read: Callable, steps: int) -> list[Tensor]:
    pictures = [cue]
    for _ in range(steps):
        pictures.append((read(keys_of(pictures[-1])) + cue) / 2)
    return pictures


def _fed_keys(cue: Tensor, keys_of: Callable, read: Callable, steps: int) -> list[Tensor]:
    keys, pictures = keys_of(cue), [cue]
    for _ in range(steps):
        pictures.append(read(keys))
        keys = 0.5 * keys + 0.5 * keys_of(pictures[-1])
    return pictures


CUE = torch.tensor([[3.0, 1.0]])
clean_up = Check(
    "clean_up(cue, keys_of, read, steps)",
    _path,
    lambda: [
        Case("one step", (CUE, _keys_of, _read, 1)),
        Case("four steps", (CUE, _keys_of, _read, 4)),
        Case("no step: the cue alone", (CUE, _keys_of, _read, 0)),
    ],
    [
        Mistake(
            "Every step looked at the cue again. The picture that was read is the next cue: equation 7 infers the keys "
            "from the last picture.",
            lambda cue, keys_of, read, steps: [cue] + [read(keys_of(cue)) for _ in range(steps)],
        ),
        Mistake(
            "The cue itself is missing: it is step 0, and the list has steps + 1 pictures.",
            lambda cue, keys_of, read, steps: _path(cue, keys_of, read, steps)[1:],
        ),
        Mistake(
            "One step too few: `steps` reads after the cue.",
            lambda cue, keys_of, read, steps: _path(cue, keys_of, read, steps - 1),
        ),
        Mistake(
            "The last picture alone came back. Return all of them: one needs the path to say where it leads.",
            lambda cue, keys_of, read, steps: _path(cue, keys_of, read, steps)[-1],
        ),
        Mistake(
            "The cue was mixed into each answer. Nothing but the memory answers: the cue only chooses where to look.",
            _mixed,
        ),
        Mistake(
            "Old and new keys were blended. Each picture gives its keys anew.",
            _fed_keys,
        ),
    ],
)

# --- who cleans? ----------------------------------------------------------------------------------------------------


def _errors(clean: Tensor, *pictures: Tensor, at: float | None = 0.5) -> list[Tensor]:
    if at is None:
        return [100 * (p - clean).abs().mean() for p in pictures]
    return [100 * ((p > at) != (clean > at)).float().mean() for p in pictures]


def _who(clean: Tensor, noisy: Tensor, own: Tensor, another: Tensor) -> dict[str, Any]:
    return _named(_errors(clean, noisy, own, another))


def _named(errors: list[Tensor], word: str | None = None) -> dict[str, Any]:
    nothing, own, another = errors
    if word is None:
        word = "nobody" if own >= nothing else "memory" if own < another else "decoder"
    return {"noisy": nothing, "own": own, "another": another, "who": word}


def _pictures(noisy: float, own: float, another: float) -> tuple[Tensor, ...]:
    """Clean bits and three pictures with so many wrong bits of a hundred, in greys."""
    clean = (torch.arange(100) % 2).float().view(1, 1, 10, 10)
    out = [clean]
    for count, grey in ((noisy, 0.1), (own, 0.3), (another, 0.2)):
        wrong = (torch.arange(100) < count).view_as(clean)
        bits = torch.where(wrong, 1 - clean, clean)
        out.append(grey + (1 - 2 * grey) * bits)
    return tuple(out)


who_cleans = Check(
    "who_cleans(clean, noisy, own, another)",
    _who,
    lambda: [
        Case("wrong bits: 10 % noisy, 3 % read, 12 % from another memory", _pictures(10, 3, 12)),
        Case("wrong bits: 10 % noisy, 4 % read, 4 % from another memory", _pictures(10, 4, 4)),
        Case("wrong bits: 2 % noisy, 3 % read, 12 % from another memory", _pictures(2, 3, 12)),
        Case("wrong bits: 30 % noisy, 5 % read, 12 % from another memory", _pictures(30, 5, 12)),
    ],
    [
        Mistake(
            "Greys were compared as they are. A *bit* is wrong if it lies on the wrong side of one half: p > 0.5 "
            "first.",
            lambda *v: _named(_errors(*v, at=None)),
        ),
        Mistake(
            "The answers were held against the noisy picture. The clean one is the target.",
            lambda clean, noisy, own, another: _named(_errors(noisy, clean, own, another)),
        ),
        Mistake(
            "A share between 0 and 1: the task asks for percent.",
            lambda *v: _named([e / 100 for e in _errors(*v)]),
        ),
        Mistake(
            "The control was not looked at. If another episode's memory cleans as well, the decoder does it: it can "
            "only draw digits.",
            lambda *v: _named(_errors(*v), "memory" if _who(*v)["own"] < _who(*v)["noisy"] else "nobody"),
        ),
        Mistake(
            "Doing nothing was not looked at. An answer with more wrong bits than the cue has cleaned nothing.",
            lambda *v: _named(_errors(*v), "memory" if _who(*v)["own"] < _who(*v)["another"] else "decoder"),
        ),
    ],
)
