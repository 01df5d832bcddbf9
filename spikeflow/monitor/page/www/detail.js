// What stands beside the plots: the chosen node, the connections, the log.

import { element, numbers, short, time } from "./words.js";

const row = (name, value, bad = false) =>
  element("tr", {}, element("th", { scope: "row" }, name), element("td", { className: bad ? "bad" : "" }, value));

const written = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

export class Detail {
  constructor(home, trace) {
    this.home = home;
    this.trace = trace;
    this.name = null;
  }

  show(name, info) {
    this.name = name;
    const { role, kind, parameters } = info.nodes[name];
    this.figures = element("tbody");
    const given = Object.entries(parameters).filter(([, value]) => value !== null && written(value) !== "{}" && written(value) !== "[]");
    const parts = [
      element("h2", {}, name),
      element("p", {}, `${role} · ${kind}`),
      element("h3", {}, "Figures"),
      element("table", {}, this.figures),
    ];
    const states = Object.keys(info.outlets).filter((outlet) => outlet.startsWith(`${name}.`) && !info.outlets[outlet].synapses);
    if (role === "neuron" && states.length) parts.push(element("h3", {}, "Traces"), this.form(name, states, info));
    parts.push(element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...given.map(([key, value]) => row(key, written(value))))));
    this.home.replaceChildren(...parts);
  }

  form(name, states, info) {
    const choice = element("select", { ariaLabel: "State variable" }, ...states.map((state) => element("option", { value: state }, state.slice(name.length + 1))));
    const size = info.outlets[states[0]].size;
    const neurons = element("input", { type: "text", ariaLabel: "Neurons", value: size > 3 ? "0,1,2" : [...Array(size).keys()].join(","), title: "Up to eight neurons, such as 0,5,7 or 8-15" });
    const form = element("form", {}, choice, neurons, element("button", { type: "submit" }, "Trace"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = numbers(neurons.value, size);
      if (chosen.length) this.trace(choice.value, chosen);
    });
    return form;
  }

  update(figures) {
    const one = this.name && figures.nodes[this.name];
    if (!one) return;
    const rows = [
      row("events in", `${short(one.events_in)} · ${short(one.in_per_s)}/s`),
      row("events out", `${short(one.events_out)} · ${short(one.out_per_s)}/s`),
      row("windows", one.windows.toLocaleString("en")),
      row("window time", `${time(one.window_p50_us / 1e6)} · p99 ${time(one.window_p99_us / 1e6)}`),
      row("lag", `${short(one.lag_ms)} ms`, one.lag_ms > 1000),
    ];
    if (one.capacity) rows.push(row("queue", `${one.queue} of ${one.capacity}`, one.queue >= one.capacity));
    for (const key of ["errors", "missed", "restarts"]) if (one[key]) rows.push(row(key, String(one[key]), true));
    for (const key of ["accepted", "processed", "buffered"]) if (key in one) rows.push(row(key, one[key].toLocaleString("en")));
    for (const key of ["rejected", "dropped", "noted"]) {
      for (const [why, count] of Object.entries(one[key] ?? {})) rows.push(row(`${key}: ${why.replaceAll("_", " ")}`, count.toLocaleString("en"), key !== "noted"));
    }
    this.figures.replaceChildren(...rows);
  }
}

export function showConnections(home, list, figures) {
  const names = Object.keys(figures.open);
  home.hidden = names.length === 0;
  list.replaceChildren(...names.map((name) => {
    const { noted = {}, in_per_s: came, out_per_s: went } = figures.nodes[name] ?? {};
    const again = noted.reconnected ? `, ${noted.reconnected}× reconnected` : "";
    const why = figures.open[name] ? `${short(Math.max(came || 0, went || 0))}/s${again}` : `not open${again}`;
    return element("li", { data: { is: figures.open[name] ? "open" : "closed" } }, name, element("span", { className: "why" }, why));
  }));
}

export function showLines(list, lines) {
  const last = lines.at(-1)?.number ?? 0;
  if (list.dataset.last === String(last)) return;
  list.dataset.last = String(last);
  const told = lines.slice(-60).map(({ t, node, level, text }) =>
    element("li", { data: { level } }, `${new Date(t * 1000).toTimeString().slice(0, 8)} ${node}: ${text}`));
  list.replaceChildren(...(told.length ? told : [element("li", { className: "none" }, "Nothing was said.")]));
  list.scrollTop = list.scrollHeight;
}
