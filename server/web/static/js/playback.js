// Playing a route back: a slider of time, a mark that is where the vehicle was, or must have been.
// Between two sightings the mark moves evenly along the leg; during a break it stays where it was
// last seen. Nothing is drawn before the first sighting or after the last one.

/** @typedef {import("./map.js").Collection} Collection */
/** @typedef {{from: number, to: number, way: number[][], breaks: boolean}} Span */

const WHOLE_S = 24; // a whole route takes so long at speed 1

/**
 * The spans of time of a route's main vehicle, ms since 1970.
 * @param {Collection} route @returns {Span[]}
 */
export function spansOf(route) {
  /** @type {Map<number, any>} */
  const stops = new Map();
  for (const { geometry, properties } of route.features) {
    if (properties.kind === "stop") stops.set(properties.number, { at: geometry.coordinates, first: Date.parse(properties.first_seen_at), last: Date.parse(properties.last_seen_at) });
  }
  const spans = [];
  for (const { geometry, properties } of route.features) {
    if (properties.kind !== "leg" || properties.vehicle !== 1) continue;
    const start = stops.get(properties.from_number), end = stops.get(properties.to_number);
    spans.push({ from: start.last, to: end.first, way: geometry.coordinates, breaks: properties.breaks });
  }
  for (const stop of stops.values()) spans.push({ from: stop.first, to: stop.last, way: [stop.at, stop.at], breaks: true });
  return spans.sort((a, b) => a.from - b.from);
}

/**
 * Where the vehicle is at an instant; null outside of the route.
 * @param {Span[]} spans @param {number} at @returns {number[] | null}
 */
export function placeAt(spans, at) {
  const span = spans.find((one) => at >= one.from && at <= one.to);
  if (!span) return null;
  const share = span.breaks || span.to === span.from ? 0 : (at - span.from) / (span.to - span.from);
  const pieces = span.way.slice(1).map((end, n) => Math.hypot(end[0] - span.way[n][0], end[1] - span.way[n][1]));
  let left = share * pieces.reduce((sum, piece) => sum + piece, 0);
  for (let n = 0; n < pieces.length; n += 1) {
    if (left <= pieces[n] && pieces[n] > 0) {
      const part = left / pieces[n], a = span.way[n], b = span.way[n + 1];
      return [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
    }
    left -= pieces[n];
  }
  return share > 0 ? span.way[span.way.length - 1] : span.way[0];
}

/**
 * Tie the controls to the map. `data-at` on the slider's output tells the instant shown.
 * @param {any} map @param {Collection[]} routes @param {HTMLElement} controls
 */
export function playBack(map, routes, controls) {
  const slider = /** @type {HTMLInputElement} */ (controls.querySelector("input[type=range]"));
  const button = /** @type {HTMLButtonElement} */ (controls.querySelector("[data-play]"));
  const speed = /** @type {HTMLSelectElement} */ (controls.querySelector("select"));
  const said = /** @type {HTMLOutputElement} */ (controls.querySelector("output"));
  const all = routes.map(spansOf);
  const begin = Math.min(...all.flat().map((span) => span.from));
  const end = Math.max(...all.flat().map((span) => span.to));
  if (!Number.isFinite(begin) || end <= begin) return;
  controls.hidden = false;
  slider.max = String(end - begin);
  slider.step = "1000";
  const zone = document.querySelector("[data-clock]")?.getAttribute("data-clock") ?? "UTC";
  const clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  map.addSource("player", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
  map.addLayer({
    id: "player", type: "circle", source: "player",
    paint: {
      "circle-radius": 8, "circle-color": ["match", ["get", "key"], "0", "#ffd84a", "#7df0c6"],
      "circle-stroke-color": "#05080c", "circle-stroke-width": 3,
    },
  });
  const show = () => {
    const at = begin + Number(slider.value);
    const features = all.flatMap((spans, number) => {
      const coordinates = placeAt(spans, at);
      return coordinates ? [{ type: "Feature", geometry: { type: "Point", coordinates }, properties: { key: String(number) } }] : [];
    });
    map.getSource("player").setData({ type: "FeatureCollection", features });
    said.value = clock.format(at);
    said.dataset.at = new Date(at).toISOString();
  };
  let last = 0;
  /** @param {number} now */
  const step = (now) => {
    if (button.getAttribute("aria-pressed") !== "true" || !controls.isConnected) return;
    const passed = last ? now - last : 0;
    last = now;
    const value = Number(slider.value) + (passed / 1000 / WHOLE_S) * (end - begin) * Number(speed.value);
    slider.value = String(Math.min(value, end - begin));
    show();
    if (value >= end - begin) press(false);
    else requestAnimationFrame(step);
  };
  /** @param {boolean} on */
  const press = (on) => {
    button.setAttribute("aria-pressed", String(on));
    last = 0;
    if (on && Number(slider.value) >= end - begin) slider.value = "0";
    if (on) requestAnimationFrame(step);
  };
  button.addEventListener("click", () => press(button.getAttribute("aria-pressed") !== "true"));
  slider.addEventListener("input", () => { press(false); show(); });
  show();
}
