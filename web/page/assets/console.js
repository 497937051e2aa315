// What the console adds to htmx.

// A table row with data-href opens its page, unless the click was on a link, a
// button or a field in it, or ended a selection.
document.addEventListener("click", (e) => {
  const row = e.target.closest("[data-href]");
  if (!row || e.target.closest("a, button, input, select, label, summary") || getSelection().toString()) return;
  if (e.metaKey || e.ctrlKey) open(row.dataset.href);
  else location.assign(row.dataset.href);
});

// Figures that no longer come say so. htmx connects again by itself, except
// after a first try that failed; who is no longer signed in is led to sign in.
const stale = (e) => {
  e.target.classList?.add("stale");
  if ((e.detail?.status ?? e.detail?.ctx?.response?.status) === 401) location.reload();
};
const again = (e) => {
  stale(e);
  const url = e.target.getAttribute?.("hx-sse:connect");
  if (url) setTimeout(() => htmx.ajax("GET", url, { source: e.target }), 10_000);
};
document.addEventListener("htmx:sse:error", stale);
document.addEventListener("htmx:response:error", again);
document.addEventListener("htmx:error", again);
document.addEventListener("htmx:sse:after:message", (e) => e.target.classList.remove("stale"));

// A button with data-copy copies the field it names, and then says data-copied.
document.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch { // only pages that came encrypted may: the text stays selected
    return;
  }
  button.textContent = button.dataset.copied;
});
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

// Times are told in the reader's own zone: the sign-in says which it is.
for (const field of document.querySelectorAll("[data-zone]")) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone;

// A menu that lies over the page folds up when it is left: by Escape, by a
// click elsewhere, or by moving on with the keyboard.
const foldMenus = (e) => {
  for (const menu of document.querySelectorAll(".console-menu[open]")) {
    if (e.type === "keydown" ? e.key !== "Escape" : menu.contains(e.target)) continue;
    if (menu.contains(document.activeElement) && e.type === "keydown") menu.querySelector("summary").focus();
    menu.open = false;
  }
};
for (const left of ["keydown", "click", "focusin"]) document.addEventListener(left, foldMenus);
