"""Fixtures shared by the test files."""

from tiny_data import contents, digits, drawings, no_sources, released, root  # noqa: F401  (pytest finds them here by name)
