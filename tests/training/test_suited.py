"""What a data set asks of a model, and what a model asks of a data set."""

import pytest
import torch
from PIL import Image

import kpp_lib as kpp
from kpp_lib.training.suited import load_for, suited

COLOUR = {"channels": 3, "image_size": 32}
MIXTURE = {"likelihood": "logistic_mixture"}


@pytest.mark.parametrize(
    ("dataset", "binarize", "given", "expected"),
    [
        ("mnist", None, {}, {}),
        ("mnist", "none", {}, MIXTURE),
        ("cifar10", None, {}, COLOUR | MIXTURE),
        ("mazes", None, {"image_size": 64}, {"channels": 3} | MIXTURE),
        ("mazes", None, {"channels": 1}, {"image_size": 32}),
        ("mazes", "dynamic", {}, COLOUR),
        ("folder:photos", None, {"channels": 3}, MIXTURE),
        ("folder:photos", None, {"channels": 3} | MIXTURE, {}),
    ],
)
def test_a_data_set_asks_for_what_is_not_given(dataset, binarize, given, expected):
    assert suited(dataset, binarize, given) == expected
    kpp.Config.preset("tiny", **(expected | given))


def test_a_folder_is_read_as_the_model_sees(tmp_path):
    for i in range(8):
        Image.new("RGB", (40, 40), (10 * i, 0, 255)).save(tmp_path / f"{i}.png")
    config = kpp.Config.preset("tiny", channels=3, image_size=16, **MIXTURE)
    data = load_for(config, f"folder:{tmp_path}", "none")
    assert data.train.pixels.shape[1:] == (3, 16, 16) and data.train.pixels.dtype == torch.uint8
    assert load_for(kpp.Config.preset("tiny"), f"folder:{tmp_path}", "threshold").train.pixels.shape[1:] == (1, 28, 28)
