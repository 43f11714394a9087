"""fit: it learns, resumes step for step, keeps what is on disk, and stops when the loss breaks."""

from contextlib import nullcontext

import pytest
import torch
from tiny_model import bar_set

import kpp_lib as kpp
from kpp_lib.training import fit as engine
from kpp_lib.training import state
from kpp_lib.training.runlog import CLOCK, read_log
from kpp_lib.training.watch import Watch


def config(**overrides):
    return kpp.Config.preset("tiny", "allocated", **({"steps": 12, "episodes": 2} | overrides))


def run(out, cfg=None, **options):
    return kpp.fit(
        cfg or config(),
        bar_set(),
        out,
        quiet=True,
        device="cpu",
        **({"log_every": 1, "eval_every": 4, "save_every": 0.0} | options),
    )


def stopping_at(stop, see=Watch.see):
    """What stands in for `Watch.see` in a run that is interrupted at a step."""

    def stand_in(watch, step, bound, norm):
        if step == stop:
            raise KeyboardInterrupt
        see(watch, step, bound, norm)

    return stand_in


@pytest.mark.parametrize("recipe", ["paper", "allocated", "slots"])
def test_it_learns(tmp_path, recipe):
    cfg = kpp.Config.preset("tiny", recipe, steps=60, lr=5e-3)
    run(tmp_path, cfg, eval_every=60)
    totals = [float(r["total"]) for r in read_log(tmp_path / "log.csv") if r["split"] == "train"]
    assert totals[-1] < 0.6 * totals[0]


def test_a_stopped_run_goes_on_as_if_never_stopped(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    see, seen = Watch.see, []
    monkeypatch.setattr(Watch, "see", stopping_at(9))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts")
    monkeypatch.setattr(Watch, "see", lambda *of: (seen.append(of[1]), see(*of)))
    parts = run(tmp_path / "parts")
    assert seen == [9, 10, 11]  # from the checkpoint after step 9
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    rows = [
        [{k: v for k, v in r.items() if k not in CLOCK} for r in read_log(tmp_path / d / "log.csv")]
        for d in ("whole", "parts")
    ]
    assert rows[0] == rows[1]


def test_a_finished_run_is_only_loaded(tmp_path):
    first = run(tmp_path)
    log = (tmp_path / "log.csv").read_text()
    again = run(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert (tmp_path / "log.csv").read_text() == log


def test_lars_resumes_too(tmp_path):
    cfg = config(optimizer="lars", steps=6)
    run(tmp_path, cfg, eval_every=3)
    assert run(tmp_path, cfg, eval_every=3).config.optimizer == "lars"


def test_another_run_in_the_folder_is_never_overwritten(tmp_path):
    run(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match="holds a run with other lr"):
        run(tmp_path, config(lr=0.5))
    with pytest.raises(ValueError, match="expected an empty or new folder with resume=False"):
        run(tmp_path, resume=False)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("term", ["recon", "kl_z", "kl_y"])
def test_a_broken_loss_stops_with_step_and_term(tmp_path, monkeypatch, term):
    forward = kpp.KanervaPlusPlus.forward

    def broken(model, x, generator=None, cue=None):
        bound = forward(model, x, generator, cue)
        broken.calls += 1
        if broken.calls == 6:
            object.__setattr__(bound, term, getattr(bound, term) * float("nan"))
        return bound

    broken.calls = 0
    monkeypatch.setattr(kpp.KanervaPlusPlus, "forward", broken)
    with pytest.raises(FloatingPointError, match=f"step 5: {term} is nan"):
        run(tmp_path)
    assert kpp.load_card(tmp_path / "last")["step"] == 5


def test_best_is_chosen_on_validation_once_the_kl_weights_are_one(tmp_path):
    run(tmp_path, config(steps=12, kl_y_warmup=0.6), eval_every=2)
    rows = [r for r in read_log(tmp_path / "log.csv") if r["split"] == "valid"]
    full = [r for r in rows if float(r["beta_y"]) == 1]
    assert 0 < len(full) < len(rows)
    best = min(full, key=lambda r: float(r["total"]))
    card = kpp.load_card(tmp_path / "best")
    assert card["step"] == int(best["step"]) and card["valid"]["total"] == pytest.approx(float(best["total"]), abs=1e-3)
    assert card["data"]["digest"] == bar_set().digest


def test_validation_leaves_the_model_training(tmp_path):
    model = kpp.KanervaPlusPlus(config()).train()
    norm = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    statistics = norm.running_mean.clone()
    a, b = engine.validate(model, bar_set()), engine.validate(model, bar_set())
    assert model.training and torch.equal(a.total, b.total)
    assert torch.equal(norm.running_mean, statistics)


def test_the_card_names_the_commit_that_the_process_began_with(tmp_path, monkeypatch):
    """A long run outlives commits: what trains is the code that was there at its start."""
    commits = iter(["began with", "moved on", "further on"])
    monkeypatch.setattr(state, "commit", lambda: next(commits))
    run(tmp_path, eval_every=6)
    assert {kpp.load_card(tmp_path / part)["commit"] for part in ("best", "last")} == {"began with"}


def test_the_card_of_a_resumed_run_names_every_commit_that_trained_it(tmp_path, monkeypatch):
    commits = iter(["first", "first", "second"])
    monkeypatch.setattr(state, "commit", lambda: next(commits))
    see = Watch.see
    for stop in (5, 9, None):
        monkeypatch.setattr(Watch, "see", stopping_at(stop, see))
        with nullcontext() if stop is None else pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert kpp.load_card(tmp_path / "last")["commit"] == "first, second"
