// What the map of scores says under the pointer.

function mapReadOut(plot, tip, tables, paths, view, selection) {
  const under = (event) => {
    const { left, cell, width } = view();
    const frame = plot.getBoundingClientRect();
    const scale = width / frame.width;
    const column = Math.floor(((event.clientX - frame.left) * scale - left) / cell);
    const row = Math.floor(((event.clientY - frame.top) * scale - HEAD) / ROW);
    const inside =
      cell > 0 && column >= 0 && column < tables.length && row >= 0 && row < paths.length;
    return inside ? { table: tables[column], path: paths[row], row } : null;
  };
  plot.addEventListener("pointermove", (event) => {
    const found = under(event);
    plot.classList.toggle("over", found !== null);
    tip.hidden = !(found && found.table.values.has(found.path));
    if (tip.hidden) return;
    const { table, path, row } = found;
    tip.replaceChildren(
      el("div", { class: "when" }, path),
      el(
        "div",
        {},
        `${table.score} after epoch ${table.epoch}: ${written(table.values.get(path))}${table.chosen.has(path) ? ", chosen" : ""}`,
      ),
    );
    const place = event.clientX - plot.getBoundingClientRect().left;
    const leftward = place > plot.clientWidth / 2;
    tip.style.left = leftward ? "auto" : `${place + 14}px`;
    tip.style.right = leftward ? `${plot.clientWidth - place + 14}px` : "auto";
    tip.style.top = `${HEAD + row * ROW + ROW}px`;
  });
  plot.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  plot.addEventListener("click", (event) => {
    const found = under(event);
    if (found) selection.set(found.table.epoch);
  });
}
