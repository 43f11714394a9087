/* The model's reading half in plain script: key -> window -> block -> prior of z -> picture.
 *
 * What kpp_lib/course/keyspace.py `look` does, with the numbers that tools/atlas.py packed. Tensors are Float32Array, channels
 * first. Everything hangs on window.kppNetwork; tests compare it with torch.
 */
(function () {
  "use strict";

  /** fp16 (IEEE 754 half), little-endian, base64 -> Float32Array. */
  function unpack(text) {
    const raw = atob(text);
    const out = new Float32Array(raw.length / 2);
    for (let i = 0; i < out.length; i++) {
      const bits = raw.charCodeAt(2 * i) | (raw.charCodeAt(2 * i + 1) << 8);
      const sign = bits & 0x8000 ? -1 : 1;
      const exponent = (bits >> 10) & 31;
      const fraction = bits & 1023;
      out[i] = sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
    }
    return out;
  }

  /** Squash "centre": key [s, x, y] -> window {s, x, y}; the first number of the key is not used. */
  function squash(key, half) {
    return { s: half, x: Math.tanh(key[1]), y: Math.tanh(key[2]) };
  }

  /** The key whose window has this centre, the inverse of squash; a centre outside the memory is moved to its edge. */
  function keyAt(x, y, scale) {
    const inside = (v) => Math.max(-0.999, Math.min(0.999, v));
    return [scale || 0, Math.atanh(inside(x)), Math.atanh(inside(y))];
  }

  /** Equations 8 and 9: the window's g x g block of the memory [C, S, S], bilinear, zeros outside. */
  function readBlock(memory, channels, side, window, g, alignCorners) {
    const block = new Float32Array(channels * g * g);
    const ticks = Array.from({ length: g }, (_, i) => (alignCorners ? (2 * i) / (g - 1) - 1 : (2 * i + 1) / g - 1));
    const cell = (v) => (alignCorners ? ((v + 1) / 2) * (side - 1) : ((v + 1) * side - 1) / 2);
    for (let i = 0; i < g; i++) {
      const row = cell(window.y + window.s * ticks[i]);
      for (let j = 0; j < g; j++) {
        const column = cell(window.x + window.s * ticks[j]);
        for (let dy = 0; dy < 2; dy++) {
          for (let dx = 0; dx < 2; dx++) {
            const r = Math.floor(row) + dy;
            const c = Math.floor(column) + dx;
            const weight = (1 - Math.abs(row - r)) * (1 - Math.abs(column - c));
            if (r < 0 || c < 0 || r >= side || c >= side) continue;
            for (let k = 0; k < channels; k++) block[(k * g + i) * g + j] += weight * memory[(k * side + r) * side + c];
          }
        }
      }
    }
    return block;
  }

  /** Convolution of stride 1: kernel by kernel, so that the innermost loop runs along a row. */
  function conv(layer, x) {
    const { kernel: k, padding, in: inputs, out: outputs } = layer;
    const side = x.side + 2 * padding - k + 1;
    const y = new Float32Array(outputs * side * side);
    for (let o = 0; o < outputs; o++) {
      y.fill(layer.bias[o], o * side * side, (o + 1) * side * side);
      for (let i = 0; i < inputs; i++) {
        for (let u = 0; u < k; u++) {
          const top = Math.max(0, padding - u);
          const bottom = Math.min(side, x.side + padding - u);
          for (let v = 0; v < k; v++) {
            const weight = layer.weight[((o * inputs + i) * k + u) * k + v];
            const left = Math.max(0, padding - v);
            const right = Math.min(side, x.side + padding - v);
            for (let r = top; r < bottom; r++) {
              const from = (i * x.side + r - padding + u) * x.side - padding + v;
              const to = (o * side + r) * side;
              for (let c = left; c < right; c++) y[to + c] += weight * x.data[from + c];
            }
          }
        }
      }
    }
    return { data: y, side };
  }

  /** Transposed convolution: each input pixel adds its kernel to the output. */
  function up(layer, x) {
    const { kernel: k, stride, padding, in: inputs, out: outputs } = layer;
    const side = (x.side - 1) * stride - 2 * padding + k;
    const y = new Float32Array(outputs * side * side);
    for (let o = 0; o < outputs; o++) y.fill(layer.bias[o], o * side * side, (o + 1) * side * side);
    for (let i = 0; i < inputs; i++) {
      for (let r = 0; r < x.side; r++) {
        for (let c = 0; c < x.side; c++) {
          const value = x.data[(i * x.side + r) * x.side + c];
          const top = r * stride - padding;
          const left = c * stride - padding;
          for (let o = 0; o < outputs; o++) {
            for (let u = Math.max(0, -top); u < k && top + u < side; u++) {
              const from = ((i * outputs + o) * k + u) * k;
              const to = (o * side + top + u) * side + left;
              for (let v = Math.max(0, -left); v < k && left + v < side; v++) y[to + v] += value * layer.weight[from + v];
            }
          }
        }
      }
    }
    return { data: y, side };
  }

  /** BatchNorm in use: one factor and one offset for each channel. */
  function norm(layer, x) {
    const area = x.side * x.side;
    const factor = layer.weight.map((w, c) => w / Math.sqrt(layer.var[c] + layer.eps));
    const at = (v, c) => (v - layer.mean[c]) * factor[c] + layer.bias[c];
    return { data: x.data.map((v, n) => at(v, Math.floor(n / area))), side: x.side };
  }

  const relu = (_layer, x) => ({ data: x.data.map((v) => Math.max(0, v)), side: x.side });

  /** x plus what its layers make of it. */
  function residual(layer, x) {
    const added = run(layer.layers, x).data;
    return { data: x.data.map((v, n) => v + added[n]), side: x.side };
  }

  /** Maps at another side, bilinear, as torch's interpolate with align_corners=False. */
  function resize(layer, x) {
    const { side } = layer;
    const channels = x.data.length / x.side ** 2;
    const y = new Float32Array(channels * side * side);
    const place = (n) => Math.max(0, ((n + 0.5) * x.side) / side - 0.5);
    for (let r = 0; r < side; r++) {
      for (let c = 0; c < side; c++) {
        const [row, column] = [place(r), place(c)];
        const [top, left] = [Math.floor(row), Math.floor(column)];
        const [below, beside] = [top, left].map((n) => Math.min(n + 1, x.side - 1));
        const [down, along] = [row - top, column - left];
        for (let k = 0; k < channels; k++) {
          const at = (i, j) => x.data[(k * x.side + i) * x.side + j];
          y[(k * side + r) * side + c] = (1 - down) * ((1 - along) * at(top, left) + along * at(top, beside))
            + down * ((1 - along) * at(below, left) + along * at(below, beside));
        }
      }
    }
    return { data: y, side };
  }

  const KINDS = { conv, up, norm, relu, residual, resize, fold: (layer, x) => ({ data: x.data, side: layer.side }) };
  const run = (layers, x) => layers.reduce((value, layer) => KINDS[layer.kind](layer, value), x);

  const softplus = (v) => (v > 20 ? v : Math.log1p(Math.exp(v)));

  /** A log-variance bent smoothly into (low, high), as kpp_lib/bound.py `soft_clamp`. */
  function softClamp(v, low, high) {
    return low + softplus(high - softplus(high - v) - low);
  }

  /** ln p(Y) of K keys under N(0, I), nats. */
  function logPrior(keys) {
    let sum = 0;
    for (const v of keys.flat()) sum -= 0.5 * v * v + 0.5 * Math.log(2 * Math.PI);
    return sum;
  }

  class Network {
    /** atlas: what tools/atlas.py wrote. */
    constructor(atlas) {
      const numbers = unpack(atlas.numbers);
      const take = ([start, count]) => numbers.subarray(start, start + count);
      const layers = (list) =>
        list.map((l) => ({ ...l, ...(l.bias && { weight: take(l.weight), bias: take(l.bias) }), ...(l.var && { mean: take(l.mean), var: take(l.var) }), ...(l.layers && { layers: layers(l.layers) }) }));
      Object.assign(this, atlas, { prior: layers(atlas.prior), decoder: layers(atlas.decoder) });
      this.memory = take(atlas.memory);
      this.channels = this.memory.length / this.memory_size ** 2;
      const means = Array.from(take(atlas.keys));
      this.keys = Array.from({ length: this.length }, (_, t) =>
        Array.from({ length: this.reads }, (_, k) => means.slice(3 * (t * this.reads + k), 3 * (t * this.reads + k) + 3)));
    }

    /** K keys [s, x, y] -> {windows, blocks [K][C g g], mean [L], std [L], picture [H W], logP}. */
    look(keys) {
      const windows = keys.map((key) => squash(key, this.window));
      const g = this.block_size;
      const blocks = windows.map((w) => readBlock(this.memory, this.channels, this.memory_size, w, g, this.align_corners));
      const stacked = new Float32Array(blocks.length * blocks[0].length);
      blocks.forEach((block, k) => stacked.set(block, k * block.length));
      const out = run(this.prior, { data: stacked, side: g }).data;
      const mean = out.slice(0, this.latent);
      const std = out.slice(this.latent).map((v) => Math.exp(0.5 * softClamp(v, ...this.log_var_range)));
      return { windows, blocks, mean, std, picture: this.decode(mean), logP: logPrior(keys) };
    }

    /** z [L] -> ink [H W], 0 to 1. */
    decode(z) {
      return run(this.decoder, { data: z, side: 1 }).data.map((v) => 1 / (1 + Math.exp(-v)));
    }
  }

  window.kppNetwork = { Network, squash, keyAt, unpack };
})();
