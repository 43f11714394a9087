"""The public surface: every door has draws, and some hundred of them end in a right answer or a clear error."""

import inspect

import pytest
import torch
from surface import KINDS, Door, bad, judge, plain, run, same
from surface_all import DOORS, NO_DOORS

import kpp_lib as kpp
from kpp_lib.course import boards, keyspace, plots, widgets

NAMES = [d.name for d in DOORS]


def public(module):
    """The public functions that a module defines itself."""
    return [
        n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__ and n[0] != "_"
    ]


def test_every_public_name_has_a_door():
    modules = {"kpp": kpp.__all__} | {
        m.__name__.rpartition(".")[2]: public(m) for m in (keyspace, plots, boards, widgets)
    }
    wanted = {f"{module}.{name}" for module, names in modules.items() for name in names}
    assert not {n for n in wanted if n not in NO_DOORS and not any(d == n or d.startswith(n + ".") for d in NAMES)}


def test_some_hundred_draws_end_in_a_right_answer_or_a_clear_error():
    tally = run(DOORS, count=300, start=0)
    assert not tally.faults, "\n".join(tally.faults[:10])
    assert tally.counts["right"] > 60 and tally.counts["clear"] > 60 and sum(tally.counts.values()) >= 300


def test_the_same_seed_gives_the_same_draws():
    few = [d for d in DOORS if d.name in ("keyspace.mesh", "kpp.seeded")]
    assert run(few, 30, 1).counts == run(few, 30, 1).counts


# A judge that passes everything would pass the test above.


def root(x):
    if not isinstance(x, float):
        raise ValueError(f"x: got {x!r}, expected a float")
    return x**0.5


@pytest.mark.parametrize(
    ("call", "given", "kind"),
    [
        (root, plain("4.0", lambda: 4.0), "right"), (root, bad("'4'", lambda: "4"), "clear"),
        (root, plain("'4'", lambda: "4"), "wrong"),  # a refusal of a plain value
        (root, bad("4.0", lambda: 4.0), "wrong"),  # an answer where a refusal was due
        (lambda x: x.sqrt(), bad("'4'", lambda: "4"), "obscure"),
        (lambda x: torch.zeros(2)[x], bad("9", lambda: 9), "obscure"),
        (lambda x: root(-x), plain("4.0", lambda: 4.0), "wrong"),  # fails its check
    ],
)  # fmt: skip
def test_the_judge_tells_the_four_kinds_apart(call, given, kind):
    def check(result, x):
        assert result == 2.0

    assert judge(Door("root", call, {}, check), {"x": given})[0] == kind and kind in KINDS


def test_answers_are_compared_to_rounding():
    assert same({"a": [torch.ones(2), 1.0]}, {"a": [torch.ones(2) + 1e-7, 1.0]})
    assert not same(torch.ones(2), torch.ones(3)) and not same(1.0, 1.1) and not same((1,), [1])
