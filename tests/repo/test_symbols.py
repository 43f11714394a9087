"""The symbols table of notebook 00: every code name in it exists where the table says, with the shape that it says."""

import ast
import re
from pathlib import Path

import pytest
from tiny_model import episodes, tiny

from kpp_lib import bound as bound_module
from kpp_lib.bound import sample

ROOT = Path(__file__).resolve().parents[2]


def table():
    """Rows of the table as (code names, shape, files)."""
    text = (ROOT / "notebooks" / "py" / "00_start_here.py").read_text()
    lines = text[text.index("# | paper | code | shape | where |") :].splitlines()[2:]
    cells = [re.split(r"(?<!\\)\|", line)[2:5] for line in lines[: lines.index("#")]]
    ticked = re.compile(r"`([^`]+)`")
    return [
        (ticked.findall(code), shape.strip().strip("[]").split(", "), ticked.findall(where))
        for code, shape, where in cells
    ]


ROWS = table()


def identifiers(file):
    """Every name, argument and attribute in a module of the package."""
    tree = ast.parse((ROOT / "kpp_lib" / file).read_text())
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return found | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def shapes():
    """The real shape behind each code name, for B = 2 episodes of T = 4, and the letters' values."""
    model, x = tiny("paper"), episodes(2, 4)  # whose table it is
    c = model.config
    q = model.infer(x)
    memory, y, z = model.write(x, q), sample(q.q_y), sample(q.q_z)
    b, p_z = model.bound(x), model.prior(memory, y)
    p_x = model.decode(z)
    tensors = {"x": x, "e": q.e, "memory": memory, "y": y, "keys": y, "window": model.window(y), "z": z}
    tensors |= {"q_y": q.q_y.mean, "p_y": model.p_y(2, 4).mean, "q_z": q.q_z.mean, "p_z": p_z.mean, "p_x": p_x.mean}
    tensors |= {"blocks": model.read(memory, y)}
    tensors |= {f"Bound.{term}": getattr(b, term) for term in ("total", "recon", "kl_z", "kl_y")}
    letters = dict(B=2, T=4, C=1, H=28, W=28, F=c.embed, S=c.memory_size, K=c.reads, g=c.block_size, L=c.z_size)
    return {name: tuple(t.shape) for name, t in tensors.items()}, letters


def test_the_table_is_read_whole():
    assert len(ROWS) >= 10 and all(codes and files for codes, _, files in ROWS)


@pytest.mark.parametrize(("codes", "shape", "files"), ROWS, ids=[row[0][0] for row in ROWS])
def test_names_stand_where_the_table_says(codes, shape, files):
    for code in codes:
        owner, _, name = code.rpartition(".")
        if owner:
            assert hasattr(getattr(bound_module, owner), name) or name in getattr(bound_module, owner).__annotations__
        for file in files:
            assert name in identifiers(file), f"{name} is not in {file}"


@pytest.mark.parametrize(("codes", "shape", "files"), ROWS, ids=[row[0][0] for row in ROWS])
def test_shapes_are_those_of_the_table(codes, shape, files):
    real, letters = shapes()
    expected = tuple(letters[s] if s in letters else int(s) for s in shape)
    assert {code: real[code] for code in codes} == dict.fromkeys(codes, expected)
