"""Many runs, one command: `plan.py` reads experiments/*.toml, `pool.py` shares the machine out, `worker.py` is one run."""
