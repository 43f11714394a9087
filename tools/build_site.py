"""The course as static pages: stages the sources, makes the explorer's data, runs Sphinx, and looks the pages over.

    python tools/build_site.py build/site        # what `make site` runs

From the executed notebooks as they are committed, README, docs/ and CONTRIBUTING. A picture that no text describes, a
link that leads nowhere, or a page that would ask another host for something ends the build with a list.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import atlas
import site_notebooks
import site_pages

ROOT = Path(__file__).resolve().parents[1]


def stage(root: Path, to: Path) -> list[str]:
    """The sources of the site under `to`, laid out as in the repository; returns what is wrong with them."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(root / "docs" / "site", to)
    shutil.copytree(root / "docs" / "pictures", to / "docs" / "pictures")
    problems = []
    for source in site_pages.pages(root):
        target = to / site_pages.staged(source.relative_to(root))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(site_pages.page(source, root), encoding="utf-8")
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        target = to / "notebooks" / source.name
        target.parent.mkdir(exist_ok=True)
        problems += site_notebooks.stage(source, target, root)
    return problems


def sphinx(source: Path, out: Path) -> int:
    """Runs Sphinx, warnings as errors; 0 if all went well."""
    from sphinx.cmd.build import build_main

    return build_main(
        ["-q", "-W", "--keep-going", "-b", "html", "-d", str(source / ".doctrees"), str(source), str(out)]
    )


def build(root: Path, out: Path) -> list[str]:
    """The whole site in `out`; returns the problems, none if it may be published."""
    source = out.with_name(out.name + "-source")
    problems = stage(root, source)
    if problems:
        return problems
    atlas.main([str(source / "_static" / "atlas.js")])
    shutil.rmtree(out, ignore_errors=True)
    if sphinx(source, out):
        return ["Sphinx ended with warnings or errors, see above"]
    (out / ".nojekyll").touch()  # or the publisher drops the folders that begin with _
    return [problem for page in sorted(out.rglob("*.html")) for problem in site_pages.problems(page, out)]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="the course as static pages")
    parser.add_argument("out", type=Path, help="folder of the pages; what was in it is removed")
    out = parser.parse_args(argv).out.resolve()
    foreign = out.exists() and not (out / "searchindex.js").exists() and os.listdir(out)
    if foreign or ROOT.is_relative_to(out):
        parser.error(f"out: got {out}, expected a folder of its own: one that is new, empty, or holds an earlier site")
    problems = build(ROOT, out)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"open {out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out}/index.html")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
