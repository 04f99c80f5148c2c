// What the candidates scored: a map of all adjustments, and bars for the one in force at the selected epoch.
//
// What counts is the ranking within one adjustment, and the size of a score changes while the network learns,
// so every adjustment has a scale of its own, by powers of ten where its scores span two of them.

const ROW = 18;
const HEAD = 22;
const LETTER = 6.7;
const LEVELS = 6;

function drawScores(page, selection) {
  const host = byId("scores");
  const tables = page.scores
    .filter((table) => table.rows.length > 0)
    .map((table) => ({
      ...table,
      values: new Map(table.rows.map(([path, value]) => [path, float(value)])),
      chosen: new Set(table.chosen),
      scale: scoreScale(table.rows.map(([, value]) => float(value))),
    }));
  if (tables.length === 0) {
    host.append(el("p", { class: "none" }, "Nothing has been scored."));
    return;
  }
  const paths = inNetworkOrder(page.layers, tables);
  const note = el("p", { class: "note" });
  const plot = el("div", { class: "plot scores" });
  const tip = el("div", { class: "tip", hidden: "", "aria-hidden": "true" });
  host.append(note, plot);
  let [view, at] = [null, null];
  const show = (epoch, force) => {
    const index = lastUpTo(tables, epoch);
    if (!view || (index === at && !force)) return;
    at = index;
    note.textContent = scoreNote(tables, index);
    view.bars.replaceChildren(...scoreBars(tables[index], paths, view));
    view.root.setAttribute("aria-label", scoreSummary(tables[index]));
    view.names.forEach((name, i) => {
      name.classList.toggle("absent", index >= 0 && !tables[index].values.has(paths[i]));
      name.classList.toggle("chosen", index >= 0 && tables[index].chosen.has(paths[i]));
    });
    const frame = view.cell > 0 && index >= 0;
    view.frame.toggleAttribute("hidden", !frame);
    if (frame) fill(view.frame, { x: view.left + index * view.cell - 0.5 }, []);
  };
  drawnToWidth(plot, (width) => {
    view = scoreFrame(tables, paths, width);
    plot.replaceChildren(view.root, tip);
    show(selection.epoch, true);
  });
  selection.onChange((epoch) => show(epoch, false));
  mapReadOut(plot, tip, tables, paths, () => view, selection);
}

// Rows follow the network; what lies inside a block follows its layer.
function inNetworkOrder(layers, tables) {
  const paths = [...new Set(tables.flatMap((table) => [...table.values.keys()]))];
  const place = new Map(layers.map((layer, i) => [layer.path, i]));
  const layerOf = (path) => {
    for (let name = path; name; name = name.slice(0, Math.max(0, name.lastIndexOf(".")))) {
      if (place.has(name)) return place.get(name);
    }
    return layers.length;
  };
  const keyed = paths.map((path, i) => ({ path, layer: layerOf(path), i }));
  keyed.sort((a, b) => a.layer - b.layer || (a.path < b.path ? -1 : 1) || a.i - b.i);
  return keyed.map((entry) => entry.path);
}

// Places of scores from -1 to 1; none for what is not a number.
function scoreScale(values) {
  const sizes = values.filter((value) => known(value) && value !== 0).map(Math.abs);
  const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
  const log = sizes.length > 0 && high / low >= 100;
  const span = log ? Math.min(6, Math.log10(high / low)) * 1.08 : 1;
  const size = (value) => (log ? 1 + Math.log10(value / high) / span : value / high);
  const place = (value) => {
    if (value === undefined || value === null || Number.isNaN(value)) return null;
    if (value === 0) return 0;
    return Math.sign(value) * (Number.isFinite(value) ? Math.max(0.02, size(Math.abs(value))) : 1);
  };
  return { log, place };
}

function scoreNote(tables, index) {
  if (index < 0) return `Nothing was scored before epoch ${tables[0].epoch}.`;
  const table = tables[index];
  const grew = table.chosen.size
    ? `▲ ${table.chosen.size === 1 ? "is the one" : `are the ${table.chosen.size}`} chosen to grow`
    : "none was chosen to grow";
  return `${table.score} after epoch ${table.epoch}: ${grew}. ${table.scale.log ? "The scale is logarithmic; each" : "Each"} adjustment has its own.`;
}

function scoreSummary(table) {
  if (!table) return "No scores yet";
  const best = [...table.values]
    .filter(([, value]) => known(value))
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5);
  return `Scores by ${table.score} after epoch ${table.epoch}, highest first: ${best
    .map(([path, value]) => `${path} ${written(value)}${table.chosen.has(path) ? ", chosen" : ""}`)
    .join("; ")}`;
}

const shortened = (path, letters) => {
  if (path.length <= letters) return path;
  const end = Math.ceil((letters - 1) * 0.6);
  return `${path.slice(0, letters - 1 - end)}…${path.slice(-end)}`;
};

