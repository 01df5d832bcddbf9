// Lines: samples of some channels, or state variables of some neurons.

import * as colours from "./colours.js";
import { Columns, gutter, Plot, prepared } from "./plots.js";
import { element, nice, numbers, ranges, short } from "./words.js";

const MOST_LINES = 8;
const UNLIKE = 20; // how many times as large as another a line is that gets a scale of its own

// A scale for one line alone: from zero to a round number, so that it neither jumps nor makes much of little.
function own([low, high]) {
  const [least, most] = [low < 0 ? -nice(-low) : 0, high > 0 ? nice(high) : 0];
  return least === most ? [0, 1] : [least, most];
}

export class Lines extends Plot {
  constructor(id, title, about, { neurons = null, threshold = null, close = null, size = 0, chosen = null, redraw = () => {} } = {}) {
    super(id, title, about);
    this.neurons = neurons;
    this.threshold = threshold;
    this.keys = element("span", { className: "keys" });
    this.size = size;
    this.wanted = null; // the first ones
    this.names = [];
    this.hidden = new Set(); // channels that are not drawn
    this.apart = null; // each line on its own scale: true, false, or null as long as nobody has said
    this.unlike = false;
    this.scaler = element("button", { type: "button", className: "own", title: "Each line on its own scale, from zero", hidden: true, onclick: () => {
      this.apart = !this.isApart;
      redraw();
    } }, "own scales");
    if (!neurons && size > 1) this.head.append(this.scaler, this.chooser(chosen));
    this.redraw = redraw;
    this.head.append(this.keys);
    if (close) {
      this.head.append(element("button", { className: "close", title: "Close this trace", ariaLabel: `Close ${title}`, onclick: close }, "✕"));
    }
    this.canvas = element("canvas", { className: "plot" });
    this.canvas.setAttribute("role", "img");
    this.canvas.style.height = neurons ? "120px" : "84px";
    this.node.append(this.canvas);
    this.data = null;
    this.marks = [];
    this.channels = [];
  }

  take(part) {
    const { channels } = part;
    if (part.refused) this.about.textContent = part.refused;
    if (part.whole || !this.data) this.data = channels.map(() => [0, 1, 2].map(() => new Columns(1, Float32Array)));
    if (part.whole) this.marks = [];
    if (String(channels) !== String(this.channels)) this.drawKeys(channels);
    this.channels = channels;
    this.column = part.column;
    const most = Math.ceil(this.most_columns / part.column) + 8;
    channels.forEach((_, k) => [0, 1, 2].forEach((j) => {
      const at = (k * 3 + j) * part.columns;
      this.data[k][j].put(part, part.values.subarray(at, at + part.columns), most);
    }));
    if (part.marks) this.marks = this.marks.concat(part.marks).slice(-4000);
  }

  // Which of many channels are drawn: some by name, or the next eight, or those before.
  chooser(chosen) {
    const field = element("input", { type: "text", size: 12, value: `0-${Math.min(MOST_LINES, this.size) - 1}`, ariaLabel: `Channels of ${this.id}`, title: "Up to eight channels, such as 0-7 or 3,12" });
    const choose = (channels) => {
      if (channels.length) {
        this.unlike = false;
        this.hidden.clear();
        this.wanted = channels.every((one, k) => one === k) && channels.length === upTo(0).length ? null : channels;
        chosen();
      }
      field.value = ranges(this.wanted ?? upTo(0));
    };
    const upTo = (low) => Array.from({ length: Math.min(MOST_LINES, this.size - low) }, (_, k) => low + k);
    const page = (step) => {
      const now = this.wanted ?? upTo(0), first = step > 0 ? now.at(-1) + 1 : now[0] - MOST_LINES;
      choose(upTo(first >= this.size ? 0 : first < 0 && now[0] === 0 ? Math.floor((this.size - 1) / MOST_LINES) * MOST_LINES : Math.max(0, first)));
    };
    field.addEventListener("change", () => choose(numbers(field.value, this.size)));
    const button = (name, text, step) => element("button", { className: name, type: "button", title: text, ariaLabel: `${text} of ${this.id}`, onclick: () => page(step) }, step > 0 ? "›" : "‹");
    if (this.size <= MOST_LINES) return element("span", { className: "chooser" }, field);
    return element("span", { className: "chooser" }, button("before", "Channels before", -1), field, button("next", "Next channels", 1));
  }

  wish(width) {
    return { id: this.id, width, ...(this.wanted ? { channels: this.wanted } : {}) };
  }

  drawKeys(channels) {
    this.keys.replaceChildren(...channels.map((channel, k) => {
      const mark = element("i");
      mark.style.background = colours.line(k);
      const key = element("button", { type: "button", title: `Channel ${channel}: hide or show it`, onclick: () => {
        if (!this.hidden.delete(channel)) this.hidden.add(channel);
        key.setAttribute("aria-pressed", String(!this.hidden.has(channel)));
        this.unlike = false;
        this.redraw();
      } }, mark, this.called(channel));
      key.setAttribute("aria-pressed", String(!this.hidden.has(channel)));
      return key;
    }));
  }

