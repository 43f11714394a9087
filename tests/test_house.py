"""The package's floors: a module imports from its own place or from below, never from above, never in a circle."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "kpp_lib"
# From the ground up; a folder is one place, and a file that stands alone is one too.
FLOORS = (
    ("inputs",),
    ("cut", "draws"),
    ("fields", "mixture"),
    ("config", "bound", "likelihood", "layers", "data"),
    ("encoder", "keys", "memory", "decoder"),
    ("maps", "allocate", "posterior", "doors"),
    ("reading", "heap"),
    ("model",),
    ("baselines",),
    ("models",),
    ("training",),
    ("course",),
    ("evaluation", "tour"),
    ("sweep",),
    ("arguments",),
    ("commands",),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR_OF_CONFIG = next(places for places in FLOORS if "config" in places)
FLOOR = {place: height for height, places in enumerate(FLOORS) for place in places}


def module_of(file):
    """kpp_lib/data/images.py -> data.images; a package's __init__ is the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imported(file):
    """The modules of ours that a file imports, wherever the import stands, as dotted names under kpp_lib."""
    inside, known = file.relative_to(PACKAGE).parts[:-1], {module_of(f) for f in PACKAGE.rglob("*.py")}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name.removeprefix("kpp_lib.") for a in node.names if a.name.startswith("kpp_lib."))
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = [*inside[: len(inside) - node.level + 1], *(node.module or "").split(".")]
            elif (node.module or "").split(".")[0] == "kpp_lib":
                base = node.module.split(".")[1:]
            else:
                continue
            base = ".".join(filter(None, base))
            for name in (f"{base}.{a.name}".strip(".") for a in node.names):
                yield name if name in known else base


FILES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = {module_of(f): {m for m in imported(f) if m} for f in FILES}


def place(module):
    return module.split(".")[0]


def test_every_module_has_a_floor_and_the_imports_are_seen():
    assert {place(m) for m in IMPORTS} == set(FLOOR)
    assert "training.checkpoint" in IMPORTS["training.fit"] and "bound" in IMPORTS["model"]
    assert "data.images" in IMPORTS["evaluation.evaluate"] and "course.checks.check" in IMPORTS["course.checks.bounds"]


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_no_module_imports_from_its_own_floor_or_above(module):
    here = place(module)
    up = [m for m in IMPORTS[module] if place(m) != here and FLOOR[place(m)] >= FLOOR[here]]
    # layers and likelihood stand beside config and bound, and may read them
    assert not up or (here in FLOOR_OF_CONFIG and all(m in ("config", "bound") for m in up)), f"{module} imports {up}"


def test_there_is_no_circle():
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done or module not in IMPORTS:
            return
        path.append(module)
        for m in sorted(IMPORTS[module]):
            visit(m)
        done.add(path.pop())

    for module in IMPORTS:
        visit(module)
