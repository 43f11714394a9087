"""Block reads against equation 9 written out; the placed write against its definition; gradients to the keys."""

import pytest
import torch
import torch.nn.functional as F

from kpp_lib import Config
from kpp_lib.data.episodes import seeded
from kpp_lib.maps import make_writer
from kpp_lib.memory import Pool, PooledWriter, PriorNet, place_blocks, read_blocks, window_grid


def equation_9(memory, s, x, y, size, align_corners):
    """One block by the double sum over memory pixels with tent weights, in pixel coordinates."""
    c, side, _ = memory.shape
    block = torch.zeros(c, size, size)
    for i in range(size):
        for j in range(size):
            u, v = ((2 * k / (size - 1) - 1) if align_corners else ((2 * k + 1) / size - 1) for k in (j, i))
            across, down = s * u + x, s * v + y  # eq. 8, in [-1, 1]
            if align_corners:
                px, py = ((p + 1) / 2 * (side - 1) for p in (across, down))
            else:
                px, py = (((p + 1) * side - 1) / 2 for p in (across, down))
            for n in range(side):
                for r in range(side):
                    block[:, i, j] += memory[:, n, r] * max(0, 1 - abs(px - r)) * max(0, 1 - abs(py - n))
    return block


@pytest.mark.parametrize("align_corners", [False, True])
def test_read_is_equation_9(align_corners):
    memory = torch.randn(2, 3, 8, 8, generator=seeded(0))
    windows = torch.tensor(
        [[[[0.5, 0.3, 0.5], [-0.4, -0.9, 0.2]]], [[[1.0, 0.0, 0.0], [0.25, 0.1, -0.6]]]]
    )  # [2, 1, 2, 3]
    blocks = read_blocks(memory, windows, 4, align_corners=align_corners)
    assert blocks.shape == (2, 1, 2, 3, 4, 4)
    for b in range(2):
        for k in range(2):
            expected = equation_9(memory[b], *windows[b, 0, k].tolist(), 4, align_corners)
            torch.testing.assert_close(blocks[b, 0, k], expected, atol=1e-5, rtol=1e-4)


def test_figure_11_reads_the_region_it_names():
    """theta = (0.5; 0.3, 0.5): x from -0.2 to 0.8, y from 0 to 1, y down."""
    grid = window_grid(torch.tensor([[0.5, 0.3, 0.5]]), 64)[0]
    half_pixel = 0.5 / 64
    torch.testing.assert_close(grid[0, 0], torch.tensor([-0.2 + half_pixel, 0.0 + half_pixel]))
    torch.testing.assert_close(grid[-1, -1], torch.tensor([0.8 - half_pixel, 1.0 - half_pixel]))


def test_tall_grid_equals_one_read_per_key():
    memory, g = torch.randn(2, 3, 16, 16, generator=seeded(1)), seeded(2)
    windows = torch.rand(2, 5, 3, 3, generator=g) - 0.5
    blocks = read_blocks(memory, windows, 8)
    for t in range(5):
        for k in range(3):
            one = F.grid_sample(memory, window_grid(windows[:, t, k], 8), padding_mode="zeros", align_corners=False)
            torch.testing.assert_close(blocks[:, t, k], one)


def test_each_episode_reads_its_own_memory():
    memory = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    windows = torch.tensor([0.5, 0.0, 0.0]).expand(2, 3, 2, 3)
    blocks = read_blocks(memory, windows, 4)
    assert blocks[0].abs().max() == 0 and blocks[1].min() == 1


def test_gradient_to_a_key_is_the_finite_difference_and_zero_outside():
    memory = torch.randn(1, 3, 8, 8, generator=seeded(3), dtype=torch.float64)
    window = torch.tensor([0.3, 0.11, -0.07], dtype=torch.float64).view(1, 1, 1, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: read_blocks(memory, w, 4), (window,), eps=1e-7)
    outside = torch.tensor([0.1, 3.0, 0.0], dtype=torch.float64).view(1, 1, 1, 3).requires_grad_()
    read_blocks(memory, outside, 4).sum().backward()
    assert torch.equal(outside.grad, torch.zeros_like(outside))


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"window: got shape \(3, 3\), expected .* \[1, T, K, 3\]"):
        read_blocks(torch.zeros(1, 3, 8, 8), torch.zeros(3, 3), 4)


def test_placing_equals_grid_sample_over_the_inverse_grid():
    g = seeded(4)
    blocks, windows = torch.randn(2, 3, 2, 3, 8, 8, generator=g), torch.rand(2, 3, 2, 3, generator=g)
    windows = torch.cat([windows[..., :1] * 0.4 + 0.1, windows[..., 1:] - 0.5], dim=-1)
    s, x, y = windows.reshape(-1, 3).unbind(-1)
    grid = window_grid(torch.stack([1 / s, -x / s, -y / s], -1), 32)
    masked = torch.cat([blocks.reshape(-1, 3, 8, 8), torch.ones(12, 1, 8, 8)], 1)
    placed = F.grid_sample(masked, grid, padding_mode="zeros", align_corners=False).view(2, 6, 4, 32, 32).sum(1)
    torch.testing.assert_close(
        place_blocks(blocks, windows, 32, 0.1), placed[:, :3] / (placed[:, 3:] + 0.1), atol=1e-5, rtol=1e-4
    )


