"""Damaged and hostile checkpoints: CheckpointError, or the very model that was saved. Never another error or model."""

import hashlib
import json
import os
import random
import shutil
import struct
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from tiny_model import bar_set, tiny

import kpp_lib as kpp
from kpp_lib.training import checkpoint as ckpt
from kpp_lib.training import state
from kpp_lib.training.atomic import CARD, LOG, TRAINING, WEIGHTS
from kpp_lib.training.card import seal
from kpp_lib.training.optim import make_optimizer

CONFIG = kpp.Config.preset("tiny", "paper", steps=2, episodes=2)
MUTATIONS = 1000  # of each file


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The last checkpoint of a run, and its contents."""
    out = tmp_path_factory.mktemp("run")
    kpp.fit(CONFIG, bar_set(), out, quiet=True, device="cpu", log_every=1)
    return {p.name: p.read_bytes() for p in (out / "last").iterdir()}


@pytest.fixture
def folder(tmp_path, original):
    (tmp_path / "last").mkdir()
    for name, content in original.items():
        (tmp_path / "last" / name).write_bytes(content)
    return tmp_path / "last"


def resealed(folder, change=lambda card: None):
    """A card that fits its files again, as an attacker would make it, who can hash as well as we can."""
    card = json.loads((folder / CARD).read_text())
    for name in card["files"]:
        if (folder / name).is_file():
            card["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change(card)
    (folder / CARD).write_bytes(seal(card))


def refused(folder):
    """That load_model, load_card or going on says so; and that what was there is there still."""
    before = {p: p.read_bytes() for p in folder.parent.rglob("*") if p.is_file()}
    with pytest.raises(kpp.CheckpointError, match="expected|damaged"):
        kpp.load_model(folder)
    with pytest.raises((kpp.CheckpointError, ValueError), match="expected|damaged"):
        kpp.fit(CONFIG, bar_set(), folder.parent, quiet=True, device="cpu")
    assert {p: p.read_bytes() for p in folder.parent.rglob("*") if p.is_file()} == before


DEEP = "[" * 10_000 + "]" * 10_000
CARDS = {
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "a word": b'"card"',
    "nothing": b"",
    "deep": DEEP.encode(),
    "deep inside": b'{"format": 2, "config": ' + DEEP.encode() + b', "files": {}, "sha256": ""}',
    "half": b'{"format": 2, "config": {"ste',
    "a huge format": b'{"format": ' + b"9" * 5000 + b"}",
    "format true": b'{"format": true, "config": {}}',
    "format 1": b'{"format": 1, "config": {}, "sha256": "00"}',
    "no hash": b'{"format": 2, "config": {}, "files": {"weights.safetensors": ""}}',
    "NaN": b'{"format": NaN}',
    "a megabyte of blanks": b" " * 2**21,
    "a zero byte": b"\0",
    "latin-1": '{"format": 2, "name": "Müller"}'.encode("latin-1"),
}


@pytest.mark.parametrize("content", CARDS.values(), ids=CARDS.keys())
def test_hostile_cards(folder, content):
    (folder / CARD).write_bytes(content)
    refused(folder)
    with pytest.raises(kpp.CheckpointError):
        state.progress(folder.parent)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_cards_in_other_encodings(folder, encoding):
    (folder / CARD).write_bytes((folder / CARD).read_text().encode(encoding))
    refused(folder)


def test_a_name_that_stands_twice(folder):
    text = (folder / CARD).read_text()
    (folder / CARD).write_text(text.replace('"format": 2,', '"format": 2, "format": 2,'))
    refused(folder)


SEALED = {
    "config a list": lambda card: card.update(config=[]),
    "config of words": lambda card: card["config"].update(latent="eight"),
    "config of null": lambda card: card["config"].update(widths=None),
    "config of true": lambda card: card["config"].update(reads=True),
    "a config too many": lambda card: card["config"].update(speed=1),
    "a huge size": lambda card: card["config"].update(latent=10**30),
    "a size of terabytes": lambda card: card["config"].update(dense_width=10**7),
    "a billion layers": lambda card: card["config"].update(dense_layers=10**9),
    "another size": lambda card: card["config"].update(latent=9),
    "another model": lambda card: card["config"].update(write="none"),
    "no files": lambda card: card.update(files={}),
    "files a list": lambda card: card.update(files=[WEIGHTS]),
    "a hash of null": lambda card: card["files"].update({WEIGHTS: None}),
    "a file elsewhere": lambda card: card["files"].update({"../../secret": "00"}),
}


@pytest.mark.parametrize("change", SEALED.values(), ids=SEALED.keys())
def test_cards_that_are_sealed_and_wrong(folder, change):
    resealed(folder, change)
    refused(folder)


@pytest.mark.parametrize("missing", ["step", "best", "seconds", "commit", "data"])
def test_a_card_that_is_no_runs_is_not_gone_on_with(folder, missing):
    resealed(folder, lambda card: card.pop(missing))
    kpp.load_model(folder)
    with pytest.raises(kpp.CheckpointError, match=f"{missing}.*expected the checkpoint of a run"):
        kpp.fit(CONFIG, bar_set(), folder.parent, quiet=True, device="cpu")


# --- safetensors ------------------------------------------------------------------------------------------------------


def framed(header, data=b""):
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(2,), start=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


ATTACKS = {
    "nothing": b"",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "a header of exabytes": struct.pack("<Q", 2**63) + b"{}",
    "a header of 100 MB": struct.pack("<Q", 10**8) + b"{}",
    "no JSON": framed(b"{"),
    "not UTF-8": framed(b"\xff\xfe"),
    "a list": framed([]),
    "deep": framed(DEEP.encode()),
    "overlapping": framed({"a": entry(), "b": entry(start=4, end=12)}, bytes(12)),
    "a hole": framed({"a": entry(start=8, end=16)}, bytes(16)),
    "behind the end": framed({"a": entry(end=800)}, bytes(8)),
    "backwards": framed({"a": entry(start=8, end=0)}, bytes(8)),
    "negative": framed({"a": entry(shape=(-1,))}, bytes(8)),
    "a shape that overflows": framed({"a": entry(shape=(2**32, 2**32, 2**32))}, bytes(8)),
    "a dtype of ours": framed({"a": entry(dtype="F31")}, bytes(8)),
    "more than it says": framed({"a": entry()}, bytes(99)),
    "a dtype that torch lacks": framed({"a": entry(dtype="F4", shape=(16,))}, bytes(8)),
    "no tensor": framed({}),
    "a twin": framed(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],'
                     b'"data_offsets":[0,8]}}', bytes(8)),
}  # fmt: skip


@pytest.mark.parametrize("name", [WEIGHTS, TRAINING])
@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS.keys())
def test_safetensors_attacks(folder, content, name):
    (folder / name).write_bytes(content)
    with pytest.raises(kpp.CheckpointError, match="damaged"):
        kpp.load_model(folder)
    resealed(folder)
    with pytest.raises(kpp.CheckpointError, match="expected"):
        taken(ckpt.read_checkpoint(folder), name)


def taken(found, name, model=None):
    """The weights of a checkpoint given to a model, or the optimiser's state to an optimiser of it, as fit does."""
    model = tiny() if model is None else model
    if name == WEIGHTS:
        return ckpt.load_weights(model, found)
    try:
        ckpt.unpack_optimizer(ckpt.unpack(found, TRAINING), make_optimizer(model, model.config))
    except ValueError as error:
        raise kpp.CheckpointError(f"{error}; expected") from error


