// Which charts a run has, and what is drawn in each.

// Changes by epoch and kind: many convolutions may grow at once, and their marks would lie on each other.
function changeGroups(changes) {
  const groups = new Map();
  for (const change of changes) {
    const key = `${change.epoch} ${change.kind}`;
    if (!groups.has(key)) groups.set(key, { epoch: change.epoch, kind: change.kind, texts: [] });
    groups.get(key).texts.push(change.text);
  }
  return [...groups.values()];
}

function drawCharts(page, selected) {
  if (page.epochs.length === 0) {
    for (const host of ["learning-charts", "cost-charts"]) {
      byId(host).append(el("p", { class: "none" }, "No epoch has ended yet."));
    }
    return;
  }
  const changes = changeGroups(page.changes);
  const epochs = page.epochs.map((row) => row.epoch);
  const series = (name, style, field) => ({
    name,
    style,
    values: page.epochs.map((row) => float(row[field])),
  });
  const chart = (host, name, title, kind, curves, options = {}) =>
    lineChart(
      byId(host),
      { name, title, kind, epochs, changes, series: curves, ...options },
      selected,
    );

  chart(
    "learning-charts",
    "loss",
    "Loss",
    "number",
    [series("training", "second", "train_loss"), series("validation", "first", "valid_loss")],
    { log: true },
  );
  // Where an average of the weights is evaluated, the weights themselves are told beside it.
  const beside = series("validation, weights themselves", "third", "weights_accuracy");
  const averaged = beside.values.some((value) => value !== null);
  const accuracy = [
    series("training", "second", "train_accuracy"),
    series(averaged ? "validation, average of weights" : "validation", "first", "valid_accuracy"),
    beside,
  ];
  if (accuracy.some((curve) => curve.values.some((value) => value !== null))) {
    chart("learning-charts", "accuracy", "Accuracy", "share", accuracy);
  }
  chart(
    "learning-charts",
    "learning-rate",
    "Learning rate",
    "number",
    [series("learning rate", "first", "learning_rate")],
    { log: true, zero: true },
  );

  chart("cost-charts", "params", "Parameters", "count", [series("parameters", "first", "params")]);
  chart("cost-charts", "macs", "Multiply-adds for one picture", "count", [
    series("multiply-adds", "first", "macs"),
  ]);
  chart("cost-charts", "branches", "Branches", "count", [series("branches", "first", "branches")]);
  chart(
    "cost-charts",
    "time",
    "Time per epoch",
    "seconds",
    [
      series("training", "second", "train_seconds"),
      series("adjusting", "third", "adjust_seconds"),
      series("validating", "first", "valid_seconds"),
    ],
    { zero: true },
  );
}
