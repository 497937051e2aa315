// What the form of an alert adds to itself: while it is filled in, it says what
// the alert would have done in the past week. Without a script a button asks.
const form = document.querySelector("form[data-preview]");
const said = document.getElementById("preview");
let waiting, asked;

const ask = async () => {
  asked?.abort();
  asked = new AbortController();
  try {
    const answer = await fetch(form.dataset.preview, {
      method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams(new FormData(form)), signal: asked.signal,
    });
    if (answer.ok && !answer.redirected) said.innerHTML = await answer.text();
  } catch { /* another question came, or nothing is to be had: the button is still there */ }
};

form?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(ask, 600);
});
