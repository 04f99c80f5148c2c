// The network layer by layer, each with its branches, as after the selected epoch.

// What is in force at an epoch is the last snapshot up to it; it is compared with the one before.
function drawNetwork(page, selection) {
  const host = byId("network");
  const snapshots = page.snapshots;
  if (snapshots.length === 0) {
    host.append(el("p", { class: "none" }, "No structure was recorded."));
    return;
  }
  const list = el("ol", { class: "layers" });
  const rows = Math.max(page.layers.length, ...snapshots.map((snapshot) => snapshot.forms.length));
  if (rows > 24) list.classList.add("many");
  host.append(list, kindLegend());
  let drawn = null;
  const show = (epoch) => {
    const index = Math.max(0, lastUpTo(snapshots, epoch));
    byId("structure-note").textContent = structureNote(page, snapshots, index, epoch);
    if (index === drawn) return;
    drawn = index;
    const [now, before] = [snapshots[index], snapshots[index - 1]];
    list.dataset.snapshot = now.epoch;
    list.replaceChildren(
      ...Array.from({ length: rows }, (_, i) =>
        layerRow(
          page.layers[i] || { path: `layer ${i + 1}`, geometry: "" },
          now.forms[i],
          before && before.forms[i],
        ),
      ),
    );
  };
  selection.onChange(show);
  show(selection.epoch);
}

function structureNote(page, snapshots, index, epoch) {
  const at = snapshots[index].epoch;
  const paths = (kind) =>
    page.changes
      .filter((change) => change.epoch === at && change.kind === kind)
      .map((change) => change.path);
  const told = [
    ["▲ grew", paths("grew")],
    ["▼ cut", paths("cut")],
  ]
    .filter(([, found]) => found.length)
    .map(
      ([word, found]) =>
        `${word} ${found.slice(0, 4).join(", ")}${found.length > 4 ? ` and ${found.length - 4} more` : ""}`,
    );
  const what = index === 0 ? "as the run started" : told.join("; ") || "changed";
  if (at === epoch) return index === 0 ? `The structure ${what}.` : `After epoch ${at}: ${what}.`;
  return index === 0 ? `Unchanged so far: ${what}.` : `Unchanged since epoch ${at}: ${what}.`;
}

function layerRow(layer, form, before) {
  const tally = { grew: 0, cut: 0 };
  const drawn = form
    ? drawForm(form, before, tally)
    : el("span", { class: "none" }, "not recorded");
  const changed = ["grew", "cut"].filter((kind) => tally[kind] > 0);
  const badges = changed.map((kind) =>
    el("span", { class: `badge ${kind}` }, `${kind === "grew" ? "▲" : "▼"} ${kind}`),
  );
  const macs = layer.macs
    ? el(
        "span",
        { class: "macs", title: "multiply-adds of its one convolution" },
        `· ${written(layer.macs, "count")}`,
      )
    : null;
  return el(
    "li",
    {
      class: "layer",
      "data-path": layer.path,
      "data-changed": changed.length ? changed.join(" ") : null,
    },
    el(
      "div",
      { class: "layer-name" },
      el("code", { dir: "auto" }, layer.path),
      badges,
      el("div", { class: "geometry" }, el("bdi", {}, layer.geometry), " ", macs),
    ),
    drawn,
  );
}

const branchesOf = (form) => (form && form.block ? form.block.branches : []);

// A form, compared with the one at the same place before; `tally` counts the branches that came and went.
function drawForm(form, before, tally) {
  if (!form.block && !form.plain)
    throw new Error(`a form is neither plain nor a block: ${JSON.stringify(form)}`);
  const compare = before !== undefined && tally !== null;
  const old = new Map(branchesOf(before).map((branch) => [branch.kind, branch]));
  const now = branchesOf(form);
  const gone = compare
    ? [...old.keys()].filter(
        (kind) => kind !== "kxk" && !now.some((branch) => branch.kind === kind),
      )
    : [];
  if (tally) {
    tally.cut += gone.length;
    if (compare && old.size && !now.length && !gone.length) tally.cut += 1;
    if (compare && !old.size && now.length) tally.grew += 1;
  }
  const ghosts = gone.map((kind) =>
    el(
      "li",
      { class: "gone" },
      el("span", { class: "unseen" }, "cut: "),
      kindIcon(kind),
      el("s", {}, kind),
    ),
  );
  if (!form.block) {
    const plain = el(
      "span",
      { class: "box plain" },
      kindIcon("kxk"),
      form.plain.bias ? "convolution + bias" : "convolution",
    );
    return ghosts.length
      ? el("div", { class: "block folded" }, el("ul", {}, el("li", {}, plain), ghosts))
      : plain;
  }
  const boxes = now.map((branch) => {
    const added = compare && !old.has(branch.kind) && (old.size > 0 || branch.kind !== "kxk");
    if (added && old.size) tally.grew += 1;
    return branchBox(branch, added, old.get(branch.kind), tally, compare);
  });
  // Branches with a block inside come below the others, each in a row of its own.
  const holds = (box) => box.querySelector(".block") !== null;
  const small = [...boxes.filter((box) => !holds(box)), ...ghosts];
  return el(
    "div",
    { class: "block" },
    small.length ? el("ul", {}, small) : null,
    boxes.filter(holds).map((box) => el("ul", {}, box)),
  );
}

