"""The checks at the doors: what is taken, in which form, and the sentence where it is not."""

import math

import numpy as np
import pytest
import torch

from kpp_lib.inputs import (
    check_count,
    check_device,
    check_flag,
    check_generator,
    check_images,
    check_number,
    check_pixels,
    check_positions,
    check_seed,
    check_tensor,
    check_whole,
    shown,
)

BITS = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
SHAPE = ("H", "W")


@pytest.mark.parametrize(
    "form",
    [BITS, BITS.double(), BITS.half(), BITS.bfloat16(), BITS.bool(), BITS.byte(), BITS.long(), BITS.numpy(),
     BITS.bool().numpy(), BITS.numpy().astype(">f8"), BITS.numpy().astype(np.uint16), BITS.numpy()[::-1][::-1]],
)  # fmt: skip
def test_binary_images_of_any_number_type_become_float32(form):
    taken = check_images("x", form, SHAPE)
    assert taken.dtype == torch.float32 and torch.equal(taken, BITS)


@pytest.mark.parametrize(
    ("value", "values", "message"),
    [
        (2 * BITS, "bits", r"x: got values in \[0, 2\] that are not all 0 or 1, expected binary images; for scans of"),
        (0.5 * BITS, "bits", r"x: got values in \[0, 0.5\] that are not all 0 or 1, .* load the data with binarize="),
        (255 * BITS.byte(), "grey", r"x: got values in \[0, 255\], expected images in \[0, 1\]; divide scans of 0"),
        (BITS / 0, "grey", "x: got values in .*nan"), (BITS / 0, "levels", "x: got values in .*nan"),
        (0.7 * BITS, "levels", r"x: got values in \[0, 0.7\] that are not all grey / 255, .*; \(255 \* x\).rou"),
        (255 * BITS, "levels", "x: got values in .* expected images of multiples of 1/255 .*; divide scans of"),
        (-BITS, "levels", "x: got values in .* expected images of multiples of 1/255"),
        (BITS[:0], "bits", r"x: got shape \(0, 2\), expected binary images of shape \[H, W\], not empty"),
        (BITS[None], "bits", r"x: got shape \(1, 2, 2\), expected binary images of shape \[H, W\]"),
        (BITS.to("meta"), "bits", r"x: got torch float32 of shape \(2, 2\), expected"),
        (BITS.to(torch.complex64), "bits", "x: got torch complex64"), (BITS.tolist(), "bits", r"x: got \[\[0.0, 1.0\]"),
        (None, "bits", "x: got None, expected binary images"), (np.array([["a"]]), "bits", "x: got numpy <U1"),
        (np.ma.masked_array(BITS.numpy()), "bits", "x: got numpy float32"),
    ],
)  # fmt: skip
def test_images_are_refused_with_what_to_do(value, values, message):
    with pytest.raises(ValueError, match="^" + message):
        check_images("x", value, SHAPE, values=values)


def test_every_grey_value_is_a_level_whatever_divided_it():
    grey = torch.arange(256).view(16, 16)
    for x in (grey / 255, grey.double() / 255, grey.numpy() / 255, grey.float() * (1 / 255)):
        assert torch.equal((255 * check_images("x", x, SHAPE, values="levels")).round(), grey.float())
    for way in ("none", "half"):
        x = {"none": grey[1:2, :1] / 255 + 0.1 / 255, "half": (grey / 255).half()}[way]
        with pytest.raises(ValueError, match="multiples of 1/255"):
            check_images("x", x, SHAPE, values="levels")


