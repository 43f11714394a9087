"""Config: presets, recipes, errors that name the field."""

import json

import pytest

from kpp_lib import Config
from kpp_lib.config import PRESETS, RECIPES


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_preset_takes_every_recipe_and_survives_json(preset, recipe):
    config = Config.preset(preset, recipe)
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert (config.preset_name, config.recipe_name) == (preset, recipe)


def test_paper_preset_is_appendix_e():
    c = Config.preset("paper", "paper")
    assert (c.memory_channels, c.memory_size, c.writer_base, c.dense_width, c.dense_layers) == (3, 64, 256, 512, 3)
    assert (c.widths, c.shift, c.shift_div, c.reads, c.weight_decay) == ((64, 128, 256, 512), "all", 8, 2, 1e-3)
    assert (c.write, c.keys, c.spectral_norm, c.kl_y_warmup, c.kl_z_warmup) == ("pooled", "content", True, 0, 0)


def test_overrides_win():
    assert Config.preset("cpu", "slots", write="pooled", squash="tanh").write == "pooled"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("write", "heap"), ("keys", "hash"), ("shift", "some"), ("squash", "relu"), ("length", 0), ("length", 3.5),
        ("memory_size", 48), ("block_size", 2), ("window", 0.0), ("widths", (16, 32)), ("widths", (4, 8, 16, 32)),
        ("kl_y_warmup", 1.5), ("lr", 0.0), ("weight_decay", -1.0), ("log_var_range", (2.0, -6.0)), ("optimizer", "sgd"),
    ],
)  # fmt: skip
def test_bad_values_name_field_value_and_expectation(field, value):
    with pytest.raises(ValueError, match=rf"{field}: got .*expected") as error:
        Config(**{field: value})
    assert repr(value) in str(error.value)


def test_unknown_names():
    with pytest.raises(ValueError, match="preset: got 'huge', expected one of tiny, cpu, paper"):
        Config.preset("huge")
    with pytest.raises(ValueError, match="recipe: got 'magic'"):
        Config.preset("cpu", "magic")
    with pytest.raises(ValueError, match="momentum"):
        Config.from_dict({"momentum": 0.9})


def test_a_placed_write_needs_a_window_in_the_frame():
    with pytest.raises(ValueError, match="squash: got 'tanh'.*placed"):
        Config(write="placed", squash="tanh")
