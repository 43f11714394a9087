"""All doors, for the test and for `bench_surface.py`."""

from surface_data import CONFIG, DATA, USE
from surface_doors import KEYSPACE, MODEL, PARTS, SCORED

DOORS = [*MODEL, *SCORED, *PARTS, *KEYSPACE, *DATA, *CONFIG, *USE]
