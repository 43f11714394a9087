"""Many runs, one command: `plan.py` reads the file, `pool.py` shares the machine out, `worker.py` is one run."""
