// A pursuit on the map: where it was last seen, where it may come next, where it can be stopped.
import { fit, openMap, readData, reportDrawn } from "./map.js";

/** @typedef {import("./map.js").Collection} Collection */

/** @type {any} */
let map = null;
/** @type {HTMLElement | null} */
let drawnIn = null;

/** @param {Collection} data */
function draw(data) {
  map.addSource("pursuit", { type: "geojson", data });
  const kind = (/** @type {string} */ name) => ["==", ["get", "kind"], name];
  map.addLayer({
    id: "block", type: "circle", source: "pursuit", filter: kind("block"),
    paint: {
      "circle-radius": ["interpolate", ["linear"], ["get", "chance"], 0, 5, 0.6, 22],
      "circle-color": "#ff5c5c", "circle-opacity": 0.55, "circle-stroke-color": "#ffb3b3", "circle-stroke-width": 1,
    },
  });
  map.addLayer({
    id: "next", type: "circle", source: "pursuit", filter: kind("next"),
    paint: {
      "circle-radius": ["interpolate", ["linear"], ["get", "chance"], 0, 5, 1, 18],
      "circle-color": "#ffb020", "circle-opacity": 0.75, "circle-stroke-color": "#fff", "circle-stroke-width": 1,
    },
  });
  map.addLayer({
    id: "last", type: "circle", source: "pursuit", filter: kind("last"),
    paint: { "circle-radius": 11, "circle-color": "#1f6fe0", "circle-stroke-color": "#fff", "circle-stroke-width": 3 },
  });
  map.addLayer({
    id: "name", type: "symbol", source: "pursuit",
    layout: {
      "text-field": ["get", "label"], "text-size": 12, "text-offset": [0, 1.5], "text-anchor": "top", "text-optional": true,
    },
    paint: { "text-color": "#e8eef5", "text-halo-color": "#0a0e14", "text-halo-width": 2 },
  });
}

/** Draw what the answer holds now; the map itself stays where it was put. */
async function show() {
  const element = document.getElementById("map");
  const data = readData("pursuit-data");
  if (!element || !data) return;
  if (element !== drawnIn) {
    drawnIn = element;
    map = await openMap(element);
    if (!map) return;
    draw(data);
    fit(map, data);
    reportDrawn(map, ["last", "next", "block"]);
  } else if (map?.getSource("pursuit")) {
    map.getSource("pursuit").setData(data);
  }
}

document.addEventListener("htmx:after:swap", show);
show();
