// The alert wall, live. The stream only says that something has changed; what is shown is always
// the server's own rendering of the board, so the table stays the one truth.
import { clockFormat } from "./frame.js";
import { Bell } from "./sound.js";

const RECONNECT_MS = 2000;
/** A click this soon after the cards moved may have been meant for another card. */
const SHIFT_GUARD_MS = 500;
const FRESH_MS = 6000;
const SIGNER = "kakou.signer.";

const wall = /** @type {HTMLElement} */ (document.getElementById("wall"));
const board = /** @type {HTMLElement} */ (document.getElementById("board"));
const lost = /** @type {HTMLElement} */ (document.getElementById("lost"));
const connection = /** @type {HTMLElement} */ (document.getElementById("connection"));
const bell = new Bell(/** @type {HTMLElement} */ (document.getElementById("sound")));
const format = clockFormat(wall.dataset.timeZone ?? "UTC");
const title = document.title;
/** The server speaks at least this often; longer silence and the line is dead. */
const SILENCE_MS = Number(wall.dataset.silenceMs ?? 40000);

let lastId = Number(wall.dataset.after ?? 0);
let lastWordAt = Date.now();
/** @type {number | null} */
let lostSince = null;
/** @type {EventSource | null} */
let source = null;
let shiftedAt = 0;
let refreshWanted = false;
let refreshing = false;
/** Alerts that the stream has just brought, and until when they are marked.
 * @type {Map<string, number>} */
const fresh = new Map();

// ---- the line to the server

function connect() {
  source?.close();
  const stream = new URL(wall.dataset.stream ?? "", location.href);
  stream.searchParams.set("after", String(lastId));
  source = new EventSource(stream);
  source.onopen = () => {
    alive();
    refresh();
  };
  source.onerror = () => {
    loseLine();
    // the browser gives up for good on an HTTP error; the wall never does
    if (source?.readyState === EventSource.CLOSED) setTimeout(again, RECONNECT_MS);
  };
  source.addEventListener("still-here", alive);
  source.addEventListener("alert", (event) => take(/** @type {MessageEvent} */ (event), true));
  source.addEventListener("alert-risen", (event) => take(/** @type {MessageEvent} */ (event), true));
  source.addEventListener("alert-changed", (event) => take(/** @type {MessageEvent} */ (event), false));
}

/** Connect again; but where the session has ended, go to the log-in, which leads back here. */
async function again() {
  try {
    const answer = await fetch(board.dataset.hxGet ?? "/wall/board", { headers: { "HX-Request": "true" } });
    if (answer.status === 401) {
      location.reload();
      return;
    }
  } catch {
    // no server to ask: connecting fails the same way and comes back here
  }
  connect();
}

/** @param {MessageEvent} event @param {boolean} raised whether it is new, or has risen unsigned */
function take(event, raised) {
  alive();
  lastId = Math.max(lastId, Number(event.lastEventId) || 0);
  const alert = JSON.parse(event.data);
  if (raised && alert.rings) {
    fresh.set(String(alert.id), Date.now() + FRESH_MS);
    // what nobody has signed in time sounds like the gravest
    bell.ring(alert.rank > 0 ? 1 : alert.level);
  }
  refresh();
}

function alive() {
  lastWordAt = Date.now();
  if (connection.dataset.state === "live") return;
  lostSince = null;
  lost.hidden = true;
  setConnection("live", connection.dataset.textLive ?? "");
}

function loseLine() {
  if (lostSince !== null) return;
  lostSince = lastWordAt;
  const since = format.format(new Date(lostSince));
  lost.textContent = (lost.dataset.text ?? "").replace("{since}", since);
  lost.hidden = false;
  setConnection("lost", connection.dataset.textLost ?? "");
}

/** @param {string} state @param {string} text */
function setConnection(state, text) {
  connection.dataset.state = state;
  connection.textContent = text;
}

setInterval(() => {
  if (Date.now() - lastWordAt > SILENCE_MS) {
    loseLine();
    lastWordAt = Date.now() - SILENCE_MS / 2; // try again in half the time
    connect();
  }
}, 1000);

// ---- the board

/** Ask for the board; while an answer is under way, once more after it, never in parallel. */
function refresh() {
  if (refreshing) {
    refreshWanted = true;
    return;
  }
  refreshing = true;
  board.dispatchEvent(new CustomEvent("refresh"));
}

board.addEventListener("htmx:finally:request", () => {
  refreshing = false;
  if (refreshWanted) {
    refreshWanted = false;
    setTimeout(refresh, 150);
  }
});

/** @type {Set<string>} */
let shown = new Set();

function settle() {
  const cards = /** @type {NodeListOf<HTMLElement>} */ (board.querySelectorAll("#unsigned > .card"));
  const ids = new Set([...cards].map((card) => card.dataset.alert ?? ""));
  if ([...ids].some((id) => !shown.has(id)) || [...shown].some((id) => !ids.has(id))) {
    shiftedAt = performance.now();
  }
  shown = ids;
  const now = Date.now();
  for (const card of cards) {
    const until = fresh.get(card.dataset.alert ?? "") ?? 0;
    card.classList.toggle("fresh", until > now);
  }
  for (const [id, until] of fresh) if (until <= now) fresh.delete(id);
  const count = board.querySelector('[data-count="new"]')?.textContent?.trim() ?? "0";
  document.title = count === "0" ? title : `(${count}) ${title}`;
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (board.querySelectorAll("input[data-signer]"))) {
    if (!input.value && document.activeElement !== input) {
      input.value = sessionStorage.getItem(SIGNER + input.dataset.signer) ?? "";
    }
  }
}

document.addEventListener("htmx:after:swap", settle);
settle();
shiftedAt = 0;

// Whoever signs once signs again: keep badge and unit for this browser tab.
board.addEventListener("change", (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  if (input.dataset.signer) sessionStorage.setItem(SIGNER + input.dataset.signer, input.value);
});

board.addEventListener("click", (event) => {
  const pressed = /** @type {HTMLElement} */ (event.target).closest("#unsigned button");
  if (pressed && event.detail > 0 && performance.now() - shiftedAt < SHIFT_GUARD_MS) {
    event.preventDefault();
    event.stopPropagation();
  }
}, true);

connect();
