// What every page has: the clock, a word when a request fails.

/** @param {string} zone @returns {Intl.DateTimeFormat} */
export function clockFormat(zone) {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  });
}

for (const element of document.querySelectorAll("[data-clock]")) {
  const format = clockFormat(/** @type {HTMLElement} */ (element).dataset.clock ?? "UTC");
  const tick = () => { element.textContent = format.format(new Date()); };
  tick();
  setInterval(tick, 1000);
}

/** Show one line at the foot of the page for a while. @param {string} text */
export function tell(text) {
  let toast = document.getElementById("toast");
  if (!toast) {
    toast = document.createElement("p");
    toast.id = "toast";
    toast.setAttribute("role", "alert");
    document.body.append(toast);
  }
  toast.textContent = text;
  toast.hidden = false;
  setTimeout(() => { if (toast) toast.hidden = true; }, 6000);
}

// A refused request changes nothing on the page, so the page must say so. A session that has
// ended is different: loading the page again leads to the log-in and back.
document.addEventListener("htmx:response:error", (event) => {
  const detail = /** @type {CustomEvent} */ (event).detail;
  const status = detail?.ctx?.response?.status ?? 0;
  if (status === 401) {
    location.reload();
    return;
  }
  const texts = document.body.dataset;
  tell(`${status === 503 ? texts.textBusy : texts.textFailed} (${status})`);
});
