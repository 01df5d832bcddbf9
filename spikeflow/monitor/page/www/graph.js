// The graph, drawn in layers from left to right; what closes a loop runs back below.

import * as colours from "./colours.js";
import { short, time } from "./words.js";

const WIDE = 158, TALL = 62, ACROSS = 84, DOWN = 20, EDGE = 14;
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const nodeOf = (stream) => stream.split(".")[0];

export class Graph {
  constructor(home, chosen) {
    this.home = home;
    this.chosen = chosen;
    this.selected = null;
  }

  build(info) {
    const names = Object.keys(info.nodes);
    const { columns } = info.drawing;
    const back = new Set(info.drawing.back.map(([from, to]) => `${from}>${to}`));
    const layer = new Map(), place = new Map(); // in its layer, how many nodes below the middle
    columns.forEach((column, k) => column.forEach((name, j) => {
      layer.set(name, k);
      place.set(name, j - (column.length - 1) / 2);
    }));
    const most = Math.max(...columns.map((column) => column.length));
    const loops = info.edges.filter((edge) => nodeOf(edge.from) === edge.to || back.has(`${nodeOf(edge.from)}>${edge.to}`));
    const outer = loops.filter((edge) => nodeOf(edge.from) !== edge.to).length;
    const width = columns.length * (WIDE + ACROSS) - ACROSS + 2 * EDGE;
    const tall = most * (TALL + DOWN) - DOWN;
    const below = loops.filter((edge) => nodeOf(edge.from) === edge.to).map((edge) => tall / 2 + place.get(edge.to) * (TALL + DOWN) + TALL / 2 + 40);
    const height = Math.max(tall, ...below) + 2 * EDGE + outer * 14 + (outer ? 16 : 0);
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group" });
    const middle = EDGE + tall / 2;
    const x = (name) => EDGE + layer.get(name) * (WIDE + ACROSS);
    const y = (name) => middle + place.get(name) * (TALL + DOWN) - TALL / 2;
    this.edges = [];
    let lane = 0;
    for (const edge of info.edges) {
      const from = nodeOf(edge.from), to = edge.to;
      const [x0, y0, x1, y1] = [x(from) + WIDE, y(from) + TALL / 2, x(to), y(to) + TALL / 2];
      let path, at;
      if (from === to) {
        const base = y(from) + TALL;
        path = `M${x0 - 46},${base} C${x0 - 46},${base + 28} ${x0 - 112},${base + 28} ${x0 - 112},${base + 3}`;
        at = [x0 - 79, base + 36];
      } else if (back.has(`${from}>${to}`)) {
        const base = height - EDGE - 14 * lane++;
        path = `M${x0 - 30},${y(from) + TALL} C${x0 - 30},${base + 8} ${x0 - 60},${base} ${(x0 + x1) / 2},${base} `
          + `S${x1 + 30},${base + 8} ${x1 + 30},${y(to) + TALL + 3}`;
        at = [(x0 + x1) / 2, base - 3];
      } else if (layer.get(to) - layer.get(from) > 1) { // past the nodes between
        const lift = Math.min(y0, y1) - TALL / 2 - DOWN / 2;
        const clear = columns.slice(layer.get(from) + 1, layer.get(to)).some((column) => column.some((n) => Math.abs(y(n) + TALL / 2 - (y0 + y1) / 2) < TALL));
        const via = clear ? Math.max(8, lift) : (y0 + y1) / 2;
        path = `M${x0},${y0} C${x0 + ACROSS},${y0} ${x0 + ACROSS / 2},${via} ${x0 + ACROSS + 20},${via} L${x1 - ACROSS - 20},${via} C${x1 - ACROSS / 2},${via} ${x1 - ACROSS},${y1} ${x1 - 6},${y1}`;
        at = [x1 - ACROSS / 2, (via + y1) / 2 - 6];
      } else {
        path = `M${x0},${y0} C${x0 + ACROSS / 2},${y0} ${x1 - ACROSS / 2},${y1} ${x1 - 6},${y1}`;
        at = [(x0 + x1) / 2, (y0 + y1) / 2 - 6];
      }
      const loop = edge.loop || from === to;
      const line = draw("path", { d: path, class: `edge${loop ? " loop" : ""}`, "marker-end": "url(#tip)" });
      const flow = draw("text", { x: at[0], y: at[1], "text-anchor": "middle", class: "flow" });
      const title = draw("title");
      line.append(title);
      this.edges.push({ line, flow, title, ...edge });
    }
    const tip = draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" },
      draw("path", { d: "M0,0 L8,4 L0,8 z", class: "tip" }));
    svg.append(draw("defs", {}, tip), ...this.edges.map((edge) => edge.line));
    this.nodes = new Map();
    for (const name of names) {
      const { role, kind } = info.nodes[name];
      const one = {
        mark: draw("rect", { x: 0, y: 0, width: 5, height: TALL, rx: 2.5, class: "mark", fill: colours.role(role) }),
        load: draw("text", { x: 14, y: 52, class: "small" }),
        queue: draw("rect", { x: 0, y: TALL - 3, width: 0, height: 3, class: "mark", fill: colours.of("warn") }),
      };
      one.group = draw("g", { class: "node", transform: `translate(${x(name)},${y(name)})`, tabindex: 0, role: "button", "aria-pressed": "false", "data-node": name },
        draw("rect", { class: "box", width: WIDE, height: TALL, rx: 8 }), one.mark,
        draw("text", { x: 14, y: 20, class: "title" }, cut(name, 20)),
        draw("text", { x: 14, y: 36, class: "small" }, cut(`${role} · ${kind.split(":").at(-1)}`, 24)), one.load, one.queue);
      one.group.addEventListener("click", () => this.choose(name));
      one.group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          event.stopPropagation();
          this.choose(name);
        }
      });
      this.nodes.set(name, one);
      svg.append(one.group);
    }
    svg.append(...this.edges.map((edge) => edge.flow));
    this.home.replaceChildren(svg);
    if (this.selected && this.nodes.has(this.selected)) this.choose(this.selected);
  }

  choose(name) {
    this.selected = name;
    for (const [other, { group }] of this.nodes) group.setAttribute("aria-pressed", String(other === name));
    this.chosen(name);
  }

  update(figures) {
    const { nodes, edges } = figures;
    this.edges.forEach((edge, k) => {
      const now = edges[k], full = now.capacity && now.queue >= now.capacity / 2;
      edge.line.classList.toggle("full", Boolean(full));
      edge.flow.classList.toggle("full", Boolean(full));
      edge.line.style.strokeWidth = 1.2 + Math.min(3, Math.log10(1 + (now.per_s || 0)) / 2);
      const fill = now.queue > 1 ? ` · ${now.queue}/${now.capacity}` : "";
      edge.flow.textContent = `${short(now.per_s || 0)}/s${fill}`;
      edge.title.textContent = `${edge.from} to ${edge.to}: ${short(now.per_s || 0)} events/s`
        + (now.capacity ? `, ${now.queue} of ${now.capacity} windows wait` : "") + (edge.delay_ms ? `, ${edge.delay_ms} ms later` : "");
    });
    const times = Object.values(nodes).map((one) => one.window_p99_us);
    const slowest = Math.max(...times);
    for (const [name, one] of this.nodes) {
      const now = nodes[name];
      if (!now) continue;
      const bad = (now.errors || 0) + (now.missed || 0) + (now.restarts || 0) > 0 || figures.open[name] === false;
      const slow = now.lag_ms > 1000 || (now.capacity && now.queue >= now.capacity / 2) || (now.window_p99_us === slowest && slowest > 5000);
      one.group.dataset.is = bad ? "bad" : slow ? "slow" : "well";
      const took = `${time(now.window_p50_us / 1e6)} · p99 ${time(now.window_p99_us / 1e6)}`;
      one.load.textContent = now.window_p99_us ? took : `${short(now.out_per_s || now.in_per_s || 0)}/s`;
      one.queue.setAttribute("width", now.capacity ? Math.round((now.queue / now.capacity) * WIDE) : 0);
    }
  }
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
