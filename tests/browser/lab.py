"""JupyterLab as a reader meets it: its own process, an empty home, a page in Chromium."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--port=0",
    "--expose-app-in-browser",  # the tests read outputs from the page's own model
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
OPEN = "window.jupyterapp?.shell.currentWidget"
JSON_OF = f"{OPEN}.content.model.toJSON()"


@contextmanager
def serve(folder, home):
    """A JupyterLab over `folder` whose kernels import this checkout; yields notebook name -> address."""
    for name, values in SETTINGS.items():
        file = home / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    token, log = secrets.token_hex(8), home / "jupyterlab.log"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "KPP_DATA"))}
    env |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": str(ROOT), "KPP_OFFLINE": "1"}
    env["OMP_NUM_THREADS"] = "1"  # the page takes the other core; threads that wait for a busy core only cost time
    command = [sys.executable, "-m", "jupyterlab", *OPTIONS, f"--IdentityProvider.token={token}"]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            base = address(process, log)
            yield lambda notebook: f"{base}/lab/tree/{notebook}?token={token}&reset"
        finally:
            process.terminate()
            process.wait(120)


def address(process, log, patience=300):
    """Where the server listens: it says so in its log, then answers."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            urllib.request.urlopen(found[0] + "/api", timeout=patience).close()
            return found[0]
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start within {patience} s:\n{log.read_text()[-2000:]}")


class Notebook:
    """One notebook, open in a page."""

    def __init__(self, page, url):
        self.page, self.errors = page, []
        page.set_default_timeout(300_000)  # a busy machine is slow, not broken
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)
        page.wait_for_function(f"() => {OPEN}?.content?.model && {JSON_OF}.cells.length")
        page.wait_for_function(
            f"() => {OPEN}.sessionContext.session?.kernel?.connectionStatus === 'connected'",
            timeout=300_000,
        )

    def run_all(self, seconds):
        """Clear, then Run All Cells, as from the menus; returns when the kernel has run every cell, or met an error."""
        self.command("editmenu:clear-all")
        self.page.evaluate("() => { window.ran = false }")
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true }) }"
        )
        self.page.wait_for_function("() => window.ran", timeout=seconds * 1000)

    def close(self):
        """Close the page and end its kernel, so that only one runs at a time."""
        self.page.evaluate(f"async () => {{ await {OPEN}.sessionContext.shutdown() }}")
        self.page.close()

    def command(self, name):
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def outputs(self):
        cells = self.page.evaluate(f"() => {JSON_OF}")["cells"]
        return [output for cell in cells for output in cell.get("outputs", [])]

    def failures(self):
        """Errors that cells ended in, and those of the page itself."""
        return [f"{o['ename']}: {o['evalue']}" for o in self.outputs() if o["output_type"] == "error"] + self.errors

    def boxes(self):
        """The widgets of `kpp_lib.course.widgets.live` on the page, top to bottom."""
        expected = sum(VIEW in o.get("data", {}) for o in self.outputs())
        boxes = self.page.locator(".jp-OutputArea-output .widget-vbox:has(img.widget-image)")
        self.page.wait_for_function(
            "n => document.querySelectorAll('.jp-OutputArea-output img.widget-image').length === n", arg=expected
        )
        return [Box(self.page, boxes.nth(i)) for i in range(expected)]


class Box:
    """A widget: sliders and menus over one picture."""

    def __init__(self, page, locator):
        self.page, self.locator = page, locator
        self.picture, self.sliders = locator.locator("img.widget-image"), locator.locator(".noUi-handle")
        self.menus = locator.locator("select")

    def bytes(self):
        """What the Image widget shows, as the page got it."""
        return self.picture.evaluate(
            "async image => Array.from(new Uint8Array(await (await fetch(image.src)).arrayBuffer())).join()"
        )

    def error(self):
        return self.locator.locator(".widget-html").inner_text().strip()

    def settle(self):
        """Wait until the kernel has drawn all moves. Twice: the page holds a move back while one is under way."""
        for _ in range(2):
            self.page.evaluate(
                f"() => {OPEN}.sessionContext.session.kernel.requestExecute("
                "{ code: 'import asyncio; await asyncio.sleep(0.1)', silent: true, store_history: false }).done"
            )
        self.page.wait_for_timeout(100)

    def changed(self, act, seconds=120):
        """Whether the picture becomes another one within `seconds` of `act()`, and not for an earlier move."""
        self.settle()
        before, deadline = self.bytes(), time.monotonic() + seconds
        act()
        while self.bytes() == before:
            if time.monotonic() > deadline:
                return False
            self.page.wait_for_timeout(50)
        return True

    def press(self, slider, key="ArrowRight", times=5):
        handle = self.sliders.nth(slider)
        handle.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def choose(self, menu):
        """The next entry of a menu."""
        box = self.menus.nth(menu)
        box.select_option(index=box.evaluate("menu => (menu.selectedIndex + 1) % menu.options.length"))

    def drag(self, slider):
        """Drag a handle into the other half of its track, in steps as a hand does."""
        handle, track = self.sliders.nth(slider), self.locator.locator(".noUi-base").nth(slider)
        handle.scroll_into_view_if_needed()
        at, bar = handle.bounding_box(), track.bounding_box()
        across = 0.25 if at["x"] + at["width"] / 2 > bar["x"] + bar["width"] / 2 else 0.75
        self.page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(bar["x"] + across * bar["width"], bar["y"] + bar["height"] / 2, steps=12)
        self.page.mouse.up()
