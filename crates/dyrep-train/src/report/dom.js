// Elements, and values as they come out of the JSON. Text is always set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

const el = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

const byId = (id) => document.getElementById(id);

// A float of the data: "NaN", "Infinity" and "-Infinity" are strings there, a missing one is null.
const float = (value) => (value === null || value === undefined ? null : Number(value));

const known = (value) => value !== null && Number.isFinite(value);

// The index of the last entry whose epoch is at most `epoch`; -1 if there is none.
function lastUpTo(entries, epoch) {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].epoch <= epoch) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// Calls `draw(width)` now and whenever the width of `host` changes. A width is drawn once: drawing may
// change the height, and that must not draw again.
function drawnToWidth(host, draw) {
  let drawn = 0;
  const check = () => {
    const width = Math.round(host.clientWidth);
    if (width > 0 && width !== drawn) {
      drawn = width;
      draw(width);
    }
  };
  check();
  // Not in the observer itself: a figure that grows there makes the browser report a loop.
  new ResizeObserver(() => requestAnimationFrame(check)).observe(host);
}
