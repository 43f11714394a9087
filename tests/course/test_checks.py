"""The checks of the exercises: right answers pass, usual mistakes are explained, and no answer breaks one."""

import numpy as np
import pytest
import torch
from wrong_answers_00_02 import WRITTEN as EARLY
from wrong_answers_03_06 import WRITTEN as LATE

import exercises
from kpp_lib.course import checks
from kpp_lib.course.checks import Check, Verdict
from kpp_lib.course.checks.check import Case, Mistake
from kpp_lib.course.checks.compare import difference, show

WRITTEN = EARLY | LATE
ALL = {name: check for name in checks.__all__ if isinstance(check := getattr(checks, name), Check)}
MISTAKES = [(name, n) for name, check in ALL.items() for n in range(len(check.mistakes))]
SOURCES = exercises.sources()


def answer(name, code):
    """What a reader would hand over: the function or class `name` of some code in a notebook."""
    exercise = SOURCES[name]
    space = exercises.imports(exercises.notebook_of(exercise))
    exec(code, space)
    return space[name]


def test_every_check_belongs_to_an_exercise_and_carries_its_own_name():
    assert set(ALL) == set(SOURCES)
    assert all(check.name == name for name, check in ALL.items())


@pytest.mark.parametrize("name", ALL)
def test_the_definition_and_the_solution_pass(name):
    check = ALL[name]
    verdict = check.judge(answer(name, SOURCES[name].solution))
    assert verdict and verdict.state == "passed" and verdict.why == "", str(verdict)
    assert len(check.cases()) >= 2 and f"{len(check.cases())} of {len(check.cases())}" in str(verdict)


@pytest.mark.parametrize("name", ALL)
def test_every_check_knows_two_mistakes_at_least(name):
    reasons = [mistake.why for mistake in ALL[name].mistakes]
    assert len(set(reasons)) == len(reasons) >= 2


@pytest.mark.parametrize(("name", "n"), MISTAKES, ids=[f"{name}-{n}" for name, n in MISTAKES])
def test_every_known_mistake_is_rejected_with_its_own_reason(name, n):
    check = ALL[name]
    mistake = check.mistakes[n]
    verdict = check.judge(mistake.wrong) if check.adapt is None else _judged_adapted(check, mistake)
    assert not verdict and verdict.state == "failed"
    assert verdict.why == mistake.why, str(verdict)
    assert {"given", "got", "expected", "why"} <= {label for label, _ in verdict.details}


def _judged_adapted(check, mistake):
    """The mistake as a function of the cases' arguments, past the adapter that makes one of the reader's class."""
    plain = Check(check.call, check.right, check.cases, check.mistakes, None, check.tolerance)
    return plain.judge(mistake.wrong)


@pytest.mark.parametrize("name", ALL)
def test_what_readers_write_is_explained(name):
    assert len(WRITTEN[name]) >= 2
    for code, words in WRITTEN[name]:
        assert words
        verdict = ALL[name].judge(answer(name, code))
        assert verdict.state == "failed" and words in verdict.why, f"{code}\n{verdict}"


# --- the engine, on a check of its own ------------------------------------------------------------------------------

HALF = Check(
    "half(x)",
    lambda x: x / 2,
    lambda: [Case("x = [0, 0]", (torch.zeros(2),)), Case("x = [2, 4]", (torch.tensor([2.0, 4.0]),))],
    [Mistake("You doubled it.", lambda x: 2 * x), Mistake("You kept it.", lambda x: x)],
)


def unwritten(x):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [lambda x: None, lambda x: ..., unwritten])
def test_a_stub_is_not_written_yet(stub):
    verdict = HALF.judge(stub)
    assert not verdict and verdict.state == "not written yet" and verdict.why == "" and "Fill in" in str(verdict)


def test_torch_saying_not_implemented_is_no_stub():
    verdict = HALF.judge(lambda x: x.to("meta").tolist())
    assert verdict.state == "failed" and "NotImplementedError" in str(verdict)


@pytest.mark.parametrize("thing", [3, None, torch.ones(2), "half", ...])
def test_what_cannot_be_called_is_told_so(thing):
    verdict = HALF.judge(thing)
    assert verdict.state == "failed" and "no brackets" in verdict.why and "checks.half(half)" in verdict.why


