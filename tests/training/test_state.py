"""A run that is stopped, in whatever way, goes on to the same end: every file of its folder, the optimiser included."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from compare_runs import differences
from tiny_model import bar_set, bars

import kpp_lib as kpp
from kpp_lib import cli
from kpp_lib.training import lock, state
from kpp_lib.training.atomic import CARD, LOG, TRAINING, WEIGHTS
from kpp_lib.training.runlog import read_log

# 96 training images in episodes of 4, 2 a step: 12 steps an epoch
CONFIG = kpp.Config.preset("tiny", "paper", steps=16, episodes=2)


def run(out, config=CONFIG, data=None, **options):
    usual = {"quiet": True, "device": "cpu", "log_every": 2, "eval_every": 5}
    return kpp.fit(config, data or bar_set(), out, **(usual | options))


class StopAt:
    """An `on_log` that does something at one step, once."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def __call__(self, step, split, numbers):
        if step == self.step and split == "train":
            self.act()


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def terminate():
    signal.raise_signal(signal.SIGTERM)


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    run(out, log_every=1)
    return out


@pytest.mark.parametrize("save_every", [0.0, 1e9])
@pytest.mark.parametrize(
    ("stop", "act", "error"),
    [
        (7, press_ctrl_c, KeyboardInterrupt),  # mid-epoch
        (12, terminate, SystemExit),  # at the end of an epoch
        (13, interrupt, KeyboardInterrupt),  # the step after; as a tracker or a notebook's thread may raise it
        (10, press_ctrl_c, KeyboardInterrupt),  # at a validation
        (16, press_ctrl_c, KeyboardInterrupt),  # at the very end
    ],
)
def test_whole_and_in_parts_are_equal_file_by_file(tmp_path, whole, stop, act, error, save_every, capsys):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(error) as stopped:
        run(tmp_path, log_every=1, save_every=save_every, on_log=StopAt(stop, act))
    said = capsys.readouterr().err
    assert f"stopped at step {stop} of 16; saved in {tmp_path}/last; call it again" in said and said.count("\n") == 1
    if error is SystemExit:
        assert stopped.value.code == 143
    assert state.progress(tmp_path)[:2] == (stop, 16) and state.finished(tmp_path) == (stop == 16)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    seen = []
    run(tmp_path, log_every=1, save_every=save_every, on_log=lambda step, split, _: seen.append(step))
    assert not seen or min(seen) == stop + 1  # from exactly there
    assert differences(whole, tmp_path) == []


def test_what_a_kill_in_the_last_save_left_is_gone_after_the_next_call(tmp_path, whole):
    """The run is finished and saves no more: the half-deleted old checkpoint has to go when it is only loaded."""
    out = tmp_path / "run"
    run(out, log_every=1)
    for name in ("last", "best"):
        left = out / f".{name}.kpp-old"
        left.mkdir()
        (left / LOG).write_text("old")
        (left / "mine.txt").write_text("a stranger's")
    assert differences(whole, out)
    run(out, log_every=1)
    for name in ("last", "best"):
        assert (out / name / "mine.txt").read_text() == "a stranger's"
        (out / name / "mine.txt").unlink()
    assert differences(whole, out) == []


def test_the_comparison_sees_what_differs(tmp_path, whole):
    run(tmp_path, CONFIG.replace(seed=1), log_every=1)
    said = " ".join(differences(whole, tmp_path))
    assert all(name in said for name in (LOG, WEIGHTS, TRAINING, CARD))


