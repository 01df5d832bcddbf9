// The page: what is shown, and when.

import * as colours from "./colours.js";
import { Detail, showConnections, showLines } from "./detail.js";
import { Graph } from "./graph.js";
import { Lines } from "./lines.js";
import { Link } from "./link.js";
import { drawAxis, drawStrip, gutter, Raster } from "./plots.js";
import { clock, element, short, time } from "./words.js";

const $ = (id) => document.getElementById(id);
const SPANS = [0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600];
const view = { span: 10000, right: 0, end: null };
const state = { info: null, now: 0, dt: 1e-3, strip: null, figures: null, number: 0, dirty: false, drawn: 0, came: 0, shown: 0 };
const panels = new Map(), traces = new Map();

// What is shown.

const width = () => Math.max(50, Math.min(2048, Math.round($("rows").clientWidth - gutter() - 12)));

function ask() {
  if (!state.info) return;
  state.number += 1;
  for (const panel of [...panels.values(), ...traces.values()]) panel.most_columns = view.span;
  const wide = width();
  link.show({
    op: "view",
    number: state.number,
    span: view.span,
    end: view.end,
    panels: [...panels.values()].map((panel) => panel.wish(wide)),
    traces: [...traces.values()].map((trace) => ({ outlet: trace.id, neurons: trace.neurons, width: wide })),
  });
  $("pause").setAttribute("aria-pressed", String(view.end !== null));
  $("pause").textContent = view.end === null ? "Pause" : "Live";
  mark();
}

function pause(at = state.now) {
  view.end = Math.max(1, Math.round(at));
  view.right = view.end;
  ask();
}

function live() {
  view.end = null;
  $("scrub").value = 0;
  ask();
}

function span(seconds) {
  const ticks = Math.max(20, Math.round(seconds / state.dt));
  const most = Math.round(600 / state.dt);
  view.span = Math.min(most, ticks);
  const picked = [...$("span").options].find((option) => Math.abs(Number(option.value) - view.span * state.dt) < 1e-9);
  if (picked) picked.selected = true;
  else {
    const own = $("span").querySelector(".own") ?? $("span").appendChild(element("option", { className: "own" }));
    own.value = view.span * state.dt;
    own.textContent = time(view.span * state.dt);
    own.selected = true;
  }
  ask();
}

// A part of the time axis was chosen in a raster, or a factor, or only neurons.
function zoomed(how) {
  if (how && "factor" in how) span(view.span * state.dt * how.factor);
  else if (how) {
    const left = view.right - view.span, ticks = view.span;
    view.end = Math.round(left + how.to * ticks);
    view.right = view.end;
    span((how.to - how.from) * ticks * state.dt);
  } else ask();
}

function trace(outlet, neurons) {
  const name = `${outlet} ${neurons}`, [node, variable] = outlet.split(".");
  if (traces.has(name) || traces.size >= 8) return;
  const known = state.info.nodes[node].parameters.v_th;
  const threshold = variable === "v" && typeof known === "number" ? known : null;
  const made = new Lines(outlet, outlet, "every tick", { neurons, threshold, redraw: mark, close: () => {
    made.node.remove();
    traces.delete(name);
    ask();
  } });
  traces.set(name, made);
  (panels.get(node)?.node ?? $("rows").lastChild).after(made.node);
  ask();
}

function build(info) {
  state.info = info;
  state.dt = info.dt_ns / 1e9;
  $("name").textContent = info.graph;
  document.title = `${info.graph} · spikeflow`;
  $("hint").hidden = true;
  panels.clear();
  traces.clear();
  graph.build(info);
  const order = [...document.querySelectorAll("[data-node]")].map((one) => one.dataset.node);
  const flowing = Object.entries(info.outlets).filter(([, outlet]) => outlet.flows);
  flowing.sort(([a], [b]) => order.indexOf(a.split(".")[0]) - order.indexOf(b.split(".")[0]));
  for (const [id, { kind, size }] of flowing) {
    const { role, kind: of } = info.nodes[id.split(".")[0]];
    const shown = `${size} ${size === 1 ? "channel" : "channels"}`;
    panels.set(id, kind === "spikes" ? new Raster(id, size, state.dt, zoomed, role === "neuron" ? 230 : 130) : new Lines(id, id, `${role} · ${of} · ${shown}`, { size, chosen: ask, redraw: mark }));
  }
  $("rows").replaceChildren(...[...panels.values()].map((panel) => panel.node));
  $("detail").replaceChildren(element("h2", {}, "Node"), element("p", { className: "hint" }, "Choose a node in the graph."));
  view.end = null;
  $("span").replaceChildren(...SPANS.map((seconds) => element("option", { value: seconds }, time(seconds).replace(/^(60|120|300|600) s$/, (_, s) => `${s / 60} min`))));
  span(innerWidth < 600 ? 5 : 10);
}

// What comes.

function take(facts) {
  if (facts.info) build(facts.info);
  state.now = facts.now;
  $("elapsed").textContent = clock(state.now * state.dt); // the time of the axis
  if (view.end === null) view.right = facts.now;
  connected(facts.connected);
  $("lost-fact").hidden = !facts.lost;
  $("lost").textContent = facts.lost;
  if (facts.figures) figures(facts);
  if (facts.view !== state.number) return;
  for (const part of facts.parts) {
    const home = part.type === "lines" && part.trace ? traces.get(`${part.id} ${part.channels}`) : panels.get(part.id);
    home?.take(part);
  }
  if (facts.parts.length) state.came = facts.view;
  mark();
}

