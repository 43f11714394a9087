"""A reader's own images: tensors, data sets, folders; what is missing is taken by a seed, what is wrong is said."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import bars

import kpp_lib as kpp
from kpp_lib import Config, DataError, Images, ImageSet, cli
from kpp_lib.data.own import completed, labelled, read_folder
from kpp_lib.data.sources import Labelled

GREY = torch.arange(300, dtype=torch.uint8).repeat_interleave(16).view(300, 4, 4)  # image i is i mod 256 throughout


def counts(data):
    return [len(split) for split in (data.train, data.valid, data.test)]


# --- tensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        GREY,
        GREY[:, None],
        GREY[..., None].numpy(),
        GREY / 255,
        (GREY.double() / 255).numpy(),
        GREY.to(torch.int64),
        GREY.numpy().astype(np.uint16),
    ],
    ids=["N,H,W", "N,C,H,W", "N,H,W,C", "float", "double", "int64", "uint16"],
)
def test_the_same_images_in_any_form(given):
    data = ImageSet.from_tensors(given, binarize="none", quiet=True)
    seen = torch.cat([data.train.pixels, data.valid.pixels, data.test.pixels])
    assert seen.shape == (300, 1, 4, 4) and seen.dtype == torch.uint8
    assert torch.equal(seen[:, 0, 0, 0].sort().values, GREY[:, 0, 0].sort().values)
    assert data.digest == ImageSet.from_tensors(GREY, binarize="none", quiet=True).digest


def test_colour_with_channels_last():
    x = torch.randint(0, 256, (40, 8, 8, 3), dtype=torch.uint8, generator=kpp.seeded(0))
    data = ImageSet.from_tensors(x, x[:20], x[:20], binarize="none", quiet=True)
    assert torch.equal(data.train.pixels, x.permute(0, 3, 1, 2)) and counts(data) == [40, 20, 20]


@pytest.mark.parametrize("bits", [GREY % 2, GREY % 2 == 1, (GREY % 2).float(), (GREY % 2) * 255])
def test_bits_stay_bits_however_they_are_drawn(bits):
    for how in ("fixed", "dynamic", "threshold"):
        data = ImageSet.from_tensors(bits, bits, bits, binarize=how, quiet=True)
        drawn = data.train.draw(range(300), kpp.seeded(1))
        assert torch.equal(drawn[:, 0], (GREY % 2).float())
        assert data.valid.binary and data.train.redraw == (how == "dynamic")


def test_labels_come_along():
    labels = torch.arange(300) % 7
    data = ImageSet.from_tensors((GREY, labels), (GREY, labels.tolist()), GREY, binarize="none", quiet=True)
    assert torch.equal(data.train.labels, labels) and torch.equal(data.valid.labels, labels)
    assert data.test.labels is None


@pytest.mark.parametrize(("n", "held"), [(1000, 100), (300, 64), (256, 64), (200, 50), (20, 5), (3, 1)])
def test_what_is_missing_is_taken_by_the_seed(n, held, capsys):
    """A tenth, but two episodes of T = 32 where that is a quarter at most; no image is in two splits."""
    x = torch.arange(n)[:, None, None].expand(n, 2, 2).float() / n
    grey = {"train": Labelled((x[:, None] * 0).byte(), torch.arange(n))}
    splits, said = completed(grey, 0)
    assert [len(s.pixels) for s in splits.values()] == [n - 2 * held, held, held]
    assert said == f"valid and test: {held} images each, drawn with seed 0"
    assert sorted(torch.cat([s.labels for s in splits.values()]).tolist()) == list(range(n))
    assert not torch.equal(splits["valid"].labels, completed(grey, 1)[0]["valid"].labels) or n == 3
    only, said = completed(grey | {"test": grey["train"]}, 0)
    assert len(only["valid"].pixels) == held and len(only["test"].pixels) == n and said.startswith("valid: ")


def test_one_line_says_what_they_are(capsys):
    ImageSet.from_tensors(GREY, name="ramps")
    said = capsys.readouterr().err
    assert said.startswith("ramps from tensors: train 172, valid 64, test 64; binarize=dynamic (seeded draw 0; train")
    assert said.count("\n") == 1 and "valid and test: 64 images each, drawn with seed 0" in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([1, 2], "train: got \\[1, 2\\], expected a tensor or an array"),
        ("pngs", "train: got 'pngs', expected a tensor"),
        (GREY.float(), "train: got floats from 0 to 255, expected floats in \\[0, 1\\], or uint8"),
        (GREY / 255 * float("nan"), "train: got floats from nan to nan"),
        (GREY.to(torch.int64) * 2, "train: got values from 0 to 510"),
        (-GREY.to(torch.int64), "train: got values from -255 to 0"),
        (GREY[0], "train: got shape \\(4, 4\\)"),
        (GREY[:0], "train: got shape \\(0, 4, 4\\)"),
        (GREY[:, None].expand(-1, 2, -1, -1), "train: got shape \\(300, 2, 4, 4\\)"),
        (GREY[:, :3], "train: got images of 3x4 pixels, expected square ones"),
        ((GREY, torch.arange(3)), "train labels: got"),
        (GREY[:2], "train: got 2 images, expected more, to take valid and test from them"),
        (np.array(["a"]), "train: got an array of <U1"),
        (torch.zeros(4, 2, 2, dtype=torch.complex64), "train: got torch.complex64"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_said(given, says):
    with pytest.raises(ValueError, match=says):
        ImageSet.from_tensors(given, quiet=True)


def test_splits_of_two_sizes():
    with pytest.raises(ValueError, match="valid: got \\[1, 2, 2\\], expected \\[C, H, W\\] as in train, \\[1, 4, 4\\]"):
        ImageSet.from_tensors(GREY, GREY[:, :2, :2], GREY, quiet=True)


# --- data sets --------------------------------------------------------------------------------------------------------


class Listed:
    """A data set that is a list of items."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


