// Colours: of the theme, of lines (Okabe and Ito, told apart by everybody), and of heat (even steps of lightness).

const DARK = ["#56b4e9", "#e69f00", "#2fbf92", "#cc79a7", "#f0e442", "#ff7f50", "#8da0ff", "#c9d1de"];
const LIGHT = ["#0072b2", "#c27c00", "#00795a", "#a8437c", "#8a7d00", "#c04a00", "#4a55c4", "#5a6679"];
const HEAT = {
  dark: [[10, 10, 22], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]],
  light: [[250, 251, 253], [206, 224, 240], [120, 178, 214], [45, 121, 184], [13, 66, 128], [6, 26, 66]],
};

export let theme = "dark";
export let table = new Uint32Array(256);
let style = getComputedStyle(document.documentElement);

export function choose(name) {
  theme = name;
  document.documentElement.dataset.theme = name;
  style = getComputedStyle(document.documentElement);
  const anchors = HEAT[name];
  table = new Uint32Array(256);
  for (let k = 0; k < 256; k++) {
    const place = (k / 255) * (anchors.length - 1);
    const low = Math.min(Math.floor(place), anchors.length - 2);
    const [r, g, b] = anchors[low].map((a, j) => Math.round(a + (anchors[low + 1][j] - a) * (place - low)));
    table[k] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
}

export const of = (name) => style.getPropertyValue(`--${name}`).trim();
export const line = (k) => (theme === "dark" ? DARK : LIGHT)[k % DARK.length];
export const role = (name) => line({ source: 2, encoder: 1, neuron: 3, decoder: 0, sink: 6, network: 3 }[name] ?? 7);
