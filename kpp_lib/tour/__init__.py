"""The tour: `record` and `record_source` are for a notebook, `run_tour` and `main` for who runs all of them."""

from .recording import record, record_source
from .run import main, run_tour

__all__ = ["main", "record", "record_source", "run_tour"]