def test_a_second_ctrl_c_stops_at_once(tmp_path, capsys):
    def twice():
        press_ctrl_c()
        press_ctrl_c()

    seen = []
    with pytest.raises(KeyboardInterrupt):
        # the second one is raised inside on_log, which asks again; at once means: out of a step that is at work
        from kpp_lib.training.stop import Stop

        with Stop():
            twice()
            seen.append("not at once")
    assert not seen
    # within a step, by whatever way: what was last saved is kept, and one line says of which step it is
    real, calls = kpp.KanervaPlusPlus.forward, []

    def forward(model, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            twice()
        return real(model, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kpp.KanervaPlusPlus, "forward", forward)
        run(tmp_path, save_every=0.0)
    assert f"stopped within step 4; {tmp_path}/last is of step 3" in capsys.readouterr().err
    assert state.progress(tmp_path).step == 3


def test_in_another_thread_no_handler_is_set_and_a_tracker_can_stop_it(tmp_path, whole):
    ends = []

    def train():
        try:
            run(tmp_path, log_every=1, on_log=StopAt(7, interrupt))
        except BaseException as error:
            ends.append(type(error))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert ends == [KeyboardInterrupt] and state.progress(tmp_path).step == 7
    run(tmp_path, log_every=1)
    assert differences(whole, tmp_path) == []


def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and `&` in a script do
    try:
        run(tmp_path, on_log=StopAt(4, press_ctrl_c))
    finally:
        signal.signal(signal.SIGINT, before)
    assert state.finished(tmp_path)


def test_a_run_has_a_checkpoint_before_its_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(kpp.KanervaPlusPlus, "forward", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path)
    assert state.progress(tmp_path) == (0, 16, pytest.approx(0, abs=1e3), None)


def test_saving_is_by_time_and_validation_by_steps(tmp_path, monkeypatch):
    """Ten seconds a step, a save a minute, by a clock of our own."""
    now, saves = [0.0], []
    monkeypatch.setattr(state.time, "monotonic", lambda: now[0])
    save = state.Run.save
    monkeypatch.setattr(state.Run, "save", lambda r: (saves.append(r.step), save(r)))

    def tick(step, split, numbers):
        now[0] += 10 if split == "train" else 0

    run(tmp_path, log_every=1, save_every=60.0, on_log=tick)
    assert saves == [0, 6, 12, 16]
    assert [int(r["step"]) for r in read_log(tmp_path / LOG) if r["split"] == "valid"] == [5, 10, 15, 16]


@pytest.mark.parametrize("value", [-1, float("nan"), True, "60s"])
def test_save_every_is_a_number_of_seconds(tmp_path, value):
    with pytest.raises(ValueError, match="save_every: got"):
        run(tmp_path / "new", save_every=value)
    assert not (tmp_path / "new").exists()


def test_more_steps_on_purpose(tmp_path, whole):
    short = CONFIG.replace(steps=8)
    run(tmp_path, short, log_every=1)
    log, best = (tmp_path / LOG).read_text(), kpp.load_card(tmp_path / "best")
    with pytest.raises(ValueError, match=r"other steps; .*extend=True goes on to more steps"):
        run(tmp_path, log_every=1)
    with pytest.raises(ValueError, match="holds a run with other seed"):
        run(tmp_path, CONFIG.replace(seed=3), log_every=1, extend=True)
    with pytest.raises(ValueError, match="other steps"):
        run(tmp_path, short.replace(steps=4), log_every=1, extend=True)
    assert (tmp_path / LOG).read_text() == log
    run(tmp_path, log_every=1, extend=True)
    card = kpp.load_card(tmp_path / "last")
    assert card["step"] == card["config"]["steps"] == 16 and card["extended"] == [[8, 8]]
    rows, schedule = read_log(tmp_path / LOG), read_log(whole / LOG)
    assert (tmp_path / LOG).read_text().startswith(log)  # what was logged stays
    lr = [{r["step"]: r["lr"] for r in log if r["split"] == "train"} for log in (rows, schedule)]
    assert [lr[0][str(s)] for s in range(9, 17)] == [lr[1][str(s)] for s in range(9, 17)]  # of step n of 16
    assert kpp.load_card(tmp_path / "best")["valid"]["total"] <= best["valid"]["total"]
    run(tmp_path, log_every=1, extend=True)  # the same call again: nothing to do
    assert kpp.load_card(tmp_path / "last") == card


# --- strangers' files -------------------------------------------------------------------------------------------------


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["log.csv", "best/notes.txt", "last/thesis.tex", "last", "best"])
def test_strangers_files_are_refused_and_stay(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="expected"):
        run(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("resume", [True, False])
def test_best_without_last_is_not_overwritten(tmp_path, resume):
    kpp.save_model(kpp.KanervaPlusPlus(CONFIG), tmp_path / "best")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="holds best and no run to go on with, expected an empty or new folder"):
        run(tmp_path, resume=resume)
    assert contents(tmp_path) == before