// What does not depend on the selected epoch: names, the map, the places of the bars.
function scoreFrame(tables, paths, width) {
  const letters = Math.min(
    Math.max(...paths.map((path) => path.length)),
    Math.floor((width * 0.38) / LETTER),
  );
  const left = Math.ceil(letters * LETTER) + 10;
  const rest = width - left;
  const mapped = tables.length > 1 && rest > 260 ? Math.min(tables.length * 22, rest * 0.55) : 0;
  const height = HEAD + paths.length * ROW + 4;
  const view = {
    left,
    cell: mapped / tables.length,
    barsFrom: left + mapped + (mapped ? 14 : 0),
    width,
    height,
  };
  view.root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  view.bars = svg("g", {});
  view.frame = svg("rect", {
    class: "column",
    y: HEAD - 2,
    width: view.cell + 1,
    height: paths.length * ROW + 3,
    hidden: "",
  });
  view.names = paths.map((path, i) =>
    svg(
      "text",
      { class: "name", x: left - 8, y: HEAD + i * ROW + 13, "text-anchor": "end" },
      shortened(path, letters),
      svg("title", {}, path),
    ),
  );
  view.root.append(...view.names);
  if (mapped) view.root.append(...scoreMap(tables, paths, view), view.frame);
  view.root.append(view.bars);
  return view;
}

// One path for each level of shade: the map may have tens of thousands of cells.
function scoreMap(tables, paths, view) {
  const shapes = new Map();
  const add = (name, d) => shapes.set(name, (shapes.get(name) || "") + d);
  const gap = view.cell > 6 ? 1 : 0;
  let free = -Infinity;
  const heads = [];
  tables.forEach((table, column) => {
    const x = view.left + column * view.cell;
    paths.forEach((path, row) => {
      const place = table.scale.place(table.values.get(path));
      if (place === null) return;
      const box = `M${x.toFixed(2)} ${HEAD + row * ROW}h${(view.cell - gap).toFixed(2)}v${ROW - 1}H${x.toFixed(2)}z`;
      add(`${place < 0 ? "minus" : "plus"} level${Math.ceil(Math.abs(place) * LEVELS)}`, box);
      const [middle, line] = [x + (view.cell - gap) / 2, HEAD + row * ROW + ROW / 2];
      const half = Math.min(4, Math.max(1.5, view.cell / 3));
      if (table.chosen.has(path))
        add(
          "chosen",
          `M${middle - half} ${line + half * 0.8}h${2 * half}l${-half} ${-1.8 * half}z`,
        );
      else if (place < 0) add("sign", `M${middle - half} ${line - 1}h${2 * half}v2h${-2 * half}z`);
    });
    if (x + view.cell / 2 > free) {
      heads.push(
        svg(
          "text",
          { class: "tick", x: x + view.cell / 2, y: HEAD - 8, "text-anchor": "middle" },
          String(table.epoch),
        ),
      );
      free = x + view.cell / 2 + 34;
    }
  });
  const order = [...shapes].sort(([a], [b]) => (a === "chosen") - (b === "chosen"));
  return [...order.map(([name, d]) => svg("path", { class: `cell ${name}`, d })), ...heads];
}

function scoreBars(table, paths, view) {
  if (!table) return [];
  const text = 74;
  const room = Math.max(20, view.width - view.barsFrom - text);
  const places = paths.map((path) => table.scale.place(table.values.get(path)));
  const zero = view.barsFrom + (places.some((place) => place < 0) ? room * 0.4 : 0);
  const bars = paths.map((path, i) => {
    if (!table.values.has(path)) return null;
    const [place, y, chosen] = [places[i], HEAD + i * ROW, table.chosen.has(path)];
    const length =
      place === null
        ? 0
        : place < 0
          ? -place * (zero - view.barsFrom)
          : place * (view.barsFrom + room - zero);
    return svg(
      "g",
      { class: `score${chosen ? " chosen" : ""}${place < 0 ? " minus" : ""}`, "data-path": path },
      svg("rect", {
        x: place < 0 ? zero - length : zero,
        y: y + 3,
        width: length,
        height: ROW - 7,
      }),
      svg(
        "text",
        { class: "value", x: view.width - 16, y: y + 13, "text-anchor": "end" },
        written(table.values.get(path)),
      ),
      chosen
        ? svg(
            "text",
            { class: "value mark-chosen", x: view.width - 1, y: y + 13, "text-anchor": "end" },
            "▲",
          )
        : null,
    );
  });
  const head = svg(
    "text",
    { class: "tick", x: view.barsFrom, y: HEAD - 8 },
    `epoch ${table.epoch}`,
  );
  const axis = svg("line", { class: "axis", x1: zero, x2: zero, y1: HEAD, y2: view.height - 3 });
  return [head, ...bars.filter(Boolean), axis];
}
