"""Studies: what is varied is what changes, and the baselines are what they say."""

import json

import pytest
import torch
from tiny_model import bar_set, bars, tiny

from kpp_lib import Config, Episodes, Images, cli, commands, save_model, seeded
from kpp_lib.evaluation.studies import capacity, clean_up, memories, perturbation
from kpp_lib.training.fit import new_model


def grey_bars(n=40):
    return Images(204 * bars(n).pixels, None, binary=False)


def test_capacity_is_the_protocol_at_each_length():
    rows = capacity(tiny(), bars(40), lengths=(1, 4, 8), limit=32)
    assert [r["T"] for r in rows] == [1, 4, 8]
    assert all(r["total"] == pytest.approx(r["recon"] + r["kl_z"] + r["kl_y"], abs=1e-3) for r in rows)
    assert rows[0]["retrieval_shuffled"] == 1  # one image: nothing to confuse it with


def test_clean_up_starts_with_doing_nothing_and_a_perfect_memory_leaves_no_error(monkeypatch):
    model, vae = tiny(), new_model(Config.preset("tiny", "vae")).eval()
    monkeypatch.setattr(type(model), "iterate", lambda self, x, memory, steps: torch.stack([x] + [x > 0.3] * steps))
    rows = clean_up(model, grey_bars(), vae, {"speckle": (0.0, 1.0)}, steps=2, episodes=2)
    assert [(r["strength"], r["reader"]) for r in rows[:3]] == [
        (0.0, "its own memory"), (0.0, "another memory"), (0.0, "vae")]  # fmt: skip
    assert all(len(r["error"]) == 3 for r in rows)
    assert rows[0]["error"] == [0, 0, 0] and rows[3]["error"][0] > 1
    assert rows[3]["error"][0] == rows[5]["error"][0]  # the same cues
    assert len(clean_up(model, grey_bars(), None, {"poisson": (0.1,)}, steps=1, episodes=2)) == 2


def test_clean_up_shows_every_cue_to_a_memory_of_its_own_episode(monkeypatch):
    model, seen = tiny(), []
    monkeypatch.setattr(
        type(model),
        "iterate",
        lambda self, x, memory, steps: seen.append((x, memory)) or torch.stack([x] * (steps + 1)),
    )
    clean_up(model, grey_bars(), None, {"speckle": (0.0,)}, steps=1, episodes=2)
    (x, own), (_, other) = seen
    assert torch.equal(own.roll(-1, 0), other)
    in_order = x[:, torch.randperm(4, generator=seeded(1)).argsort()]
    assert not torch.equal(in_order, x) and torch.equal(model.write((in_order > 0.5).float()), own)


def test_a_table_that_no_episode_changes_has_no_share(monkeypatch):
    shares = {row["what"]: row["share"] for row in memories(tiny(), bars(40), episodes=2)}
    assert list(shares) == ["memory", "mean of p(z)"] and all(0 < share < 100 for share in shares.values())
    model, write = tiny(), type(tiny()).write
    monkeypatch.setattr(type(model), "write", lambda self, x: write(self, x)[:1].expand(len(x), -1, -1, -1))
    assert [row["share"] for row in memories(model, bars(40), episodes=2)] == [0, 0]


def test_the_shares_are_variances_written_out():
    model, x = tiny(), torch.stack([bars(40).draw(range(4)), bars(40).draw(range(20, 24))])
    images = Images(x.flatten(0, 1).byte(), None, binary=True)
    found = {row["what"]: row["share"] / 100 for row in memories(model, images, episodes=2)}
    with torch.no_grad():
        a, b = model.write(next(Episodes(images, 4, 2).cover()).x)
    assert found["memory"] == pytest.approx(float(((a - b) / 2).square().mean() / ((a**2 + b**2) / 2).mean()), rel=1e-5)


def test_perturbing_by_nothing_moves_nothing_and_fresh_keys_move_most():
    rows = perturbation(tiny(), bars(40), stds=(0.0, 0.5, None), episodes=2)
    assert rows[0]["change"] == 0 and rows[1]["change"] > 0 and rows[2]["change"] > 0
    with pytest.raises(ValueError, match="episodes: got 1, expected a whole number of at least 2"):
        perturbation(tiny(), bars(40), episodes=1)


def test_the_command_prints_json_with_its_origin(tmp_path, capsys, monkeypatch):
    save_model(tiny(), tmp_path / "m")
    save_model(new_model(Config.preset("tiny", "vae")), tmp_path / "vae")
    monkeypatch.setattr(commands, "load_for", lambda *args, **how: bar_set())
    assert cli.main(["study", "perturbation", "--checkpoint", str(tmp_path / "m")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["study"] == "perturbation" and len(printed["rows"]) == 8 and printed["data"]["digest"]
    assert cli.main(["study", "capacity", "--checkpoint", str(tmp_path / "vae")]) == 2
    assert "a model without a memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["stored", "--others", "mnist"], "--others: got mnist, whose images are stored, expected other data sets"),
        (["search", "--others", "omniglot"], "--others: got ['omniglot'], expected none for the study search"),
        (
            ["capacity", "--baseline", "mnist-vae-cpu"],
            "--baseline: got mnist-vae-cpu, expected none for the study capacity",
        ),
        (["keys", "--baseline", "mnist-cpu"], "baseline: got KanervaPlusPlus, expected a model without a memory"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_any_work(argv, message, tmp_path, capsys, monkeypatch):
    save_model(tiny(), tmp_path / "m")
    monkeypatch.setattr(commands, "load_for", lambda *args, **how: bar_set())
    assert cli.main(["study", argv[0], "--checkpoint", str(tmp_path / "m"), *argv[1:]]) == 2
    assert message in capsys.readouterr().err


def test_a_study_keeps_the_line_that_prints_it_again(tmp_path, capsys, monkeypatch):
    save_model(tiny(), tmp_path / "m")
    monkeypatch.setattr(commands, "load_for", lambda *args, **how: bar_set())
    argv = ["study", "stored", "--checkpoint", str(tmp_path / "m"), "--dataset", "mnist", "--others", "omniglot"]
    assert cli.main(argv) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["command"] == " ".join(["kpp", *argv]) and {r["others"] for r in printed["rows"]} == {
        "the same",
        "omniglot",
    }
