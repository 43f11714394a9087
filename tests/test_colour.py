"""Grey and colour images from end to end, as a reader types it: train, evaluate, table, studies; what is refused."""

import json

import pytest
import torch
from PIL import Image
from tiny_model import bar_set, tiny

import kpp_lib as kpp
from kpp_lib import cli, commands
from kpp_lib.evaluation.plane import random_keys
from kpp_lib.evaluation.studies import clean_up, perturbation
from kpp_lib.likelihood import bits_per_dim
from kpp_lib.training.runlog import read_log

MIXTURE = "logistic_mixture"


def tinted(n, channels=3, size=12, seed=0):
    """n images uint8 [n, channels, size, size]: a square of a bright tint on a dark one."""
    g = kpp.seeded(seed)
    dark, bright = (torch.randint(low, low + 40, (n, channels, 1, 1), generator=g) for low in (0, 200))
    at = torch.randint(0, size // 2, (n, 2), generator=g).tolist()
    images = dark.expand(-1, -1, size, size).clone()
    for image, tint, (top, left) in zip(images, bright, at, strict=True):
        image[:, top : top + size // 2, left : left + size // 2] = tint
    return images.byte()


def tinted_set(channels=3, size=12):
    counts = {"train": 96, "valid": 16, "test": 16}
    given = {split: tinted(n, channels, size, n) for split, n in counts.items()}
    return kpp.ImageSet.from_tensors(**given, binarize="none", quiet=True)


def small(recipe="allocated", **overrides):
    """A mixture of 3 on images of 12 x 12 pixels."""
    settings = dict(likelihood=MIXTURE, mixture=3, channels=3, image_size=12, steps=4, episodes=2)
    return kpp.Config.preset("tiny", recipe, **(settings | overrides))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    for i, picture in enumerate(tinted(64)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{i:03}.png")
    return folder


def train(photos, out, *options):
    """What `kpp train` makes of colour images, its exit status."""
    argv = ["train", "--preset", "tiny", "--dataset", f"folder:{photos}", "--device", "cpu", "--out", str(out)]
    return cli.main([*argv, *options])


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A run for all that comes after it."""
    out = tmp_path_factory.mktemp("runs") / "photos"
    settings = ("steps=3", "channels=3", "image_size=12", "mixture=3")
    assert train(photos, out, "--quiet", "--set", *settings) == 0
    return out


# --- the command line -----------------------------------------------------------------------------------------------


def test_colour_images_are_trained_as_they_are_and_a_line_says_so(run, photos, tmp_path, capsys):
    config = kpp.load_model(run).config
    assert (config.likelihood, config.channels, config.mixture) == (MIXTURE, 3, 3)
    assert train(photos, tmp_path / "a", "--set", "steps=1", "channels=3", "image_size=12") == 0
    said = capsys.readouterr().err
    line = f"likelihood={MIXTURE}, binarize=none; --binarize dynamic makes bits of them"
    assert said.count(line) == 1 and "bits/dim=" in said and "recon=" in said


@pytest.mark.parametrize(
    ("options", "likelihood", "binarize"),
    [
        (["--set", "channels=3"], MIXTURE, "none"), (["--binarize", "none"], MIXTURE, "none"),
        (["--set", f"likelihood={MIXTURE}"], MIXTURE, "none"), ([], "bernoulli", "dynamic"),
        (["--binarize", "dynamic", "--set", "channels=3"], "bernoulli", "dynamic"),
        (["--set", "channels=3", "likelihood=bernoulli"], "bernoulli", "dynamic"),
        (["--binarize", "threshold"], "bernoulli", "threshold"),
    ],
)  # fmt: skip
def test_what_was_set_wins_over_what_the_data_suggest(options, likelihood, binarize, photos, tmp_path, monkeypatch):
    given = {}

    def fit(config, data, out, **how):
        given.update(likelihood=config.likelihood, binarize=data.binarize)
        return torch.nn.Linear(1, 1)

    monkeypatch.setattr(commands, "fit", fit)
    options = options if "--set" in options else [*options, "--set"]
    argv = ["train", "--preset", "tiny", "--dataset", f"folder:{photos}", "--out", str(tmp_path / "run")]
    assert cli.main([*argv, *options, "image_size=12"]) == 0
    assert given == {"likelihood": likelihood, "binarize": binarize}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--binarize", "none", "--set", "likelihood=bernoulli"], "binarize: got 'none', expected one of fixed"),
        (["--binarize", "dynamic", "--set", f"likelihood={MIXTURE}"], "binarize: got 'dynamic', expected 'none' with"),
        (["--set", "likelihood=gaussian"], "--set: likelihood: got 'gaussian', expected one of"),
        (["--set", "mixture=0"], "--set: mixture: got 0, expected a whole number of at"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_training(options, message, photos, tmp_path, capsys):
    argv = ["train", "--preset", "tiny", "--dataset", f"folder:{photos}", "--out", str(tmp_path / "run")]
    assert cli.main([*argv, *options]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_report_has_nats_and_bits_a_dimension(run, photos, tmp_path, capsys):
    argv = ["evaluate", "--checkpoint", str(run), "--dataset", f"folder:{photos}", "--orders", "2", "--device", "cpu"]
    assert cli.main([*argv, "--out", str(tmp_path / "report.json")]) == 0
    printed, report = capsys.readouterr().out, json.loads((tmp_path / "report.json").read_text())
    scores, config = report["scores"], kpp.load_model(run).config
    assert list(scores)[:2] == ["total", "bits_per_dim"] and report["data"]["bits"] == "grey"
    assert scores["bits_per_dim"]["mean"] == pytest.approx(bits_per_dim(scores["total"]["mean"], config))
    assert scores["bits_per_dim"]["std"] == pytest.approx(bits_per_dim(scores["total"]["std"], config))
    assert "total / (C H W ln 2)" in printed and "nats/image" in printed
    assert cli.main(["table", str(tmp_path / "report.json")]) == 0
    shown = f"| total, bits/dim | {scores['bits_per_dim']['mean']:.3f} ± "
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("study", ["capacity", "cleanup", "memories", "perturbation", "search", "stored"])
def test_studies_take_colour(study, run, photos, tmp_path, monkeypatch):
    from kpp_lib.evaluation import finding, studies

    monkeypatch.setattr(studies, "LENGTHS", (2,))
    monkeypatch.setattr(finding, "LENGTHS", (2,))
    argv = [
        "study",
        study,
        "--checkpoint",
        str(run),
        "--dataset",
        f"folder:{photos}",
        "--out",
        str(tmp_path / "s.json"),
    ]
    if study in ("capacity", "search"):
        lengths = {"capacity": studies.capacity, "search": finding.search}[study]
        monkeypatch.setitem(cli.run_study.__globals__["STUDIES"], study, lambda m, x: lengths(m, x, (2, 4)))
    assert cli.main(argv) == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["rows"] and told["data"]["binarize"] == "none"


def test_a_study_that_counts_bits_refuses_them(run, photos, capsys):
    assert cli.main(["study", "keys", "--checkpoint", str(run), "--dataset", f"folder:{photos}"]) == 2
    said = capsys.readouterr().err
    assert "model: got likelihood='logistic_mixture', expected 'bernoulli': this study counts bits" in said


# --- fit ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "channels"), [("allocated", 3), ("content", 1), ("vae", 3)])
def test_it_learns_grey_and_colour(recipe, channels, tmp_path):
    c = small(recipe, channels=channels, steps=40, lr=5e-3)
    kpp.fit(c, tinted_set(channels), tmp_path, quiet=True, device="cpu", log_every=1, eval_every=40)
    rows = read_log(tmp_path / "log.csv")
    bits = [float(r["bits_per_dim"]) for r in rows if r["split"] == "train"]
    assert bits[-1] < 0.85 * bits[0] and bits[0] < 9.5
    for row in rows:
        assert float(row["bits_per_dim"]) == pytest.approx(bits_per_dim(float(row["total"]), c), rel=1e-4)


def test_a_stopped_run_keeps_its_column(tmp_path):
    told = []

    def stop(step, split, numbers):
        told.append(numbers["bits_per_dim"])
        if step == 2:
            raise KeyboardInterrupt

    options = dict(quiet=True, device="cpu", log_every=1, eval_every=4)
    with pytest.raises(KeyboardInterrupt):
        kpp.fit(small(), tinted_set(), tmp_path, on_log=stop, **options)
    kpp.fit(small(), tinted_set(), tmp_path, **options)
    rows = read_log(tmp_path / "log.csv")
    assert [r["step"] for r in rows] == ["1", "2", "3", "4", "4"] and all(float(r["bits_per_dim"]) > 0 for r in rows)
    assert told == pytest.approx([float(r["bits_per_dim"]) for r in rows[:2]], abs=1e-4)


def test_data_of_the_other_kind_are_refused_with_what_to_set(tmp_path):
    bits, grey = bar_set(), tinted_set(1, 28)
    with pytest.raises(
        ValueError, match="data: got binary images in train, expected grey ones with likelihood='logistic"
    ):
        kpp.fit(kpp.Config.preset("tiny", likelihood=MIXTURE), bits, tmp_path / "a")
    with pytest.raises(ValueError, match="data: got grey images in train, expected binary ones .*'logistic_mixture'"):
        kpp.fit(kpp.Config.preset("tiny"), grey, tmp_path / "a")
    with pytest.raises(ValueError, match=r"data: got images of \[1, 28, 28\], expected \[3, 12, 12\]"):
        kpp.fit(small(), grey, tmp_path / "a")
    assert not (tmp_path / "a").exists()


# --- evaluation -----------------------------------------------------------------------------------------------------


def grey_model(**overrides):
    return tiny("allocated", **(dict(likelihood=MIXTURE, mixture=3, channels=3, image_size=12) | overrides))


def test_evaluate_refuses_bits_and_a_baseline_of_bits():
    model, data = grey_model(), tinted_set()
    with pytest.raises(ValueError, match="images: got binary images, expected grey ones"):
        kpp.evaluate(model, kpp.Images((data.test.pixels > 127).byte(), None, True), orders=1)
    baseline = kpp.training.fit.new_model(kpp.Config.preset("tiny", "vae", channels=3, image_size=12))
    with pytest.raises(
        ValueError, match="baseline: got a model with likelihood='bernoulli', expected one with 'logistic"
    ):
        kpp.evaluate(model, data, orders=1, baseline=baseline)


def test_every_score_is_finite_and_swap_of_an_unread_memory_is_the_total():
    report = kpp.evaluate(grey_model(), tinted_set(), orders=1)["scores"]
    assert all(torch.isfinite(torch.tensor(score["mean"])) for score in report.values())
    assert report["retrieval_top1"]["mean"] <= 1 and report["bits_per_dim"]["mean"] > 0


def test_retrieval_is_of_the_nearest_picture(monkeypatch):
    """A reader that hands a bleached image back has the image for its nearest."""
    model, data = grey_model(), tinted_set()
    monkeypatch.setattr(type(model), "reconstruct", lambda self, x, *rest: 0.8 * x + 0.1)
    report = kpp.evaluate(model, data, orders=1, scores=("retrieval_shuffled",))["scores"]
    assert report["retrieval_shuffled"]["mean"] == 1


def test_clean_up_of_grey_is_the_mean_difference(monkeypatch):
    model, data = grey_model(), tinted_set()
    monkeypatch.setattr(type(model), "iterate", lambda self, x, memory, steps: torch.stack([x, x]))
    rows = clean_up(model, data.test, strengths={"salt & pepper": [0.0, 0.5]}, steps=1, episodes=2)
    assert rows[0]["error"] == pytest.approx([0, 0], abs=1e-4) and 10 < rows[2]["error"][0] < 40


def test_perturbing_keys_moves_colours():
    rows = perturbation(grey_model(), tinted_set().test, stds=(0.0, None), episodes=2)
    assert rows[0]["change"] == 0 and rows[1]["change"] > 0


def test_a_judge_of_bits_is_not_asked_about_colours():
    with pytest.raises(ValueError, match="model: got likelihood='logistic_mixture'"):
        random_keys(grey_model(), tinted_set().test, None)


def test_a_run_from_before_the_fields_goes_on(tmp_path):
    """Its card lacks them, and they had their default values."""
    from kpp_lib.training.atomic import CARD
    from kpp_lib.training.card import seal

    c = kpp.Config.preset("tiny", steps=4, episodes=2)
    options = dict(quiet=True, device="cpu")
    kpp.fit(c, bar_set(), tmp_path, **options)
    for place in ("last", "best"):
        card = json.loads((tmp_path / place / CARD).read_text())
        for name in ("mixture", "channel_conditioning"):
            del card["config"][name]
        (tmp_path / place / CARD).write_bytes(seal(card))
    assert kpp.fit(c.replace(steps=6), bar_set(), tmp_path, extend=True, **options).config.mixture == 10
    with pytest.raises(ValueError, match="holds a run with other mixture"):
        kpp.fit(c.replace(steps=6, mixture=4), bar_set(), tmp_path, **options)
