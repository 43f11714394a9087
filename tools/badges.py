"""The links that name this repository, written from one place: `[project.urls]` and `[tool.kpp]` of pyproject.toml.

    python tools/badges.py            # rewrite them: after a fork, a move, or for another branch
    python tools/badges.py --check    # say which do not follow; part of `make check`

Colab and Binder links of README, docs and notebook heads, the address of the published site, the address that a
notebook's setup cell installs from, the address to clone, and CITATION.cff. Both files of a notebook are rewritten, so
that they stay in step.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where the course is published."""

    repository: str  # owner/name
    branch: str

    @property
    def pages(self) -> str:
        """Where .github/workflows/site.yml publishes: owner.github.io/name."""
        owner, name = self.repository.split("/")
        return f"{owner.lower()}.github.io/{name}"

    def follow(self, form: str) -> str:
        """A form of KINDS, filled in."""
        return form.format(*self, pages=self.pages)


# What stands around owner/name and branch in each kind of link; a link of another kind is somebody else's.
NAME, BRANCH = r"[\w.-]+/[\w.-]+", r"[\w.-]+"
KINDS = {
    "Colab": (rf"(?<=https://colab\.research\.google\.com/github/){NAME}/blob/{BRANCH}(?=/)", "{0}/blob/{1}"),
    "Binder": (rf"(?<=https://mybinder\.org/v2/gh/){NAME}/{BRANCH}(?=\?)", "{0}/{1}"),
    "install": (rf"(?<=git\+https://github\.com/){NAME}@{BRANCH}", "{0}@{1}"),
    "clone": (rf"(?<=git clone https://github\.com/){NAME}", "{0}"),
    "pages": (r"(?<=https://)[\w-]+\.github\.io/[\w.-]+(?=/explorer\.html)", "{pages}"),
    "citation": (rf"(?<=repository-code: https://github\.com/){NAME}", "{0}"),
}


def place(root: Path) -> Place:
    """Owner, name and branch as pyproject.toml gives them. Raises ValueError for what no link could be made of."""
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    address = content.get("project", {}).get("urls", {}).get("Repository")
    found = re.fullmatch(rf"https://github\.com/({NAME})", str(address))
    if not found or address.endswith(".git"):
        raise ValueError(f"project.urls.Repository: got {address!r}, expected https://github.com/OWNER/NAME")
    branch = content.get("tool", {}).get("kpp", {}).get("branch")
    if not re.fullmatch(BRANCH, str(branch)) or branch is None:
        raise ValueError(f"tool.kpp.branch: got {branch!r}, expected a branch or tag without / in its name")
    return Place(found.group(1), branch)


def files(root: Path) -> list[Path]:
    """Every file that may hold such links."""
    patterns = ("*.md", "docs/*.md", "notebooks/*.ipynb", "notebooks/py/*.py", "CITATION.cff")
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def rewrite(root: Path) -> list[str]:
    """Puts all links right; returns the files that changed."""
    target, changed = place(root), []
    for path in files(root):
        old = new = path.read_text(encoding="utf-8")
        for pattern, form in KINDS.values():
            new = re.sub(pattern, target.follow(form), new)
        if new != old:
            path.write_text(new, encoding="utf-8", newline="\n")
            changed.append(path.relative_to(root).as_posix())
    return changed


def problems(root: Path) -> list[str]:
    """One line per link that leads elsewhere, and per notebook that lacks one of its links."""
    target, lines = place(root), []
    for path in files(root):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        for kind, (pattern, form) in KINDS.items():
            for found in re.finditer(pattern, text):
                if found.group() != target.follow(form):
                    number = text.count("\n", 0, found.start()) + 1
                    lines.append(f"{name}, line {number}: {kind} link to {found.group()}, not {target.follow(form)}")
        if name.startswith("notebooks/"):
            lines += [f"{name}: no link {link}" for link in _own_links(path.stem, target) if link not in text]
    return lines


def _own_links(notebook: str, target: Place) -> list[str]:
    """What a notebook's head and setup cell must hold; a link that stands there with another owner is named already."""
    repository, branch = target
    file = f"notebooks/{notebook}.ipynb"
    return [
        f"https://colab.research.google.com/github/{repository}/blob/{branch}/{file}",
        f"https://mybinder.org/v2/gh/{repository}/{branch}?urlpath=lab/tree/{file}",
        f"git+https://github.com/{repository}@{branch}",
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a link does not follow")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if not args.check:
        print("\n".join(rewrite(args.root)) or "all links follow already")
        return 0
    lines = problems(args.root)
    for line in lines:
        print(line, file=sys.stderr)
    if lines:
        print("put right by: python tools/badges.py", file=sys.stderr)
    print(f"links to this repository: {'they differ' if lines else 'as pyproject.toml says'}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