@pytest.mark.parametrize("kind", ["PIL", "tensor", "array", "alone"])
def test_any_data_set(kind):
    kinds = {
        "PIL": lambda x: Image.fromarray(x.numpy()),
        "tensor": lambda x: x[None].float() / 255,
        "array": lambda x: x.numpy(),
        "alone": lambda x: x,
    }
    images = [kinds[kind](x) for x in GREY]
    data = ImageSet.from_dataset(
        *[Listed(images if kind == "alone" else [(x, i % 5) for i, x in enumerate(images)])] * 3,
        binarize="none", quiet=True,
    )  # fmt: skip
    assert torch.equal(data.test.pixels[:, 0], GREY) and data.source == "a data set"
    assert data.train.labels is None if kind == "alone" else torch.equal(data.train.labels, torch.arange(300) % 5)


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (3, "train: got 3, expected a data set with a length and items"),
        (Listed([]), "train: got .*expected a data set with a length"),
        (Listed(["a"]), "train: got item 0: str, expected PIL images"),
        (Listed([GREY[0], GREY[0, :2]]), "train: got image 1 of \\[2, 4\\] after \\[4, 4\\], expected images of one"),
    ],
)
def test_what_is_no_data_set_is_said(dataset, says):
    with pytest.raises(ValueError, match=says):
        ImageSet.from_dataset(dataset, quiet=True)


# --- folders ----------------------------------------------------------------------------------------------------------


