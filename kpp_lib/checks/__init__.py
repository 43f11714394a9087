"""Checks for the exercises: each takes your own function or class, runs it on small cases, and says what is wrong.

>>> from kpp_lib import checks
>>> checks.read_block(read_block)

A check prints a verdict and returns it: true when the answer passed, false when it failed or is not written yet. It
never raises on the answer.
"""

from .check import Check
from .verdict import Verdict
from .windows import place_block, read_block, sample_places

__all__ = ["Check", "Verdict", "place_block", "read_block", "sample_places"]
