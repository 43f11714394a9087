"""All doors, for the test and for `bench_surface.py`."""

from surface_course import COURSE, FIGURES, WIDGETS
from surface_data import CONFIG, DATA, USE
from surface_doors import KEYSPACE, MODEL, PARTS, SCORED
from surface_heap import HEAP

DOORS = [*MODEL, *HEAP, *SCORED, *PARTS, *KEYSPACE, *DATA, *CONFIG, *USE, *FIGURES, *WIDGETS, *COURSE]
NO_DOORS = {
    "widgets.one_thread": "takes no arguments",
    "kpp.Batch": "a tuple that Episodes makes",
    "kpp.Bound": "what a training step makes: looked at by nobody on the way",
    "kpp.CheckpointError": "an error",
    "kpp.DataError": "an error",
}
