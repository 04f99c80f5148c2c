// Shows what goes wrong in the scripts that follow. A report that silently lacks a figure would mislead,
// so every error is told at the top of the page, and marked on the document for tests to find.
window.dyrepFail = (error) => {
  const text = String((error && error.message) || error);
  const root = document.documentElement;
  root.dataset.error = root.dataset.error ? `${root.dataset.error}; ${text}` : text;
  const show = () => {
    const line = document.createElement("p");
    line.className = "warning";
    line.setAttribute("role", "alert");
    line.textContent = `A part of this report could not be drawn: ${text}`;
    document.body.prepend(line);
  };
  if (document.body) show();
  else window.addEventListener("DOMContentLoaded", show);
};
window.addEventListener("error", (event) => window.dyrepFail(event.error || event.message));
window.addEventListener("unhandledrejection", (event) => window.dyrepFail(event.reason));
// Sections that only scripts fill stay hidden until it is known that scripts run.
document.documentElement.classList.add("scripted");
