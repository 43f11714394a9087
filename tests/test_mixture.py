"""The discretised mixture of logistics against its definition: sums, a plain formula, gradients, moments, draws."""

import itertools
import math

import pytest
import torch

from kpp_lib.data.episodes import seeded
from kpp_lib.draws import Share
from kpp_lib.mixture import DiscretisedLogisticMixture

LEVELS = torch.arange(256).float() / 255


def one(mean, log_scale):
    """One component, one pixel, one channel: a mixture with batch shape [N] where N means are given."""
    mean = torch.as_tensor(mean)[..., None, None, None, None]
    return DiscretisedLogisticMixture(torch.zeros(mean.shape[:-1]), mean, torch.full(mean.shape, log_scale))


def some(batch=(2, 3), m=4, c=3, side=2, conditional=True, seed=0, log_scale=-3.0):
    """A mixture of random parameters of a usual size."""
    g = seeded(seed)
    maps = (side, side)
    logits = torch.randn(*batch, m, *maps, generator=g)
    means = torch.rand(*batch, m, c, *maps, generator=g)
    log_scales = log_scale + torch.randn(*batch, m, c, *maps, generator=g)
    coefficients = torch.randn(*batch, m, c * (c - 1) // 2, *maps, generator=g).tanh() if conditional else None
    return DiscretisedLogisticMixture(logits, means, log_scales, coefficients)


def parameters(p):
    return p.logits, p.means, p.log_scales, p.coefficients


def probabilities(p):
    """Of each grey value, one channel: [256, *batch]."""
    return p.log_prob(LEVELS.view(-1, *[1] * len(p.batch_shape), 1, 1, 1)).exp()


@pytest.mark.parametrize("mean", [-1e6, -3.0, -0.01, 0.0, 0.3, 100.5 / 255, 0.5, 1.0, 1.2, 1e6])
@pytest.mark.parametrize("log_scale", [-200.0, -30.0, -9.0, -5.5, -3.0, 0.0, 3.0, 12.0, 200.0])
def test_all_grey_values_have_probability_one_together(mean, log_scale):
    assert float(probabilities(one(mean, log_scale)).double().sum()) == pytest.approx(1, abs=2e-5)


def plain(grey, mean, scale):
    """The definition as it stands in PixelCNN++, in float64, in grey values."""

    def below(k):
        return 1 / (1 + math.exp(-((k - 255 * mean) / (255 * scale))))

    low = 0.0 if grey == 0 else below(grey - 0.5)
    high = 1.0 if grey == 255 else below(grey + 0.5)
    return high - low


@pytest.mark.parametrize(("mean", "scale"), [(0.5, 0.1), (0.02, 0.05), (0.9, 0.5), (0.4, 0.01), (1.3, 2.0)])
def test_it_is_the_plain_formula_where_that_is_stable(mean, scale):
    expected = torch.tensor([plain(k, mean, scale) for k in range(256)], dtype=torch.float64)
    torch.testing.assert_close(probabilities(one(mean, math.log(scale))).double(), expected, atol=1e-7, rtol=1e-4)


def test_a_mixture_over_channels_by_hand():
    """Components and conditional means by loops over one pixel, in float64."""
    p, g = some(batch=(), m=3, side=1), seeded(4)
    for _ in range(20):
        grey = torch.randint(0, 256, (3,), generator=g).tolist()
        x = [k / 255 for k in grey]
        total, weights = 0.0, p.logits.double().flatten().softmax(0).tolist()
        for k in range(3):
            a = p.coefficients[k].flatten().tolist()
            shift = [0.0, a[0] * (x[0] - 0.5), a[1] * (x[0] - 0.5) + a[2] * (x[1] - 0.5)]
            mean, scale = p.means[k].flatten().tolist(), p.log_scales[k].double().exp().flatten().tolist()
            each = [plain(grey[c], mean[c] + shift[c], scale[c]) for c in range(3)]
            total += weights[k] * math.prod(each)
        if total > 1e-9:  # else the plain formula cancels
            value = p.log_prob(torch.tensor(x).view(3, 1, 1)).item()
            assert value == pytest.approx(math.log(total), rel=1e-3, abs=1e-3)


def test_the_first_and_the_last_bin_take_the_tails():
    far, white = one(-2.0, math.log(0.01)), one(3.0, math.log(0.01))
    assert float(far.log_prob(torch.zeros(1, 1, 1))) == pytest.approx(0, abs=1e-6)
    assert float(white.log_prob(torch.ones(1, 1, 1))) == pytest.approx(0, abs=1e-6)
    p = probabilities(one(0.5, math.log(0.2)))
    assert float(p[0]) == pytest.approx(1 / (1 + math.exp((0.5 - 0.5 / 255) / 0.2)), rel=1e-5)
    assert float(p[0]) > 10 * float(p[1]) and float(p[255]) == pytest.approx(float(p[0]), rel=1e-4)


def test_images_are_independent_over_pixels_and_shapes_are_those_of_a_bernoulli():
    p = some(batch=(2, 3), side=2)
    assert p.batch_shape == (2, 3) and p.event_shape == (3, 2, 2) and p.mean.shape == (2, 3, 3, 2, 2)
    x = p.sample(generator=seeded(0))
    assert x.shape == (2, 3, 3, 2, 2) and p.log_prob(x).shape == (2, 3)
    parts = []
    for i, j in itertools.product(range(2), repeat=2):
        pixel = (..., slice(i, i + 1), slice(j, j + 1))
        parts.append(DiscretisedLogisticMixture(*(v[pixel] for v in parameters(p))).log_prob(x[pixel]))
    torch.testing.assert_close(torch.stack(parts).sum(0), p.log_prob(x))


@pytest.mark.parametrize("mean", [-1e4, 0.0, 0.5, 1.0, 1e4])
@pytest.mark.parametrize("log_scale", [-60.0, -8.0, 0.0, 60.0])
@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_value_and_gradients_are_finite_at_the_extremes(mean, log_scale, grey):
    maps = [torch.full((1, 3, c, 1, 1), v, requires_grad=True) for c, v in ((2, mean), (2, log_scale), (1, 0.5))]
    logits = torch.tensor([-80.0, 0.0, 80.0]).view(1, 3, 1, 1).requires_grad_()
    value = DiscretisedLogisticMixture(logits, *maps).log_prob(torch.full((1, 2, 1, 1), grey / 255))
    value.sum().backward()
    assert torch.isfinite(value).all() and all(torch.isfinite(v.grad).all() for v in (logits, *maps))


def test_gradients_are_those_of_the_definition():
    p = some(batch=(2,), m=2, side=1)
    x = p.sample(generator=seeded(1)).double()
    given = [v.double().requires_grad_() for v in parameters(p)]
    assert torch.autograd.gradcheck(lambda *v: DiscretisedLogisticMixture(*v).log_prob(x), given)


def test_a_far_value_still_has_a_gradient():
    """PixelCNN++'s difference of two F is 0 here, and needs a stand-in."""
    mean = torch.full((1, 1, 1, 1), 0.1, requires_grad=True)
    p = DiscretisedLogisticMixture(torch.zeros(1, 1, 1), mean, torch.full((1, 1, 1, 1), math.log(1e-3)))
    value = p.log_prob(torch.full((1, 1, 1), 230 / 255))
    value.backward()
    assert -900 < value.item() < -700 and mean.grad.item() == pytest.approx(1000, rel=0.01)


# --- draws and moments ----------------------------------------------------------------------------------------------


def test_draws_have_the_probabilities():
    p = some(batch=(), m=3, c=1, side=1, conditional=False)
    n = 40_000
    x = p.sample((n,), seeded(2)).flatten()
    counts = torch.bincount((255 * x).round().long(), minlength=256).double()
    expected = n * probabilities(p).double()
    likely = expected > 5
    chi2 = ((counts - expected)[likely].square() / expected[likely]).sum()
    freedom = int(likely.sum()) - 1
    assert abs(float(chi2) - freedom) < 5 * math.sqrt(2 * freedom)
    assert float(counts[~likely].sum()) < 5 * float(expected[~likely].sum()) + 20


@pytest.mark.parametrize("conditional", [True, False])
def test_draws_of_three_channels_have_the_probabilities(conditional):
    """E over draws of 1/p(x), on a box of values, counts the values in the box: for the joint law and no other."""
    p = some(batch=(), m=3, side=1, conditional=conditional, log_scale=-1.5, seed=1)
    x = p.sample((200_000,), seeded(3))
    inside = ((x > 60 / 255) & (x < 200 / 255)).flatten(1).all(1)  # 61 to 199, each channel
    weights = torch.where(inside, (-p.log_prob(x)).exp(), torch.zeros(len(x))).double()
    error = float(weights.std()) / math.sqrt(len(x))
    assert abs(float(weights.mean()) - 139**3) < 5 * error and error < 0.1 * 139**3


def test_three_channels_sum_to_one_over_what_is_left_of_them():
    """Over all values of blue, and of green, that follow a red one: conditional laws, summed exactly."""
    p = some(batch=(), m=3, side=1, log_scale=-2.0)
    step = 5
    red, green = torch.meshgrid(LEVELS[::step], LEVELS, indexing="ij")
    pairs = torch.stack([red.flatten(), green.flatten()], 1)
    summed = torch.zeros(len(pairs), dtype=torch.float64)
    for blue in LEVELS:
        x = torch.cat([pairs, blue.expand(len(pairs), 1)], 1)[..., None, None]
        summed += p.log_prob(x).double().exp()
    by_red = summed.view(-1, 256).sum(1)  # p(red) at each fifth red
    first = DiscretisedLogisticMixture(p.logits, p.means[:, :1], p.log_scales[:, :1])
    torch.testing.assert_close(by_red, probabilities(first).double()[::step], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("log_scale", [-30.0, -6.0, -3.0, -1.0, 1.0, 8.0])
def test_the_mean_is_that_of_the_probabilities(log_scale):
    means = torch.linspace(-0.3, 1.3, 33)
    p = one(means, log_scale)
    exact = (probabilities(p).double() * LEVELS.double()[:, None]).sum(0)
    assert (p.mean.flatten() - exact).abs().max() <= 0.51 / 255


@pytest.mark.parametrize("log_scale", [-5.0, -3.0, -1.0, 0.5])
def test_the_mean_is_that_of_the_draws_with_conditional_channels(log_scale):
    p = some(batch=(4,), log_scale=log_scale)
    drawn = p.sample((4000,), seeded(5)).mean(0)
    assert (p.mean - drawn).abs().max() < 0.03 and (p.mean - drawn).abs().mean() < 0.008
    assert p.mean.min() >= 0 and p.mean.max() <= 1


def test_the_mean_takes_two_channels_before_as_independent_as_they_are():
    """Blue moves with red and green, which do not move with one another, far enough for the edges to cut it."""
    given = torch.tensor([0.0, 1.0, 1.0]).view(1, 3, 1, 1)
    scales = torch.full((1, 3, 1, 1), math.log(0.5))
    p = DiscretisedLogisticMixture(torch.zeros(1, 1, 1), torch.tensor([0.5, 0.5, -0.3]).view(1, 3, 1, 1), scales, given)
    drawn = p.sample((40_000,), seeded(6)).mean(0)
    assert (p.mean - drawn).abs().max() < 0.01


def test_draws_are_levels_and_follow_their_generator():
    p = some()
    x = p.sample(generator=seeded(1))
    assert torch.equal(x, (255 * x).round() / 255) and 0 <= x.min() and x.max() <= 1
    assert torch.equal(x, p.sample(generator=seeded(1))) and not torch.equal(x, p.sample(generator=seeded(2)))
    assert p.sample((5,), seeded(1)).shape == (5, 2, 3, 3, 2, 2)


def test_processes_that_share_a_batch_draw_its_rows():
    p = some(batch=(4, 2))
    rows = [DiscretisedLogisticMixture(*(v[i : i + 2] for v in (p.logits, p.means, p.log_scales, p.coefficients)))
            for i in (0, 2)]  # fmt: skip
    shared = [part.sample(generator=Share(seeded(7), rank, 2)) for rank, part in enumerate(rows)]
    assert torch.equal(torch.cat(shared), p.sample(generator=seeded(7)))


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(means=torch.zeros(2, 2)), r"means: got shape \(2, 2\), expected finite numbers of shape"),
        (dict(means=torch.full((4, 3, 2, 2), torch.nan)), "means: got 48 of 48 values that are NaN"),
        (dict(logits=torch.zeros(5, 2, 2)), r"logits: got shape \(5, 2, 2\), expected .* \[4, 2, 2\]"),
        (dict(log_scales=torch.full((4, 3, 2, 2), torch.inf)), "log_scales: got 48 of 48 values that are NaN or infin"),
        (dict(coefficients=torch.zeros(4, 2, 2, 2)), r"coefficients: got shape \(4, 2, 2, 2\), expected .* \[4, 3, 2"),
        (dict(log_scales="wide"), "log_scales: got 'wide'"),
    ],
)
def test_parameters_that_are_wrong_are_named(change, message):
    p = some(batch=())
    right = {k: getattr(p, k) for k in ("logits", "means", "log_scales", "coefficients")}
    with pytest.raises(ValueError, match=message):
        DiscretisedLogisticMixture(**(right | change))


def test_one_channel_has_no_coefficients():
    with pytest.raises(ValueError, match="coefficients: got some for one channel, expected None"):
        DiscretisedLogisticMixture(
            torch.zeros(2, 1, 1), torch.zeros(2, 1, 1, 1), torch.zeros(2, 1, 1, 1), torch.zeros(2, 0, 1, 1)
        )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.full((1, 1, 1), 0.3333), r"value: got values in \[0.333, 0.333\] that are not all grey / 255, expected"),
        (torch.full((1, 1, 1), 128), "divide scans of 0 to 255 by 255"),
        (torch.zeros(3, 1, 1), r"value: got shape \(3, 1, 1\)"),
    ],
)
def test_values_that_have_no_probability_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        one(0.5, -2.0).log_prob(x)
