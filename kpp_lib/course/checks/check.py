"""The engine: run an answer on small cases, and explain the first one that fails.

An answer is the reader's own function or class. A check knows the definition (`right`), small cases, and usual
mistakes, each as a wrong function with the reason why people write it. What an answer gives in a failing case is
held against what each wrong function gives there: if they agree, that is the explanation.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .compare import difference, show
from .verdict import FAILED, PASSED, UNWRITTEN, Verdict

HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Case:
    """One small question. `args` are copied for each call, so that an answer cannot spoil them."""

    given: str
    args: tuple


@dataclass(frozen=True)
class Mistake:
    """A wrong function that people write, and why they do."""

    why: str
    wrong: Callable[..., Any]


@dataclass(frozen=True)
class Outcome:
    """What a call gave: a value, or the exception that it raised."""

    value: Any = None
    error: BaseException | None = None
    spoiled: bool = False  # it changed its arguments in place

    @property
    def unwritten(self) -> bool:
        """Whether it looks like a stub: nothing came back, or a line of its own raised NotImplementedError."""
        if self.error is None:
            return self.value is None or self.value is ...
        line = traceback.extract_tb(self.error.__traceback__)[-1].line or ""
        own = "NotImplementedError" in line or not (line or str(self.error))  # torch raises it too, for some types
        return isinstance(self.error, NotImplementedError) and own


@dataclass(frozen=True)
class Check:
    """Call it with the reader's function or class: it prints a verdict and returns it. It never raises on an answer."""

    call: str  # how the answer is called, such as "kl(mean, std)"
    right: Callable[..., Any]  # the definition, of the same arguments
    cases: Callable[[], Sequence[Case]]  # made anew for each judgement
    mistakes: Sequence[Mistake] = ()
    adapt: Callable[[Any], Callable[..., Any]] | None = None  # of a class or a procedure, a function of the cases' args
    tolerance: float = 1e-4
    kind: str = "function"

    @property
    def name(self) -> str:
        """What the answer is called in the exercise."""
        return self.call.partition("(")[0].strip()

    def __call__(self, answer: Any) -> Verdict:
        verdict = self.judge(answer)
        print(verdict)
        return verdict

    def judge(self, answer: Any) -> Verdict:
        """The verdict, not printed."""
        if not callable(answer):
            return self._not_callable(answer)
        with sandbox():
            run = self._runner(answer)
            cases = self.cases()
            for number, case in enumerate(cases, start=1):
                outcome = attempt(run, case)
                if number == 1 and outcome.unwritten:
                    return Verdict(self.name, UNWRITTEN, f"{UNWRITTEN}. Fill in the cell, and run it again.")
                wrong = self._wrong(run, outcome, cases, number)
                if wrong:
                    passed = [("passed", "; ".join(c.given for c in cases[: number - 1]))] if number > 1 else []
                    headline = f"case {number} of {len(cases)} is not right yet."
                    return Verdict(self.name, FAILED, headline, (("given", case.given), *wrong, *passed))
        given = tuple((f"{n}.", case.given) for n, case in enumerate(cases, start=1))
        return Verdict(self.name, PASSED, f"passed, {len(cases)} of {len(cases)} cases.", given)

    def _runner(self, answer: Any) -> Callable[..., Any]:
        answer = answer if isinstance(answer, type) else bounded(answer)
        return self.adapt(answer) if self.adapt else answer

    def _not_callable(self, answer: Any) -> Verdict:
        details = (
            ("got", f"{type(answer).__name__} {show(answer)}"),
            ("expected", f"the {self.kind} {self.name} itself"),
            ("why", f"Hand over the {self.kind}, not what it gives: checks.{self.name}({self.name}), no brackets."),
        )
        return Verdict(self.name, FAILED, f"that is not a {self.kind}.", details)

    def _wrong(
        self, run: Callable[..., Any], outcome: Outcome, cases: Sequence[Case], number: int
    ) -> tuple[tuple[str, str], ...]:
        """What is wrong with the outcome of case `number`, () if nothing."""
        case = cases[number - 1]
        expected = attempt(self.right, case).value
        if outcome.error is not None:
            return self._raised(run, outcome, cases, case, expected)
        if outcome.spoiled:
            why = "It changed its argument in place (`x[...] =`, `x += 1`, `x.add_(1)`). Work on a copy: x.clone()."
            return ("got", "an argument that is no longer what it was"), ("expected", show(expected)), ("why", why)
        found = difference(outcome.value, expected, self.tolerance)
        if found is None:
            return ()
        why = self._known(run, outcome, cases, case) or found.pattern
        why = why or f"None of the usual mistakes gives this. Work the case by hand. It is called as {self.call}."
        return ("got", found.got), ("expected", found.expected), ("why", why)

    def _raised(
        self, run: Callable[..., Any], outcome: Outcome, cases: Sequence[Case], case: Case, expected: Any
    ) -> tuple[tuple[str, str], ...]:
        error, known = outcome.error, self._known(run, outcome, cases, case)
        why = known or f"It is called as {self.call}. Print the shapes of what comes in: they are those of the task."
        if not known and isinstance(error, TypeError) and "argument" in str(error):
            why = f"It is called as {self.call}: are these the names and the number of your arguments?"
        if not known and isinstance(error, NameError):
            why = "A name that is not defined: a typing error, or a cell above that has not been run."
        return ("got", _last_words(error)), ("expected", show(expected)), ("why", why)

    def _known(self, run: Callable[..., Any], outcome: Outcome, cases: Sequence[Case], case: Case) -> str:
        """The reason of the usual mistake that gives the same; one that agrees in all cases is preferred."""
        alike = [m for m in self.mistakes if self._same(outcome, attempt(m.wrong, case))]
        for mistake in alike if len(alike) > 1 else ():
            if all(self._same(attempt(run, c), attempt(mistake.wrong, c)) for c in cases):
                return mistake.why
        return alike[0].why if alike else ""

    def _same(self, a: Outcome, b: Outcome) -> bool:
        if a.error is not None or b.error is not None:
            return type(a.error) is type(b.error) and str(a.error) == str(b.error)
        return difference(a.value, b.value, self.tolerance) is None


