"""The exercises of the notebooks, each from one source: exercises/NN_name.py.

    python tools/exercises.py            # write them into notebooks/py/NN_*.py; `make exercises`
    python tools/exercises.py --check    # say which notebook is out of step; part of `make check`

A source is a Python file in cells (`# %%`): the task in Markdown, the solution in code that ends with the call of its
check, and, if there is more to say, remarks in Markdown. What stands between `# <solution>` and `# </solution>` is
what the reader writes. In a notebook the exercise goes where a cell is tagged `exercise:name`; it becomes three cells
with that tag: the task, the stub with the check, and the folded solution.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CELL = re.compile(r"(?m)^# %%.*\n")
TAG = re.compile(r'tags=\[[^\]]*"exercise:(\w+)"')
WRITTEN = re.compile(r"(?ms)^([ \t]*)# <solution>\n(.*?)^[ \t]*# </solution>\n?")


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its source has it."""

    notebook: str  # the number that the notebook's name begins with
    name: str
    task: str  # Markdown
    code: str  # with the marks of the solution
    remarks: str  # Markdown, may be empty

    @property
    def stub(self) -> str:
        """The code without what the reader writes."""
        return WRITTEN.sub(r"\1...  # your lines\n", self.code)

    @property
    def solution(self) -> str:
        """The code without the marks and the call of the check."""
        body = WRITTEN.sub(lambda found: found.group(2), self.code)
        return re.sub(r"(?m)^checks\..*\n?", "", body).strip() + "\n"

    def cells(self) -> str:
        """The three cells of the notebook, in jupytext's percent format."""
        tag = f'tags=["exercise:{self.name}"]'
        told = f"<details><summary>Solution: {self.name}</summary>\n\n```python\n{self.solution}```\n\n"
        told += f"{self.remarks}\n\n" if self.remarks else ""
        parts = f"# %% [markdown] {tag}\n{_commented(self.task)}", f"# %% {tag}\n{self.stub.strip()}\n"
        return "\n".join([*parts, f"# %% [markdown] {tag}\n{_commented(told + '</details>')}"])


def read(path: Path) -> Exercise:
    """The exercise in one source. Raises ValueError for a file that is not built as this module's text says."""
    found = re.fullmatch(r"(\d\d)_(\w+)", path.stem)
    heads = CELL.findall(text := path.read_text(encoding="utf-8"))
    cells = [cell.strip("\n") for cell in CELL.split(text)[1:]]
    kinds = ["markdown" if "[markdown]" in head else "code" for head in heads]
    if not found or kinds not in (["markdown", "code"], ["markdown", "code", "markdown"]):
        raise ValueError(f"{path.name}: got cells {kinds}, expected NN_name.py with task, code and perhaps remarks")
    code = cells[1] + "\n"
    call = f"checks.{found.group(2)}({found.group(2)})"
    if not WRITTEN.search(code) or not code.rstrip().endswith(call):
        raise ValueError(f"{path.name}: expected `# <solution>`, `# </solution>`, and the last line {call}")
    remarks = _uncommented(cells[2]) if len(cells) == 3 else ""
    return Exercise(found.group(1), found.group(2), _uncommented(cells[0]), code, remarks)


def sources(root: Path = ROOT) -> dict[str, Exercise]:
    """All exercises by name."""
    return {exercise.name: exercise for exercise in map(read, sorted((root / "exercises").glob("[0-9][0-9]_*.py")))}


def rewritten(text: str, exercises: dict[str, Exercise]) -> str:
    """A notebook's text with each run of cells tagged `exercise:name` made anew. KeyError for a name without source."""
    heads, bodies = CELL.findall(text), CELL.split(text)
    parts, last = [bodies[0]], None
    for head, body in zip(heads, bodies[1:], strict=True):
        found = TAG.search(head)
        name = found.group(1) if found else None
        if name is None:
            parts.append(head + body)
        elif name != last:
            parts.append(exercises[name].cells() + "\n")
        last = name
    return "".join(parts).rstrip("\n") + "\n"


def notebooks(root: Path) -> list[Path]:
    return sorted((root / "notebooks" / "py").glob("[0-9][0-9]_*.py"))


def notebook_of(exercise: Exercise, root: Path = ROOT) -> Path:
    """The notebook that an exercise belongs to."""
    return next(path for path in notebooks(root) if path.stem[:2] == exercise.notebook)


def imports(notebook: Path) -> dict[str, object]:
    """The names that a notebook's own import lines give: what a reader has at hand in an exercise."""
    space: dict[str, object] = {}
    for line in ast.parse(notebook.read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            exec(ast.unparse(line), space)
    return space


def uses(text: str, name: str) -> bool:
    """Whether Python text imports, sets or reads a name."""
    for node in ast.walk(ast.parse(text)):
        if getattr(node, "id", None) == name or isinstance(node, ast.alias) and (node.asname or node.name) == name:
            return True
    return False


def problems(root: Path = ROOT) -> list[str]:
    """One line per notebook that is out of step, and per exercise that is in none, twice, or in another notebook."""
    lines, exercises, placed = [], sources(root), []
    for path in notebooks(root):
        text = path.read_text(encoding="utf-8")
        names = list(dict.fromkeys(TAG.findall("".join(CELL.findall(text)))))
        placed += [(path.stem[:2], name) for name in names]
        unknown = [name for name in names if name not in exercises]
        lines += [f"py/{path.name}: exercise:{name} has no source in exercises/" for name in unknown]
        if not unknown and rewritten(text, exercises) != text:
            lines.append(f"py/{path.name}: not what its sources in exercises/ give")
    for exercise in exercises.values():
        at = [number for number, name in placed if name == exercise.name]
        if at != [exercise.notebook]:
            lines.append(f"exercises/{exercise.notebook}_{exercise.name}.py: in {at or 'no notebook'}")
    return lines


def write(root: Path = ROOT) -> list[str]:
    """Puts all notebooks in step; returns the names of those that changed."""
    exercises, changed = sources(root), []
    for path in notebooks(root):
        text = path.read_text(encoding="utf-8")
        new = rewritten(text, exercises)
        if new != text:
            path.write_text(new, encoding="utf-8", newline="\n")
            changed.append(path.name)
    return changed


def _commented(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.strip("\n").split("\n"))


def _uncommented(cell: str) -> str:
    return "\n".join(re.sub(r"^# ?", "", line) for line in cell.strip("\n").split("\n"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a notebook is out of step")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if not args.check:
        print("\n".join(write(args.root)) or "all exercises are in step already")
    lines = problems(args.root)
    for line in lines:
        print(line, file=sys.stderr)
    if lines:
        print("put right by: make exercises (and a cell tagged exercise:name where it goes)", file=sys.stderr)
    print(f"exercises and notebooks: {'out of step' if lines else 'in step'}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
