"""The site in a real browser, as a reader has it: nothing from other hosts, and a key that can be dragged."""

import functools
import http.server
import io
import sys
import threading
from pathlib import Path

import atlas
import build_site
import numpy as np
import pytest
import torch
from PIL import Image

import kpp_lib as kpp
from kpp_lib.course.keyspace import look

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"laptop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 800}}


NARROW = {**SIZES, "zoomed in": {"width": 320, "height": 800}}  # 1280 pixels at 400 %

# What sticks out of the text's column, or makes the page or the column scroll sideways. What lies in a frame that
# scrolls is fine; the frame itself must fit.
BEYOND = """() => {
    const article = document.querySelector('[role=main] article, article'), box = article.getBoundingClientRect();
    const framed = e => { for (let up = e.parentElement; up && up !== article; up = up.parentElement)
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(up).overflowX)) return true; return false; };
    const slack = e => e.matches('h1, h2, h3, h4, h5, h6, .table-wrapper') ? 9 : 3;  // margins of the theme
    const out = [...article.querySelectorAll('*')].filter(e => { const r = e.getBoundingClientRect();
        return r.width && (r.right > box.right + slack(e) || r.left < box.left - slack(e)) && !framed(e); });
    const wide = [document.documentElement, ...document.querySelectorAll('.content')]
        .filter(e => e.scrollWidth > e.clientWidth + 1);
    return [...out, ...wide].map(e => e.tagName + ' ' + e.className + ' ' + e.textContent.trim().slice(0, 60)); }"""

# Every letter more than twice as wide as usual, from a font that every site has: MathJax's own.
WIDE_FONT = """async () => {
    const file = '/_static/mathjax/output/chtml/fonts/woff-v2/MathJax_Typewriter-Regular.woff';
    const font = await new FontFace('Wide', `url(${file})`, {sizeAdjust: '220%'}).load();
    document.fonts.add(font);
    const style = document.createElement('style'); style.id = 'wide';
    style.textContent = '*, *::before { font-family: Wide !important; }';
    document.head.append(style); await document.fonts.ready; }"""

