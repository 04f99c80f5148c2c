// One chart of curves over epochs, drawn as SVG for the width that there is.
//
// `chart`: { title, kind, epochs, series: [{ name, style, values }], changes, zero, log }. `style` is one of
// "first", "second", "third": colour, dash and point all differ, so that no curve needs its colour.

const HEIGHT = 230;
// Above the plot is a strip for the marks of growths and cuts.
const STRIP = 26;
const BELOW = 26;
// Points are drawn where they lie at least so far apart.
const POINT_ROOM = 8;

function lineChart(host, chart, selected) {
  const finite = chart.series.flatMap((series) => series.values.filter(known));
  const figure = el("figure", { class: "chart", "data-chart": chart.name });
  host.append(figure);
  const shown = chart.series.filter((series) => series.values.some(known));
  figure.append(caption(chart, shown));
  if (finite.length === 0) {
    figure.append(el("p", { class: "none" }, "No value is finite."));
    return;
  }
  const plot = el("div", { class: "plot" });
  figure.append(plot);
  const gaps = gapNote(chart);
  if (gaps) figure.append(gaps);
  const state = { log: chart.log && spansDecades(finite, 50) };
  let view = null;
  const draw = (width) => {
    view = drawChart(plot, { ...chart, series: shown, log: state.log }, finite, width);
    view.select(selected.epoch);
  };
  drawnToWidth(plot, draw);
  selected.onChange((epoch) => view && view.select(epoch));
  const readout = readOut(plot, { ...chart, series: shown }, () => view, selected);
  if (chart.log && finite.every((value) => value > 0)) {
    figure.firstChild.append(
      logSwitch(chart, state, () => {
        readout.hide();
        draw(plot.clientWidth);
      }),
    );
  }
}

// The title with the key to the curves.
function caption(chart, shown) {
  const keys =
    shown.length < 2
      ? []
      : shown.map((series) =>
          el(
            "span",
            { class: "key" },
            svg(
              "svg",
              { class: `curve ${series.style}`, width: 30, height: 12, "aria-hidden": "true" },
              svg("line", { x1: 1, y1: 6, x2: 29, y2: 6 }),
              point(series.style, 15, 6),
            ),
            series.name,
          ),
        );
  return el("figcaption", {}, el("strong", {}, chart.title), el("span", { class: "keys" }, keys));
}

function logSwitch(chart, state, redraw) {
  const box = el("input", { type: "checkbox", checked: state.log ? "" : null });
  box.addEventListener("change", () => {
    state.log = box.checked;
    redraw();
  });
  return el(
    "label",
    { class: "log" },
    box,
    "log",
    el("span", { class: "unseen" }, ` scale for ${chart.title}`),
  );
}

// Says which values are left out of the curves, and what they were.
function gapNote(chart) {
  const gaps = chart.series.flatMap((series) =>
    series.values
      .map((value, i) => [chart.epochs[i], value])
      .filter(([, value]) => value !== null && !Number.isFinite(value))
      .map(([epoch, value]) => `${series.name} is ${written(value)} at epoch ${epoch}`),
  );
  if (gaps.length === 0) return null;
  const more = gaps.length > 3 ? `, and ${gaps.length - 3} more` : "";
  return el(
    "p",
    { class: "note gaps", "data-gaps": gaps.length },
    `× Not drawn: ${gaps.slice(0, 3).join("; ")}${more}.`,
  );
}

function point(style, x, y) {
  if (style === "second")
    return svg("rect", { class: "point", x: x - 2.5, y: y - 2.5, width: 5, height: 5 });
  if (style === "third") return svg("path", { class: "point", d: `M${x} ${y - 3.5}l3.5 6h-7z` });
  return svg("circle", { class: "point", cx: x, cy: y, r: 2.75 });
}

