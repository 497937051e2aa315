// What the console adds to htmx: a table row with data-href opens its page,
// unless the click was on a link, a button or a field in it.
document.addEventListener("click", (e) => {
  const row = e.target.closest("[data-href]");
  if (!row || e.target.closest("a, button, input, select, label") || getSelection().toString()) return;
  if (e.metaKey || e.ctrlKey) open(row.dataset.href);
  else location.assign(row.dataset.href);
});
