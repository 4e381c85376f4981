// The places of an analysis drawn on the map: what is drawn is written into the field of the place
// that is chosen, where it can as well be typed.
import { drawAreas } from "./area.js";

const CIRCLE = /^-?[\d.]+,-?[\d.]+,[\d.]+$/;
const POLYGON = /^(-?[\d.]+,-?[\d.]+)( -?[\d.]+,-?[\d.]+){2,}$/;

const frame = /** @type {HTMLDetailsElement | null} */ (document.getElementById("draw"));
const places = /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll("input[data-place]"));
const chosen = /** @type {HTMLSelectElement | null} */ (document.getElementById("drawn-for"));

/** The field that is drawn for. */
const field = () => /** @type {HTMLInputElement} */ (
  [...places].find((one) => one.id === chosen?.value) ?? places[0]
);

/** @type {(() => void) | null} */
let redraw = null;
let opened = false;

async function open() {
  if (opened || !frame?.open) return;
  opened = true;
  redraw = await drawAreas({
    read: () => {
      const text = field().value.trim();
      return { circle: CIRCLE.test(text) ? text : "", polygon: POLYGON.test(text) ? text : "" };
    },
    write: ({ circle, polygon }) => {
      const held = field();
      held.value = circle || polygon;
      held.dispatchEvent(new Event("change", { bubbles: true }));
    },
  });
}

// the map is opened when it is wanted: most questions name a road or a checkpoint
frame?.addEventListener("toggle", open);
chosen?.addEventListener("change", () => redraw?.());
for (const place of places) place.addEventListener("input", () => redraw?.());
open();