  // What the first channels are called, as far as that is known.
  call(names) {
    this.names = names;
  }

  called(channel) {
    return this.names[channel] || String(channel);
  }

  get isApart() {
    return !this.neurons && (this.apart ?? this.unlike);
  }

  // The least and the greatest value that is seen of each line; null of one that is hidden or has none.
  reaches(view) {
    return this.data.map(([least, greatest], k) => {
      if (this.hidden.has(this.channels[k])) return null;
      let low = Infinity, high = -Infinity;
      const begin = Math.max(0, Math.floor((view.right - view.span) / this.column) - least.first);
      for (let c = begin; c < least.count; c++) {
        if (least.data[c] < low) low = least.data[c];
        if (greatest.data[c] > high) high = greatest.data[c];
      }
      return Number.isFinite(low) ? [low, high] : null;
    });
  }

  draw(view) {
    this.most_columns = view.span;
    const pen = prepared(this.canvas), width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.ground(pen, width, height);
    if (!this.data || !this.column) return;
    const reaches = this.reaches(view), there = reaches.filter(Boolean);
    const sizes = there.map(([a, b]) => Math.max(Math.abs(a), Math.abs(b))).filter(Boolean);
    if (Math.max(...sizes) > UNLIKE * Math.min(...sizes)) this.unlike = true; // it stays, so that nothing flickers
    const apart = this.isApart && there.length > 0;
    this.scaler.hidden = this.channels.length < 2;
    this.scaler.setAttribute("aria-pressed", String(this.isApart));
    let low = Math.min(...there.map(([a]) => a)), high = Math.max(...there.map(([, b]) => b));
    if (this.threshold !== null) [low, high] = [Math.min(low, this.threshold), Math.max(high, this.threshold)];
    this.tellKeys(apart ? reaches : null);
    if (!Number.isFinite(low)) return;
    if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
    const scale = (low, high) => (value) => height - 3 - ((value - low) / (high - low)) * (height - 6 - (this.neurons ? 8 : 0));
    const y = scale(low, high);
    if (apart) this.labels(pen, height, "least", "most", String);
    else this.labels(pen, height, low, high, (n) => short(n));
    pen.save();
    this.clip(pen, width, height);
    if (this.threshold !== null) {
      pen.strokeStyle = colours.of("dim");
      pen.setLineDash([4, 4]);
      pen.beginPath();
      pen.moveTo(gutter(), y(this.threshold));
      pen.lineTo(width, y(this.threshold));
      pen.stroke();
      pen.setLineDash([]);
    }
    this.data.forEach((of, k) => {
      if (reaches[k]) this.drawLine(pen, view, width, apart ? scale(...own(reaches[k])) : y, of, colours.line(k));
    });
    for (const [k, tick] of this.marks) {
      pen.fillStyle = colours.line(k);
      pen.fillRect(this.at(view, tick, width) - 0.75, 1, 1.5, 7);
    }
    pen.restore();
  }

  // The legend: the last value of each line, and from where to where it goes where that is its own affair.
  tellKeys(reaches) {
    const latest = this.data.map(([, , last]) => last.data.subarray(0, last.count).findLast((value) => !Number.isNaN(value)));
    const named = (channel) => (this.names[channel] ? `${this.names[channel]} ` : "");
    const said = this.channels.map((channel, k) => (latest[k] === undefined ? "" : named(channel) + short(latest[k]))).filter(Boolean);
    this.canvas.setAttribute("aria-label", `${this.id}: now ${said.join(", ")}`);
    [...this.keys.children].forEach((key, k) => {
      const [low, high] = reaches?.[k] ? own(reaches[k]) : [];
      const range = high === undefined ? "" : ` (${short(low)} to ${short(high)})`;
      const text = `${this.called(this.channels[k])}: ${latest[k] === undefined ? "–" : short(latest[k])}${range}`;
      if (key.lastChild.textContent !== text) key.lastChild.textContent = text;
    });
  }

  drawLine(pen, view, width, y, [least, greatest, last], colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.4;
    pen.beginPath();
    let begun = false;
    for (let c = 0; c < last.count; c++) {
      if (Number.isNaN(last.data[c])) continue;
      const x = this.at(view, (last.first + c + 0.5) * this.column, width);
      if (begun) pen.lineTo(x, y(least.data[c]));
      else pen.moveTo(x, y(least.data[c]));
      begun = true;
      if (greatest.data[c] !== least.data[c]) pen.lineTo(x, y(greatest.data[c]));
      pen.lineTo(x, y(last.data[c]));
    }
    pen.stroke();
  }
}
