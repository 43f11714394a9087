"""Several processes: the run is that of one; one that dies ends it; another number of them goes on with it."""

import pytest
import torch
import two_processes
from launch_two import launch
from torch import nn

import kpp_lib as kpp
from kpp_lib.training import distributed
from kpp_lib.training.distributed import World
from kpp_lib.training.runlog import read_log

# each launch takes two cores, and on a busy machine the processes wait for each other at every layer
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of all that two processes do right, in one launch; one process has begun one of the runs."""
    out = tmp_path_factory.mktemp("two")
    with pytest.raises(KeyboardInterrupt):
        two_processes.train(out / "one-two", stop=6)
    ended = launch("runs", out)
    assert ended.returncode == 0, ended.stderr
    assert "one-two: processes: 1 when it was saved, 2 now; the same run" in ended.stderr
    return out


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of the same run in one process."""
    out = tmp_path_factory.mktemp("one")
    two_processes.train(out)
    return out


# --- one step ---------------------------------------------------------------------------------------------------------


def apart(found, expected):
    """Distance of two dicts of tensors relative to the length of the second, over all tensors at once."""
    squares = [((found[k] - v).double().square().sum(), v.double().square().sum()) for k, v in expected.items()]
    difference, length = (sum(values) for values in zip(*squares, strict=True))
    return float((difference / length).sqrt())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-11)])
@pytest.mark.parametrize("case", two_processes.CASES)
def test_half_the_batch_in_each_of_two_gives_the_gradients_of_one(done, case, dtype, tolerance):
    """In float64 to the eleventh digit, so what is left in float32 is the order of its sums; so too the buffers."""
    expected = two_processes.gradients(World(), case, getattr(torch, dtype))
    found = [torch.load(done / f"rank{rank}.pt")[case, dtype] for rank in range(2)]
    for part in ("gradients", "buffers"):
        assert list(found[0][part]) == list(expected[part])
        assert apart(found[0][part], expected[part]) < tolerance
        assert all(torch.equal(found[0][part][k], v) for k, v in found[1][part].items())  # bit for bit in both
    assert found[0]["loss"] == pytest.approx(float(expected["loss"]), rel=tolerance)


def test_running_statistics_are_those_of_one_process(done):
    """Each for itself: in the norm of all of them, the step counters would hide the small ones."""
    expected = two_processes.gradients(World(), "content", torch.float32)["buffers"]
    found = torch.load(done / "rank1.pt")["content", "float32"]["buffers"]
    names = [name for name in expected if "running" in name or "tracked" in name]
    assert len(names) == 3 * (20 + 1)  # ResNet-18's and that of the keys
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)


# --- whole runs -------------------------------------------------------------------------------------------------------


def same_run(out, expected):
    """Two logs and two models of the same run but for the order of sums."""
    rows, others = (read_log(folder / "log.csv") for folder in (out, expected))
    assert [(r["step"], r["split"]) for r in rows] == [(r["step"], r["split"]) for r in others]
    for row, other in zip(rows, others, strict=True):
        for name in ("total", "recon", "kl_z", "kl_y", "beta_y", "lr"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-4, abs=5e-3), (row["step"], name)
    for part in ("best", "last"):
        mine, its = (kpp.load_model(folder / part).state_dict() for folder in (out, expected))
        assert list(mine) == list(its) and apart(mine, its) < 1e-3
        assert kpp.load_card(out / part)["step"] == kpp.load_card(expected / part)["step"]


def test_a_run_of_two_processes_is_that_of_one(done, alone):
    """Log within 0.005 nats, weights within 1e-3 of their norm (Adam moves a weight whose gradient is rounding error by
    a whole learning rate). The model that all began with is fifty times as far away."""
    same_run(done / "whole", alone)
    start = two_processes.new_model(two_processes.config()).state_dict()
    assert apart(start, kpp.load_model(alone / "last").state_dict()) > 0.05


@pytest.mark.parametrize("order", ["one-two", "two-one"])
def test_another_number_of_processes_goes_on_with_the_same_run(done, alone, order):
    if order == "two-one":
        two_processes.train(done / order)
    same_run(done / order, alone)


def test_only_one_process_writes(done):
    """Nothing is there twice, and nothing is left over."""
    rows = read_log(done / "whole" / "log.csv")
    assert [int(r["step"]) for r in rows if r["split"] == "train"] == list(range(1, two_processes.STEPS + 1))
    assert sorted(p.name for p in (done / "whole").iterdir()) == ["best", "last", "log.csv"]


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "says"), [
    ("exception", "OSError: a disk that went away"),
    ("kill", "exitcode  : -9"),
    ("hang", "Timed out"),
])  # fmt: skip
def test_a_process_that_ends_ends_the_job(tmp_path, how, says):
    """With a status, a line from the one that is left, and the launcher's summary; what was saved stays."""
    ended = launch("end", tmp_path, how)
    assert ended.returncode != 0 and says in ended.stderr
    assert "LostWorker: process 0 of 2 lost another one" in ended.stderr
    cause = ended.stderr[ended.stderr.index("Root Cause") :]
    assert f"rank      : {0 if how == 'hang' else 1} (" in cause  # of a hang, who gave up is all that anyone knows
    assert kpp.load_card(tmp_path / "run" / "last")["step"] == 6


def test_a_batch_that_does_not_divide_is_refused_and_one_process_says_so(done):
    said = (done / "refused0").read_text()
    assert said.startswith("ValueError('episodes: got 3 for 2 processes, expected a multiple of 2")
    assert (done / "refused1").read_text() == "SystemExit(2)"


# --- without a launch -------------------------------------------------------------------------------------------------


def test_the_rows_of_all_processes_are_the_batch():
    assert [World(rank, 4).rows(8) for rank in range(4)] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    with pytest.raises(ValueError, match="episodes: got 32 for 5 processes, expected a multiple of 5"):
        World(0, 5).rows(32)


def test_alone_nothing_changes():
    world, model = World.now(), nn.Linear(2, 2)
    bound = kpp.Bound(*torch.rand(3, generator=kpp.seeded(0)))
    assert world == World(0, 1) and world.main
    assert world.wrap(model) is model and world.mean(bound) is bound and world.any(True) and not world.any(False)
    assert world.from_main(lambda: "made") == "made"
    generator = kpp.seeded(0)
    assert world.noise(generator) is generator
    world.agree(step=1)
    world.wait()


@pytest.mark.parametrize(
    ("asked", "local", "chosen"),
    [("cuda", None, "cuda"), ("cuda", "1", "cuda:1"), ("cuda:0", "1", "cuda:1"), ("cpu", "1", "cpu")],
)
def test_each_process_takes_its_own_gpu(monkeypatch, asked, local, chosen):
    monkeypatch.setenv("LOCAL_RANK", local) if local else monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert distributed.local_device(asked) == torch.device(chosen)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="nproc-per-node: got at least 3, expected at most 2"):
        distributed.local_device("cuda")


def test_of_gloos_message_the_reason_is_shown():
    line = "[/src/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:2785. This means that"
    assert distributed._reason(RuntimeError(line)) == "Connection closed by peer"
    assert distributed._from_collective(RuntimeError(line))
    assert not distributed._from_collective(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
