// An area drawn on the map: a circle (middle, then edge) or a polygon (corners, then the first one
// again, or Enter). What is drawn is written as the server reads it, where the page wants it.
import { fit, fromMap, onMap, openMap, readData, reportDrawn } from "./map.js";

/** @typedef {[number, number]} Position longitude, latitude */
/** @typedef {{circle: string, polygon: string}} Area "lon,lat,metres" or "lon,lat lon,lat …"; or neither */
/** @typedef {{read: () => Area, write: (area: Area) => void}} Fields where the page keeps what is drawn */

const EARTH_RADIUS_M = 6371008.8;
const CLOSE_PX = 12;
const STEPS = 64;

/** @param {number} degrees */
const radians = (degrees) => (degrees * Math.PI) / 180;

/** Great-circle distance. @param {Position} a @param {Position} b @returns {number} metres */
function metres(a, b) {
  const h = Math.sin(radians(b[1] - a[1]) / 2) ** 2
    + Math.cos(radians(a[1])) * Math.cos(radians(b[1])) * Math.sin(radians(b[0] - a[0]) / 2) ** 2;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

/** The circle as a ring of positions. @param {Position} middle @param {number} radius @returns {Position[]} */
function ring(middle, radius) {
  const high = (radius / EARTH_RADIUS_M) * (180 / Math.PI);
  const wide = high / Math.cos(radians(middle[1]));
  return Array.from({ length: STEPS + 1 }, (_, n) => {
    const angle = (2 * Math.PI * n) / STEPS;
    return [middle[0] + wide * Math.cos(angle), middle[1] + high * Math.sin(angle)];
  });
}

/** @param {string} text @returns {Position[]} */
const positions = (text) => text.split(" ").filter(Boolean)
  .map((part) => /** @type {Position} */ (part.split(",").slice(0, 2).map(Number)));

/** @param {Position} at */
const spelled = (at) => `${at[0].toFixed(6)},${at[1].toFixed(6)}`;

/** What is drawn, as GeoJSON. @param {Area} area @param {Position[]} corners of a polygon under way */
function drawn(area, corners) {
  /** @type {any[]} */
  const features = corners.map((at) => ({ type: "Feature", properties: {}, geometry: { type: "Point", coordinates: at } }));
  const [lon, lat, radius] = area.circle.split(",").map(Number);
  const rings = [];
  if (area.circle) rings.push(ring([lon, lat], radius));
  const polygon = positions(area.polygon);
  if (polygon.length > 2) rings.push([...polygon, polygon[0]]);
  for (const one of rings) features.push({ type: "Feature", properties: { key: "area" }, geometry: { type: "Polygon", coordinates: [one] } });
  if (corners.length > 1) features.push({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: corners } });
  return { type: "FeatureCollection", features };
}

/** Say what is drawn. @param {HTMLOutputElement} said @param {Area} area */
function say(said, area) {
  const radius = area.circle.split(",")[2];
  const corners = positions(area.polygon).length;
  const text = said.dataset;
  if (radius) said.value = (text.circle ?? "").replace("{metres}", Math.round(Number(radius)).toLocaleString());
  else if (corners) said.value = (text.polygon ?? "").replace("{corners}", String(corners));
  else said.value = text.none ?? "";
}

/**
 * Open the map of this page and let areas be drawn on it; gives the means to draw anew what the
 * fields hold now.
 * @param {Fields} fields
 * @returns {Promise<(() => void) | null>}
 */
export async function drawAreas(fields) {
  const said = /** @type {HTMLOutputElement} */ (document.getElementById("area-said"));
  const element = document.getElementById("map");
  const data = readData("checkpoint-data");
  if (!element || !data) return null;
  const map = await openMap(element);
  if (!map) return null;
  map.addSource("checkpoints", { type: "geojson", data });
  map.addSource("area", { type: "geojson", data: drawn(fields.read(), []) });
  map.addLayer({ id: "area", type: "fill", source: "area", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": "#4c9aff", "fill-opacity": 0.2 } });
  map.addLayer({ id: "area-line", type: "line", source: "area", paint: { "line-color": "#4c9aff", "line-width": 2 } });
  map.addLayer({ id: "area-corner", type: "circle", source: "area", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-radius": 5, "circle-color": "#4c9aff" } });
  map.addLayer({ id: "checkpoint", type: "circle", source: "checkpoints", paint: { "circle-radius": 6, "circle-color": "#3fcf8e", "circle-stroke-color": "#fff", "circle-stroke-width": 1.5 } });
  reportDrawn(map, ["checkpoint", "area"]);
  fit(map, data);
  map.doubleClickZoom.disable();

  /** @type {"" | "circle" | "polygon"} */
  let tool = "";
  /** @type {Position[]} */
  let corners = [];
  const redraw = () => { map.getSource("area").setData(drawn(fields.read(), corners)); say(said, fields.read()); };
  /** @param {typeof tool} next */
  const take = (next) => {
    tool = next;
    corners = [];
    element.classList.toggle("drawing", tool !== "");
    for (const button of document.querySelectorAll("[data-tool][aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-tool") === tool));
    }
    redraw();
    if (tool) said.value = said.dataset[`${tool}How`] ?? "";
  };
  /** @param {string} circle @param {string} polygon */
  const keep = (circle, polygon) => {
    fields.write({ circle, polygon });
    take("");
  };
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => {
      const name = /** @type {any} */ (button.getAttribute("data-tool"));
      if (name === "clear") keep("", "");
      else take(name === tool ? "" : name);
    });
  }
  const close = () => { if (corners.length > 2) keep("", corners.map(spelled).join(" ")); };
  map.on("click", (/** @type {any} */ event) => {
    if (!tool) return;
    const at = fromMap(map, event.lngLat);
    if (tool === "circle" && corners.length) {
      keep(`${spelled(corners[0])},${Math.max(1, metres(corners[0], at)).toFixed(0)}`, "");
      return;
    }
    if (tool === "polygon" && corners.length > 2) {
      const first = map.project(onMap(map, corners[0]));
      if (Math.hypot(first.x - event.point.x, first.y - event.point.y) < CLOSE_PX) { close(); return; }
    }
    corners = [...corners, at];
    map.getSource("area").setData(drawn(fields.read(), corners));
  });
  document.addEventListener("keydown", (event) => {
    if (!tool || !element.classList.contains("drawing")) return;
    if (event.key === "Escape") take("");
    if (event.key === "Enter" && tool === "polygon" && corners.length > 2) { event.preventDefault(); close(); }
  });
  redraw();
  return redraw;
}
