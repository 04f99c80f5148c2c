// Axes: from values to places, round ticks, and how values are written on them.

const UNITS = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

// Writes a value in full: for read-outs.
function written(value, kind) {
  if (value === null) return "–";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (kind === "share") return `${(100 * value).toFixed(2)}%`;
  if (kind === "seconds") return value >= 100 ? `${value.toFixed(0)} s` : `${short(value, 3)} s`;
  if (kind === "count") {
    const [size, unit] = UNITS.find(([size]) => Math.abs(value) >= size) || [1, ""];
    return size === 1 ? String(value) : `${short(value / size, 3)} ${unit}`;
  }
  return short(value, 4);
}

// A number with so many digits that count, without the sign that no font aligns.
function short(value, digits) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  const text =
    size < 1e-3 || size >= 1e5
      ? value
          .toExponential(Math.max(0, digits - 2))
          .replace(/(\.\d*?)0+e/, "$1e")
          .replace(".e", "e")
      : value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  return text.replace("e+", "e").replaceAll("-", "−");
}

// The step of a round scale that crosses `span` in about `count` steps.
function niceStep(span, count) {
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 2.5, 5, 10].find((step) => step * power >= rough * 0.999);
}

// Whole epochs, about `count` of them.
function epochTicks(first, last, count) {
  if (first === last) return [first];
  const step = Math.max(1, Math.round(niceStep(last - first, count)));
  const ticks = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) ticks.push(at);
  return ticks;
}

// A linear axis whose ends are ticks; with `zero` it holds the zero. Shares end at 0 and 1.
function linearAxis(values, kind, { zero = false, count = 5 } = {}) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
  if (low === high) {
    const pad = low === 0 ? 1 : Math.abs(low) * 0.1;
    [low, high] = zero ? [low, high + pad] : [low - pad, high + pad];
  }
  const step = niceStep(high - low, count);
  low = Math.floor(low / step + 1e-9) * step;
  high = Math.ceil(high / step - 1e-9) * step;
  if (kind === "share") [low, high] = [Math.max(0, low), Math.min(1, high)];
  const ticks = [];
  for (let at = low; at <= high + step * 1e-6; at += step)
    ticks.push(Math.abs(at) < step * 1e-6 ? 0 : at);
  const label = tickLabel(kind, step, Math.max(Math.abs(low), Math.abs(high)));
  return {
    ticks: ticks.map((at) => ({ at, text: label(at) })),
    place: (v) => (v - low) / (high - low),
  };
}

// All ticks of an axis have the same number of digits, those that tell one from the next.
function tickLabel(kind, step, largest) {
  const digits = (size) => Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  const exact = (size) => {
    const needed = digits(size);
    // A step of 2.5 has a digit more than its power of ten.
    const whole =
      Math.abs(Math.round((step / size) * 10 ** needed) - (step / size) * 10 ** needed) < 1e-6;
    return Math.min(20, needed + (whole ? 0 : 1));
  };
  const minus = (text) => text.replace("-", "−");
  if (kind === "share") return (v) => `${minus((100 * v).toFixed(exact(0.01)))}%`;
  if (kind === "count" && largest >= 1e3) {
    const [size, unit] = UNITS.find(([size]) => largest >= size);
    return (v) => (v === 0 ? "0" : `${minus((v / size).toFixed(exact(size)))} ${unit}`);
  }
  const unit = kind === "seconds" ? " s" : "";
  if (largest < 1e-3 || largest >= 1e6) return (v) => short(v, 4) + unit;
  return (v) => minus(v.toFixed(exact(1))) + unit;
}

// A logarithmic axis of positive values; ticks at powers of ten, and between them where there are few.
function logAxis(values, kind) {
  const low = Math.log10(Math.min(...values));
  const high = Math.log10(Math.max(...values));
  const [first, last] = [Math.floor(low + 1e-9), Math.ceil(high - 1e-9)];
  const top = last === first ? first + 1 : last;
  const every = Math.ceil((top - first) / 6);
  const ticks = [];
  for (let power = first; power <= top; power += every) {
    ticks.push(10 ** power);
    if (top - first <= 2 && power < top) ticks.push(2 * 10 ** power, 5 * 10 ** power);
  }
  const text = (v) => (kind === "count" ? written(v, kind) : short(v, 1));
  return {
    ticks: ticks.map((at) => ({ at, text: text(at) })),
    place: (v) => (Math.log10(v) - first) / (top - first),
  };
}

// Whether values are better told apart by their ratio.
const spansDecades = (values, ratio) => {
  const low = Math.min(...values);
  return low > 0 && Math.max(...values) / low >= ratio;
};
