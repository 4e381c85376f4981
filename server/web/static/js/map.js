// The one door to the map: a plain ground, the county's own roads, whatever layers a page adds.
// Pages hand over WGS-84, as the server stores it, and get WGS-84 back; where the tiles under the
// map are GCJ-02, what is drawn is moved here, and what is drawn on the map is moved back here.
import * as maplibregl from "../vendor/maplibre-gl/maplibre-gl.mjs";
import { collectionMoved, fromGcj02, toGcj02 } from "./datum.js";

/** @typedef {{type: "FeatureCollection", features: any[]}} Collection */

/** @param {any} map a map or its element */
const isGcj02 = (map) => (map.getContainer?.() ?? map).dataset.datum === "gcj02";

/** Where a position of the server lies on this map. @param {any} map @param {[number, number]} at */
export const onMap = (map, at) => (isGcj02(map) ? toGcj02(at) : at);

/** The server's position of a place on this map. @param {any} map @param {{lng: number, lat: number}} at
 * @returns {[number, number]} */
export const fromMap = (map, at) => (isGcj02(map) ? fromGcj02([at.lng, at.lat]) : [at.lng, at.lat]);

/** Let GeoJSON that pages give to this map be moved on its way. @param {any} map */
function moveWhatIsDrawn(map) {
  const addSource = map.addSource.bind(map);
  map.addSource = (/** @type {string} */ id, /** @type {any} */ source) => {
    const local = source.type === "geojson" && typeof source.data === "object";
    addSource(id, local ? { ...source, data: collectionMoved(source.data, toGcj02) } : source);
    if (!local) return map;
    const drawn = map.getSource(id);
    const setData = drawn.setData.bind(drawn);
    drawn.setData = (/** @type {any} */ data) => setData(collectionMoved(data, toGcj02));
    return map;
  };
  const easeTo = map.easeTo.bind(map);
  map.easeTo = (/** @type {any} */ where) => easeTo(
    Array.isArray(where.center) ? { ...where, center: toGcj02(where.center) } : where,
  );
}

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
  const roads = new URL(element.dataset.roads ?? "", location.href).href;
  const gcj02 = isGcj02(element);
  style.sources.roads.data = gcj02 ? collectionMoved(await (await fetch(roads)).json(), toGcj02) : roads;
  const tiles = element.dataset.tiles;
  if (tiles) {
    // {z} must not be escaped: the address is joined as text
    style.sources.tiles = {
      type: "raster", tiles: [tiles.startsWith("/") ? location.origin + tiles : tiles], tileSize: 256,
      attribution: element.dataset.credit ?? "",
    };
    style.layers.splice(1, 0, { id: "tiles", type: "raster", source: "tiles" });
  }
  if (element.dataset.lang === "en") {
    const name = ["case", ["!=", ["get", "name_en"], ""], ["get", "name_en"], ["get", "name"]];
    for (const layer of style.layers) if (layer.layout?.["text-field"]) layer.layout["text-field"] = name;
  }
  /** @type {maplibregl.Map} */
  let map;
  try {
    map = new maplibregl.Map({
      container: element, style, center: [105, 35], zoom: 3, maxZoom: 18,
      attributionControl: tiles && element.dataset.credit ? { compact: true } : false, dragRotate: false, fadeDuration: 0,
      localIdeographFontFamily: getComputedStyle(document.body).fontFamily,
    });
  } catch {
    return fail(element); // WebGL was promised and then refused (blocklisted driver)
  }
  if (gcj02) moveWhatIsDrawn(map);
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
    if (feature.geometry.type === "Point") bounds.extend(onMap(map, feature.geometry.coordinates));
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
