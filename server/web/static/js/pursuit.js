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

// ---- live: the server says when to look again, and the page asks for what there is to see

const AGAIN_MS = 2000;

/** Read the stream until it ends. A plate stands in no address, so it is posted for. @param {HTMLFormElement} form */
async function listen(form) {
  const asked = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  asked.set("seen", document.getElementById("seen")?.dataset.passage ?? "");
  const answer = await fetch("/pursuit/stream", { method: "POST", body: asked });
  if (!answer.ok || !answer.body) return;
  const followed = document.getElementById("followed");
  if (followed) followed.dataset.live = "yes";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    if (blocks.some((block) => block.startsWith("event: "))) followed?.dispatchEvent(new CustomEvent("pursuit"));
  }
}

async function follow() {
  const form = document.querySelector("form#pursuit");
  if (!(form instanceof HTMLFormElement) || !document.getElementById("followed")) return;
  for (;;) {
    try {
      await listen(form);
    } catch {
      // the line broke; the page asks by itself every minute until it stands again
    }
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
  }
}

document.addEventListener("htmx:after:swap", show);
show();
follow();