@contextmanager
def sandbox() -> Iterator[None]:
    """The same surroundings in every notebook: float32, gradients on, random numbers of its own; all put back after."""
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(0)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def attempt(function: Callable[..., Any], case: Case) -> Outcome:
    """Call it with copies of the case's arguments; whatever it raises is an outcome, not an error of ours."""
    args = tuple(_copy(arg) for arg in case.args)
    try:
        value = function(*args)
    except (Exception, SystemExit) as error:
        return Outcome(error=error)
    return Outcome(value, spoiled=any(map(_changed, args, case.args)))


MOST = 10_000_000  # numbers in one tensor of an answer; the cases are small


def bounded(answer: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, stopped where it returns a tensor that would take minutes to look at."""

    def called(*args: Any, **named: Any) -> Any:
        value = answer(*args, **named)
        for part in value if isinstance(value, tuple | list) and len(value) <= 100 else (value,):
            if isinstance(part, torch.Tensor) and not part.is_nested and part.numel() > MOST:
                raise ValueError(f"the answer is a tensor of shape {list(part.shape)}, {part.numel():,} numbers")
        return value

    return called


def _copy(arg: Any) -> Any:
    return arg if callable(arg) else copy.deepcopy(arg)


def _changed(after: Any, before: Any) -> bool:
    return isinstance(before, torch.Tensor) and not torch.equal(after, before)


def _last_words(error: BaseException) -> str:
    """The exception and the line that it came from, without the path of a file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith(HERE) and f.line]
    line = f"\nin the line: {own[-1].line}" if own else ""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0] if first else ''}{line}"
