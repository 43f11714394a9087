"""Shipped weights still score what they scored: on the offline digits, which are training images and so no result.

`pretrained.json` holds the total of each model, in nats per image, as `measured` below gave it when the weights
were shipped. A change of the code that alters what the weights mean shows here.
"""

import json
from pathlib import Path

import pytest

import kpp_lib as kpp

EXPECTED = json.loads((Path(__file__).parent / "pretrained.json").read_text())


def measured(name, monkeypatch):
    monkeypatch.delenv("KPP_DATA", raising=False)
    images = kpp.load_dataset("mnist", "threshold", offline=True, quiet=True).test
    model = kpp.load_pretrained(name)
    return kpp.evaluate(model, images, orders=1, scores=(), limit=256)["scores"]


@pytest.mark.parametrize("name", kpp.pretrained_names())
def test_the_weights_score_what_they_scored(name, monkeypatch):
    scores = measured(name, monkeypatch)
    assert set(EXPECTED[name]) == {"total", "recon", "kl_z", "kl_y"}
    for term, value in EXPECTED[name].items():
        assert scores[term]["mean"] == pytest.approx(value, abs=0.5, rel=0.02), term


@pytest.mark.parametrize("name", kpp.pretrained_names())
def test_the_card_says_what_the_weights_are(name):
    card = kpp.load_card(name)
    for key in ("about", "command", "licence", "not_for", "commit", "hardware", "data", "config"):
        assert card[key], key
    assert (Path(__file__).parents[1] / card["results"]).is_file()
    assert card["scores"] == json.loads((Path(__file__).parents[1] / card["results"]).read_text())["scores"]
