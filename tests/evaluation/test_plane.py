"""The key space in numbers: a judge that can tell, neighbours that are alike, rows that say what they show."""

import pytest
import torch
from tiny_model import bars, tiny

from kpp_lib import Config, Images, seeded
from kpp_lib.evaluation.plane import keys, neighbours, random_keys
from kpp_lib.evaluation.recognition import Judge
from kpp_lib.training.fit import new_model


def kinds(n, seed=0):
    """Three kinds of picture: a bar across, a bar down, a square; each at a random place."""
    g, pixels, labels = seeded(seed), torch.zeros(n, 1, 28, 28, dtype=torch.uint8), torch.arange(n) % 3
    for picture, kind, (top, left) in zip(
        pixels, labels, torch.randint(0, 8, (n, 2), generator=g).tolist(), strict=True
    ):
        high, wide = ((4, 20), (20, 4), (12, 12))[kind]
        picture[:, top : top + high, left : left + wide] = 1
    return Images(pixels, labels, True)


@pytest.fixture(scope="module")
def judge():
    return Judge(kinds(600), steps=150)


def test_a_judge_names_what_it_has_learned_and_not_noise(judge):
    real, noise = kinds(60, 1).pixels.float(), torch.rand(60, 1, 28, 28, generator=seeded(2))
    named, far = judge(real)
    assert named.float().mean() > 0.9 and far.mean() < 0.05
    lost, further = judge(noise)
    assert further.mean() > 0.3 and lost.float().mean() < named.float().mean()


def test_a_classifier_alone_is_not_believed(judge, monkeypatch):
    real = kinds(60, 1).pixels.float()
    monkeypatch.setattr(judge, "labels", (judge.labels + 1) % 3)  # the nearest image says something else
    assert not judge(real)[0].any()


def test_a_judge_wants_labels():
    with pytest.raises(ValueError, match="images: got no labels"):
        Judge(bars(40))


def test_rows_say_what_was_judged(judge, monkeypatch):
    monkeypatch.setattr(Judge, "__init__", lambda another, labelled: vars(another).update(vars(judge)))  # trained once
    vae = new_model(Config.preset("tiny", "vae")).eval()
    rows = random_keys(tiny(), kinds(40), judge, vae, steps=(0, 2), episodes=2)
    assert [r["pictures"] for r in rows] == [
        "images", "read back", "random keys, step 0", "random keys, step 2", "samples of the VAE"]  # fmt: skip
    assert rows[0]["to_stored"] == 0 and rows[0]["recognised"] > 0.9 and rows[2]["to_stored"] > 0
    assert "neighbours differ by" in keys(tiny(), kinds(40), kinds(200), episodes=2)[-1]


def test_neighbours_by_hand(monkeypatch):
    """Images in a row whose differences grow with the distance of their places."""
    model, n = tiny(), 4
    x = torch.zeros(8, 1, 28, 28)
    for i in range(8):
        x[i].view(-1)[: 10 * (i % n)] = 1
    place = torch.zeros(2, n, 1, 3)
    place[..., 1] = torch.tensor([-1.5, -0.5, 0.5, 1.5])[None, :, None]
    images = Images(x.byte(), None, True)
    monkeypatch.setattr("kpp_lib.evaluation.plane.episodes_of", lambda *args: x.view(2, n, 1, 28, 28))
    monkeypatch.setattr(model, "encode", lambda x: type("P", (), {"place": place})())
    # the nearest other: 10 bits each; all pairs: (6 * 10 + 4 * 20 + 2 * 30) / 12
    assert neighbours(model, images, 2, count=1) == pytest.approx(10 / (200 / 12), rel=1e-5)
    with pytest.raises(ValueError, match="count: got 4, expected at most the T - 1 = 3 others"):
        neighbours(model, images, 2, count=4)
