// Reads the data and draws everything. A figure that fails must not take the others with it.

function start() {
  const page = JSON.parse(byId("data").textContent);
  page.snapshots.sort((a, b) => a.epoch - b.epoch);
  const numbered = [page.epochs, page.snapshots, page.scores, page.changes].flat();
  const last = numbered.reduce((most, entry) => Math.max(most, entry.epoch), 0);
  const selection = epochSelection(last);
  const stops = [
    ...new Set([...page.snapshots, ...page.scores, ...page.changes].map((entry) => entry.epoch)),
  ];
  stops.sort((a, b) => a - b);
  const parts = [
    () => drawSlider(selection, last, stops, changeGroups(page.changes)),
    () => drawCharts(page, selection),
    () => drawNetwork(page, selection),
    () => drawScores(page, selection),
    () => keepFresh(page.state === "running" || page.state === "measuring"),
  ];
  for (const part of parts) {
    try {
      part();
    } catch (error) {
      window.dyrepFail(error);
    }
  }
  // Paper shows what is folded away on the screen.
  window.addEventListener("beforeprint", () => {
    byId("epochs").open = true;
  });
  document.documentElement.dataset.ready = "true";
}

start();
