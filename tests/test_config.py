"""Config: presets, recipes, errors that name the field."""

import copy
import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
import torch

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
    assert Config.preset("cpu", "content", write="pooled", squash="tanh", write_window=0.0).write == "pooled"


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
        Config(write="placed", latents="maps", squash="tanh")


NAMES = [f.name for f in dataclasses.fields(Config)]
STRANGERS = (
    None, True, "False", "3", 1.5, math.nan, math.inf, -1, 0, 10**400, (), [1], (True,) * 4, (1, 2), {}, object(), b"x",
    np.zeros(4), torch.tensor(3), torch.zeros(2),
)  # fmt: skip


def may_be(default, value):
    """Whether a value is of the kind of a field's default, told without the checks of Config."""
    if isinstance(default, bool | str):
        return type(value) is type(default)
    if isinstance(default, tuple):
        return isinstance(value, tuple | list) and len(value) == len(default) and all(map(may_be, default, value))
    return type(value) in ((int,) if isinstance(default, int) else (int, float))


@pytest.mark.parametrize("name", NAMES)
def test_a_field_takes_its_own_kind_only_and_says_which(name):
    default = getattr(Config(), name)
    for stranger in STRANGERS:
        if may_be(default, stranger):
            continue
        with pytest.raises(ValueError, match=f"^{name}: got .*, expected ") as error:
            Config(**{name: stranger})
        assert Config.expected(name) in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name", ["lr", "clip_norm", "weight_decay", "key_spread", "place_floor", "key_log_var"])
def test_no_number_is_infinite(name):
    for value in (math.inf, math.nan, -math.inf):
        with pytest.raises(ValueError, match=f"{name}: got (-?inf|nan), expected a finite number"):
            Config(**{name: value})


def test_numpy_numbers_become_pythons():
    config = Config(
        steps=np.int64(7), lr=np.float32(0.5), spectral_norm=np.bool_(False), widths=np.arange(8, 12).tolist()
    )
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
    assert [type(v) for v in (config.steps, config.lr, config.spectral_norm)] == [int, float, bool]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", [json.dumps, str])
def test_the_command_line_gives_the_same_value(name, style):
    for config in (Config(), Config.preset("paper", "allocated")):
        value = getattr(config, name)
        assert Config.parse(name, style(list(value) if isinstance(value, tuple) else value)) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("spectral_norm", "False", False), ("spectral_norm", "true", True), ("lr", "1e-3", 1e-3),
        ("steps", " 500", 500),
        ("widths", "8,8,16,16", (8, 8, 16, 16)), ("write", "placed", "placed"), ("key_log_var_range", "-7,2", (-7, 2)),
        ("recipe_name", "500", "500"), ("recipe_name", "", ""),
    ],
)  # fmt: skip
def test_words_of_the_command_line(name, text, value):
    assert Config.parse(name, text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spectral_norm", "no"), ("spectral_norm", "0"), ("spectral_norm", '"False"'), ("steps", "500.0"),
        ("steps", "true"),
        ("steps", ""), ("lr", "NaN"), ("lr", "Infinity"), ("widths", "8"), ("widths", "[8,8,8,"), ("write", "heap"),
        ("lr", "[" * 10_000),
    ],
)  # fmt: skip
def test_text_that_is_no_value_is_refused(name, text):
    with pytest.raises(ValueError, match=f"^{name}: got .*, expected ") as error:
        Config.parse(name, text)
    assert Config.expected(name) in str(error.value)


def test_parse_and_replace_name_an_unknown_field():
    for call in (lambda: Config.parse("momentum", "1"), lambda: Config().replace(momentum=1)):
        with pytest.raises(ValueError, match="Config field: got 'momentum', expected one of align_corners, "):
            call()
    with pytest.raises(ValueError, match="settings: got None, expected a dict"):
        Config.from_dict(None)


def test_a_config_is_still_a_plain_value():
    config = Config.preset("tiny", "slots")
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config) == config.replace()
    assert hash(config) == hash(config.replace()) and config != config.replace(lr=0.5)
    assert dataclasses.replace(config, steps=3).steps == config.replace(steps=3).steps == 3
    assert Config(lr=1) == Config(lr=1.0) and hash(Config(lr=1)) == hash(Config(lr=1.0))