def test_the_first_failing_case_is_shown_with_what_passed_before():
    verdict = HALF.judge(lambda x: 2 * x)
    text = str(verdict)
    assert verdict.why == "You doubled it." and "case 2 of 2" in text
    assert "[4, 8]" in text and "[1, 2]" in text and "passed    x = [0, 0]" in text and "given     x = [2, 4]" in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: -x / 2, "sign is turned"),
        (lambda x: 1.5 * x, "3 times"),
        (lambda x: x / 2 + 7, "None of the usual"),  # already off at zero: two equal numbers show no pattern but
        (lambda x: x.sum(), "summed"),
        (lambda x: x[None] / 2, "another shape"),
        (lambda x: torch.log(-1 - x), "NaN"),
        (lambda x: x[5], "called as half(x)"),
        (lambda: 1, "the number of your arguments"),
        (lambda x: undefined, "not been run"),  # noqa: F821
        (lambda x: x.add_(1) / 2, "x.clone()"),
        (lambda x: exit(), "called as half(x)"),
        (lambda x: HALF.judge and (lambda f: f(f))(lambda f: f(f)), "called as half(x)"),  # RecursionError
        (lambda x: "text", "None of the usual"),
        (lambda x: x / 2 if x.any() == 0 else None, "None of the usual"),  # nothing came back, but not at first
    ],
)
def test_other_wrong_answers_are_explained_and_never_raise(wrong, words):
    verdict = HALF.judge(wrong)
    assert verdict.state == "failed"
    if words == "None of the usual" and "off by the same" in verdict.why:
        return
    assert words in verdict.why, str(verdict)


def test_a_mistake_that_agrees_everywhere_is_preferred():
    two = Check(
        "f(x)",
        lambda x: x + 1,
        lambda: [Case("1", (1.0,)), Case("3", (3.0,))],
        [Mistake("square", lambda x: x * x), Mistake("same", lambda x: x)],
    )
    assert two.judge(lambda x: x).why == "same"  # in the failing case both give 1


def test_a_check_prints_once_and_a_notebook_shows_nothing_more(capsys):
    verdict = HALF(lambda x: x / 2)
    assert isinstance(verdict, Verdict) and verdict
    assert capsys.readouterr().out.splitlines()[0] == "half: passed, 2 of 2 cases."
    assert verdict._ipython_display_() is None and capsys.readouterr().out == ""
    assert repr(verdict) == "<half: passed>"


def test_long_explanations_are_broken_into_lines():
    long = Check("half(x)", HALF.right, HALF.cases, [Mistake("word " * 60, lambda x: x)])
    assert max(map(len, str(long.judge(lambda x: x)).splitlines())) <= 100


def test_a_judgement_leaves_no_trace_and_is_the_same_everywhere():
    def spoil(x):
        torch.manual_seed(5)
        torch.set_default_dtype(torch.float16)
        torch.set_grad_enabled(False)
        return x / 2 if x.dtype == torch.float32 else None

    torch.manual_seed(1)
    state = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            assert HALF.judge(spoil)
            assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled()


def test_a_failed_line_is_quoted_without_a_path():
    def bad(x):
        return x @ torch.ones(9)

    text = str(HALF.judge(bad))
    assert "in the line: return x @ torch.ones(9)" in text and "/" not in text.split("in the line")[1].split("\n")[0]


class Unfinished:
    """What a reader may have half written."""

    def __init__(self, *args):
        pass

    def __repr__(self):
        raise RuntimeError("not yet")

    def __array__(self, *args, **kwargs):
        raise RuntimeError("not yet")


STRANGE = {
    "nothing in a list": [None, None],
    "a set": {1, 2},
    "complex": 1j,
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.zeros(2, device="meta"),
    "objects": np.array([object()]),
    "numbers of numpy": np.ones((2, 2)),
    "text": "0.5",
    "a dict": {"recon": None},
    "nan": float("nan"),
    "infinity": torch.tensor(float("inf")),
    "empty": torch.zeros(0),
    "integers": torch.arange(3),
    "bits": torch.ones(4, dtype=torch.bool),
    "a class": Unfinished,
    "an object": Unfinished(),
    "a function": len,
    "a generator": (n for n in range(3)),
}


@pytest.mark.parametrize("name", ALL)
def test_no_answer_of_any_kind_breaks_a_check(name):
    for kind, value in STRANGE.items():

        class Answer(Unfinished):
            write = find = staticmethod(lambda *args, value=value: value)

        verdict = ALL[name].judge(Answer if ALL[name].kind == "class" else lambda *args, value=value: value)
        assert verdict.state == "failed" and verdict.why and str(verdict), kind
    assert ALL[name].judge(Unfinished()).state == "failed"


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (1.0, torch.tensor(1.0), True),
        (torch.tensor(1.0), 1.0, True),
        (True, 1.0, False),
        (1, 1.0, True),
        ("used", "used", True),
        ("unused", "used", False),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]), False),  # a list is not a tensor
        ([torch.ones(2), 3.0], (torch.ones(2), 3.0), True),
        ([torch.ones(2)], (torch.ones(2), 3.0), False),
        (float("inf"), torch.tensor(float("inf")), True),
        (float("nan"), 1.0, False),
        (None, None, True),
    ],
)
def test_difference(got, expected, same):
    assert (difference(got, expected, 1e-4) is None) is same


def test_show_is_short():
    assert show(torch.tensor([[1.0, 0.123456]])) == "[[1, 0.1235]]"
    assert show(torch.zeros(5, 5)) == "a tensor of shape [5, 5]"
    assert len(show("x" * 1000)) <= 120
