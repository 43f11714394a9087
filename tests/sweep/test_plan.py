"""Experiments files: what they expand to, and what is said about a mistake, before anything runs."""

from pathlib import Path

import pytest

from kpp_lib import Config, load_card, pretrained_names
from kpp_lib.sweep.plan import Job, read_plan, train_command

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.toml"))


def plan(tmp_path, text):
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    return read_plan(tmp_path / "x.toml")


def test_there_are_the_files_that_the_docs_name():
    assert [file.stem for file in EXPERIMENTS] == ["course", "fair_trial", "gpu", "smoke", "speedrun", "table1"]


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda f: f.stem)
def test_every_experiments_file_expands_to_runs(file):
    jobs = read_plan(file)
    assert jobs and all(isinstance(job.config, Config) for job in jobs)
    assert len({job.id for job in jobs}) == len(jobs)


SHIPPED = {"mnist-cpu": "mnist-allocated", "omniglot-cpu": "omniglot-cells"}


@pytest.mark.parametrize("name", pretrained_names())
def test_the_course_trains_what_the_shipped_cards_record(name):
    jobs = {job.name: job for job in reversed(read_plan(ROOT / "experiments" / "course.toml"))}  # first seeds
    card, job = load_card(name), jobs[SHIPPED.get(name, name.removesuffix("-cpu"))]
    assert job.config == Config.from_dict(card["config"])
    assert job.dataset == card["data"]["name"] and job.binarize == card["data"]["binarize"]
    rival = card.get("baseline")
    assert rival is None or load_card(rival)["config"]["write"] == "none"
    assert job.evaluate["orders"] == card["scored"]["orders"] and job.evaluate["limit"] is None


def test_gpu_begins_with_the_papers_sizes():
    jobs = read_plan(ROOT / "experiments" / "gpu.toml")
    first = [(job.dataset, job.config.recipe_name) for job in jobs[:4]]
    assert first == [(d, r) for d in ("mnist", "omniglot") for r in ("paper", "allocated")]
    assert {job.config.preset_name for job in jobs} == {"paper"}
    config = jobs[0].config
    assert config.steps * config.episodes * config.length >= 500 * 50_000  # 500 epochs of MNIST's training split


def test_defaults_sets_grids_and_seeds(tmp_path):
    jobs = plan(
        tmp_path,
        """
        [defaults]
        preset = "tiny"
        dataset = "omniglot"
        [defaults.set]
        steps = 7
        lr = 0.5
        [[run]]
        name = "late"
        priority = 2
        [[run]]
        name = "g"
        seeds = [3, 4]
        set = { lr = 0.25 }
        grid = { recipe = ["paper", "vae"], widths = [[8, 8, 8, 8], [16, 16, 16, 16]] }
        """,
    )
    ids = [job.id for job in jobs]
    # all runs with their first seed, then all with the second; then the next priority
    shapes = ("8-8-8-8", "16-16-16-16")
    grid = [f"g-{recipe}-widths-{w}" for recipe in ("paper", "vae") for w in shapes]
    assert ids == [f"{name}-seed{seed}" for seed in (3, 4) for name in grid] + ["late-seed0"]
    first = jobs[1].config
    assert (first.steps, first.lr, first.widths, first.seed, first.recipe_name) == (7, 0.25, (16,) * 4, 3, "paper")
    assert jobs[-1].config.lr == 0.5 and {job.dataset for job in jobs} == {"omniglot"}


def test_a_baseline_comes_first_and_has_the_seed_of_its_run(tmp_path):
    text = """
        defaults = { preset = "tiny" }
        [[run]]
        name = "memory"
        seeds = [0, 1, 2]
        evaluate = { baseline = "vae", scores = ["memory_swap", "iw"] }
        [[run]]
        name = "vae"
        recipe = "vae"
        priority = 9
        seeds = [1, 5]
        evaluate = { scores = ["memory_swap", "iw"] }
    """
    jobs = plan(tmp_path, text)
    assert [job.id for job in jobs] == ["vae-seed1", "memory-seed0", "memory-seed1", "memory-seed2", "vae-seed5"]
    assert {job.evaluate["baseline"] for job in jobs[1:4]} == {"vae-seed1"}
    assert jobs[0].evaluate["scores"] == ["iw"]  # those that a model without a memory has
    assert all(Job.from_dict(job.to_dict()) == job for job in jobs)


