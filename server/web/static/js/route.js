// Layers of a route on the map: what was seen solid, what was inferred dotted, a second plate beside.

/** @typedef {import("./map.js").Collection} Collection */

const LEG_COLOR = ["match", ["get", "flag"], "impossible", "#ff5c5c", "fast", "#ffb020",
  ["match", ["get", "vehicle"], 2, "#c58cff", 3, "#ff8fc7", "#4c9aff"]];
const OTHER_COLOR = "#2fbf8f";

/**
 * What the map draws of a route: one mark per checkpoint, bearing the numbers of all stops there
 * (a vehicle may come past twice), and a key on each feature.
 * @param {Collection} route @param {string} lang @returns {Collection}
 */
export function forMap(route, lang) {
  /** @type {Map<string, any>} */
  const marks = new Map();
  const others = [];
  for (const feature of route.features) {
    const { properties } = feature;
    const name = (lang === "en" && properties.name_en) || properties.name;
    if (properties.kind === "leg") {
      others.push({ ...feature, properties: { ...properties, key: `${properties.from_number}-${properties.to_number}` } });
    } else if (properties.kind === "unseen") {
      const share = `${Math.round(properties.probability * 100)} %`;
      const key = `${properties.from_number}-${properties.checkpoint_id}`;
      others.push({ ...feature, properties: { ...properties, key, name: `${name}\n? ${share}` } });
    } else {
      const key = properties.checkpoint_id;
      const mark = marks.get(key);
      if (mark) mark.properties.label += `·${properties.number}`;
      else marks.set(key, { ...feature, properties: { kind: "stop", key, name, label: String(properties.number) } });
    }
  }
  return { type: "FeatureCollection", features: [...others, ...marks.values()] };
}

/**
 * Draw a route. The second one of two (`other`) lies beside the first in another color.
 * @param {any} map @param {Collection} route @param {boolean} [other]
 */
export function drawRoute(map, route, other = false) {
  const source = other ? "other" : "route";
  const id = (/** @type {string} */ layer) => (other ? `other-${layer}` : layer);
  const color = other ? OTHER_COLOR : LEG_COLOR;
  const offset = other ? -4 : 3;
  const leg = ["==", ["get", "kind"], "leg"];
  const seen = ["all", leg, ["!=", ["get", "inferred"], true]];
  const inferred = ["all", leg, ["==", ["get", "inferred"], true]];
  const stop = ["==", ["get", "kind"], "stop"];
  const unseen = ["==", ["get", "kind"], "unseen"];
  map.addSource(source, { type: "geojson", data: route });
  map.addLayer({
    id: id("leg-casing"), type: "line", source, filter: seen, layout: { "line-cap": "round" },
    paint: { "line-color": "#05080c", "line-width": 8, "line-offset": offset, "line-opacity": 0.7 },
  });
  map.addLayer({
    id: id("leg"), type: "line", source, filter: seen, layout: { "line-cap": "round" },
    paint: { "line-color": color, "line-width": 4, "line-offset": offset },
  });
  map.addLayer({
    id: id("leg-inferred"), type: "line", source, filter: inferred,
    paint: { "line-color": color, "line-width": 3, "line-offset": offset, "line-dasharray": [1, 1.6] },
  });
  map.addLayer({
    id: id("leg-arrow"), type: "symbol", source, filter: leg,
    layout: {
      "symbol-placement": "line", "symbol-spacing": 90, "text-field": "▶", "text-size": 13,
      "text-keep-upright": false, "text-offset": [0, other ? -0.25 : 0.25],
      "text-allow-overlap": true, "text-ignore-placement": true,
    },
    paint: { "text-color": "#fff", "text-halo-color": "#05080c", "text-halo-width": 1 },
  });
  map.addLayer({
    id: id("unseen"), type: "circle", source, filter: unseen,
    paint: {
      "circle-radius": 7, "circle-color": "#0a0e14", "circle-stroke-color": "#9fb3c8",
      "circle-stroke-width": 2, "circle-opacity": 0.85,
    },
  });
  map.addLayer({
    id: id("point-chosen"), type: "circle", source, filter: ["==", ["get", "key"], ""],
    paint: { "circle-radius": 20, "circle-color": "#4c9aff", "circle-opacity": 0.35 },
  });
  map.addLayer({
    id: id("point"), type: "circle", source, filter: stop,
    paint: {
      "circle-radius": other ? 9 : 12, "circle-color": other ? "#146b50" : "#1f6fe0",
      "circle-stroke-color": "#fff", "circle-stroke-width": 2,
      "circle-translate": other ? [9, 9] : [0, 0],
    },
  });
  map.addLayer({
    id: id("point-number"), type: "symbol", source, filter: stop,
    layout: {
      "text-field": ["get", "label"], "text-size": other ? 10 : 12, "text-allow-overlap": true,
      "text-ignore-placement": true,
    },
    paint: { "text-color": "#fff", "text-translate": other ? [9, 9] : [0, 0] },
  });
  map.addLayer({
    id: id("point-name"), type: "symbol", source, filter: ["any", stop, unseen],
    layout: {
      "text-field": ["get", "name"], "text-size": 13, "text-offset": [0, 1.4],
      "text-anchor": "top", "text-optional": true,
    },
    paint: { "text-color": "#e8eef5", "text-halo-color": "#0a0e14", "text-halo-width": 2 },
  });
}
