"""Every command of docs/scaling.md is one that torchrun and kpp take; its numbers are those of the code."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch.distributed.run import get_args_parser

import kpp_lib as kpp
from kpp_lib.cli import parser
from kpp_lib.training import distributed
from kpp_lib.training.fit import new_model

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")


def commands():
    """Each command of kpp or torchrun on the page, as words, without what stands before it."""
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            start = next((i for i, word in enumerate(words) if word in ("kpp", "torchrun")), None)
            if start is not None:
                stop = words.index("||") if "||" in words else None
                yield words[start:stop]


COMMANDS = list(commands())


def test_the_page_has_commands_for_one_gpu_eight_the_cpu_and_slurm():
    assert [c[0] for c in COMMANDS] == ["kpp", "torchrun", "torchrun", "torchrun"]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:60])
def test_its_flags_exist(words):
    program, arguments = words[0], words[1:]
    if program == "torchrun":
        launch = get_args_parser().parse_args([re.sub(r"\$\w+", "2", w) for w in arguments])
        assert launch.module and launch.training_script == "kpp_lib"
        arguments = launch.training_script_args
    args = parser().parse_args(arguments)
    config = kpp.Config.preset(args.preset, args.recipe)
    if program == "torchrun":  # each takes an equal share
        assert config.episodes % (int(launch.nproc_per_node) * int(launch.nnodes.split(":")[0])) == 0


def test_batches_of_all_presets_divide_into_what_the_page_says():
    assert (
        kpp.Config.preset("paper", "paper").episodes == 32
        and "with 32 episodes and eight processes each takes four" in PAGE
    )


def test_its_numbers():
    model = new_model(kpp.Config.preset("paper", "paper"))
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    layers = sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    assert f"{millions:.1f} million numbers" in PAGE and f"each of {layers} BatchNorm layers" in PAGE
    assert distributed.TIMEOUT.total_seconds() == 600 and "noticed after ten minutes" in PAGE
