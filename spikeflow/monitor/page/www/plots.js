// Plots: what all have in common, rasters with their rates, and the axis; each keeps the columns that it shows.

import * as colours from "./colours.js";
import { element, nice, short } from "./words.js";

export const gutter = () => (innerWidth < 600 ? 40 : 58);
const RIGHT = 2;

export function prepared(canvas) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  pen.font = "11px system-ui, sans-serif";
  return pen;
}

// Columns of numbers, of which the oldest are given up.
export class Columns {
  constructor(width, Kind) {
    this.width = width;
    this.Kind = Kind;
    this.clear();
  }

  clear() {
    this.first = 0;
    this.count = 0;
    this.data = new this.Kind(0);
  }

  put(part, values, most) {
    if (part.whole || part.first !== this.first + this.count) {
      this.clear();
      this.first = part.first;
    }
    const need = (this.count + part.columns) * this.width;
    if (need > this.data.length) {
      const keep = Math.min(this.count, Math.max(0, most - part.columns));
      const bigger = new this.Kind(Math.max(need, 2 * most * this.width));
      bigger.set(this.data.subarray((this.count - keep) * this.width, this.count * this.width));
      this.first += this.count - keep;
      this.count = keep;
      this.data = bigger;
    }
    this.data.set(values, this.count * this.width);
    this.count += part.columns;
  }
}

export class Plot {
  constructor(id, title, about) {
    this.id = id;
    this.title = element("h2", {}, title);
    this.about = element("span", { className: "about" }, about);
    this.head = element("header", {}, this.title, this.about);
    this.node = element("article", { className: "panel", data: { id } }, this.head);
    this.column = 0;
  }

  // Where the time of a column is, from the left edge of the canvas.
  at(view, tick, width) {
    const left = gutter();
    return left + ((tick - (view.right - view.span)) / view.span) * (width - left - RIGHT);
  }

  labels(pen, height, low, high, text) {
    pen.fillStyle = colours.of("dim");
    pen.textAlign = "right";
    pen.textBaseline = "top";
    pen.fillText(text(high), gutter() - 7, 1);
    pen.textBaseline = "bottom";
    pen.fillText(text(low), gutter() - 7, height - 1);
  }

  ground(pen, width, height) {
    pen.fillStyle = colours.of("plot");
    pen.fillRect(gutter(), 0, width - gutter() - RIGHT, height);
    pen.strokeStyle = colours.of("grid");
    pen.lineWidth = 1;
    pen.strokeRect(gutter() - 0.5, 0.5, width - gutter() - RIGHT + 1, height - 1);
  }

  clip(pen, width, height) {
    pen.beginPath();
    pen.rect(gutter(), 0, width - gutter() - RIGHT, height);
    pen.clip();
  }
}