function drawChart(plot, chart, finite, width) {
  const axis = chart.log ? logAxis(finite, chart.kind) : linearAxis(finite, chart.kind, chart);
  const left = 14 + 6.7 * Math.max(...axis.ticks.map((tick) => tick.text.length));
  const [right, top, bottom] = [width - 12, STRIP, HEIGHT - BELOW];
  const [first, last] = [chart.epochs[0], chart.epochs[chart.epochs.length - 1]];
  const x = (epoch) =>
    first === last
      ? (left + right) / 2
      : left + ((right - left) * (epoch - first)) / (last - first);
  const y = (value) => bottom - (bottom - top) * axis.place(value);
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    width,
    height: HEIGHT,
    "aria-hidden": "true",
  });

  for (const tick of axis.ticks) {
    root.append(
      svg("line", { class: "grid", x1: left, x2: right, y1: y(tick.at), y2: y(tick.at) }),
      svg(
        "text",
        { class: "tick", x: left - 6, y: y(tick.at) + 4, "text-anchor": "end" },
        tick.text,
      ),
    );
  }
  const ticks = epochTicks(first, last, (right - left) / 64);
  ticks.forEach((epoch, i) => {
    const text = i === ticks.length - 1 ? `epoch ${epoch}` : String(epoch);
    const end = x(epoch) + text.length * 3.4 > width;
    root.append(
      svg("line", { class: "grid", x1: x(epoch), x2: x(epoch), y1: bottom, y2: bottom + 4 }),
      svg(
        "text",
        {
          class: "tick",
          x: end ? width - 1 : x(epoch),
          y: bottom + 17,
          "text-anchor": end ? "end" : "middle",
        },
        text,
      ),
    );
  });

  root.append(
    changeMarks(
      chart.changes.filter((mark) => mark.epoch >= first && mark.epoch <= last),
      x,
      top,
      bottom,
    ),
  );
  const chosen = svg("line", { class: "selected", y1: top - 2, y2: bottom + 4 });
  const cross = svg("line", { class: "cross", y1: top, y2: bottom, hidden: "" });
  root.append(
    chosen,
    cross,
    ...chart.series.map((series) => curve(series, chart.epochs, x, y, bottom)),
  );
  plot.querySelector("svg")?.remove();
  plot.prepend(root);
  return {
    width,
    x,
    y,
    cross,
    select(epoch) {
      const inside = epoch >= first && epoch <= last;
      chosen.toggleAttribute("hidden", !inside);
      if (inside) fill(chosen, { x1: x(epoch), x2: x(epoch) }, []);
    },
  };
}

// A curve with gaps where a value is not finite. A value with gaps on both sides is a point.
function curve(series, epochs, x, y, bottom) {
  const group = svg("g", { class: `curve ${series.style}`, "data-series": series.name });
  const dots =
    epochs.length < 2 ||
    (x(epochs[epochs.length - 1]) - x(epochs[0])) / (epochs.length - 1) >= POINT_ROOM;
  let [path, points] = ["", []];
  series.values.forEach((value, i) => {
    const [before, after] = [
      known(series.values[i - 1] ?? null),
      known(series.values[i + 1] ?? null),
    ];
    if (known(value)) {
      path += `${before ? "L" : "M"}${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      if (dots || (!before && !after)) points.push(point(series.style, x(epochs[i]), y(value)));
    } else if (value !== null) {
      const at = x(epochs[i]);
      points.push(svg("path", { class: "gap", d: `M${at - 3.5} ${bottom - 8}l7 7m0 -7l-7 7` }));
    }
  });
  group.append(svg("path", { class: "line", d: path }), ...points);
  return group;
}

// Triangles above the plot: up for growths, down for cuts, one for all of a kind after an epoch. Where
// there are many they are narrow, and without lines, which would lie over the curves as one surface.
function changeMarks(marks, x, top, bottom) {
  const places = [...new Set(marks.map((mark) => mark.epoch))].map(x);
  const room = Math.min(...places.map((place, i) => (i ? place - places[i - 1] : Infinity)));
  const half = Math.min(4.5, Math.max(1, room * 0.42));
  return svg(
    "g",
    { class: room < 6 ? "crowded" : null },
    marks.map((mark) => {
      const at = x(mark.epoch);
      const sides = mark.kind === "grew" ? `${top - 24}l${half} 8` : `${top - 4}l${half} -8`;
      return svg(
        "g",
        {
          class: `mark ${mark.kind}`,
          "data-epoch": mark.epoch,
          "data-kind": mark.kind,
          "data-count": mark.texts.length,
        },
        svg("title", {}, `After epoch ${mark.epoch}: ${mark.texts.join("; ")}`),
        svg("line", { x1: at, x2: at, y1: top - 2, y2: bottom }),
        svg("path", { d: `M${at} ${sides}h${-2 * half}z` }),
      );
    }),
  );
}
