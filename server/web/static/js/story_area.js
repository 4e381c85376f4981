// The area of a story: what is drawn stands in two hidden fields.
import { drawAreas } from "./area.js";

/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id));

drawAreas({
  read: () => ({ circle: input("circle").value, polygon: input("polygon").value }),
  write: ({ circle, polygon }) => {
    input("circle").value = circle;
    input("polygon").value = polygon;
  },
});
