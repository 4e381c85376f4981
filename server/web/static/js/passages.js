// New passages keep coming in while the box is ticked, the page is in view and nobody is
// reading older ones.

const follow = /** @type {HTMLInputElement | null} */ (document.getElementById("follow"));
const tiles = document.getElementById("tiles");

if (follow && tiles) {
  const period = Number(tiles.dataset.followMs ?? 3000);
  if (new URLSearchParams(location.search).has("before")) follow.checked = false;
  setInterval(() => {
    if (follow.checked && !document.hidden && window.scrollY < 200) {
      tiles.dispatchEvent(new CustomEvent("follow"));
    }
  }, period);
}
