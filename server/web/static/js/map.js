// The one door to the map: a plain ground, the county's own roads, whatever layers a page adds.
// Everything is WGS-84, as the server stores it, and so are the roads: nothing is converted.
import * as maplibregl from "../vendor/maplibre-gl/maplibre-gl.mjs";

/** @typedef {{type: "FeatureCollection", features: any[]}} Collection */

/** @returns {boolean} */
function hasWebGl() {
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context !== null;
}

/**
 * Make the map in this element, or show the fallback notice and give null where the browser has
 * no WebGL (the table beside the map says the same in words).
 *
 * `data-map-state` on the element goes loading → idle (everything drawn) or → failed.
 * @param {HTMLElement} element
 * @returns {Promise<maplibregl.Map | null>}
 */
export async function openMap(element) {
  element.dataset.mapState = "loading";
  if (!hasWebGl()) return fail(element);
  const style = await (await fetch(element.dataset.style ?? "")).json();
  style.sources.roads.data = new URL(element.dataset.roads ?? "", location.href).href;
  if (element.dataset.lang === "en") {
    const name = ["case", ["!=", ["get", "name_en"], ""], ["get", "name_en"], ["get", "name"]];
    for (const layer of style.layers) if (layer.layout?.["text-field"]) layer.layout["text-field"] = name;
  }
  /** @type {maplibregl.Map} */
  let map;
  try {
    map = new maplibregl.Map({
      container: element, style, center: [105, 35], zoom: 3, maxZoom: 18,
      attributionControl: false, dragRotate: false, fadeDuration: 0,
      localIdeographFontFamily: getComputedStyle(document.body).fontFamily,
    });
  } catch {
    return fail(element); // WebGL was promised and then refused (blocklisted driver)
  }
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-left");
  map.on("idle", () => { element.dataset.mapState = "idle"; });
  await map.once("load");
  return map;
}

/** @param {HTMLElement} element @returns {null} */
function fail(element) {
  element.dataset.mapState = "failed";
  const notice = element.parentElement?.querySelector("[data-map-fallback]");
  if (notice instanceof HTMLElement) notice.hidden = false;
  return null;
}

/**
 * Bring all points of a collection into view.
 * @param {maplibregl.Map} map @param {Collection} collection
 */
export function fit(map, collection) {
  const bounds = new maplibregl.LngLatBounds();
  for (const feature of collection.features) {
    if (feature.geometry.type === "Point") bounds.extend(feature.geometry.coordinates);
  }
  if (!bounds.isEmpty()) map.fitBounds(bounds, { padding: 70, maxZoom: 14, animate: false });
}

/**
 * Count the features that are really drawn in a layer each time the map comes to rest, and write
 * the number on the element: `data-drawn-<layer>`.
 * @param {maplibregl.Map} map @param {string[]} layers
 */
export function reportDrawn(map, layers) {
  map.on("idle", () => {
    for (const layer of layers) {
      const drawn = map.queryRenderedFeatures({ layers: [layer] });
      const names = new Set(drawn.map((feature) => feature.properties.key));
      map.getContainer().setAttribute(`data-drawn-${layer}`, String(names.size));
    }
  });
}

/** @param {string} id @returns {Collection | null} */
export function readData(id) {
  const text = document.getElementById(id)?.textContent;
  return text ? JSON.parse(text) : null;
}
