// The form of a watchlist entry: shows the fields that the way to match needs, says the tolerance.

const form = /** @type {HTMLFormElement} */ (document.getElementById("entry"));
const tolerance = /** @type {HTMLInputElement} */ (document.getElementById("tolerance"));
const said = /** @type {HTMLOutputElement} */ (document.getElementById("tolerance-said"));

function fit() {
  const match = new FormData(form).get("match");
  for (const field of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-for]"))) {
    field.hidden = field.dataset.for !== match;
  }
}

form.addEventListener("change", fit);
tolerance.addEventListener("input", () => { said.value = tolerance.value; });
// Enter in a field applies; it never puts anything in force urgently
fit();
