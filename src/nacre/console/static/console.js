// What pages do without it, they do by forms: this asks before something is removed, and keeps the
// table of connections and the charts up to date.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});

const live = document.getElementById("live");
const charts = document.getElementById("charts");
const state = document.getElementById("live-state");

function follow() {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("rows", (event) => {
    if (live.querySelector(":active")) {
      return; // a click that has begun is not to lose what it is on
    }
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    // The server has made this of its templates, in which all that others say is escaped.
    live.innerHTML = JSON.parse(event.data);
    if (focused) {
      document.getElementById(focused)?.focus();
    }
    if (state.textContent) {
      state.textContent = "";
    }
  });
  source.addEventListener("charts", (event) => {
    charts.innerHTML = JSON.parse(event.data);
  });
  source.addEventListener("end", () => {
    source.close();
    state.textContent = "This table is not live any more. Load the page again.";
  });
  source.addEventListener("error", () => {
    state.textContent = "The console does not answer. What is shown may be old.";
  });
}

if (live) {
  follow();
}
