// The route of a plate on the map, tied to the rows of the table beside it.
import { fit, openMap, readData, reportDrawn } from "./map.js";

/** @typedef {import("./map.js").Collection} Collection */

const LEG_COLOR = ["match", ["get", "flag"], "impossible", "#ff5c5c", "fast", "#ffb020", "#4c9aff"];

/**
 * What the map draws of a route: one mark per checkpoint, bearing the numbers of all stops there
 * (a vehicle may come past twice), and a key on each feature.
 * @param {Collection} route @param {string} lang @returns {Collection}
 */
function forMap(route, lang) {
  /** @type {Map<string, any>} */
  const marks = new Map();
  const legs = [];
  for (const feature of route.features) {
    const { properties } = feature;
    if (properties.kind === "leg") {
      legs.push({ ...feature, properties: { ...properties, key: `${properties.from_number}-${properties.to_number}` } });
      continue;
    }
    const key = properties.checkpoint_id;
    const mark = marks.get(key);
    if (mark) {
      mark.properties.label += `·${properties.number}`;
    } else {
      const name = (lang === "en" && properties.name_en) || properties.name;
      marks.set(key, { ...feature, properties: { kind: "stop", key, name, label: String(properties.number) } });
    }
  }
  return { type: "FeatureCollection", features: [...legs, ...marks.values()] };
}

/** @param {any} map @param {Collection} route */
function drawRoute(map, route) {
  map.addSource("route", { type: "geojson", data: route });
  const isLeg = ["==", ["get", "kind"], "leg"];
  const isPoint = ["==", ["get", "kind"], "stop"];
  map.addLayer({
    id: "leg-casing", type: "line", source: "route", filter: isLeg,
    layout: { "line-cap": "round" },
    paint: { "line-color": "#05080c", "line-width": 8, "line-offset": 3, "line-opacity": 0.7 },
  });
  map.addLayer({
    id: "leg", type: "line", source: "route", filter: isLeg,
    layout: { "line-cap": "round" },
    paint: { "line-color": LEG_COLOR, "line-width": 4, "line-offset": 3 },
  });
  map.addLayer({
    id: "leg-arrow", type: "symbol", source: "route", filter: isLeg,
    layout: {
      "symbol-placement": "line", "symbol-spacing": 90, "text-field": "▶", "text-size": 13,
      "text-keep-upright": false, "text-offset": [0, 0.25], "text-allow-overlap": true,
      "text-ignore-placement": true,
    },
    paint: { "text-color": "#fff", "text-halo-color": "#05080c", "text-halo-width": 1 },
  });
  map.addLayer({
    id: "point-chosen", type: "circle", source: "route", filter: ["==", ["get", "key"], ""],
    paint: { "circle-radius": 20, "circle-color": "#4c9aff", "circle-opacity": 0.35 },
  });
  map.addLayer({
    id: "point", type: "circle", source: "route", filter: isPoint,
    paint: {
      "circle-radius": 12, "circle-color": "#1f6fe0", "circle-stroke-color": "#fff",
      "circle-stroke-width": 2,
    },
  });
  map.addLayer({
    id: "point-number", type: "symbol", source: "route", filter: isPoint,
    layout: {
      "text-field": ["get", "label"], "text-size": 12, "text-allow-overlap": true,
      "text-ignore-placement": true,
    },
    paint: { "text-color": "#fff" },
  });
  map.addLayer({
    id: "point-name", type: "symbol", source: "route", filter: isPoint,
    layout: {
      "text-field": ["get", "name"], "text-size": 13, "text-offset": [0, 1.4],
      "text-anchor": "top", "text-optional": true,
    },
    paint: { "text-color": "#e8eef5", "text-halo-color": "#0a0e14", "text-halo-width": 2 },
  });
}

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
  const route = forMap(answer, element.dataset.lang ?? "zh");
  drawRoute(map, route);
  reportDrawn(map, ["point", "leg"]);
  fit(map, route);
  tie(map, route);
}

document.addEventListener("htmx:after:swap", show);
show();
