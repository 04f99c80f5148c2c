// What a chart says at one epoch: under the pointer, or by the arrow keys once the chart has the focus.

// So many changes are told in the box; the list further down has all.
const MOST_TOLD = 3;

function readOut(plot, chart, view, selected) {
  const box = el("div", { class: "tip", hidden: "", "aria-hidden": "true" });
  const dots = svg("g", {});
  plot.append(box);
  const rows = chart.epochs.map((epoch) => ({ epoch }));
  let at = rows.length - 1;

  // To a reader of screens the chart is a slider over epochs whose value is what is drawn there.
  fill(
    plot,
    {
      tabindex: 0,
      role: "slider",
      "aria-label": `${chart.title}: values by epoch`,
      "aria-valuemin": rows[0].epoch,
      "aria-valuemax": rows[at].epoch,
    },
    [],
  );
  const tell = () =>
    fill(plot, { "aria-valuenow": rows[at].epoch, "aria-valuetext": spoken(chart, at) }, []);
  tell();

  const show = (index) => {
    at = Math.min(rows.length - 1, Math.max(0, index));
    tell();
    const { x, y, width, cross } = view();
    const place = x(rows[at].epoch);
    cross.removeAttribute("hidden");
    fill(cross, { x1: place, x2: place }, []);
    cross.after(dots);
    dots.replaceChildren(
      ...chart.series
        .filter((series) => known(series.values[at]))
        .map((series) =>
          svg("circle", {
            class: `halo ${series.style}`,
            cx: place,
            cy: y(series.values[at]),
            r: 5,
          }),
        ),
    );
    box.replaceChildren(...told(chart, at));
    box.hidden = false;
    // On the side with more room, and no wider than it.
    const leftward = place > width / 2;
    box.style.left = leftward ? "auto" : `${place + 12}px`;
    box.style.right = leftward ? `${width - place + 12}px` : "auto";
    box.style.maxWidth = `${Math.max(place, width - place) - 16}px`;
  };
  const hide = () => {
    box.hidden = true;
    view()?.cross.setAttribute("hidden", "");
    dots.replaceChildren();
  };

  const under = (event) => {
    const { x } = view();
    const frame = plot.getBoundingClientRect();
    const place = ((event.clientX - frame.left) * view().width) / frame.width;
    let best = 0;
    rows.forEach(({ epoch }, i) => {
      if (Math.abs(x(epoch) - place) < Math.abs(x(rows[best].epoch) - place)) best = i;
    });
    return best;
  };
  plot.addEventListener("pointermove", (event) => show(under(event)));
  plot.addEventListener("pointerleave", () => (plot.matches(":focus-visible") ? show(at) : hide()));
  plot.addEventListener("click", (event) => selected.set(rows[under(event)].epoch));
  plot.addEventListener("focus", () => plot.matches(":focus-visible") && show(at));
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.round(rows.length / 10));
    const to = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      PageDown: at - page,
      PageUp: at + page,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    if (event.key === "Escape") hide();
    if (event.key === "Enter") selected.set(rows[at].epoch);
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
  return { hide };
}

const changesAt = (chart, epoch) =>
  chart.changes
    .filter((mark) => mark.epoch === epoch)
    .flatMap((mark) => mark.texts.map((text) => ({ kind: mark.kind, text })));

function told(chart, at) {
  const lines = chart.series.map((series) =>
    el(
      "div",
      { class: "value" },
      svg(
        "svg",
        { class: `curve ${series.style}`, width: 12, height: 12 },
        point(series.style, 6, 6),
      ),
      el("span", {}, series.name),
      el("b", {}, written(series.values[at], chart.kind)),
    ),
  );
  const changes = changesAt(chart, chart.epochs[at]);
  const shown = changes
    .slice(0, MOST_TOLD)
    .map((change) =>
      el(
        "p",
        { class: change.kind, dir: "auto" },
        `${change.kind === "grew" ? "▲" : "▼"} ${change.text}`,
      ),
    );
  const more =
    changes.length > MOST_TOLD ? el("p", {}, `and ${changes.length - MOST_TOLD} more`) : null;
  return [
    el("div", { class: "when" }, `Epoch ${chart.epochs[at]}`),
    ...lines,
    ...shown,
    ...(more ? [more] : []),
  ];
}

function spoken(chart, at) {
  const values = chart.series.map(
    (series) => `${series.name} ${written(series.values[at], chart.kind)}`,
  );
  const changes = changesAt(chart, chart.epochs[at])
    .slice(0, MOST_TOLD)
    .map((change) => change.text);
  return [`epoch ${chart.epochs[at]}`, ...values, ...changes].join(", ");
}