function figures({ figures: now, lines, strip }) {
  state.figures = now;
  state.strip = strip;
  for (const [id, names] of Object.entries(now.channels ?? {})) panels.get(id)?.call?.(names);
  const nodes = Object.values(now.nodes);
  $("traffic").textContent = short(nodes.reduce((sum, one) => sum + (one.out_per_s || 0), 0));
  $("lag").textContent = `${short(Math.max(0, ...nodes.map((one) => one.lag_ms)))} ms`;
  graph.update(now);
  detail.update(now);
  showConnections($("links"), $("connections"), now);
  showLines($("log"), lines);
  mark();
}

function connected(there) {
  const how = !there ? "gone" : view.end === null ? "live" : "paused";
  const text = { gone: "the run does not answer", live: "live", paused: "paused, the run goes on" }[how];
  if ($("state").textContent !== text) [$("state").textContent, $("state").dataset.is] = [text, how === "gone" ? "gone" : "live"];
}

function mark() {
  if (state.dirty) return;
  state.dirty = true;
  requestAnimationFrame(draw);
}

function draw() {
  state.dirty = false;
  state.drawn += 1;
  if (!state.info) return;
  for (const panel of [...panels.values(), ...traces.values()]) panel.draw(view);
  drawAxis($("axis"), view, state.dt);
  state.shown = state.came;
  if (state.strip) drawStrip($("strip"), state.strip, view, state.dt, state.now);
  $("when").textContent = view.end === null ? "live" : `${time((state.now - view.end) * state.dt)} ago`;
}

// What people do.

function save(name, url) {
  const made = element("a", { href: url, download: name });
  document.body.append(made);
  made.click();
  made.remove();
}

async function picture() {
  const shown = [...document.querySelectorAll("#rows canvas.plot, #axis")];
  const ratio = Math.min(2, devicePixelRatio || 1), wide = Math.max(...shown.map((one) => one.width));
  const tall = shown.reduce((sum, one) => sum + one.height + (one.classList.contains("rate") ? 4 : 26) * ratio, 0);
  const canvas = element("canvas", { width: wide, height: tall }), pen = canvas.getContext("2d");
  pen.fillStyle = colours.of("card");
  pen.fillRect(0, 0, wide, tall);
  let y = 0;
  for (const one of shown) {
    const title = one.classList.contains("rate") || one.id ? "" : one.parentNode.querySelector("h2").textContent;
    y += (one.classList.contains("rate") ? 4 : 26) * ratio;
    if (title) {
      pen.fillStyle = colours.of("ink");
      pen.font = `${13 * ratio}px system-ui, sans-serif`;
      pen.fillText(title, gutter() * ratio, y - 7 * ratio);
    }
    pen.drawImage(one, 0, y);
    y += one.height;
  }
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const url = URL.createObjectURL(blob);
  save(`${state.info.graph}.png`, url);
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function arrows() {
  const rasters = [...panels.values()].filter((panel) => panel instanceof Raster);
  const seen = rasters.filter((panel) => panel.high - panel.low < panel.size);
  const chosen = seen.length ? seen : rasters;
  chosen.forEach((panel) => {
    const asked = { outlet: panel.id, first: Math.max(0, view.right - view.span), end: view.right, low: panel.low, high: panel.high };
    save(`${state.info.graph}-${panel.id}.arrows`, `/spikes.arrows?${new URLSearchParams(asked)}`);
  });
}

function reset() {
  for (const panel of panels.values()) if (panel.limit) panel.limit(0, panel.size);
  view.end = null;
  $("scrub").value = 0;
  span(innerWidth < 600 ? 5 : 10);
}

function step(direction) {
  const seconds = view.span * state.dt;
  const next = direction > 0 ? SPANS.find((one) => one > seconds + 1e-9) : SPANS.findLast((one) => one < seconds - 1e-9);
  if (next) span(next);
}

$("pause").onclick = () => (view.end === null ? pause() : live());
$("span").onchange = () => span(Number($("span").value));
$("whole").onclick = reset;
$("png").onclick = picture;
$("arrow").onclick = arrows;
$("theme").onclick = () => {
  colours.choose(colours.theme === "dark" ? "light" : "dark");
  localStorage.setItem("theme", colours.theme);
  if (state.info) {
    graph.build(state.info);
    if (state.figures) graph.update(state.figures);
    for (const panel of [...panels.values(), ...traces.values()]) panel.drawKeys?.(panel.channels);
  }
  mark();
};
$("scrub").oninput = () => {
  const back = -Number($("scrub").value);
  if (back < 0.05) live();
  else pause(state.now - back / state.dt);
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") $("pause").click();
  else if (event.key === "+" || event.key === "=") step(-1);
  else if (event.key === "-") step(1);
  else if (event.key === "0") reset();
  else if (event.key === "ArrowLeft") pause((view.end ?? state.now) - view.span / 8);
  else if (event.key === "ArrowRight" && view.end !== null) {
    if (view.end + view.span / 8 >= state.now) live();
    else pause(view.end + view.span / 8);
  } else return;
  event.preventDefault();
});

let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(ask, 150);
});

const preferred = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
colours.choose(localStorage.getItem("theme") ?? preferred);
const graph = new Graph($("graph"), (name) => {
  detail.show(name, state.info);
  if (state.figures) detail.update(state.figures);
});
const detail = new Detail($("detail"), trace);
const link = new Link(take, (there, refused) => {
  if (!there) {
    $("state").textContent = refused ? "another token is asked for: open the address that the run printed" : "reconnecting";
    $("state").dataset.is = "gone";
  }
});

// For those who look at the page with a program.
globalThis.spikeflow = { state, view, panels, traces, link, pause, live, span };
