"""Verdicts on answers of every kind: never an error of ours, never a wait."""

import pytest
import torch

from kpp_lib.course import checks
from kpp_lib.course.checks import Check
from kpp_lib.course.checks.check import MOST
from kpp_lib.course.checks.compare import difference, show

CHECKS = {name: value for name in checks.__all__ if isinstance(value := getattr(checks, name), Check)}


class Broken:
    def __repr__(self):
        raise RuntimeError("unfinished")


def loop():
    value = []
    value.append(value)
    return value


def deep():
    value = []
    for _ in range(5000):
        value = [value]
    return value


ANSWERS = {
    "huge": lambda: torch.zeros(1).expand(10**12),
    "huge rows": lambda: torch.zeros(1, 1).expand(10**9, 1000),
    "a pair of huge ones": lambda: (torch.zeros(1).expand(10**12),) * 2,
    "quantised": lambda: torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8),
    "sparse": lambda: torch.zeros(2, 2).to_sparse(),
    "meta": lambda: torch.zeros(2, device="meta"),
    "complex": lambda: torch.zeros(2, dtype=torch.complex64),
    "unfinished": Broken,
    "a list in itself": loop,
    "deep": deep,
    "a long dict": lambda: dict.fromkeys(range(10**5)),
    "a long list": lambda: [0.0] * 10**6,
    "words": lambda: "x" * 10**6,
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.filterwarnings("ignore")  # torch warns of quantised tensors
def test_no_answer_is_an_error_or_a_wait(name, answer, capsys):
    verdict = CHECKS[name](lambda *args: ANSWERS[answer]())
    assert not verdict and len(capsys.readouterr().out) < 3000


def test_a_huge_answer_is_stopped_with_its_size():
    found = str(checks.flip_bits(lambda x, share, generator: torch.zeros(1).expand(MOST + 1)))
    assert "ValueError: the answer is a tensor of shape [10000001], 10,000,001 numbers" in " ".join(found.split())


def test_shapes_are_compared_before_numbers_are_copied():
    assert difference(torch.zeros(1).expand(10**12), torch.zeros(3), 1e-4).got == "shape [1000000000000]"
    assert difference(torch.zeros(1, 1).expand(10**12, 1), [1.0, 2.0], 1e-4).expected == "a list of 2"


def test_anything_can_be_shown():
    assert show(ANSWERS["unfinished"]()) == "a Broken"
    assert show(ANSWERS["a list in itself"]()) == show(ANSWERS["deep"]()) == "[[[[[a list]]]]]"
    assert show(ANSWERS["quantised"]()) == "a sparse, quantised or meta tensor of shape [2]"
