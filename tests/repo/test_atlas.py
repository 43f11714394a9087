"""What the explorer carries is the model's own: every number, in the order that network.js reads."""

import base64
import io
import json

import atlas
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import tiny
from torch import nn

from kpp_lib.course.keyspace import key_at, pictures

SIDE = 5
NUMBERS = ("weight", "bias", "mean", "var")  # in the order in which a layer packs them


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def data(model):
    return atlas.atlas(model, atlas.digits(model.config.length), SIDE)


def numbers(data):
    return torch.from_numpy(np.frombuffer(base64.b64decode(data["numbers"]), "<f2").astype(np.float32))


def flat(layers):
    """The layers that have numbers, those within residual blocks too, in the order in which they are run."""
    inner = [found for layer in layers for found in (flat(layer["layers"]) if "layers" in layer else [layer])]
    return [layer for layer in inner if "weight" in layer]


def test_every_weight_is_in_the_pack_once_and_nothing_else(model, data):
    places = [data["memory"], data["keys"]]
    places += [
        layer[name] for part in ("prior", "decoder") for layer in flat(data[part]) for name in NUMBERS if name in layer
    ]
    assert [start for start, _ in places] == [sum(n for _, n in places[:i]) for i in range(len(places))]
    assert sum(n for _, n in places) == len(numbers(data))
    nets = (model.prior_net, model.decoder)
    weights = sum(p.numel() for net in nets for p in net.parameters())
    weights += sum(p.numel() for net in nets for p in net.buffers() if p.ndim)  # BatchNorm's statistics
    assert len(numbers(data)) == weights + data["memory"][1] + data["keys"][1]


def test_each_layer_holds_its_own_numbers_in_torchs_order(model, data):
    pack = numbers(data)
    for name, net in (("prior", model.prior_net), ("decoder", model.decoder.up)):
        modules = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        convolutions = [layer for layer in flat(data[name]) if layer["kind"] != "norm"]
        assert len(convolutions) == len(modules)
        for found, module in zip(convolutions, modules, strict=True):
            for parameter, values in module.named_parameters():
                start, count = found[parameter]
                torch.testing.assert_close(pack[start : start + count], values.flatten(), rtol=1e-3, atol=1e-6)


def test_batch_norm_keeps_its_own_numbers():
    norm, pack = nn.BatchNorm2d(3).eval(), atlas.Pack()
    norm.running_var.data.copy_(torch.tensor([1.0, 2.0, 4.0]))
    assert atlas.layer(norm, pack) == {
        "kind": "norm", "eps": norm.eps, "weight": [0, 3], "bias": [3, 3], "mean": [6, 3], "var": [9, 3]
    }  # fmt: skip
    assert numbers({"numbers": pack.text()})[9:].tolist() == [1.0, 2.0, 4.0]


def test_memory_and_keys_are_those_of_the_episode(model, data):
    x = atlas.digits(model.config.length)
    with torch.no_grad():
        memory = model.write(x)
        y = model.infer(x, memory.half().float()).q_y.mean
    for name, expected in (("memory", memory), ("keys", y)):
        start, count = data[name]
        torch.testing.assert_close(numbers(data)[start : start + count], expected.flatten(), rtol=1e-3, atol=1e-6)


def test_the_map_shows_at_each_place_what_is_read_there(model, data):
    c = model.config
    sheet = Image.open(io.BytesIO(base64.b64decode(data["map"]["png"].partition(",")[2])))
    ink = 1 - torch.from_numpy(np.asarray(sheet).astype(np.float32)) / 255
    row, column, reach = 1, 3, 0.999
    centre = torch.tensor([reach * (2 * column / (SIDE - 1) - 1), reach * (2 * row / (SIDE - 1) - 1)])
    key = key_at(torch.cat([torch.tensor([c.window]), centre]), "centre").expand(1, c.reads, 3)
    with torch.no_grad():
        memory = model.write(atlas.digits(c.length)).half().float()
    tile = ink[28 * row : 28 * (row + 1), 28 * column : 28 * (column + 1)]
    torch.testing.assert_close(tile, pictures(model, memory, key)[0, 0], rtol=0, atol=1 / 255)


def test_the_episode_is_the_same_for_everyone_and_another_for_another_seed():
    a, b, c = atlas.digits(4), atlas.digits(4), atlas.digits(4, seed=1)
    assert a.shape == (1, 4, 1, 28, 28) and set(a.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_what_network_js_cannot_follow_is_refused():
    model = tiny("content", squash="in_frame", write_window=0.0)
    with pytest.raises(ValueError, match="squash = 'in_frame', expected 'centre'"):
        atlas.atlas(model, atlas.digits(model.config.length), SIDE)
    with pytest.raises(ValueError, match="GELU.*network.js"):
        atlas.layer(nn.GELU(), atlas.Pack())


def test_a_number_beyond_fp16_is_refused():
    with pytest.raises(ValueError, match="70000.*65504"):
        atlas.Pack().add(torch.tensor([1.0, 70000.0]))


def test_the_script_sets_one_name_and_no_more(data):
    text = atlas.script(data)
    start, end = "window.kppAtlas = ", ";\n"
    assert text.startswith(start) and text.endswith(end) and "</" not in text
    assert json.loads(text[len(start) : -len(end)]) == data
