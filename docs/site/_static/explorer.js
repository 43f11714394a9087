/* The key-space explorer: drag a key over a memory and see what is read there. No server: see network.js, atlas.js. */
(function () {
  "use strict";
  const HERE = document.currentScript.src;
  const HEADS = ["#d62728", "#1f4fd8", "#2ca02c", "#9467bd"]; // as kpp_lib/plots.py
  const BOARD = 512; // pixels of the memory's canvas
  const NUMBERS = ["scale", "x", "y"];

  const FORM = `
    <div class="kpp-board">
      <canvas class="kpp-memory" width="${BOARD}" height="${BOARD}" tabindex="0" role="application"></canvas>
      <p class="kpp-hint" id="ID-hint">Drag, touch, or use the arrow keys (Shift: larger steps) to move the window.</p>
    </div>
    <div class="kpp-seen">
      <div class="kpp-panels">
        <figure><div class="kpp-blocks"></div><figcaption>blocks</figcaption></figure>
        <figure><canvas class="kpp-prior" width="300" height="224" role="img"></canvas><figcaption>prior of z, −15 to 15: mean, one std</figcaption></figure>
        <figure><canvas class="kpp-picture" role="img"></canvas><figcaption>decoded from the mean</figcaption></figure>
      </div>
      <p class="kpp-says" role="status" aria-live="polite"></p>
      <fieldset class="kpp-which"><legend>Move</legend></fieldset>
      <fieldset><legend>Show</legend>
        <label><input type="radio" name="ID-under" value="memory" checked> memory</label>
        <label><input type="radio" name="ID-under" value="map"> what is read at each place</label>
      </fieldset>
      <div class="kpp-numbers"></div>
      <div class="kpp-buttons">
        <label>image <select class="kpp-image" aria-label="image"></select></label>
        <button type="button" data-do="random" title="from p(Y)">Random key</button>
        <button type="button" data-do="perturb" title="add N(0, 0.1²) to all numbers">Perturb</button>
      </div>
      <div class="kpp-walk">
        <label>walk to image <select class="kpp-end" aria-label="walk to image"></select></label>
        <input type="range" class="kpp-way" min="0" max="1" step="0.005" value="0" aria-label="how far along the walk" disabled>
      </div>
    </div>`;

  /** Standard normal number (Box and Muller). */
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

  class Explorer {
    constructor(root, network) {
      const id = `kpp-${Explorer.count++}`;
      root.innerHTML = FORM.replaceAll("ID", id);
      Object.assign(this, { root, network, id, keys: [], moved: "all", due: false });
      this.find = (name) => root.querySelector(`.kpp-${name}`);
      this.board = this.find("memory");
      this.board.setAttribute("aria-label", "The memory with the windows that are read. Arrow keys move them.");
      this.board.setAttribute("aria-describedby", `${id}-hint`);
      this.underlays = { memory: memoryCanvas(network), map: new Image() };
      this.underlays.map.onload = () => this.draw();
      this.underlays.map.src = network.map.png;
      this.build();
      this.connect();
      this.go(8);
      root.explorer = this;
    }

    build() {
      const { network, id } = this;
      this.find("which").hidden = network.reads === 1;
      const choices = [["all", network.reads === 2 ? "both keys" : "all keys"]];
      for (let k = 0; k < network.reads; k++) choices.push([String(k), `key ${k + 1}`]);
      for (const [value, text] of choices) {
        const label = document.createElement("label");
        label.innerHTML = `<input type="radio" name="${id}-which" value="${value}"> ${text}`;
        if (value !== "all") label.style.setProperty("--head", HEADS[value % HEADS.length]);
        label.firstChild.checked = value === this.moved;
        this.find("which").append(label);
      }
      this.sliders = NUMBERS.map((name) => {
        const label = document.createElement("label");
        const slider = `<input type="range" min="-3" max="3" step="0.01" aria-label="${name}">`;
        label.innerHTML = `<span>${name}</span> ${slider} <span class="kpp-value" aria-hidden="true"></span>`;
        this.find("numbers").append(label);
        return label.querySelector("input");
      });
      this.blocks = Array.from({ length: network.reads }, (_, k) => {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = network.block_size;
        canvas.style.borderColor = HEADS[k % HEADS.length];
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `block read by key ${k + 1}`);
        this.find("blocks").append(canvas);
        return canvas;
      });
      for (const menu of [this.find("image"), this.find("end")]) {
        menu.append(new Option("–", ""));
        for (let t = 0; t < network.length; t++) menu.append(new Option(String(t)));
      }
      this.find("picture").width = this.find("picture").height = network.image_size;
    }

    connect() {
      const { board, root } = this;
      board.addEventListener("pointerdown", (event) => {
        board.setPointerCapture(event.pointerId);
        board.focus({ preventScroll: true });
        this.point(event);
      });
      board.addEventListener("pointermove", (event) => event.buttons && this.point(event));
      board.addEventListener("keydown", (event) => this.step(event));
      root.addEventListener("change", (event) => this.chosen(event.target));
      this.sliders.forEach((slider, n) => slider.addEventListener("input", () => this.set(n, Number(slider.value))));
      this.find("way").addEventListener("input", (event) => this.walk(Number(event.target.value)));
      for (const button of root.querySelectorAll("button")) {
        button.addEventListener("click", () => this[button.dataset.do]());
      }
      new MutationObserver(() => this.draw()).observe(document.body, { attributeFilter: ["data-theme"] });
    }

    /** The numbers of the keys that are moved now. */
    active() {
      return this.keys.map((_, k) => k).filter((k) => this.moved === "all" || Number(this.moved) === k);
    }

    /** Moves the centre of the active windows to (x, y) in the memory's frame. */
    moveTo(x, y) {
      for (const k of this.active()) this.keys[k] = kppNetwork.keyAt(x, y, this.keys[k][0]);
      this.left();
    }

    point(event) {
      const box = this.board.getBoundingClientRect();
      this.moveTo((2 * (event.clientX - box.left)) / box.width - 1, (2 * (event.clientY - box.top)) / box.height - 1);
      event.preventDefault();
    }

    step(event) {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const cells = (event.shiftKey ? 4 : 1) * (2 / this.network.memory_size); // one pixel of the memory
      for (const k of this.active()) {
        const at = kppNetwork.squash(this.keys[k], this.network.window);
        const next = [at.x + cells * way[0], at.y + cells * way[1]];
        this.keys[k] = kppNetwork.keyAt(...next, this.keys[k][0]);
      }
      this.left();
    }

    set(number, value) {
      this.keys = this.keys.map((key) => [...key]);
      for (const k of this.active()) this.keys[k][number] = value;
      this.left();
    }

    chosen(control) {
      if (control === this.find("image")) return control.value === "" || this.go(Number(control.value));
      if (control === this.find("end")) return this.plan(control.value);
      if (control.name === `${this.id}-which`) this.moved = control.value;
      if (control.type === "radio") this.draw();
    }

    /** The keys to where image t was written. */
    go(t) {
      this.keys = this.network.keys[t].map((key) => [...key]);
      this.left();
      this.find("image").value = String(t);
    }

    /** A walk from the keys as they are to those of image t, straight in key space. */
    plan(t) {
      this.find("way").disabled = t === "";
      this.find("way").value = 0;
      this.route = t === "" ? null : [this.keys, this.network.keys[Number(t)]];
    }

    walk(share) {
      const [from, to] = this.route;
      this.keys = from.map((key, k) => key.map((v, n) => v + share * (to[k][n] - v)));
      this.find("image").value = "";
      this.draw();
    }

    random() {
      this.keys = this.keys.map(() => [normal(), normal(), normal()]);
      this.left();
    }

    perturb() {
      this.keys = this.keys.map((key) => key.map((v) => v + 0.1 * normal()));
      this.left();
    }

    /** The keys are no longer those of an image, nor on a walk. */
    left() {
      this.find("image").value = "";
      this.find("end").value = "";
      this.plan("");
      this.draw();
    }

    /** Redraws at the next frame; moves until then join it, so nothing queues up. */
    draw() {
      if (this.due) return;
      this.due = true;
      requestAnimationFrame(() => {
        this.due = false;
        this.paint(this.network.look(this.keys));
      });
    }

    paint(seen) {
      this.seen = seen;
      this.paintBoard(seen);
      seen.blocks.forEach((block, k) => paintColours(this.blocks[k], block, this.network));
      paintInk(this.find("picture"), seen.picture);
      paintPrior(this.find("prior"), seen, getComputedStyle(this.root));
      this.say(seen);
    }

    paintBoard(seen) {
      const pen = this.board.getContext("2d");
      const under = this.root.querySelector(`[name="${this.id}-under"]:checked`).value;
      pen.imageSmoothingEnabled = under === "map";
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, BOARD, BOARD);
      const half = under === "map" ? (this.network.map.reach * this.network.map.side) / (this.network.map.side - 1) : 1;
      const image = this.underlays[under]; // the map's tiles are centred on the places that they were read at
      if (under === "memory" || image.complete) pen.drawImage(image, ...square(0, 0, half));
      const active = this.active();
      const frames = seen.windows.map((w) => square(w.x, w.y, w.s));
      for (const frame of frames) outline(pen, frame, "#fff", 7, []);
      frames.forEach((frame, k) => {
        const width = active.includes(k) ? 4 : 2;
        outline(pen, frame, HEADS[k % HEADS.length], width, k ? [10, 10] : []); // two in one place are both seen
      });
    }

    say(seen) {
      const shown = this.keys[this.active()[0]];
      this.sliders.forEach((slider, n) => {
        slider.value = shown[n];
        slider.nextElementSibling.textContent = shown[n].toFixed(2);
      });
      const named = (k) => (seen.windows.length > 1 ? `key ${k + 1}` : "key");
      const places = seen.windows.map((w, k) => `${named(k)} at (${w.x.toFixed(2)}, ${w.y.toFixed(2)})`);
      this.find("says").textContent = `${places.join(", ")}; ln p(y) = ${seen.logP.toFixed(1)} nats`;
      const ink = seen.picture.reduce((sum, v) => sum + v, 0).toFixed(0);
      this.find("picture").setAttribute("aria-label", `the digit decoded there, ${ink} pixels of ink`);
      const wide = (seen.std.reduce((sum, v) => sum + v, 0) / seen.std.length).toFixed(2);
      this.find("prior").setAttribute("aria-label", `prior of z: ${seen.mean.length} means, average std ${wide}`);
    }
  }
  Explorer.count = 0;

  /** [left, top, width, height] on the board of a square of half-side s around (x, y). */
  const square = (x, y, s) => [((x - s + 1) / 2) * BOARD, ((y - s + 1) / 2) * BOARD, s * BOARD, s * BOARD];

  function outline(pen, frame, colour, width, dashes) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: width });
    pen.setLineDash(dashes);
    pen.strokeRect(...frame);
  }

  function memoryCanvas(network) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = network.memory_size;
    paintColours(canvas, network.memory, network);
    return canvas;
  }

  /** Channels as red, green and blue: 0 is mid-grey, as plots.memory_picture. */
  function paintColours(canvas, values, network) {
    const area = canvas.width * canvas.height;
    fill(canvas, (n) => [0, 1, 2].map((c) => 255 * (0.5 + (0.5 * values[c * area + n]) / network.reach)));
  }

  const paintInk = (canvas, ink) => fill(canvas, (n) => Array(3).fill(255 * (1 - ink[n])));

  function fill(canvas, colour) {
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(canvas.width, canvas.height);
    for (let n = 0; n < canvas.width * canvas.height; n++) image.data.set([...colour(n), 255], 4 * n);
    pen.putImageData(image, 0, 0);
  }

  /** Each mean with a bar of one standard deviation each way, from -15 to 15. */
  function paintPrior(canvas, { mean, std }, style) {
    const pen = canvas.getContext("2d");
    const ink = style.getPropertyValue("--color-foreground-primary") || "#000";
    const faint = style.getPropertyValue("--color-foreground-muted") || "#777";
    const at = (v) => (1 - (Math.max(-15, Math.min(15, v)) + 15) / 30) * canvas.height;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = faint;
    pen.fillRect(0, at(0), canvas.width, 1);
    const wide = Math.min(2, (0.6 * canvas.width) / mean.length);
    mean.forEach((m, n) => {
      const x = ((n + 0.5) / mean.length) * canvas.width;
      pen.fillStyle = faint;
      pen.fillRect(x - wide / 2, at(m + std[n]), wide, at(m - std[n]) - at(m + std[n]));
      pen.fillStyle = ink;
      pen.fillRect(x - 0.75 * wide, at(m) - 1.5, 1.5 * wide, 3);
    });
  }

  /** Loads the data once, then fills every place on the page that is kept for an explorer. */
  function start() {
    const places = document.querySelectorAll(".kpp-explorer");
    if (!places.length) return;
    const data = document.createElement("script");
    data.src = new URL("atlas.js", HERE).href;
    data.onload = () => {
      const network = new kppNetwork.Network(window.kppAtlas);
      for (const place of places) new Explorer(place, network);
    };
    data.onerror = () => places.forEach((p) => (p.textContent = "The explorer's data, _static/atlas.js, did not load."));
    document.head.append(data);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
