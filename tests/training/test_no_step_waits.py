"""A step on a GPU is only queued there: nothing in it may ask the device for a number, or copy one over.

Without a GPU this is counted on the CPU, and tried on tensors that say that they are on a GPU and hold nothing.
"""

import contextlib

import pytest
import torch
from tiny_model import bar_set
from torch._subclasses.fake_tensor import FakeTensorMode
from waiting import Calls, Copies, Counter, Nowhere, fake_on_gpu, undirected

import kpp_lib as kpp
from kpp_lib.config import RECIPES
from kpp_lib.data.images import Images
from kpp_lib.data.noise import noisy_cue
from kpp_lib.draws import Share
from kpp_lib.training import fit as engine
from kpp_lib.training.device import Speed
from kpp_lib.training.state import Run
from kpp_lib.training.watch import Watch

# an allocator's assignment is SciPy's, on the CPU: its step waits once
ON_DEVICE = [recipe for recipe in RECIPES if kpp.Config.preset("tiny", recipe).keys != "allocated"]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def grey_set():
    """As `bar_set`, with training images whose bits are drawn anew."""
    data = bar_set()
    train = Images(255 * data.train.pixels, None, binary=False, redraw=True)
    return kpp.ImageSet("grey", train, data.valid, data.test, source="made", binarize="dynamic", bits="made")


def levels_set():
    """As `bar_set`, with images that stay grey."""
    data = bar_set()
    splits = {s: Images(255 * getattr(data, s).pixels, None, binary=False) for s in ("train", "valid", "test")}
    return kpp.ImageSet("levels", **splits, source="made", binarize="none", bits="grey")


def counted(monkeypatch, tmp_path, recipe, data=None, **overrides):
    """What a run asks for in its steps but the last, which logs and validates."""
    found, steps = [], Run.steps

    def counting(run, bar):
        for step in steps(run, bar):
            with Counter(found), Calls(found):
                yield step
            if step == 4:  # the last step begins: its log and its validation may ask
                break

    monkeypatch.setattr(Run, "steps", counting)
    monkeypatch.setattr(Watch, "check", lambda watch: None)  # a look every `log_every` steps, elsewhere than on a CPU
    monkeypatch.setenv("KPP_SPEED", "fused=on")  # as on CUDA; the plain optimiser counts its steps on the host
    config = kpp.Config.preset("tiny", recipe, steps=6, **overrides)
    with contextlib.suppress(kpp.CheckpointError):  # it ended before anything was saved
        kpp.fit(config, data or grey_set(), tmp_path, device="cpu", log_every=100, eval_every=100, quiet=True)
    return found


@pytest.mark.parametrize("recipe", ON_DEVICE)
def test_a_step_asks_for_no_number(monkeypatch, tmp_path, recipe):
    assert counted(monkeypatch, tmp_path, recipe) == []


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - set(ON_DEVICE)))
def test_an_allocator_asks_once(monkeypatch, tmp_path, recipe):
    """For the distances of all its episodes; what comes back is one copy for each."""
    found = counted(monkeypatch, tmp_path, recipe)
    steps = 5
    assert found.count("cpu") == steps, found


def test_a_step_with_a_mixture_asks_for_no_number(monkeypatch, tmp_path):
    found = counted(monkeypatch, tmp_path, "content", levels_set(), likelihood="logistic_mixture", mixture=2)
    assert found == []


def test_a_step_with_lars_asks_for_no_number(monkeypatch, tmp_path):
    assert counted(monkeypatch, tmp_path, "paper", optimizer="lars") == []


def test_the_count_sees_what_it_must(monkeypatch, tmp_path):
    """One of each kind, put into the forward pass."""
    forward = kpp.KanervaPlusPlus.forward

    def nosy(model, x, generator=None, cue=None):
        bound = forward(model, x, generator, cue)
        bound.recon.mean().item()
        bound.recon.tolist()
        bound.recon[bound.recon > 0]
        torch.tensor([0.0, 1.0])
        return bound

    monkeypatch.setattr(kpp.KanervaPlusPlus, "forward", nosy)
    found = counted(monkeypatch, tmp_path, "paper")
    assert {"item", "tolist", "index", "lift_fresh"} <= set(found)


@pytest.mark.parametrize("recipe", ON_DEVICE)
def test_a_step_stays_on_its_device(monkeypatch, recipe):
    """On tensors of a GPU that is only claimed: a tensor left on the CPU, or a value asked for, is an error there."""
    model = engine.new_model(kpp.Config.preset("tiny", recipe))
    moved, share = [], Share(Nowhere(), 0, 1)
    undirected(monkeypatch)
    with FakeTensorMode(allow_non_fake_inputs=False):
        model = fake_on_gpu(model)
        x = torch.empty(3, 4, 1, 28, 28, device="cuda")
        with Copies(moved):
            bound = model(x, model.noise(x, share), noisy_cue(x, 0.15, share)).mean()
    assert bound.recon.device.type == "cuda" and bound.recon.dtype == torch.float32
    assert moved == []


@GPU
@pytest.mark.parametrize("recipe", ON_DEVICE)
def test_a_gpu_is_not_waited_for(recipe):
    speed = Speed.of("cuda")
    config = kpp.Config.preset("tiny", recipe)
    model = speed.lay_out(engine.new_model(config))
    batches = kpp.Episodes(speed.place(grey_set().train), 4, 4)
    optimizer = engine.make_optimizer(model, config, fused=True)

    def step(number):
        generator = speed.generator(0, number, 0)
        x = batches.batch(number).x
        with speed.autocast():
            bound = model(x, generator, noisy_cue(x, 0.15, generator)).mean()
        optimizer.zero_grad()
        bound.weighted().backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        watch.see(number, bound, norm)
        optimizer.step()

    watch = Watch(speed.device, every=1000)
    step(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(1, 9):
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    watch.check()
