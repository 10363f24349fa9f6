// Shows a session that runs, in asciinema's player.
"use strict";

const screen = document.getElementById("screen");
AsciinemaPlayer.create(
  { driver: "eventsource", url: screen.dataset.events, bufferTime: 0 },
  screen,
  { autoPlay: true, fit: "width", controls: false, cols: 80, rows: 24 },
);