def test_an_out_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ValueError, match="out: .*expected a folder that can be written to"):
        run(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_discard_deletes_what_fit_wrote_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    run(out)
    state.discard(tmp_path)  # no run: nothing happens
    (out / "notes.txt").write_text("mine")
    (out / "last" / "notes.txt").write_text("mine")
    state.discard(out)
    assert sorted(p.name for p in out.rglob("*") if p.is_file()) == ["notes.txt", "notes.txt"]


def test_other_data_are_another_run(tmp_path):
    run(tmp_path)
    other = kpp.ImageSet("bars", bars(96, 5), bars(16, 1), bars(22, 2), "made", "fixed", "made", "")
    with pytest.raises(ValueError, match="holds a run with other data"):
        run(tmp_path, data=other)


# --- numbers that are none --------------------------------------------------------------------------------------------


def test_last_is_never_saved_with_weights_that_are_no_numbers(tmp_path):
    model = kpp.KanervaPlusPlus(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters())
    with state.Run(tmp_path, CONFIG, model, optimizer, bar_set()).open() as going:
        going.step = 3
        next(model.parameters()).data[0] = float("nan")
        with pytest.raises(FloatingPointError, match=r"step 3: model: got NaN .* of step 0 is kept. Try a lower lr"):
            going.save()
    kpp.load_model(tmp_path / "last")


# --- the lock ---------------------------------------------------------------------------------------------------------

HOLD = "import sys, time; from kpp_lib.training.lock import locked\nwith locked(__import__('pathlib').Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"  # noqa: E501


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_live_run_refuses_a_second_and_a_dead_one_yields(tmp_path, holder):
    with pytest.raises(ValueError, match=f"in use by process {holder.pid} on .*; expected another folder, or wait"):
        run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [lock.LOCK]
    holder.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    holder.wait()
    assert (tmp_path / lock.LOCK).exists()
    run(tmp_path)
    assert not (tmp_path / lock.LOCK).exists() and state.finished(tmp_path)


def write_lock(folder, **changes):
    (folder / lock.LOCK).write_text(json.dumps(lock.Owner.me()._asdict() | changes))


def test_another_host_cannot_be_asked_and_the_sentence_says_what_to_delete(tmp_path):
    write_lock(tmp_path, host="elsewhere")
    with pytest.raises(ValueError, match=f"on elsewhere, which cannot be asked .*delete {tmp_path / lock.LOCK}"):
        run(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="start times come from /proc")
def test_a_later_process_with_the_same_number_is_not_taken_for_the_holder(tmp_path):
    write_lock(tmp_path, pid=os.getppid(), started="0.0")
    with lock.locked(tmp_path):
        pass


def test_a_lock_whose_writer_was_killed_over_it_is_nobodys(tmp_path):
    (tmp_path / lock.LOCK).touch()
    with lock.locked(tmp_path):
        assert json.loads((tmp_path / lock.LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["mine", "[]", '{"pid": 3}', '{"host": 3, "pid": "x", "started": null}'])
def test_a_file_of_that_name_that_is_no_lock_stays(tmp_path, text):
    (tmp_path / lock.LOCK).write_text(text)
    with pytest.raises(ValueError, match="not a lock of ours"):
        run(tmp_path)
    assert (tmp_path / lock.LOCK).read_text() == text


def test_two_threads_of_one_process_are_two_runs(tmp_path):
    with lock.locked(tmp_path), pytest.raises(ValueError, match=f"in use by process {os.getpid()}"):
        run(tmp_path)


def test_of_many_that_start_at_once_one_goes(tmp_path):
    """Twenty threads stand for processes: the file is taken under the file system's own lock, not the process's."""
    got, start = [], threading.Barrier(20)

    def take(n):
        me = lock.Owner("here", n, "x")
        start.wait()
        with pytest.MonkeyPatch.context():
            try:
                with lock._alone(tmp_path / "l", os.O_RDWR | os.O_CREAT) as handle:
                    if not os.read(handle, 99):
                        time.sleep(0.001)
                        os.write(handle, me.host.encode())
                        got.append(n)
            except OSError as error:
                got.append(error)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_kpp_train_ends_with_the_status_of_the_signal(tmp_path, monkeypatch, capsys, number, status):
    monkeypatch.setattr("kpp_lib.commands.load_for", lambda *a, **k: bar_set())
    real = state.Run.save

    def save(self):
        real(self)
        if self.step == 2:
            signal.raise_signal(number)

    monkeypatch.setattr(state.Run, "save", save)
    argv = ["train", "--preset", "tiny", "--out", str(tmp_path / "run"), "--quiet", "--save-every", "0s", "--device",
            "cpu", "--set", "steps=6", "episodes=2"]  # fmt: skip
    try:
        assert cli.main(argv) == status
    except SystemExit as end:
        assert end.code == status
    error = capsys.readouterr().err
    assert "stopped at step 3 of 6" in error and error.count("\n") == 1
    monkeypatch.undo()
    monkeypatch.setattr("kpp_lib.commands.load_for", lambda *a, **k: bar_set())
    assert cli.main(argv) == 0 and cli.main([*argv, "steps=9", "--extend"]) == 0
    assert state.progress(tmp_path / "run")[:2] == (9, 9)


@pytest.mark.parametrize(
    ("text", "value"), [("60s", 60), ("5m", 300), ("1h", 3600), ("90", 90), ("0.5s", 0.5), ("0", 0)]
)
def test_times(text, value):
    assert cli.seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "-1", "fast", "5 minutes", "nan", "inf", "1e999"])
def test_no_times(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--out", "x", f"--save-every={text}"])
    assert "expected a time such as 60s, 5m or 1h" in capsys.readouterr().err