# One of each kind, far too wide, in each place where a page may have it.
FAR_TOO_WIDE = """async () => {
    const formula = String.raw`\\(` + Array(60).fill(String.raw`\\mathcal{J}_x`).join('+') + String.raw`\\)`;
    const maths = `<span class="math notranslate nohighlight">${formula}</span>`;
    const code = `<code class="docutils literal"><span class="pre">${'model.config.'.repeat(20)}</span></code>`;
    const cells = `<tr>${`<td>${'memory'.repeat(4)}</td>`.repeat(12)}<td>${maths}</td><td>${code}</td></tr>`;
    const line = `<div class="highlight"><pre>${'x = read(memory, key) '.repeat(20)}</pre></div>`;
    const inside = `<p>Before ${maths}, after ${code} and ${'x'.repeat(300)}.</p>${line}`;
    const display = formula.replace('\\\\(', '\\\\[').replace('\\\\)', '\\\\]');
    const all = document.createElement('section'); all.id = 'far-too-wide';
    all.innerHTML = `<h2>${maths} ${code}</h2>${inside}<ul><li>${inside}</li></ul><blockquote>${inside}</blockquote>
        <div class="admonition note">${inside}</div><dl><dt>${maths} ${code}</dt><dd>${inside}</dd></dl>
        <div class="math notranslate nohighlight">${display}</div>
        <div class="table-wrapper docutils container"><table class="docutils align-default">${cells}</table></div>
        <div class="cell_output docutils container">
        <div class="output text_html"><div><table>${cells}</table></div></div>
        <div class="output stream highlight-none notranslate">${line}</div></div>`;
    document.querySelector('article').append(all);
    await MathJax.typesetPromise([all]); }"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the site, built now."""
    out = tmp_path_factory.mktemp("site") / "pages"
    assert build_site.build(ROOT, out) == []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(out, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()


class Site:
    def __init__(self, out, url):
        self.out, self.url = out, url
        self.pages = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.html"))


class Reader:
    """A page that remembers what went wrong: requests to others, requests that failed, errors of scripts."""

    def __init__(self, browser, site, size="laptop", theme="light", touch=False):
        self.context = browser.new_context(viewport=SIZES[size], color_scheme=theme, has_touch=touch)
        self.page, self.site, self.wrong, self.asked = self.context.new_page(), site, [], []
        self.page.on("request", self.request)
        self.page.on("response", lambda r: self.wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)

    def request(self, request):
        self.asked.append(request.url)
        if not request.url.startswith((self.site.url, "data:")):
            self.wrong.append(f"asks for {request.url}")

    def open(self, name):
        self.page.goto(self.site.url + name, wait_until="networkidle")
        return self.page


@pytest.fixture
def reader(browser, site):
    readers = []

    def make(**options):
        readers.append(Reader(browser, site, **options))
        return readers[-1]

    yield make
    for each in readers:
        each.context.close()


@pytest.fixture
def explorer(reader):
    """The explorer's page, ready, and its reader."""
    ours = reader()
    page = ours.open("explorer.html")
    page.wait_for_function("document.querySelector('.kpp-explorer').explorer?.seen")
    yield page
    assert ours.wrong == []


def digit(page):
    """The decoded picture as the page shows it now, after the next frame."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate("document.querySelector('.kpp-picture').toDataURL()")


def keys(page):
    return page.evaluate("document.querySelector('.kpp-explorer').explorer.keys")


def fits(page):
    """What leaves the column, by window and font; empty if nothing does."""
    found = {}
    for font in ("usual font", "wide font"):
        if font == "wide font":
            page.evaluate(WIDE_FONT)
        for size, viewport in NARROW.items():
            page.set_viewport_size(viewport)
            found[font, size] = page.evaluate(BEYOND)
    page.evaluate("document.getElementById('wide').remove()")
    return {where: what for where, what in found.items() if what}


def test_every_page_is_whole_fits_every_width_and_asks_no_other_host(reader, site):
    ours = reader()
    assert len(site.pages) > 12
    for name in site.pages:
        page = ours.open(name)
        assert page.evaluate("[...document.images].filter(i => !i.alt.trim() || !i.naturalWidth).length") == 0, name
        maths = "[document.querySelectorAll('.math').length > 0, document.querySelectorAll('mjx-container').length > 0]"
        asked, shown = page.evaluate(maths)
        assert asked == shown and page.locator("mjx-merror").count() == 0, f"{name}: maths"
        assert fits(page) == {}, name
        assert ours.wrong == [], name
    assert any("atlas.js" in url for url in ours.asked)


@pytest.mark.parametrize("name", ["notebooks/01_elbo.html", "docs/results.html"])
def test_what_is_far_too_wide_scrolls_or_breaks_inside_its_column(name, reader):
    page = reader(size="phone").open(name)
    if not page.evaluate("!!window.MathJax?.typesetPromise"):  # a page without formulas does not load it
        page.evaluate("window.MathJax = {options: {enableMenu: false, processHtmlClass: 'math'}}")
        page.add_script_tag(url="/_static/mathjax/tex-chtml.js")
        page.wait_for_function("window.MathJax.typesetPromise")
    page.evaluate(FAR_TOO_WIDE)
    assert page.locator("#far-too-wide mjx-container").count() == 10
    assert fits(page) == {}
    page.set_viewport_size(SIZES["phone"])
    frames = "p > span.math mjx-container, div.math, pre, .table-wrapper, .output table"
    within = (
        page.locator("#far-too-wide").locator(frames).evaluate_all("all => all.map(e => e.scrollWidth - e.clientWidth)")
    )
    assert len(within) > 10 and min(within) > 50  # what does not fit can be scrolled to


def test_a_formula_in_a_frame_of_its_own_stays_on_its_line(reader):
    page = reader(size="phone").open("notebooks/01_elbo.html")
    moved = """() => { const box = document.querySelector('article p mjx-container:not([display])');
        const top = () => box.querySelector('mjx-mi').getBoundingClientRect().top, framed = top();
        Object.assign(box.style, {display: 'inline', padding: 0, margin: 0, overflow: 'visible'});
        return Math.abs(top() - framed); }"""
    assert page.evaluate(moved) < 0.6
    too_wide = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 40))"
    page.set_viewport_size(SIZES["laptop"])  # a frame round what fits does not scroll
    formulas = page.locator("article mjx-container:not([display])")
    for _ in range(100):  # a busy machine lays the page out later
        if not formulas.evaluate_all(too_wide):
            break
        page.wait_for_timeout(100)
    assert formulas.evaluate_all(too_wide) == []


def test_a_request_to_another_host_would_be_seen(reader):
    ours = reader()
    ours.open("index.html").evaluate("fetch('https://example.org/').catch(() => 0)")
    assert any("asks for https://example.org/" in wrong for wrong in ours.wrong)


def test_search_finds_a_word(reader):
    ours = reader()
    page = ours.open("index.html")
    page.get_by_role("textbox").first.fill("posterior")
    page.keyboard.press("Enter")
    for title in ("Glossary", "bound"):  # hits come in one by one
        page.locator("ul.search li a", has_text=title).first.wait_for()
    assert ours.wrong == []


def test_dark_mode_turns_the_page_dark_and_back(reader, shots):
    ours = reader()
    page = ours.open("notebooks/06_key_space.html")
    button = page.locator(".theme-toggle:visible").first

    def brightness():
        return sum(
            int(v) for v in page.evaluate("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
        )

    seen = []
    for _ in range(3):  # as the system, light, dark
        button.click()
        seen.append(brightness())
    assert min(seen) < 150 and max(seen) > 600
    page.screenshot(path=shots / "site-06.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_how_the_explorer_looks(size, theme, reader, shots):
    page = reader(size=size, theme=theme).open("explorer.html")
    page.wait_for_function("document.querySelector('.kpp-explorer').explorer?.seen")
    page.screenshot(path=shots / f"site-explorer-{theme}-{size}.png", full_page=True)
    board, picture = (page.locator(f".kpp-{name}").bounding_box() for name in ("memory", "picture"))
    assert board["width"] > 250 and picture["width"] > 60
    if size == "phone":  # a finger on the memory sees what it does
        assert picture["y"] + picture["height"] - board["y"] < SIZES["phone"]["height"]


def test_a_drag_moves_the_window_and_changes_the_digit(explorer):
    board = explorer.locator(".kpp-memory")
    box, before = board.bounding_box(), digit(explorer)
    explorer.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    explorer.mouse.down()
    first = digit(explorer)
    explorer.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.6 * box["height"], steps=5)
    second = digit(explorer)
    explorer.mouse.up()
    assert len({before, first, second}) == 3
    windows = explorer.evaluate("document.querySelector('.kpp-explorer').explorer.seen.windows")
    assert all(abs(w["x"] - 0.5) < 0.01 and abs(w["y"] - 0.2) < 0.01 for w in windows)  # where the mouse is
    explorer.mouse.move(box["x"], box["y"])  # no button: nothing moves
    assert digit(explorer) == second


def test_a_finger_moves_it_too(reader):
    ours = reader(size="phone", touch=True)
    page = ours.open("explorer.html")
    page.wait_for_function("document.querySelector('.kpp-explorer').explorer?.seen")
    before = digit(page)
    page.locator(".kpp-memory").tap(position={"x": 60, "y": 200})
    assert digit(page) != before and ours.wrong == []


def test_arrow_keys_move_the_key_by_one_pixel(explorer):
    explorer.locator(".kpp-memory").focus()
    before, places = digit(explorer), explorer.evaluate("document.querySelector('.kpp-explorer').explorer.seen.windows")
    for _ in range(4):
        explorer.keyboard.press("ArrowRight")
    explorer.keyboard.press("ArrowDown")
    assert digit(explorer) != before
    after = explorer.evaluate("document.querySelector('.kpp-explorer').explorer.seen.windows")
    assert abs(after[0]["x"] - places[0]["x"] - 4 / 32) < 1e-6 and abs(after[0]["y"] - places[0]["y"] - 1 / 32) < 1e-6


def test_every_control_does_its_part_by_keyboard_alone(explorer):
    assert not explorer.locator(".kpp-which").is_visible()  # one key: there is nothing to choose
    seen = [digit(explorer)]
    for control, press in (("x", "ArrowRight"), ("y", "PageDown")):
        explorer.get_by_label(control, exact=True).focus()
        for _ in range(10):
            explorer.keyboard.press(press)
        seen.append(digit(explorer))
    for name in ("Perturb", "Random key"):
        explorer.get_by_role("button", name=name).focus()
        explorer.keyboard.press("Enter")
        seen.append(digit(explorer))
    explorer.get_by_label("image", exact=True).select_option("3")
    seen.append(digit(explorer))
    assert len(set(seen)) == len(seen)
    assert "nats" in explorer.get_by_role("status").inner_text()
    board = explorer.evaluate("document.querySelector('.kpp-memory').toDataURL()")
    explorer.get_by_label("what is read at each place").check()
    digit(explorer)
    assert explorer.evaluate("document.querySelector('.kpp-memory').toDataURL()") != board


def test_a_walk_goes_straight_from_one_image_to_another(explorer):
    way = explorer.get_by_label("how far along the walk")
    assert way.is_disabled()
    explorer.get_by_label("image", exact=True).select_option("2")
    explorer.get_by_label("walk to image").select_option("17")
    stations = explorer.evaluate("[2, 17].map(t => document.querySelector('.kpp-explorer').explorer.network.keys[t])")
    seen = []
    for share in ("0.5", "1"):
        way.fill(share)
        seen.append(digit(explorer))
        start, end = np.array(stations)
        np.testing.assert_allclose(keys(explorer), start + float(share) * (end - start), atol=1e-6)
    explorer.get_by_label("image", exact=True).select_option("17")
    assert digit(explorer) == seen[1] != seen[0]
    assert way.is_disabled()  # the walk is over


def test_scale_changes_the_density_and_nothing_else(explorer):
    before, said = digit(explorer), explorer.get_by_role("status").inner_text()
    explorer.get_by_label("scale", exact=True).fill("2")
    assert digit(explorer) == before and explorer.get_by_role("status").inner_text() != said


def test_the_page_computes_what_torch_computes(explorer):
    model = kpp.load_pretrained(atlas.WEIGHTS)
    with torch.no_grad():
        memory = model.write(atlas.digits(model.config.length)).half().float()
    drawn = torch.randn(6, model.config.reads, 3, generator=kpp.seeded(1))
    drawn[0] *= 3  # near the rim
    run = """keys => { const seen = document.querySelector('.kpp-explorer').explorer.network.look(keys);
        const list = v => Array.from(v);
        return {blocks: seen.blocks.map(list), mean: list(seen.mean), std: list(seen.std), picture: list(seen.picture),
                log_p: seen.logP, window: seen.windows.map(w => [w.s, w.x, w.y])}; }"""
    for key in drawn:
        expected, found = look(model, memory, key), explorer.evaluate(run, key.tolist())
        for name in ("window", "blocks", "mean", "std", "picture", "log_p"):
            value = torch.as_tensor(getattr(expected, name)).flatten()
            torch.testing.assert_close(torch.tensor(found[name]).flatten(), value, rtol=1e-4, atol=2e-4, msg=name)


def test_the_picture_on_the_page_is_the_decoded_one(explorer):
    shown = Image.open(io.BytesIO(atlas.base64.b64decode(digit(explorer).partition(",")[2]))).convert("L")
    ink = explorer.evaluate("Array.from(document.querySelector('.kpp-explorer').explorer.seen.picture)")
    assert np.abs(np.asarray(shown).flatten() - 255 * (1 - np.array(ink))).max() <= 1


def test_a_move_costs_no_more_than_some_arithmetic(explorer):
    """Against twenty loops of four million multiply-adds in the same page, in turn. Together they are as long as a move
    may be, so a slow or busy machine slows both, and interrupts both as often."""
    timing = """() => { const e = document.querySelector('.kpp-explorer').explorer;
        const a = new Float32Array(65536).fill(0.5);
        const loop = () => { let s = 0; for (let k = 0; k < 20 * 64; k++)
            for (let i = 0; i < 65536; i++) s += a[i] * a[(i + k) & 65535]; return s; };
        const took = act => { const start = performance.now(); act(); return performance.now() - start; };
        const moves = [], loops = [];
        const move = () => e.paint(e.network.look(e.keys));
        for (let n = 0; n < 50; n++) { moves.push(took(move)); loops.push(took(loop)); }
        return [Math.min(...moves), Math.min(...loops)]; }"""
    move, loops = explorer.evaluate(timing)
    print(f"one move: {move:.1f} ms, {20 * move / loops:.1f} loops", file=sys.stderr)
    assert move < loops


def test_it_works_from_disk_too(browser, site):
    page = browser.new_page()
    page.goto((site.out / "explorer.html").as_uri())
    page.wait_for_function("document.querySelector('.kpp-explorer').explorer?.seen")
    page.close()
