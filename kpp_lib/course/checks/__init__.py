"""Checks for the exercises: each takes your own function or class, runs it on small cases, and says what is wrong.

>>> from kpp_lib import checks
>>> checks.read_block(read_block)

A check prints a verdict and returns it: true when the answer passed, false when it failed or is not written yet. It
never raises on the answer.
"""

from .bounds import importance_weighted, kl_gaussians, table_total, three_terms
from .check import Check
from .cleaning import clean_up, who_cleans
from .keyspace import key_of, log_p_key, walk
from .memories import TableMemory, retrieval_top1, swap_gap
from .scores import flip_bits, read_score
from .training import train_step, used_or_ornament, warmup_weight
from .verdict import Verdict
from .windows import place_block, read_block, sample_places

__all__ = [
    "Check",
    "TableMemory",
    "Verdict",
    "clean_up",
    "flip_bits",
    "importance_weighted",
    "key_of",
    "kl_gaussians",
    "log_p_key",
    "place_block",
    "read_block",
    "read_score",
    "retrieval_top1",
    "sample_places",
    "swap_gap",
    "table_total",
    "three_terms",
    "train_step",
    "used_or_ornament",
    "walk",
    "warmup_weight",
    "who_cleans",
]
