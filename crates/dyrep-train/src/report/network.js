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
  const legend = kindLegend(snapshots);
  host.append(list, ...(legend ? [legend] : []));
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
const afterNorm = (norm) => (norm ? el("span", { class: "after" }, "then a batch norm") : null);

// Layers in sequence, which stay what they are.
function drawStack(stack) {
  const layers = stack.layers.map((layer, i) =>
    el(
      "li",
      { class: "box", "data-layer": i },
      el("span", { class: "label" }, i === 0 ? "layer 1" : `then layer ${i + 1}`),
      drawForm(layer, undefined, null),
    ),
  );
  const rows = layers.map((layer) => el("ul", {}, layer));
  return el("div", { class: "block" }, rows, afterNorm(stack.norm_after));
}

// A form, compared with the one at the same place before; `tally` counts the branches that came and went.
function drawForm(form, before, tally) {
  if (form.stack) return drawStack(form.stack);
  if (!form.block && !form.plain)
    throw new Error(`a form is neither plain, a block nor a stack: ${JSON.stringify(form)}`);
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
    afterNorm(form.block.norm_after),
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

// A branch's name says what it is: perhaps one of these, then `kxk`, `1xk`, `3x3d2`, … with taps so many apart, `avg`,
// `prior` or `identity`; which of several it is and how it ends come behind: `kxk.2`, `1x1:scale`.
const FIRSTS = { "1x1_": "1×1", id1x1_: "identity plus 1×1", dw_: "depthwise k×k" };
function chainOf(kind) {
  const name = kind.replace(/[.:].*$/, "");
  const first = Object.keys(FIRSTS).find((prefix) => name.startsWith(prefix)) || "";
  const rest = name.slice(first.length);
  const conv = /^(k|\d+)x(k|\d+)(?:d(\d+))?$/.exec(rest);
  if (!conv && !["avg", "prior", "identity"].includes(rest)) return null;
  return {
    name,
    first,
    core: conv ? "conv" : rest,
    size: conv ? [conv[1], conv[2]] : ["k", "k"],
    step: conv ? Number(conv[3] || 1) : 1,
  };
}

// The taps of a kernel on a square of up to seven, in its middle; `k` is three, or as much as the other size needs.
const MOST_TAPS = 7;
function tapsOf({ core, size, step }) {
  const fixed = size.filter((length) => length !== "k").map(Number);
  const spans = size.map((length) =>
    Math.min(MOST_TAPS, length === "k" ? Math.max(3, ...fixed) : 1 + (Number(length) - 1) * step),
  );
  const side = Math.max(3, ...spans);
  const on = [];
  for (let row = 0; row < spans[0]; row += step)
    for (let column = 0; column < spans[1]; column += step)
      on.push([row + ((side - spans[0]) >> 1), column + ((side - spans[1]) >> 1)]);
  return { side, on, half: core === "avg" || core === "prior" };
}

const POINT = { side: 3, on: [[1, 1]], half: false };
const WHOLE = tapsOf({ core: "conv", size: ["k", "k"], step: 1 });
const icons = new Map();

// A network has hundreds of branches: each icon is drawn once and copied.
function kindIcon(kind) {
  if (!icons.has(kind)) icons.set(kind, drawIcon(kind));
  return icons.get(kind).cloneNode(true);
}

const ICON = 14;

function drawIcon(kind) {
  const chain = chainOf(kind);
  const kernels = chain && chain.first ? [chain.first === "dw_" ? WHOLE : POINT] : [];
  if (chain && chain.core !== "identity") kernels.push(tapsOf(chain));
  const arrow = chain !== null && chain.core === "identity";
  const count = kernels.length + (arrow || chain === null ? 1 : 0);
  const width = (ICON + 4) * count - 4;
  const frame = { class: "icon", width, height: ICON, viewBox: `0 0 ${width} ${ICON}` };
  const shapes = kernels.flatMap((kernel, k) => drawKernel(kernel, (ICON + 4) * k));
  const behind = (ICON + 4) * kernels.length;
  if (arrow) {
    const path = `M${behind + 1} 7h10m-3.5 -3.5l3.5 3.5l-3.5 3.5`;
    shapes.push(svg("path", { class: "arrow", d: path }));
  } else if (chain === null) {
    shapes.push(svg("path", { class: "tap off", d: `M${behind + 1} 1h12v12h-12z` }));
  }
  return svg("svg", { ...frame, "aria-hidden": "true" }, shapes);
}

// Its taps among those that it leaves out, from `left` on.
function drawKernel({ side, on, half }, left) {
  const pitch = (ICON + 1) / side;
  const square = pitch - 1;
  const squares = (taps) =>
    taps
      .map(
        ([row, column]) =>
          `M${left + pitch * column} ${pitch * row}h${square}v${square}h${-square}z`,
      )
      .join("");
  const all = Array.from({ length: side * side }, (_, i) => [Math.floor(i / side), i % side]);
  const off = all.filter(([row, column]) => !on.some(([r, c]) => r === row && c === column));
  return [
    [half ? "tap half" : "tap", on],
    ["tap off", off],
  ]
    .filter(([, taps]) => taps.length)
    .map(([name, taps]) => svg("path", { class: name, d: squares(taps) }));
}

function meaning({ first, core, size, step }) {
  const told = {
    avg: "average pooling",
    prior: "a cosine over the taps",
    identity: "the input",
    conv: size.join("×") + (step > 1 ? `, taps ${step} apart` : ""),
  };
  return first ? `${FIRSTS[first]}, then ${told[core]}` : told[core];
}

// The kinds that the run has had, in the order in which they come.
function kindsOf(snapshots) {
  const found = new Map();
  const visit = (form) => {
    branchesOf(form).forEach((branch) => {
      const chain = chainOf(branch.kind);
      if (chain && !found.has(chain.name)) found.set(chain.name, chain);
      if (branch.inside) visit(branch.inside);
    });
    if (form.stack) form.stack.layers.forEach(visit);
  };
  snapshots.forEach((snapshot) => snapshot.forms.forEach(visit));
  return [...found.values()];
}

function kindLegend(snapshots) {
  const kinds = kindsOf(snapshots).map((chain) =>
    el(
      "span",
      { class: "kind", "data-legend": chain.name },
      kindIcon(chain.name),
      el("b", {}, chain.name),
      ` ${meaning(chain)}`,
    ),
  );
  if (kinds.length === 0) return null;
  return el(
    "p",
    { class: "legend" },
    el("span", { class: "kind" }, "Branches:"),
    kinds,
    el(
      "span",
      { class: "kind" },
      "The number and the line below a branch: the mean size of its norm’s γ, where that of kxk is 1.",
    ),
  );
}
