// The epoch that the figures show: one value, moved by the slider, the buttons, the charts and the address.

// `#epoch=12`, or `?epoch=12` where a fragment is lost; none if the address names no epoch.
function addressed() {
  const found = /[#&]epoch=(\d+)/.exec(location.hash) || /[?&]epoch=(\d+)/.exec(location.search);
  return found ? Number(found[1]) : null;
}

function epochSelection(last) {
  const listeners = [];
  const selection = {
    epoch: Math.min(last, addressed() ?? last),
    onChange: (listener) => listeners.push(listener),
    set(epoch) {
      const next = Math.min(last, Math.max(0, epoch));
      if (next === selection.epoch) return;
      selection.epoch = next;
      listeners.forEach((listener) => listener(next));
    },
  };
  let waiting = null;
  selection.onChange((epoch) => {
    clearTimeout(waiting);
    // While the slider is dragged the address can wait; browsers refuse too many changes.
    waiting = setTimeout(() => writeAddress(epoch, last), 200);
  });
  window.addEventListener("hashchange", () => {
    const epoch = addressed();
    if (epoch === null) return;
    selection.set(epoch);
    byId("structure").scrollIntoView();
  });
  return selection;
}

// The epoch is kept in the address, so that a page that loads itself again shows the same one. Whoever
// looks at the last epoch wants to see the last one again, which by then is another.
function writeAddress(epoch, last) {
  const address = new URL(location.href);
  address.hash = epoch === last && !address.searchParams.has("epoch") ? "" : `epoch=${epoch}`;
  try {
    history.replaceState(null, "", address);
  } catch {
    // Some browsers keep a file's address as it is: then a reload shows the last epoch.
  }
}

// `stops` are the epochs with something to see, in order: the buttons go from one to the next.
function drawSlider(selection, last, stops, changes) {
  const [slider, shown] = [byId("epoch"), byId("epoch-shown")];
  const [back, on] = [byId("step-back"), byId("step-on")];
  slider.max = last;
  // Without a second epoch there is nothing to choose from.
  slider.closest(".epoch-bar").hidden = last === 0;
  const show = (epoch) => {
    slider.value = epoch;
    shown.textContent = epoch;
    slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    back.disabled = !stops.some((stop) => stop < epoch);
    on.disabled = !stops.some((stop) => stop > epoch);
  };
  slider.addEventListener("input", () => selection.set(Number(slider.value)));
  back.addEventListener("click", () =>
    selection.set(stops.findLast((stop) => stop < selection.epoch)),
  );
  on.addEventListener("click", () => selection.set(stops.find((stop) => stop > selection.epoch)));
  selection.onChange(show);
  show(selection.epoch);
  const ticks = byId("epoch-ticks");
  drawnToWidth(ticks, (width) => {
    // The middle of a slider's thumb does not reach the ends of its track.
    const place = (epoch) => 8 + (width - 16) * (last ? epoch / last : 0);
    ticks.replaceChildren(
      svg(
        "svg",
        { width, height: 10 },
        changes.map(({ epoch, kind }) =>
          svg("path", {
            class: `tick-${kind}`,
            d: kind === "grew" ? `M${place(epoch)} 0l3 5h-6z` : `M${place(epoch)} 10l3 -4h-6z`,
          }),
        ),
      ),
    );
  });
}

// A page of a running training loads itself again, unless it is told not to, is out of sight, or is in use.
function keepFresh(running) {
  const line = byId("refresh");
  remember("dyrep-details", byId("epochs"), "open", "toggle");
  if (!running) return;
  line.hidden = false;
  const box = byId("refresh-on");
  remember("dyrep-refresh", box, "checked", "change");
  let used = 0;
  for (const kind of ["pointerdown", "pointermove", "keydown", "scroll"]) {
    window.addEventListener(
      kind,
      () => {
        used = Date.now();
      },
      { passive: true },
    );
  }
  const seconds = Number(line.dataset.seconds);
  const start = Date.now();
  setInterval(() => {
    const idle = Date.now() - used > 3000;
    const due = Date.now() - start >= 1000 * seconds;
    if (due && idle && box.checked && !document.hidden) location.reload();
  }, 1000);
}

// Keeps a property of an element over reloads, where the browser lets a file do so.
function remember(key, element, property, event) {
  try {
    const kept = sessionStorage.getItem(key);
    if (kept !== null) element[property] = kept === "true";
    element.addEventListener(event, () => {
      try {
        sessionStorage.setItem(key, element[property]);
      } catch {
        // Full or forbidden: nothing that the report needs.
      }
    });
  } catch {
    // Storage is off: the property starts as it is.
  }
}