export class Raster extends Plot {
  constructor(id, size, dt, zoomed, tallest) {
    super(id, id, "");
    this.size = size;
    this.height = Math.max(56, Math.min(tallest, innerWidth < 600 ? 180 : 230, size * 4));
    this.dt = dt;
    this.low = 0;
    this.high = size;
    this.scale = 0;
    this.legend = element("canvas", { width: 90, height: 8 });
    this.most = element("span", {}, "");
    this.bar = element("span", { className: "scale" }, "0", this.legend, this.most);
    this.head.append(this.bar);
    this.canvas = element("canvas", { className: "plot raster", tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.rate = element("canvas", { className: "plot rate" });
    this.node.append(this.canvas, this.rate);
    this.canvas.style.height = `${this.height}px`;
    this.image = document.createElement("canvas");
    this.data = new Columns(1, Uint16Array);
    this.drag = null;
    this.listen(zoomed);
  }

  wish(width) {
    const rows = Math.max(1, Math.min(this.high - this.low, Math.round(this.height)));
    return { id: this.id, width, rows, low: this.low, high: this.high };
  }

  take(part) {
    if (part.whole || part.rows !== this.data.width) this.data = new Columns(part.rows, Uint16Array);
    if (this.column !== part.column || this.rows !== part.rows) this.scale = 0; // counts of larger pixels say nothing of these
    [this.column, this.rows] = [part.column, part.rows];
    this.coarse = part.coarse;
    this.data.put(part, part.counts, Math.ceil(this.most_columns / part.column) + 8);
  }

  draw(view) {
    this.most_columns = view.span;
    const pen = prepared(this.canvas), width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.ground(pen, width, height);
    const neurons = this.high - this.low;
    this.labels(pen, height, this.low, this.high - 1, String);
    const { data } = this;
    if (data.count && this.column) {
      const begin = Math.max(0, Math.floor((view.right - view.span) / this.column) - data.first);
      let peak = 0, filled = 0;
      for (let k = begin * data.width; k < data.count * data.width; k++) {
        const count = data.data[k];
        if (count) filled += 1;
        if (count > peak) peak = count;
      }
      this.scale = Math.max(peak, this.scale * 0.98, 1);
      const share = filled / Math.max(1, (data.count - begin) * data.width);
      this.dots = data.width === neurons && height / data.width >= 1.5 && share < 0.2;
      pen.save();
      this.clip(pen, width, height);
      if (this.dots) this.drawDots(pen, view, width, height, begin);
      else this.drawHeat(pen, view, width, height, begin);
      pen.restore();
      const hot = this.scale / ((neurons / data.width) * this.column * this.dt);
      this.most.textContent = this.dots ? "" : `${short(hot)} Hz`;
      this.bar.hidden = this.dots;
      if (!this.dots) this.drawLegend();
      this.drawRate(view, begin, neurons);
    }
    if (this.drag) {
      pen.strokeStyle = colours.of("accent");
      pen.lineWidth = 1.5;
      const { x0, y0, x1, y1 } = this.drag;
      pen.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    }
  }

  drawHeat(pen, view, width, height, begin) {
    const { data, image } = this, columns = data.count - begin, rows = data.width;
    if (columns <= 0) return;
    if (image.width !== columns || image.height !== rows) [image.width, image.height] = [columns, rows];
    const brush = image.getContext("2d"), made = brush.createImageData(columns, rows);
    const pixels = new Uint32Array(made.data.buffer), table = colours.table, scale = 255 / Math.sqrt(this.scale);
    const levels = new Uint8Array(Math.min(65536, Math.ceil(this.scale) + 1));
    for (let k = 1; k < levels.length; k++) levels[k] = Math.max(24, Math.min(255, Math.round(Math.sqrt(k) * scale)));
    for (let c = 0; c < columns; c++) {
      const from = (begin + c) * rows;
      for (let r = 0; r < rows; r++) {
        pixels[(rows - 1 - r) * columns + c] = table[levels[Math.min(data.data[from + r], levels.length - 1)]];
      }
    }
    brush.putImageData(made, 0, 0);
    pen.imageSmoothingEnabled = false;
    const x = this.at(view, (data.first + begin) * this.column, width);
    const end = this.at(view, (data.first + data.count) * this.column, width);
    pen.drawImage(image, x, 0, end - x, height);
  }

  drawDots(pen, view, width, height, begin) {
    const { data } = this, rows = data.width, tall = height / rows;
    const wide = Math.max(2, Math.round(this.at(view, this.column, width) - this.at(view, 0, width)));
    const high = Math.max(2, Math.min(Math.floor(tall - (tall > 3 ? 1 : 0)), 7)); // whole pixels, so that dots are sharp
    pen.fillStyle = colours.theme === "dark" ? "#ffd166" : "#0b3d91";
    for (let c = begin; c < data.count; c++) {
      const x = Math.round(this.at(view, (data.first + c) * this.column, width));
      for (let r = 0; r < rows; r++) {
        if (data.data[c * rows + r]) pen.fillRect(x, Math.round(height - (r + 0.5) * tall - high / 2), wide, high);
      }
    }
  }

  drawLegend() {
    const brush = this.legend.getContext("2d"), made = brush.createImageData(90, 1);
    const pixels = new Uint32Array(made.data.buffer);
    for (let k = 0; k < 90; k++) pixels[k] = colours.table[Math.round(Math.sqrt(k / 89) * 255)];
    for (let y = 0; y < 8; y++) brush.putImageData(made, 0, y);
  }

  // The rate of each column (Hz a neuron): its spikes, over its neurons and its time.
  rates(begin = 0) {
    const { data } = this, found = [], share = (this.high - this.low) * this.column * this.dt;
    for (let c = begin; c < data.count; c++) {
      let sum = 0;
      for (let r = 0; r < data.width; r++) sum += data.data[c * data.width + r];
      found.push(sum / share);
    }
    return found;
  }

  drawRate(view, begin, neurons) {
    const pen = prepared(this.rate), width = this.rate.clientWidth, height = this.rate.clientHeight;
    const rates = this.rates(begin);
    const top = nice(Math.max(...rates, 1e-3) || 1);
    this.ground(pen, width, height);
    this.labels(pen, height, 0, top, (n) => short(n));
    pen.save();
    this.clip(pen, width, height);
    pen.beginPath();
    rates.forEach((rate, k) => {
      const x = this.at(view, (this.data.first + begin + k) * this.column, width);
      const next = this.at(view, (this.data.first + begin + k + 1) * this.column, width);
      const y = height - 1.5 - (rate / top) * (height - 3);
      if (k === 0) pen.moveTo(x, y);
      else pen.lineTo(x, y);
      pen.lineTo(next, y);
    });
    pen.strokeStyle = colours.line(0);
    pen.lineWidth = 1.25;
    pen.stroke();
    pen.restore();
    const recent = rates.slice(-Math.max(1, Math.round(1 / (this.column * this.dt))));
    const mean = recent.reduce((a, b) => a + b, 0) / Math.max(1, recent.length);
    const zoomed = neurons < this.size ? `neurons ${this.low} to ${this.high - 1} of ${this.size}` : `${this.size.toLocaleString("en")} neurons`;
    this.about.textContent = `${zoomed} · ${short(mean)} Hz${this.coarse ? " · counts of 50 ms" : ""}`;
    this.canvas.setAttribute("aria-label", `Spikes of ${this.id}: ${this.about.textContent}`);
  }

  neuronAt(y) {
    const part = 1 - y / this.canvas.clientHeight;
    return Math.max(this.low, Math.min(this.high, this.low + part * (this.high - this.low)));
  }

  listen(zoomed) {
    const { canvas } = this, place = (event) => [event.offsetX, event.offsetY];
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || event.pointerType === "touch") return;
      const [x, y] = place(event);
      this.drag = { x0: x, y0: y, x1: x, y1: y };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.drag) [this.drag.x1, this.drag.y1] = place(event);
    });
    canvas.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      const wide = Math.abs(drag.x1 - drag.x0) > 6, tall = Math.abs(drag.y1 - drag.y0) > 6;
      if (tall) {
        const low = Math.floor(this.neuronAt(Math.max(drag.y0, drag.y1)));
        this.limit(low, Math.max(low + 1, Math.ceil(this.neuronAt(Math.min(drag.y0, drag.y1)))));
      }
      if (wide || tall) zoomed(wide ? this.share(drag.x0, drag.x1) : null);
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      const factor = (event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8;
      if (event.shiftKey) {
        this.around(this.neuronAt(event.offsetY), factor);
        zoomed(null);
      } else zoomed({ factor });
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = Math.max(1, Math.round((this.high - this.low) / 8)), middle = (this.low + this.high) / 2;
      const move = { ArrowUp: step, ArrowDown: -step }[event.key];
      if (move) this.limit(this.low + move, this.high + move);
      else if (event.key === "[") this.around(middle, 0.5);
      else if (event.key === "]") this.around(middle, 2);
      else return;
      event.preventDefault();
      zoomed(null);
    });
  }

  share(x0, x1) {
    const left = gutter(), width = this.canvas.clientWidth - left - RIGHT;
    const part = (x) => Math.max(0, Math.min(1, (x - left) / width));
    return { from: part(Math.min(x0, x1)), to: part(Math.max(x0, x1)) };
  }

  around(neuron, factor) {
    const low = neuron - (neuron - this.low) * factor, high = neuron + (this.high - neuron) * factor;
    this.limit(Math.floor(low), Math.max(Math.floor(low) + 1, Math.ceil(high)));
  }

  limit(low, high) {
    const count = Math.min(this.size, Math.max(1, high - low));
    this.low = Math.max(0, Math.min(this.size - count, Math.round(low)));
    this.high = this.low + count;
    this.scale = 0;
  }
}

