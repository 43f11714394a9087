"""Memories on disk: the same numbers again, for the weights that wrote them, or a clear error."""

import pytest
import torch
from tiny_model import episodes, tiny

import kpp_lib as kpp
from kpp_lib import CheckpointError


def saved(tmp_path, recipe="allocated"):
    model = tiny(recipe)
    memory = model.write(episodes())
    return model, memory, kpp.save_memory(model, memory, tmp_path / "digits.memory")


@pytest.mark.parametrize("recipe", ["allocated", "allocated", "paper"])
def test_a_memory_comes_back_as_it_was(tmp_path, recipe):
    model, memory, file = saved(tmp_path, recipe)
    assert torch.equal(kpp.load_memory(model, file), memory)
    kpp.save_memory(model, memory + 1, file)  # a memory may be replaced
    assert torch.equal(kpp.load_memory(model, file), memory + 1)
    assert [f.name for f in tmp_path.iterdir()] == ["digits.memory"]


def test_other_weights_cannot_read_it(tmp_path):
    model, _, file = saved(tmp_path)
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    with pytest.raises(CheckpointError, match="a memory of other weights"):
        kpp.load_memory(model, file)


def test_a_memory_of_smaller_cells_says_who_reads_it(tmp_path):
    model = tiny("allocated").holding(9)
    file = kpp.save_memory(model, model.write(episodes(1, 9)), tmp_path / "nine")
    with pytest.raises(CheckpointError, match=r"episodes of T = 9; this model holds T = 4: model.holding\(9\)"):
        kpp.load_memory(tiny("allocated"), file)
    assert kpp.load_memory(tiny("allocated").holding(9), file).shape == (1, 3, 16, 16)


def test_every_damaged_byte_is_found(tmp_path):
    model, memory, file = saved(tmp_path)
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert torch.equal(kpp.load_memory(model, file), memory)  # a space in the header changes nothing
        except CheckpointError:
            pass
    for length in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            kpp.load_memory(model, file)


def test_what_is_no_memory_stays_and_is_named(tmp_path):
    model, memory, _ = saved(tmp_path)
    (tmp_path / "mine.txt").write_text("a letter")
    for there in (tmp_path / "mine.txt", tmp_path):
        with pytest.raises(ValueError, match="which is no memory"):
            kpp.save_memory(model, memory, there)
        with pytest.raises(CheckpointError, match="expected what save_memory writes"):
            kpp.load_memory(model, there)
    assert (tmp_path / "mine.txt").read_text() == "a letter"
    with pytest.raises(CheckpointError, match="no such file"):
        kpp.load_memory(model, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="file: got 3"):
        kpp.save_memory(model, memory, 3)
    with pytest.raises(ValueError, match="memory: got"):
        kpp.save_memory(model, memory[:, :2], tmp_path / "new")
    with pytest.raises(ValueError, match="model: got"):
        kpp.save_memory(kpp.load_pretrained("mnist-vae-cpu"), memory, tmp_path / "new")
