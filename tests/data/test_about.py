"""`kpp data NAME`: numbers, terms, and a sheet that shows images."""

import math

import pytest
import torch
from PIL import Image

import kpp_lib as kpp
from kpp_lib import cli, commands
from kpp_lib.data.about import SOURCES, about, entropy, sheet
from kpp_lib.data.load import DATASETS


def split(n, channels=1, **more):
    pixels = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, channels, 8, 8).contiguous()
    return kpp.Images(pixels, None, False, **more)


def image_set(images):
    return kpp.ImageSet("set", images, images, images, source="x", binarize="none", bits="grey")


def test_every_data_set_has_a_source_and_terms():
    assert set(SOURCES) == set(DATASETS)


def test_the_floor_is_the_entropy_of_a_draw():
    grey = torch.tensor([0, 51, 255, 255], dtype=torch.uint8).view(2, 1, 1, 2)  # p = 0, 0.2, 1, 1
    expected = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8)) / 2
    assert entropy(grey) == pytest.approx(expected, rel=1e-12)
    assert entropy(torch.full((3, 1, 28, 28), 127, dtype=torch.uint8)) == pytest.approx(784 * math.log(2), rel=1e-4)


def test_what_is_said():
    said = about(image_set(split(20)))
    assert "8x8, 1 channel; mean train 0.0373" in said and "floor" in said and "your own files" in said
    assert "floor" not in about(image_set(split(20, channels=3)))
    bits = kpp.ImageSet.from_tensors(torch.ones(40, 8, 8, dtype=torch.bool), quiet=True, binarize="fixed")
    assert "mean train 1.0000" in about(bits) and "floor" not in about(bits)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_each_image_once(channels):
    x = sheet(split(37, channels))
    assert x.shape == (channels, 4 * 10 - 2, 10 * 10 - 2) and x.dtype == torch.uint8
    shown = x[0, ::10, ::10].flatten()  # a corner of each
    assert sorted(shown.tolist()) == [*range(37), 255, 255, 255]


def test_a_row_of_a_sheet_is_a_walk():
    walks = torch.arange(3).repeat_interleave(15)
    shown = sheet(split(45, walks=walks))[0, ::10, ::10]  # [3, 10]
    assert sorted(shown[:, 0].tolist()) == [0, 15, 30] and (shown.diff(dim=1) == 1).all()


def test_the_command(tmp_path, capsys):
    for i in range(12):
        Image.new("L", (30, 30), 20 * i).save(tmp_path / f"{i:02}.png")
    out = tmp_path / "deep" / "sheet.png"
    assert cli.main(["data", f"folder:{tmp_path}", "--size", "16", "--sheet", str(out)]) == 0
    said = capsys.readouterr().out
    assert "train 6, valid 3, test 3" in said and "16x16, 1 channel" in said
    assert Image.open(out).size == (10 * 18 - 2, 16)
    assert cli.main(["data", f"folder:{tmp_path}", "--colour"]) == 0
    assert "28x28, 3 channels" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["data", "nothing"])
    assert "got 'nothing', expected one of mnist" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_gets_its_sheet(tmp_path, monkeypatch):
    for i in range(12):
        Image.new("L", (30, 30), 20 * i).save(tmp_path / f"{i:02}.png")

    def enough(*words):
        raise BrokenPipeError

    monkeypatch.setattr(commands, "print", enough, raising=False)
    monkeypatch.setattr(cli, "_forget_output", lambda: None)
    assert cli.main(["data", f"folder:{tmp_path}", "--sheet", str(tmp_path / "out" / "sheet.png")]) == 1
    assert Image.open(tmp_path / "out" / "sheet.png").size[0] > 200