def first(tensors):
    return next(k for k, v in tensors.items() if v.is_floating_point() and v.dim() == 4)


TENSORS = {
    "missing": lambda t: t.pop(first(t)),
    "extra": lambda t: t.update(more=torch.zeros(2)),
    "misshapen": lambda t: t.update({first(t): t[first(t)].flatten()}),
    "of one number": lambda t: t.update({first(t): torch.zeros(())}),
    "double": lambda t: t.update({first(t): t[first(t)].double()}),
    "whole numbers": lambda t: t.update({first(t): t[first(t)].long()}),
    "bfloat16": lambda t: t.update({first(t): t[first(t)].bfloat16()}),
    "complex": lambda t: t.update({first(t): t[first(t)].cfloat()}),
    "NaN": lambda t: t[first(t)].view(-1)[3].fill_(float("nan")),
    "infinite": lambda t: t[first(t)].view(-1)[3].fill_(float("inf")),
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS.keys())
def test_wrong_tensors(folder, change):
    tensors = load((folder / WEIGHTS).read_bytes())
    change(tensors)
    (folder / WEIGHTS).write_bytes(save(tensors))
    resealed(folder)
    refused(folder)


STATES = {
    "NaN": lambda t: t[first(t)].view(-1)[0].fill_(float("nan")),
    "misshapen": lambda t: t.update({first(t): t[first(t)].flatten()}),
    "missing": lambda t: t.pop(first(t)),
    "of no weight": lambda t: t.update({"9999/step": torch.zeros(())}),
    "of no name": lambda t: t.update({"step": torch.zeros(())}),
    "empty": lambda t: t.clear(),
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES.keys())
def test_wrong_states_of_the_optimiser(folder, change):
    tensors = load((folder / TRAINING).read_bytes())
    change(tensors)
    (folder / TRAINING).write_bytes(save(tensors))
    resealed(folder)
    with pytest.raises(kpp.CheckpointError, match="expected"):
        kpp.fit(CONFIG, bar_set(), folder.parent, quiet=True, device="cpu")


