"""The text pages of the site: what is taken, how its links change, and what a finished page may not have."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from urllib.parse import unquote, urlsplit

import badges

LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")
BADGE = re.compile(r"\[!\[[^\]]*\]\(https?://[^)]*\)\]\((https?://[^)]*)\)")
BADGES = re.compile(rf"{BADGE.pattern}(?:\s+{BADGE.pattern})*")
HOSTS = {"colab.research.google.com": "Colab", "mybinder.org": "Binder"}
TREE = """

```{{toctree}}
:hidden:
:caption: {caption}

{entries}
```
"""


def pages(root: Path) -> list[Path]:
    """The pages of text, README first."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md")), root / "CONTRIBUTING.md", root / "CHANGELOG.md"]


def staged(path: PurePosixPath | Path) -> PurePosixPath:
    """Where a file of the repository lies in the site's sources: as there, but README is the front page."""
    return PurePosixPath("index.md") if path.as_posix() == "README.md" else PurePosixPath(path.as_posix())


def page(source: Path, root: Path) -> str:
    """A page of text for the site."""
    text = rewrite(source.read_text(encoding="utf-8"), source, root)
    return text + trees(root) if source.name == "README.md" else text


def trees(root: Path) -> str:
    """The contents, as Sphinx wants them, at the end of the front page."""
    course = [f"notebooks/{path.stem}" for path in sorted((root / "notebooks").glob("*.ipynb"))]
    others = [staged(path.relative_to(root)).with_suffix("").as_posix() for path in pages(root)[1:]]
    groups = {"Without a kernel": ["explorer"], "The course": course, "Pages": others}
    return "".join(TREE.format(caption=caption, entries="\n".join(entries)) for caption, entries in groups.items())


def rewrite(text: str, source: Path, root: Path) -> str:
    """Markdown with badges as words, and links to files that are no pages of the site as links to the repository."""
    here = source.parent.relative_to(root).as_posix()
    text = BADGES.sub(lambda found: "Run it: " + " · ".join(map(_words, BADGE.findall(found.group()))), text)
    text = LINK.sub(lambda found: _target(found.group(1), here, root) + (found.group(2) or ""), text)
    return text.replace(f"(https://{badges.place(root).pages}/explorer.html)", f"({relpath('explorer.md', here)})")


def _words(address: str) -> str:
    """A badge as a link in words: its picture would come from another host."""
    return f"[{HOSTS.get(urlsplit(address).netloc, urlsplit(address).netloc)}]({address})"


def _target(link: str, here: str, root: Path) -> str:
    path = normpath(f"{here}/{link}")
    own = {p.relative_to(root).as_posix() for p in pages(root)}
    if path in own or path.startswith("docs/pictures/") or re.fullmatch(r"notebooks/[^/]+\.ipynb", path):
        return relpath(staged(PurePosixPath(path)).as_posix(), here)
    place = badges.place(root)
    kind = "tree" if (root / path).is_dir() else "blob"
    return f"https://github.com/{place.repository}/{kind}/{place.branch}/{path}"


class _Reader(HTMLParser):
    """Notes pictures without a text, and what a page loads; links that a reader may follow are no load."""

    LOADS = {
        "img": "src",
        "script": "src",
        "iframe": "src",
        "source": "src",
        "video": "src",
        "embed": "src",
        "link": "href",
    }

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []
        self.led: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img" and not (values.get("alt") or "").strip():
            self.found.append(f"a picture without alternative text: {values.get('src')}")
        if tag in self.LOADS and (address := values.get(self.LOADS[tag])):
            self.loaded.append(address)
        if tag == "a" and values.get("href"):
            self.led.append(values["href"])


def problems(html: Path, out: Path) -> list[str]:
    """What is wrong with a finished page: pictures without text, files of other hosts, links to nothing of the site."""
    reader = _Reader()
    reader.feed(html.read_text(encoding="utf-8"))
    for address in reader.loaded:
        parts = urlsplit(address)
        if parts.netloc:
            reader.found.append(f"loads {address} from another host")
        elif not parts.scheme and not (html.parent / parts.path).exists():
            reader.found.append(f"loads {address}, which the site does not have")
    for address in reader.led:
        parts = urlsplit(address)
        if not parts.scheme and not parts.netloc and not (html.parent / unquote(parts.path)).exists():
            reader.found.append(f"leads to {address}, which the site does not have")
    return [f"{html.relative_to(out).as_posix()}: {problem}" for problem in reader.found]