export function drawAxis(canvas, view, dt) {
  const pen = prepared(canvas), left = gutter(), width = canvas.clientWidth - left - RIGHT;
  pen.fillStyle = colours.of("dim");
  pen.strokeStyle = colours.of("edge");
  pen.textBaseline = "top";
  const seconds = view.span * dt, step = nice(seconds / Math.max(2, Math.floor(width / 90)));
  const right = view.right * dt;
  for (let t = Math.ceil((right - seconds) / step) * step; t <= right + 1e-9; t += step) {
    const x = left + ((t - (right - seconds)) / seconds) * width;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, 5);
    pen.stroke();
    pen.textAlign = x > left + width - 24 ? "right" : x < left + 12 ? "left" : "center";
    pen.fillText(`${Number(t.toFixed(6))} s`, x, 7);
  }
}

export function drawStrip(canvas, strip, view, dt, now) {
  const pen = prepared(canvas), width = canvas.clientWidth, height = canvas.clientHeight;
  const { counts, column } = strip, most = Math.max(1, ...counts), each = width / counts.length;
  pen.fillStyle = colours.of("accent");
  counts.forEach((count, k) => {
    const tall = (count / most) * (height - 4);
    if (count) pen.fillRect(k * each, height - tall, Math.max(1, each - 0.6), tall);
  });
  const seconds = counts.length * column * dt, x = (tick) => width * (1 - ((now - tick) * dt) / seconds);
  pen.strokeStyle = colours.of("ink");
  pen.lineWidth = 1.5;
  pen.strokeRect(Math.max(1, x(view.right - view.span)), 1, Math.max(3, x(view.right) - Math.max(1, x(view.right - view.span)) - 1), height - 2);
}