def test_tensors_keep_double_and_their_gradient_and_refuse_what_is_no_number():
    weights = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert check_tensor("y", weights, ("N", 3)) is weights
    assert check_tensor("y", weights, ("N", 3), dtype=torch.float32).requires_grad
    assert check_tensor("y", torch.arange(3), (3,)).dtype == torch.float32
    assert check_tensor("y", torch.zeros(4, 5, 3), ("...", 3)).shape == (4, 5, 3)
    for value, message in (
        (torch.tensor([1.0, math.nan]), "1 of 2 values that are NaN or infinite"), (torch.ones(2) > 0, "torch bool"),
        (torch.full((2,), 1e300, dtype=torch.float64), "2 of 2 values"),
        (torch.ones(3), r"shape \(3,\), expected .* \[2\]"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^y: got {message}"):
            check_tensor("y", value, (2,), dtype=torch.float32)


def test_a_tensor_elsewhere_is_refused_and_an_array_goes_where_the_model_is():
    meta = torch.device("meta")  # stands for a GPU: a place that is not this one
    assert check_tensor("y", np.zeros(2), (2,), torch.device("cpu")).device.type == "cpu"
    with pytest.raises(ValueError, match=r"^y: got a tensor on cpu, expected one on meta: y.to\('meta'\)"):
        check_tensor("y", torch.zeros(2), (2,), meta)


def test_an_array_is_copied_once_and_left_alone():
    array = np.zeros(3, dtype=np.float32)
    check_tensor("y", array, (3,)).add_(1)
    assert array.sum() == 0


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, -1, np.bool_(True), torch.tensor(1), math.nan])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match="^n: got .*, expected a whole number of at least 1"):
        check_count("n", value)


def test_counts_numbers_flags_and_seeds():
    assert [type(v) for v in (check_count("n", np.int64(3)), check_number("s", np.float32(3)))] == [int, float]
    assert check_flag("f", np.bool_(True)) is True and check_seed("s", 2**63 - 1) == 2**63 - 1
    for call, message in (
        (lambda: check_count("n", 9, most=3), "n: got 9, expected a whole number from 1 to 3"),
        (lambda: check_number("s", True), "s: got True, expected a finite number"),
        (lambda: check_number("s", 1.5, least=0, most=1), r"s: got 1.5, expected a number in \[0, 1\]"),
        (lambda: check_number("s", 0, above=0, below=0.5), r"s: got 0, expected a number in \(0, 0.5\)"),
        (lambda: check_number("s", 10**400), "s: got .*, expected a finite number"),
        (lambda: check_flag("f", 1), "f: got 1, expected True or False"),
        (lambda: check_seed("s", -1), r"s: got -1, expected a whole number from 0 to 2\*\*63 - 1"),
        (lambda: check_generator("g", 0), "g: got 0, expected a torch.Generator"),
        (lambda: check_generator("g", torch.Generator(), "cuda"), "g: got a generator on cpu, expected one on cuda"),
        (lambda: check_device("d", "gpu"), "d: got 'gpu', expected cpu, or a cuda or mps device"),
        (lambda: check_device("d", "cuda:99"), "d: got 'cuda:99'"),
    ):
        with pytest.raises(ValueError, match="^" + message):
            call()


def test_positions_and_masks_mean_the_same_images():
    mask = torch.tensor([True, False, True])
    for index in ([0, 2], (0, 2), np.array([0, 2]), torch.tensor([0, 2]).byte(), mask, mask.numpy(), mask.tolist()):
        assert check_positions("index", index, 3).tolist() == [0, 2]
    for index in ([3], [-1], [True, 0], mask[:2], [0.0], "01", [10**30]):
        with pytest.raises(ValueError, match="^index: got .*, expected one dimension of whole numbers from 0 to 2"):
            check_positions("index", index, 3)


def test_pixels_and_labels():
    scans = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    assert check_pixels(scans.numpy(), binary=False).tolist() == [[[[0, 255]]]]
    assert check_pixels(scans > 0, binary=True).dtype == torch.uint8
    with pytest.raises(ValueError, match="^pixels: got values up to 255 with binary=True, expected 0 and 1; for scans"):
        check_pixels(scans, binary=True)
    assert check_whole("labels", [3, 1], (2,)).tolist() == [3, 1]
    with pytest.raises(ValueError, match="^labels: got .*, expected whole numbers"):
        check_whole("labels", [True, False], (2,))


def test_what_was_given_is_one_short_line():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    for value in (Broken(), "x" * 10**6, 10**5000, list(range(10**5)), torch.zeros(10**6)):
        assert len(shown(value)) <= 200 and "\n" not in shown(value)
