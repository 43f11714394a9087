"""Links in the pages and notebooks: files exist, anchors exist, addresses of others have the form of an address.

No address is asked for: whether a page elsewhere still stands cannot be a test of this repository.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks" / "py").glob("*.py")])
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\]\(([^)\s]*)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def text_of(page):
    """The markdown of a page; of a notebook's script, its comment lines. Code is left out."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# ") or line == "#")
    return FENCE.sub("", text)


def links(page):
    """What the links of a page lead to, the badge inside a link as well."""
    text = text_of(page)
    inner = re.findall(r"!\[[^\]]*\]\(([^)\s]*)\)", text)
    return [target for target in LINK.findall(text)] + inner


def anchors(text):
    """The anchors that GitHub gives to the headings of a page."""
    seen, found = {}, set()
    for heading in HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def address_problem(address):
    """Why an address of others cannot be right; None if nothing is wrong with its form."""
    parts = urlsplit(address)
    if parts.scheme != "https":
        return "not https"
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc) or parts.netloc.startswith("127."):
        return "no public host"
    if re.search(r"[.,;:'\"<>{}|\\^`]$|//", parts.path + parts.query + parts.fragment):
        return "ends in punctuation, or has //"
    if parts.netloc == "arxiv.org" and not re.fullmatch(r"/abs/\d{4}\.\d{4,5}", parts.path):
        return "arXiv pages are /abs/NNNN.NNNNN"
    return None


@each_page
def test_links_to_files_and_anchors_lead_somewhere(page):
    base = ROOT / "notebooks" if page.suffix == ".py" else page.parent
    lost = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        file = (base / path) if path else page
        if not target or not file.exists():
            lost.append(target)
        elif anchor and (file.suffix not in (".md", ".py") or anchor not in anchors(text_of(file))):
            lost.append(f"{target} (no such heading)")  # a notebook's headings have no anchors that hold everywhere
    assert not lost


@each_page
def test_addresses_of_others_have_the_form_of_one(page):
    bare = re.findall(r"(?<![\w(\"'`=/+])https?://[^\s)>\]`\"'|]+", text_of(page))
    found = {target for target in links(page) if ":" in target} | {address.rstrip(".,;:") for address in bare}
    assert not {address: problem for address in found if (problem := address_problem(address))}


def test_pages_have_links_to_check():
    assert {"README.md", "reading_group.md", "01_elbo.py"} <= {page.name for page in PAGES if len(links(page)) >= 4}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "[a](b.md) and [![c](https://x.org/d.svg)](https://x.org/e)",
            ["b.md", "https://x.org/e", "https://x.org/d.svg"],
        ),
        ("```\n[a](b.md)\n```\n![p](q.png)", ["q.png", "q.png"]),
        ('[a](b.md "title") [c]()', ["b.md", ""]),
    ],
)
def test_links_are_found_inside_badges_and_not_in_code(tmp_path, text, found):
    (tmp_path / "a.md").write_text(text)
    assert links(tmp_path / "a.md") == found


def test_anchors_are_those_of_github():
    text = "# Kanerva++: a memory\n## 1 · Two `keys`\n## In one hour\n## In one hour\n## [Linked](x.md) here"
    expected = {"kanerva-a-memory", "1--two-keys", "in-one-hour", "in-one-hour-1", "linked-here"}
    assert anchors(text) == expected


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a",
        "https://localhost/a",
        "https://127.0.0.1/a",
        "https://example.org/a//b",
        "https://example.org/a.",
        "https://arxiv.org/pdf/2103.03905",
        "ftp://example.org/a",
    ],
)
def test_malformed_addresses_are_refused(address):
    assert address_problem(address)
    assert address_problem("https://mybinder.org/v2/gh/a/b/main?urlpath=lab/tree/notebooks/x.ipynb") is None


def test_the_reading_group_names_sections_that_the_notebooks_have():
    page = (ROOT / "docs" / "reading_group.md").read_text(encoding="utf-8")
    sessions = re.findall(r"^## \d · .*?(?=^## )", page, re.M | re.S)
    assert len(sessions) == 6
    for session in sessions:
        books = [ROOT / "notebooks" / "py" / f"{name}.py" for name in re.findall(r"notebooks/(\w+)\.ipynb", session)]
        have = {int(n) for book in books for n in re.findall(r"^# ## (\d+)", book.read_text(encoding="utf-8"), re.M)}
        ours = re.sub(r"paper: [^\n]*|section \d\.[^\n]*?paper|paper[^\n.]*?section \d\.\d(\.\d)?", "", session)
        named = {int(n) for words in re.findall(r"[Ss]ections? ((?:\d+(?:, | and | to )?)+)(?!\.\d)", ours)
                 for n in re.findall(r"\d+", words)}  # fmt: skip
        assert named and named <= have, f"{session.splitlines()[0]}: {sorted(named - have)}"
