"""two_processes.py under torchrun, as a job of its own."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("two_processes.py")
ROOT = SCRIPT.parents[2]
ENOUGH = 500  # seconds for a launch on a busy machine, and less than what a process waits for one that hangs


def command(*words):
    """The words of the command, in two processes on the CPU with a free port of its own, and its environment."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = os.pathsep.join([str(ROOT), str(SCRIPT.parent)])
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "KPP_DEVICE": "cpu"}
    return [*launcher, str(SCRIPT), *map(str, words)], env


def launch(*words):
    """It, run to its end."""
    line, env = command(*words)
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=ENOUGH)
