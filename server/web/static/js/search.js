// The route of a plate on the map, tied to the rows of the table beside it; played back; compared.
import { fit, openMap, readData, reportDrawn } from "./map.js";
import { playBack } from "./playback.js";
import { drawRoute, forMap } from "./route.js";

/** @typedef {import("./map.js").Collection} Collection */

/** Tie rows and points: choosing one marks the other. @param {any} map @param {Collection} route */
function tie(map, route) {
  const rows = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#legs tr[data-point]"));
  /** @param {any} feature */
  const numbers = (feature) => String(feature.properties.label).split("·");
  /** @param {any} feature @param {boolean} move */
  const choose = (feature, move) => {
    map.setFilter("point-chosen", ["all", ["==", ["get", "kind"], "stop"], ["==", ["get", "key"], feature.properties.key]]);
    for (const row of rows) row.classList.toggle("chosen", numbers(feature).includes(row.dataset.point ?? ""));
    if (move) map.easeTo({ center: feature.geometry.coordinates, duration: 300 });
  };
  for (const row of rows) {
    const feature = route.features.find((one) => one.properties.kind === "stop" && numbers(one).includes(row.dataset.point ?? ""));
    if (!feature) continue;
    row.addEventListener("click", () => choose(feature, true));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target === row) choose(feature, true); });
  }
  map.on("click", "point", (/** @type {any} */ event) => {
    const feature = event.features[0];
    choose(feature, false);
    document.querySelector(`#legs tr[data-point="${numbers(feature)[0]}"]`)?.scrollIntoView({ block: "nearest" });
  });
  map.on("mouseenter", "point", () => { map.getCanvas().style.cursor = "pointer"; });
  map.on("mouseleave", "point", () => { map.getCanvas().style.cursor = ""; });
}

/** @type {HTMLElement | null} */
let drawnIn = null;

async function show() {
  const element = document.getElementById("map");
  const answer = readData("route-data");
  if (!element || !answer || element === drawnIn) return;
  drawnIn = element;
  const map = await openMap(element);
  if (!map) return;
  const lang = element.dataset.lang ?? "zh";
  const other = readData("other-data");
  const route = forMap(answer, lang);
  if (other) drawRoute(map, forMap(other, lang), true);
  drawRoute(map, route);
  const layers = ["point", "leg", "leg-inferred", "unseen", ...(other ? ["other-leg", "other-point"] : [])];
  reportDrawn(map, layers);
  fit(map, { type: "FeatureCollection", features: [...answer.features, ...(other?.features ?? [])] });
  tie(map, route);
  const controls = document.getElementById("playback");
  if (controls) playBack(map, other ? [answer, other] : [answer], controls);
}

document.addEventListener("htmx:after:swap", show);
show();