# --- files that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CARD, WEIGHTS, TRAINING, LOG])
@pytest.mark.parametrize("kind", ["missing", "a folder", "a loop", "empty"])
def test_files_that_are_none(folder, name, kind):
    (folder / name).unlink()
    if kind == "a folder":
        (folder / name).mkdir()
    elif kind == "a loop":
        (folder / name).symlink_to(name)
    elif kind == "empty":
        (folder / name).touch()
    with pytest.raises(kpp.CheckpointError, match="expected|damaged"):
        kpp.load_model(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything; see the next test")
@pytest.mark.parametrize("name", [CARD, WEIGHTS, TRAINING])
def test_files_that_may_not_be_read(folder, name):
    (folder / name).chmod(0)
    with pytest.raises(kpp.CheckpointError, match="Permission denied; expected a file that can be read"):
        kpp.load_model(folder)


@pytest.mark.parametrize("name", [CARD, WEIGHTS, TRAINING])
def test_files_that_the_disk_does_not_give(folder, name, monkeypatch):
    real = Path.read_bytes

    def read(file):
        if file.name == name:
            raise OSError(5, "Input/output error")
        return real(file)

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(kpp.CheckpointError, match="Input/output error; expected a file that can be read"):
        kpp.load_model(folder)


def test_a_folder_that_is_a_loop(tmp_path):
    (tmp_path / "m").symlink_to("m")
    with pytest.raises(kpp.CheckpointError, match="no model.json"):
        kpp.load_model(tmp_path / "m")
    with pytest.raises((ValueError, kpp.CheckpointError)):
        kpp.save_model(tiny(), tmp_path / "m")


def test_a_link_to_a_checkpoint_elsewhere_stays_a_link(tmp_path, original):
    kpp.save_model(tiny(), tmp_path / "disk" / "m")
    (tmp_path / "m").symlink_to(tmp_path / "disk" / "m")
    kpp.save_model(tiny("paper"), tmp_path / "m")
    assert (tmp_path / "m").is_symlink() and kpp.load_model(tmp_path / "disk" / "m").config.recipe_name == "paper"


# --- a thousand mutations of each file --------------------------------------------------------------------------------


def mutated(content, draw):
    """`content` with a bit flipped, a piece cut out or repeated, two pieces swapped, bytes put in, or its end gone."""
    raw, at = bytearray(content), draw.randrange(len(content))
    size = min(draw.choice([1, 1, 2, 8, 64, 1024]), len(raw) - at)
    kind = draw.randrange(6)
    if kind == 0:
        raw[at] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del raw[at:]
    elif kind == 2:
        raw[at:at] = draw.randbytes(size)
    elif kind == 3:
        del raw[at : at + size]
    elif kind == 4:
        raw[at : at + size] = draw.randbytes(size)
    else:
        to = draw.randrange(len(raw) - size + 1)
        raw[at : at + size], raw[to : to + size] = raw[to : to + size], raw[at : at + size]
    return bytes(raw)


@pytest.mark.parametrize("name", [CARD, WEIGHTS, TRAINING, LOG])
def test_a_thousand_mutations(folder, original, name, monkeypatch):
    """What is read is what was written, or CheckpointError. The model is made for those alone that are let through."""
    draw, before, through = random.Random(f"damage {name}"), ckpt.read_checkpoint(folder), 0
    for _ in range(MUTATIONS):
        content = mutated(original[name], draw)
        (folder / name).write_bytes(content)
        try:
            found = ckpt.read_checkpoint(folder)
        except kpp.CheckpointError:
            continue
        through += 1
        assert found.card == before.card and found.files == before.files
    assert through < MUTATIONS / 2  # blanks between the words of a card mean nothing


@pytest.mark.parametrize("name", [WEIGHTS, TRAINING])
def test_mutations_that_fit_their_hash(folder, original, name):
    """What the hash would have caught, one layer down: CheckpointError, or tensors of the right kind."""
    draw, model, through = random.Random(f"sealed {name}"), tiny("paper"), 0
    found = ckpt.read_checkpoint(folder)
    header = struct.unpack("<Q", original[name][:8])[0] + 8
    for i in range(MUTATIONS):
        front, back = original[name][:header], original[name][header:]
        content = mutated(front, draw) + back if i % 2 else mutated(front + back, draw)
        found.files[name] = content
        try:
            taken(found, name, model)
        except kpp.CheckpointError:
            continue
        through += 1
        assert all(v.isfinite().all() for v in model.state_dict().values())
    assert through  # a flipped bit of a weight is another weight: that is what the hash is for


def test_the_mutations_do_something(original):
    draw = random.Random(0)
    assert len({mutated(original[CARD], draw) for _ in range(100)}) > 90


# --- nothing of somebody else's is replaced ---------------------------------------------------------------------------


@pytest.mark.parametrize("files", [["thesis.tex"], ["weights.safetensors"], ["a/b.txt"]])
def test_a_folder_that_is_no_checkpoint_is_not_replaced(tmp_path, files):
    for file in files:
        (tmp_path / "thesis" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "thesis" / file).write_text("years of work")
    with pytest.raises(ValueError, match="thesis: holds .* and no model.json; expected a new folder, an empty one"):
        kpp.save_model(tiny(), tmp_path / "thesis")
    assert all((tmp_path / "thesis" / file).read_text() == "years of work" for file in files)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_model_json_of_another_program_is_no_checkpoint(tmp_path):
    (tmp_path / "booster").mkdir()
    files = {"model.json": '{"learner": {}, "version": [2, 1, 0]}', "log.csv": "years of work"}
    for name, text in files.items():
        (tmp_path / "booster" / name).write_text(text)
    with pytest.raises(ValueError, match="model.json: not of a checkpoint of ours, which names its format"):
        kpp.save_model(tiny(), tmp_path / "booster")
    assert {p.name: p.read_text() for p in (tmp_path / "booster").iterdir()} == files


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    with pytest.raises(ValueError, match="thesis: no folder; expected a new one"):
        kpp.save_model(tiny(), tmp_path / "thesis")
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_a_strangers_file_inside_a_checkpoint_moves_to_the_next(tmp_path):
    folder = kpp.save_model(tiny(), tmp_path / "m")
    (folder / "notes.txt").write_text("mine")
    (folder / "plots").mkdir()
    kpp.save_model(tiny("paper"), folder)
    assert (folder / "notes.txt").read_text() == "mine" and (folder / "plots").is_dir()
    assert [p.name for p in tmp_path.iterdir()] == ["m"] and kpp.load_model(folder).config.recipe_name == "paper"


@pytest.mark.parametrize(
    "name", [".m.kpp-new-1234", ".m-abcd", ".m.kpp-new-00000000-1-x-y", ".m.old", ".other.kpp-new-1"]
)
def test_hidden_folders_that_are_not_provably_ours_and_dead_stay(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / WEIGHTS).touch()
    kpp.save_model(tiny(), tmp_path / "m")
    assert (tmp_path / name / WEIGHTS).exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="start times come from /proc")
