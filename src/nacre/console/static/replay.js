// Plays a recording in asciinema's player. #t=SECONDS in the address is where it begins.
"use strict";

const screen = document.getElementById("screen");
const at = /^#t=(\d+(?:\.\d+)?)$/.exec(window.location.hash);
AsciinemaPlayer.create(screen.dataset.cast, screen, {
  fit: "width",
  idleTimeLimit: 3,
  preload: true,
  speed: Number(screen.dataset.speed),
  startAt: at ? Number(at[1]) : 0,
});