def save(path, value, size=(40, 40), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def folder(tmp_path):
    for i in range(40):
        save(tmp_path / "pngs" / f"{i:03}.png", 6 * i)
    return tmp_path / "pngs"


def test_a_folder_of_pictures(folder):
    data = ImageSet.from_folder(folder, binarize="none", quiet=True)
    pixels = torch.cat([data.train.pixels, data.valid.pixels, data.test.pixels])
    assert pixels.shape == (40, 1, 28, 28) and counts(data) == [20, 10, 10] and data.name == f"folder:{folder}"
    assert sorted(pixels[:, 0, 0, 0].tolist()) == [6 * i for i in range(40)] and data.train.labels is None


def test_the_middle_square_is_averaged_turned_upright_and_on_white(tmp_path):
    wide = np.zeros((8, 16), np.uint8)
    wide[:, 4:8], wide[:, 8:12] = 255, 100  # the middle square: left half white, right half grey
    photo, exif = Image.fromarray(wide.T[:, ::-1].copy()), Image.Exif()
    exif[0x0112] = 8  # to be turned by a quarter, as a camera says it
    photo.save(tmp_path / "a.png", exif=exif)
    save(tmp_path / "b.png", (0, 0, 0, 0), (8, 8), "RGBA")  # transparent
    deep = Image.fromarray(np.full((8, 8), 257 * 60, np.uint16))  # 16 bits a pixel, as scanners write them
    deep.save(tmp_path / "c.png")
    x = read_folder(tmp_path, 2, True, False)[0]["train"].pixels
    assert x[1].unique().tolist() == [255] and x[2].unique().tolist() == [60]
    assert x[0, 0].tolist() in ([[255, 100], [255, 100]], [[100, 255], [100, 255]])


def test_splits_and_labels_are_subfolders(tmp_path):
    for split, n in (("train", 6), ("val", 4), ("test", 2)):
        for i in range(n):
            save(tmp_path / split / "ab"[i % 2] / f"{i}.png", 10 * i)
    data = ImageSet.from_folder(tmp_path, 8, binarize="none", quiet=True)
    assert counts(data) == [6, 4, 2] and data.note == ""
    assert data.valid.labels.tolist() == [0, 0, 1, 1] and data.test.labels.tolist() == [0, 1]


def test_damaged_files_are_named_and_counted(folder, capsys):
    whole = (folder / "001.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("a reader's notes are no picture, and not damaged")
    (folder / ".hidden.png").write_text("")
    data = ImageSet.from_folder(folder)
    assert "2 files could not be read: cut.png, text.jpg" in data.note and sum(counts(data)) == 40
    assert "cut.png" in capsys.readouterr().err


def test_dark_ink_on_light_paper_is_made_ones_and_that_is_said(tmp_path, capsys):
    for i in range(12):
        save(tmp_path / f"{i}.png", 250)
    for kind, pixels in ((ImageSet, lambda data: data.train.pixels), (Images, lambda data: data.pixels)):
        assert not pixels(kind.from_folder(tmp_path, binarize="threshold")).any()
        assert "most of the paper is light: dark ink is made ones" in capsys.readouterr().err
        for invert, value in ((True, 5), (False, 250), (None, 250)):  # grey is turned round only where asked for
            data = kind.from_folder(tmp_path, invert=invert, binarize="none")
            assert pixels(data).unique().tolist() == [value] and "most of the paper" not in capsys.readouterr().err
        with pytest.raises(ValueError, match="invert: got 'yes', expected True or False"):
            kind.from_folder(tmp_path, invert="yes")


def test_a_handful_of_pictures_is_one_split_in_the_order_of_names(folder, capsys):
    images = Images.from_folder(folder, 8)
    assert repr(images) == "Images(40 of [1, 8, 8], bits)" and repr(images) in capsys.readouterr().err
    assert images.pixels[:, 0, 0, 0].tolist() == [6 * i > 127 for i in range(40)]
    grey = Images.from_folder(folder, binarize="none", invert=True, quiet=True)
    assert grey.pixels[:, 0, 0, 0].tolist() == [255 - 6 * i for i in range(40)]
    assert Images.from_folder(folder, binarize="dynamic", quiet=True).redraw
    with pytest.raises(ValueError, match="binarize: got 'fixed', expected one of dynamic, threshold, none"):
        Images.from_folder(folder, binarize="fixed")


def test_a_data_set_shows_itself_in_one_line():
    data = ImageSet.from_tensors(torch.zeros(40, 8, 8, dtype=torch.uint8), quiet=True)
    assert repr(data) == f"ImageSet({data.describe()})" and "\n" not in repr(data)


def test_colours_that_are_lost_are_told(tmp_path):
    for i in range(12):
        save(tmp_path / f"{i}.png", (200, 40, 40) if i < 3 else (60 + i, 60, 60), mode="RGB")  # nine are nearly grey
    note = ImageSet.from_folder(tmp_path, quiet=True).note
    assert "3 pictures in colour, read as grey; colours stay with grey=False (kpp train: --set channels=3)" in note
    assert "colour" not in ImageSet.from_folder(tmp_path, grey=False, binarize="none", quiet=True).note


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_no_folder_no_pictures(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    says = {"empty": "no image in it \\(0 files\\)"}.get(name, "no such folder, expected one of image files")
    for kind in (ImageSet, Images):
        with pytest.raises(DataError, match=f"{name}: {says}"):
            kind.from_folder(tmp_path / name)


# --- training on them -------------------------------------------------------------------------------------------------


def test_the_command_line_takes_a_folder(tmp_path, capsys):
    x = bars(64).pixels
    for i, picture in enumerate(x):
        save(tmp_path / "my bars" / f"{i:03}.png", 0)
        Image.fromarray(picture[0].numpy() * 255).save(tmp_path / "my bars" / f"{i:03}.png")
    run, word = tmp_path / "run", f"folder:{tmp_path / 'my bars'}"
    options = ["--preset", "tiny", "--set", "steps=3", "--device", "cpu"]
    assert cli.main(["train", "--dataset", word, "--out", str(run), *options]) == 0
    assert f"--dataset '{word}'" in capsys.readouterr().out
    assert cli.main(["evaluate", "--checkpoint", str(run), "--dataset", word, "--orders", "1", "--device", "cpu"]) == 0
    assert "16 images" in capsys.readouterr().out
    for wrong, says in (("folder:nowhere", "a folder of image files that is there"), ("mnits", "folder:PATH")):
        with pytest.raises(SystemExit) as ended:
            cli.main(["train", "--dataset", wrong, "--out", str(run)])
        said = capsys.readouterr().err
        assert ended.value.code == 2 and says in said and said.count("\n") == 1


def test_too_few_for_two_episodes_is_said_before_training(tmp_path):
    data = ImageSet.from_tensors(bars(200).pixels, quiet=True)
    with pytest.raises(ValueError, match="100 train images, 50 valid images, 50 test images, expected two episodes of "
                       "T = 32 in each; length=25 is the most that fits"):  # fmt: skip
        kpp.fit(Config.preset("cpu"), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_pair_is_images_and_labels_and_not_two_images():
    assert labelled("x", (GREY, torch.zeros(300, dtype=torch.int64))).labels is not None
    with pytest.raises(ValueError, match="x labels: got"):
        labelled("x", (GREY, GREY))
