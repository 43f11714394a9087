"""Figures: how many axes, which labels, what they refuse; each also draws without an error."""

import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from kpp_lib.course import boards, diagram, plots

MEMORY = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))
WINDOWS = torch.tensor([[0.25, -0.5, 0.5], [0.25, 0.5, 0.0]])
LOG = [
    {"step": str(s), "split": split, "recon": "9", "kl_z": "2", "kl_y": "1"}
    for s in (1, 2)
    for split in ("train", "valid")
]

FIGURES = {
    "grid": (lambda: plots.grid(IMAGES, columns=3, titles=["a"] * 5, title="t"), 6),
    "rows": (lambda: plots.rows({"x": IMAGES, "reads": IMAGES[:2]}, columns=4), 8),
    "memory": (lambda: plots.memory(MEMORY, WINDOWS, ["red"]), 1),
    "blocks": (lambda: plots.blocks(torch.randn(4, 3, 8, 8), columns=2), 4),
    "training": (lambda: plots.training(LOG), 3),
    "curves": (lambda: plots.curves([0, 1], {"a": [1, 2], "b": [2, 1]}, "x", "y"), 1),
    "key_view": (
        lambda: boards.key_view(MEMORY, WINDOWS, torch.randn(2, 3, 8, 8), torch.zeros(8), torch.ones(8), IMAGES[0]),
        0,
    ),
    "read_view": (
        lambda: boards.read_view(
            MEMORY, WINDOWS[0], torch.rand(4, 4, 2), MEMORY[:, :4, :4], MEMORY[:, 4:8, :4], WINDOWS[1]
        ),
        0,
    ),
    "write_view": (
        lambda: boards.write_view(IMAGES[0], MEMORY, WINDOWS[:, None], 1, MEMORY[0].abs(), IMAGES[1]),
        0,
    ),
    "clean_view": (lambda: boards.clean_view(IMAGES[0], {"cue": IMAGES[1], "step 1": IMAGES[0]}), 0),
    "pictures": (lambda: plots.pictures(IMAGES, 3, "t"), 1),
    "atlas": (lambda: plots.atlas(MEMORY, WINDOWS[:, 1:], IMAGES[:2], torch.rand(9, 1, 28, 28), 0.7), 2),
    "system_map": (diagram.system_map, 1),
    "flow_maps": (lambda: diagram.flow_maps(dict.fromkeys(("write", "bound", "generate", "iterate"), "t")), 4),
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_draws_with_its_axes(name):
    draw, axes = FIGURES[name]
    fig = draw()
    fig.savefig(io.BytesIO())  # canvas.draw() of a bare Figure does nothing
    assert len(fig.axes) == axes
    plt.close("all")


def test_memory_picture_puts_nothing_at_grey_and_keeps_the_sign():
    m = torch.zeros(3, 4, 4)
    m[0, 0, 0], m[1, 1, 1] = 2.0, -2.0
    shown = plots.memory_picture(m)
    assert shown.shape == (4, 4, 3) and np.all(shown[3, 3] == 0.5)
    assert shown[0, 0, 0] == 1 and shown[1, 1, 1] == 0


def test_windows_stand_in_the_memorys_frame():
    patch = plots.memory(MEMORY, WINDOWS).axes[0].patches[0]
    assert (patch.get_x(), patch.get_y(), patch.get_width()) == (-0.75, 0.25, 0.5)
    assert plots.memory(MEMORY).axes[0].get_ylim()[0] > 0  # y points down
    plt.close("all")


def test_sheet_lays_pictures_out_row_by_row():
    tiles = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    assert plots.sheet(tiles, 2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 0], [2, 2, 0, 0]]


def test_atlas_wants_a_square():
    with pytest.raises(ValueError, match="tiles: got 5, expected a square number"):
        plots.atlas(MEMORY, WINDOWS[:, 1:], IMAGES, IMAGES, 0.7)
