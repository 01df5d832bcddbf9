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