function branchBox(branch, added, old, tally, compare) {
  const strength = float(branch.strength);
  const inner = branch.inside && branch.inside.block ? branch.inside : null;
  // What comes with a new branch has not changed: it was not there. A conv that was plain has no `inside`.
  const before = compare && old ? old.inside || { plain: {} } : undefined;
  const shrunk = !inner && before && before.block ? branch.inside || { plain: {} } : null;
  const nested = inner || shrunk ? drawForm(inner || shrunk, before, before ? tally : null) : null;
  const bar = known(strength) ? el("i", { class: "bar", "aria-hidden": "true" }) : null;
  if (bar) bar.style.setProperty("--strength", Math.min(1, Math.abs(strength)));
  const told =
    strength === null
      ? branch.kind
      : `${branch.kind}: the mean size of its norm’s γ is ${written(strength)} times that of kxk`;
  return el(
    "li",
    { class: `branch box${added ? " new" : ""}`, "data-kind": branch.kind, title: told },
    el(
      "span",
      { class: "label" },
      added ? el("b", { class: "plus" }, "+", el("span", { class: "unseen" }, " new: ")) : null,
      kindIcon(branch.kind),
      el("span", {}, branch.kind),
      strength === null ? null : el("span", { class: "strength" }, branchStrength(strength)),
      bar,
    ),
    nested,
  );
}

const branchStrength = (value) =>
  known(value) ? value.toFixed(2).replace(/^0\./, ".").replace("-", "−") : written(value);

// Which taps of a 3×3 kernel each branch has; a second kernel follows the first.
const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const TAPS = {
  kxk: [{ on: ALL }],
  "1x1": [{ on: [4] }],
  "1x1_kxk": [{ on: [4] }, { on: ALL }],
  "1x1_avg": [{ on: [4] }, { half: ALL }],
  "1xk": [{ on: [3, 4, 5] }],
  kx1: [{ on: [1, 4, 7] }],
  avg: [{ half: ALL }],
};
const icons = new Map();

// A network has hundreds of branches: each icon is drawn once and copied.
function kindIcon(kind) {
  if (!icons.has(kind)) icons.set(kind, drawIcon(kind));
  return icons.get(kind).cloneNode(true);
}

function drawIcon(kind) {
  // Repeats and ends look as their kind does: kxk.2, 1x1:scale.
  const kernels = TAPS[kind.replace(/[.:].*$/, "")] || [];
  const width = Math.max(14, 18 * kernels.length - 4);
  const frame = { class: "icon", width, height: 14, viewBox: `0 0 ${width} 14` };
  const squares = (taps, k) =>
    taps.map((i) => `M${18 * k + 5 * (i % 3)} ${5 * Math.floor(i / 3)}h4v4h-4z`).join("");
  const shapes = kernels.flatMap(({ on = [], half = [] }, k) => {
    const off = ALL.filter((i) => !on.includes(i) && !half.includes(i));
    return [
      ["tap", on],
      ["tap half", half],
      ["tap off", off],
    ]
      .filter(([, taps]) => taps.length)
      .map(([name, taps]) => svg("path", { class: name, d: squares(taps, k) }));
  });
  if (kind.startsWith("identity")) {
    shapes.push(svg("path", { class: "arrow", d: "M1 7h10m-3.5 -3.5l3.5 3.5l-3.5 3.5" }));
  } else if (kernels.length === 0) {
    shapes.push(svg("path", { class: "tap off", d: "M1 1h12v12h-12z" }));
  }
  return svg("svg", { ...frame, "aria-hidden": "true" }, shapes);
}

const MEANINGS = {
  kxk: "the convolution itself",
  "1x1": "1×1",
  "1x1_kxk": "1×1, then k×k",
  "1x1_avg": "1×1, then average pooling",
  "1xk": "a row",
  kx1: "a column",
  identity: "the input",
};

function kindLegend() {
  const kinds = Object.entries(MEANINGS).map(([kind, meaning]) =>
    el("span", { class: "kind" }, kindIcon(kind), el("b", {}, kind), ` ${meaning}`),
  );
  return el(
    "p",
    { class: "legend" },
    el("span", { class: "kind" }, "Branches, each with a batch norm:"),
    kinds,
    el(
      "span",
      { class: "kind" },
      "The number and the line below a branch: the mean size of its norm’s γ, where that of kxk is 1.",
    ),
  );
}