def test_place_then_read_gives_a_lone_block_back():
    block = torch.randn(1, 1, 1, 3, 16, 16, generator=seeded(5))
    window = torch.tensor([0.25, 0.5, -0.25]).view(1, 1, 1, 3)  # pixels of block and memory coincide
    memory = place_blocks(block, window, 64, floor=1e-6)
    torch.testing.assert_close(read_blocks(memory, window, 16), block, atol=1e-4, rtol=1e-4)
    assert (memory == 0).float().mean() > 0.9  # the rest of the memory is empty


def test_two_blocks_at_one_place_are_averaged():
    blocks = torch.stack([torch.full((3, 8, 8), 1.0), torch.full((3, 8, 8), 3.0)]).view(1, 2, 1, 3, 8, 8)
    window = torch.tensor([0.5, 0.0, 0.0]).expand(1, 2, 1, 3)
    memory = place_blocks(blocks, window, 16, floor=1e-6)
    torch.testing.assert_close(memory[..., 6:10, 6:10], torch.full((1, 3, 4, 4), 2.0), atol=1e-4, rtol=0)


def test_placing_is_differentiable_in_blocks_and_windows():
    blocks = torch.randn(1, 2, 1, 1, 4, 4, generator=seeded(6), dtype=torch.float64, requires_grad=True)
    window = (
        torch.tensor([[0.31, 0.13, -0.21], [0.43, -0.2, 0.1]], dtype=torch.float64).view(1, 2, 1, 3).requires_grad_()
    )
    assert torch.autograd.gradcheck(lambda b, w: place_blocks(b, w, 8), (blocks, window), eps=1e-7)


@pytest.mark.parametrize(("write", "linear"), [("pooled", False), ("pooled", True), ("placed", False)])
def test_writers_give_a_memory_with_gradients(write, linear):
    config = Config.preset("tiny", "allocated", write=write, writer_linear=linear)
    seen = (config.embed,) if write == "pooled" else (8, 7, 7)
    e = torch.randn(2, config.length, *seen, generator=seeded(7), requires_grad=True)
    window = torch.tensor([0.25, 0.0, 0.0]).expand(2, config.length, config.reads, 3)
    memory = make_writer(config)(e, window)
    assert memory.shape == (2, 3, config.memory_size, config.memory_size)
    memory.square().sum().backward()
    assert torch.all(e.grad.abs().flatten(2).sum(-1) > 0)  # every image leaves something


def test_linear_writer_is_affine_and_the_default_is_not():
    for linear in (True, False):
        writer = PooledWriter(Config.preset("tiny", "paper", writer_linear=linear))
        a, b = (torch.randn(1, 4, 32, generator=seeded(i)) for i in (1, 2))
        midpoint, mean = writer((a + b) / 2, None), (writer(a, None) + writer(b, None)) / 2
        assert torch.allclose(midpoint, mean, atol=1e-5) is linear


def test_pooled_write_does_not_depend_on_the_order():
    e, pooled = torch.randn(1, 4, 32, generator=seeded(8)), PooledWriter(Config.preset("tiny", "paper"))
    torch.testing.assert_close(pooled(e, None), pooled(e.flip(1), None))


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_prior_net_shapes(size):
    config = Config.preset("tiny", block_size=size, latent=5)
    mean, log_var = PriorNet(config)(torch.randn(2, 3, config.reads, 3, size, size))
    assert mean.shape == log_var.shape == (2, 3, 5)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_two_matrix_products_are_grid_sample(mode, padding, align_corners):
    """What CUDA reads with, against what CPUs read with: blocks and gradients, windows far outside and mirrored too."""
    g = seeded(9)
    windows = torch.randn(2, 3, 2, 3, generator=g, dtype=torch.float64) * torch.tensor([0.5, 1.5, 1.5])
    memory, weights = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((2, 3, 16, 16), (2, 3, 2, 3, 8, 8)))
    results = []
    for products in (False, True):
        m, w = (v.clone().requires_grad_() for v in (memory, windows))
        blocks = read_blocks(m, w, 8, mode, padding, align_corners, products)
        (blocks * weights).sum().backward()
        results.append((blocks.detach(), m.grad, torch.zeros_like(w) if w.grad is None else w.grad))
    for by_sampling, by_products in zip(*results, strict=True):
        torch.testing.assert_close(by_products, by_sampling)


@pytest.mark.parametrize("kind", ["mean", "sum", "max", "attention", "recurrent"])
def test_pooling_takes_an_episode_of_any_length_in_any_order(kind):
    """All but the recurrent one; that one is the contrast."""
    torch.manual_seed(0)
    pool = Pool(Config.preset("tiny", "paper", pooling=kind))
    e = torch.randn(2, 5, 32, generator=seeded(0))
    assert pool(e).shape == pool(e[:, :1]).shape == (2, 32)
    moved = pool(e[:, [3, 0, 4, 1, 2]])
    assert torch.allclose(pool(e), moved, atol=1e-5) is (kind != "recurrent")


def test_pooling_by_the_definitions():
    e = torch.randn(2, 5, 32, generator=seeded(0))
    for kind, wanted in (("mean", e.sum(1) / 5), ("sum", e.sum(1)), ("max", e.max(1).values)):
        torch.testing.assert_close(Pool(Config.preset("tiny", "paper", pooling=kind))(e), wanted)
    attention = Pool(Config.preset("tiny", "paper", pooling="attention"))
    weights = torch.softmax(attention.scores(e), 1)  # [B, T, 4]: eight values each
    values = attention.values(e).view(2, 5, 4, 8)
    torch.testing.assert_close(attention(e), (weights[..., None] * values).sum(1).flatten(1))