RUN = '[[run]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "run: got None, expected at least one"),
        ("run = 3", "run: got 3"),
        ("nonsense", "not TOML"),
        (RUN + "[[runs]]", "key: got 'runs', expected only defaults, run"),
        ("[[run]]\npreset='tiny'", "name: got None"),
        ("[[run]]\nname='a/b'", "run 'a/b': name: got 'a/b', expected letters"),
        (RUN + RUN, "run 'a': name: got 'a', expected a name of its own"),
        (RUN + "steps = 3", "run 'a': run: got 'steps', expected only name, grid, preset"),
        (RUN + "preset = 'huge'", "run 'a': preset: got 'huge', expected one of tiny, cpu, paper"),
        (RUN + "recipe = 3", "run 'a': recipe: got 3"),
        (RUN + "dataset = 'cifar'", "dataset: got 'cifar', expected one of mnist"),
        (
            RUN + "binarize = 'none'\nset = {likelihood = 'bernoulli'}",
            "binarize: got 'none', expected one of fixed, dynamic, threshold with likelihood='bern",
        ),
        (RUN + "seeds = 3", "seeds: got 3, expected a list of whole numbers"),
        (RUN + "seeds = [1, 1]", "seeds: got [1, 1]"),
        (RUN + "seeds = [-1]", "seeds: got -1"),
        (RUN + "seeds = [true]", "seeds: got True"),
        (RUN + "priority = 'high'", "priority: got 'high', expected a finite number"),
        (RUN + "eval_every = 0", "eval_every: got 0"),
        (RUN + "set = { steps = 'many' }", "run 'a': set.steps: got 'many', expected a whole number"),
        (RUN + "set = { stepz = 3 }", "run 'a': set.Config field: got 'stepz'"),
        (RUN + "set = { seed = 3 }", "set.seed: got 3, expected fields of Config other than this one"),
        (RUN + "set = 3", "set: got 3, expected a table"),
        (RUN + "grid = { lr = 3 }", "grid.lr: got 3, expected a list of values"),
        (RUN + "grid = { lr = [] }", "grid.lr: got []"),
        (RUN + "grid = { speed = [3] }", "set.Config field: got 'speed'"),
        (RUN + "evaluate = { order = 3 }", "evaluate: got 'order', expected only orders"),
        (RUN + "evaluate = { orders = 0 }", "evaluate.orders: got 0"),
        (RUN + "evaluate = { limit = 63 }", "evaluate.limit: got 63, expected at least 64 images"),
        (RUN + "evaluate = { scores = ['best'] }", "evaluate.scores: got 'best', expected one of memory_swap"),
        (RUN + "evaluate = { baseline = 'b' }", "run 'a': evaluate.baseline: got 'b', expected one of the runs a"),
        (RUN + "evaluate = { baseline = 'a' }", "evaluate.baseline: got 'a', expected a run of recipe vae on mnist"),
        ("defaults = { name = 'a' }\n" + RUN, "defaults: got 'name', expected only preset"),
    ],
)
def test_a_mistake_is_named_with_file_run_and_key(text, message, tmp_path):
    with pytest.raises(ValueError) as error:
        plan(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'x.toml'}: ") and message in str(error.value)


def test_the_command_that_trains_a_run_alone(tmp_path):
    job = plan(tmp_path, RUN + "binarize='fixed'\nseeds=[2]\nset={lr=0.5}")[0]
    line = train_command(job.config.to_dict(), job.dataset, job.binarize, "runs/a")
    assert line == (
        "kpp train --preset cpu --recipe allocated --dataset mnist --binarize fixed --set lr=0.5 seed=2 --out runs/a"
    )


def test_a_run_of_grey_images_names_its_likelihood_alone(tmp_path):
    job = plan(tmp_path, RUN + "dataset = 'fashion_mnist'\nset = { likelihood = 'logistic_mixture' }")[0]
    assert (job.binarize, job.test_bits) == ("none", "none")
    line = train_command(job.config.to_dict(), job.dataset, job.binarize, "runs/a")
    assert line == (
        "kpp train --preset cpu --recipe allocated --dataset fashion_mnist "
        """--set 'likelihood="logistic_mixture"' --out runs/a"""
    )


def test_a_baseline_has_the_likelihood_of_its_run(tmp_path):
    text = RUN + "evaluate = { baseline = 'vae' }\nset = { likelihood = 'logistic_mixture' }\n"
    text += "[[run]]\nname = 'vae'\nrecipe = 'vae'"
    with pytest.raises(
        ValueError, match="run 'a': evaluate.baseline: got 'vae', expected a run with likelihood='logistic"
    ):
        plan(tmp_path, text)


def test_colours_bring_their_size_channels_and_likelihood(tmp_path):
    (job,) = plan(tmp_path, '[[run]]\nname = "a"\npreset = "tiny"\ndataset = "cifar10"')
    assert (job.config.channels, job.config.image_size, job.config.likelihood) == (3, 32, "logistic_mixture")
    assert job.binarize == job.test_bits == "none"


def test_a_folder_is_a_data_set_and_a_missing_one_is_told(tmp_path):
    (tmp_path / "pictures").mkdir()
    (job,) = plan(tmp_path, f'[[run]]\nname = "a"\ndataset = "folder:{tmp_path}/pictures"')
    assert job.dataset == f"folder:{tmp_path}/pictures"
    with pytest.raises(ValueError, match="dataset: got 'folder:nowhere', expected folder:PATH"):
        plan(tmp_path, '[[run]]\nname = "a"\ndataset = "folder:nowhere"')
