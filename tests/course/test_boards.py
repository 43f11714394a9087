"""Boards: what stands where, measured in inches, and that a notebook shows them."""

import matplotlib

matplotlib.use("Agg")
import pytest
import torch
from IPython.core.pylabtools import print_figure
from matplotlib.image import BboxImage
from matplotlib.patches import FancyArrowPatch, Rectangle

from kpp_lib.course import boards, plots

MEMORY = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
WINDOWS = torch.tensor([[0.25, -0.5, 0.5], [0.25, 0.5, 0.0]])
BLOCKS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
CORNERS = torch.tensor([[-0.5, -0.5], [0.5, 0.5], [-2.0, 0.0]])  # the last one far outside


def key_view():
    return boards.key_view(MEMORY, WINDOWS, BLOCKS, torch.linspace(-9, 9, 7), torch.ones(7), IMAGES[0], "t")


def read_view(way=(0.0, 3.0, 4.0)):
    return boards.read_view(MEMORY, WINDOWS[0], CORNERS, BLOCKS[0], BLOCKS[1], torch.tensor(way))


def write_view():
    return boards.write_view(IMAGES[0], MEMORY, WINDOWS[:, None], 1, MEMORY[0].abs(), IMAGES[1])


def clean_view():
    return boards.clean_view(torch.zeros(1, 2, 2), {"cue": torch.eye(2)[None], "read": torch.ones(1, 2, 2)})


def outlines(fig):
    """(left, bottom, width, colour) of each window."""
    boxes = [p for p in fig.patches + fig.artists if isinstance(p, Rectangle) and not p.get_fill()]
    colours = {matplotlib.colors.to_hex(c): i for i, c in enumerate(plots.HEADS)}
    return [(p.get_x(), p.get_y(), p.get_width(), colours[matplotlib.colors.to_hex(p.get_edgecolor())]) for p in boxes]


def texts(fig):
    return [t.get_text() for t in fig.texts]


def pasted(fig):
    return [a for a in fig.artists if isinstance(a, BboxImage)]


@pytest.mark.parametrize("draw", [key_view, read_view, write_view, clean_view])
def test_a_notebook_shows_it_whole(draw):
    fig = draw()
    shown = print_figure(fig)  # None for a Figure that IPython takes for an empty one
    assert shown and shown.startswith(b"\x89PNG")
    for image in pasted(fig):
        left, bottom, right, top = image.get_window_extent().extents / fig.dpi
        assert left >= 0 and bottom >= 0 and right <= boards.WIDTH and top <= 2.35  # below the captions


def test_key_view_outlines_windows_over_the_memory():
    """The memory fills 2.2 inches from (0.1, 0.1); (s, x, y) is half-width and centre in [-1, 1], y down."""
    (first, second) = outlines(key_view())
    assert first == pytest.approx((0.1 + 1.1 * 0.25, 1.2 - 1.1 * 0.75, 0.55, 0))
    assert second == pytest.approx((0.1 + 1.1 * 1.25, 1.2 - 1.1 * 0.25, 0.55, 1))


def test_key_view_keeps_large_means_inside_their_box():
    dots = next(line for line in key_view().lines if line.get_marker() == ".")
    up = torch.tensor(dots.get_ydata())
    assert up.diff().min() >= 0 and float(up.min()) == pytest.approx(0.3) and float(up.max()) == pytest.approx(2.3)


def test_key_view_shows_what_it_was_given():
    memory, *blocks, decoded = (image.get_array() for image in pasted(key_view()))
    assert memory.shape == (16, 16, 3) and [b.shape for b in blocks] == [(8, 8, 3)] * 2
    assert torch.equal(torch.as_tensor(decoded.data), IMAGES[0, 0])


def test_key_view_draws_maps_as_maps():
    mean, std = torch.linspace(-20, 20, 36).view(4, 3, 3), torch.ones(4, 3, 3)
    fig = boards.key_view(MEMORY, WINDOWS[:1], BLOCKS[:1], mean, std, IMAGES[0])
    _, _, _, *maps = (image.get_array() for image in pasted(fig))
    assert [m.shape for m in maps] == [(3, 3, 3)] * 4 + [(3, 3)] * 4
    assert maps[0][0, 0, 2] > maps[0][0, 0, 0] and maps[3][2, 2, 0] > maps[3][2, 2, 2]  # blue is low, red high
    assert float(maps[4].max()) == pytest.approx(0.75)  # 1 is three quarters of the way from e^-3 to e


def test_the_arrow_starts_in_the_window_and_points_down_the_slope():
    (arrow,) = (a for a in read_view().artists if isinstance(a, FancyArrowPatch))
    start, end = (torch.tensor(p) for p in arrow._posA_posB)
    assert start.tolist() == pytest.approx([1.2 - 0.55, 1.2 - 0.55])  # the centre (-0.5, 0.5), y down
    assert (end - start).tolist() == pytest.approx([0.4 * 0.6, -0.4 * 0.8])  # (3, 4) to length 0.4, y down
    assert not [a for a in read_view((0.5, 0.0, 0.0)).artists if isinstance(a, FancyArrowPatch)]


def test_bars_share_one_scale_and_points_far_outside_are_left_out():
    fig = read_view((-2.0, 0.0, 4.0))
    bars = [p.get_height() for p in fig.artists if isinstance(p, Rectangle) and p.get_fill()]
    assert bars == pytest.approx([-0.45, 0.0, 0.9])
    assert len(next(line for line in fig.lines if line.get_marker() == ".").get_xdata()) == 2


def test_write_view_colours_the_images_own_windows_only():
    assert outlines(write_view()) == [pytest.approx((1.95 + 1.1 * 1.25, 1.2 - 1.1 * 0.25, 0.55, 0))]
    assert "image 1" in texts(write_view())
    change = pasted(write_view())[2].get_array()
    assert change.reshape(-1, 3)[MEMORY[0].abs().argmax()].tolist() == pytest.approx(
        matplotlib.colormaps["viridis"](1.0)[:3]
    )


def test_clean_view_counts_wrong_bits():
    said = texts(clean_view())
    assert [t for t in said if "%" in t] == ["50.0 % of the bits wrong", "100.0 % of the bits wrong"]
    assert {"clean", "cue", "read"} <= set(said)