def test_hidden_folders_of_dead_writers_go(tmp_path):
    from kpp_lib.training import atomic, lock

    dead, alive = lock.Owner.me()._replace(started="0.0"), lock.Owner.me()
    for owner in (dead, alive):
        left = tmp_path / (atomic._new_prefix(tmp_path / "m", owner) + "abcd")
        left.mkdir()
        (left / WEIGHTS).touch()
    kpp.save_model(tiny(), tmp_path / "m")
    assert sorted(p.name for p in tmp_path.iterdir()) == [left.name, "m"]


# --- what save_model takes --------------------------------------------------------------------------------------------


def test_wrapped_and_compiled_models_are_saved_as_themselves(tmp_path, monkeypatch):
    class Wrapped(torch.nn.Module):  # as DistributedDataParallel and AveragedModel hold it
        def __init__(self, module):
            super().__init__()
            self.module = module

    model = tiny()
    plain = kpp.save_model(model, tmp_path / "plain")
    for name, given in {"compiled": torch.compile(model), "wrapped": Wrapped(torch.compile(model))}.items():
        folder = kpp.save_model(given, tmp_path / name)
        assert (folder / WEIGHTS).read_bytes() == (plain / WEIGHTS).read_bytes()
        kpp.load_model(folder)
    model.decoder = torch.compile(model.decoder)  # a part of it
    assert (kpp.save_model(model, tmp_path / "part") / WEIGHTS).read_bytes() == (plain / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    "given", [torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2)), None, "mnist-cpu"]
)
def test_other_models_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match="model: got"):
        kpp.save_model(given, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    model = tiny()
    name, weight = next(iter(model.named_parameters()))
    weight.data.view(-1)[0] = float("nan")
    with pytest.raises(FloatingPointError, match=f"model: got NaN or infinity in {name}"):
        kpp.save_model(model, tmp_path / "m")
    weight.data.fill_(1e6)  # finite, but not in fp16
    with pytest.raises(FloatingPointError, match="model: got NaN or infinity"):
        kpp.save_model(model, tmp_path / "m", half=True)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("card", [{"x": torch.zeros(2)}, {"x": float("nan")}, {"x": {1, 2}}])
def test_a_card_that_json_cannot_hold(tmp_path, card):
    with pytest.raises(ValueError, match="card: .*expected what JSON can hold"):
        kpp.save_model(tiny(), tmp_path / "m", card)
    assert not (tmp_path / "m").exists()


def test_a_reader_beside_a_run_that_saves(tmp_path):
    """A card read before a swap and weights read after it: read again, for nothing is damaged."""
    folder = kpp.save_model(tiny(), tmp_path / "m", {"note": "old"})
    real, swapped = Path.read_bytes, []

    def read(file):
        if file.name == WEIGHTS and not swapped:
            swapped.append(kpp.save_model(tiny("paper"), folder, {"note": "new"}))
        return real(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", read)
        assert kpp.load_model(folder).config.recipe_name == "paper"
    shutil.rmtree(folder)
