// Checkpoints on the map, tied to the table. The table renews itself with the data of the map, and
// the map follows.
import { fit, openMap, readData, reportDrawn } from "./map.js";

const STATE_COLOR = ["match", ["get", "tone"], "ok", "#3fcf8e", "warn", "#ffb020", "bad", "#ff5c5c", "#8797a9"];

async function show() {
  const element = document.getElementById("map");
  let data = readData("checkpoint-data");
  if (!element || !data) return;
  const map = await openMap(element);
  if (!map) return;
  map.addSource("checkpoints", { type: "geojson", data });
  map.addLayer({
    id: "checkpoint-chosen", type: "circle", source: "checkpoints", filter: ["==", ["get", "key"], ""],
    paint: { "circle-radius": 20, "circle-color": "#4c9aff", "circle-opacity": 0.35 },
  });
  map.addLayer({
    id: "checkpoint", type: "circle", source: "checkpoints",
    paint: {
      "circle-radius": 9, "circle-color": STATE_COLOR, "circle-stroke-color": "#fff",
      "circle-stroke-width": 2,
    },
  });
  map.addLayer({
    id: "checkpoint-name", type: "symbol", source: "checkpoints",
    layout: { "text-field": ["get", "name"], "text-size": 13, "text-offset": [0, 1.1], "text-anchor": "top", "text-optional": true },
    paint: { "text-color": "#e8eef5", "text-halo-color": "#0a0e14", "text-halo-width": 2 },
  });
  reportDrawn(map, ["checkpoint"]);
  map.on("idle", () => {
    const drawn = map.queryRenderedFeatures({ layers: ["checkpoint"] });
    element.dataset.tones = drawn.map(({ properties }) => `${properties.key}:${properties.tone}`).join(" ");
  });
  fit(map, data);
  document.addEventListener("htmx:after:swap", () => {
    data = readData("checkpoint-data") ?? data;
    map.getSource("checkpoints").setData(data);
  });

  /** @param {string} key */
  const choose = (key) => {
    map.setFilter("checkpoint-chosen", ["==", ["get", "key"], key]);
    for (const row of document.querySelectorAll("tr[data-checkpoint]")) {
      row.classList.toggle("chosen", row.getAttribute("data-checkpoint") === key);
    }
    const feature = data?.features.find((one) => one.properties.key === key);
    if (feature) map.easeTo({ center: feature.geometry.coordinates, duration: 300 });
  };
  const table = document.getElementById("checkpoint-table");
  const rowOf = (/** @type {Event} */ event) =>
    /** @type {HTMLElement} */ (event.target).closest("tr[data-checkpoint]")?.getAttribute("data-checkpoint");
  table?.addEventListener("click", (event) => { const key = rowOf(event); if (key) choose(key); });
  table?.addEventListener("keydown", (event) => { const key = rowOf(event); if (key && event.key === "Enter") choose(key); });
  map.on("click", "checkpoint", (/** @type {any} */ event) => choose(event.features[0].properties.key));
}

show();
