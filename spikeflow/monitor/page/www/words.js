// Numbers and times as people read them.

export function short(number) {
  const size = Math.abs(number);
  for (const [limit, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= limit * 0.9995) return `${trim(number / limit)}${unit}`;
  }
  return size >= 100 || Number.isInteger(number) ? number.toFixed(0) : trim(number);
}

function trim(number) {
  return Number(number.toPrecision(3)).toString();
}

export function clock(seconds) {
  const whole = Math.floor(Math.max(0, seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const [hours, minutes, rest] = parts;
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export function time(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return "0";
  if (size < 1e-3) return `${trim(seconds * 1e6)} µs`;
  if (size < 1) return `${trim(seconds * 1e3)} ms`;
  return `${trim(seconds)} s`;
}

export function nice(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= least * 0.999);
}

// Up to eight indices below `size`, of a text such as 0-3,7.
export function numbers(text, size) {
  const found = new Set();
  for (const part of text.split(",")) {
    const [, low, high] = part.match(/^\s*(\d+)\s*(?:[-:–]\s*(\d+)\s*)?$/) ?? [];
    for (let n = Number(low); found.size < 8 && n <= Number(high ?? low) && n < size; n++) found.add(n);
  }
  return [...found].sort((a, b) => a - b);
}

// The same, as a text.
export function ranges(indices) {
  const parts = [];
  for (const n of indices) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([low, high]) => (low === high ? low : `${low}-${high}`)).join(",");
}

export function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key === "data") Object.assign(made.dataset, value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
