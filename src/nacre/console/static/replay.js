// Plays a recording in asciinema's player. #t=SECONDS in the address is the moment that it shows.
"use strict";

const screen = document.getElementById("screen");

function wanted() {
  const at = /^#t=(\d+(?:\.\d+)?)$/.exec(window.location.hash);
  return at ? Number(at[1]) : 0;
}

const player = AsciinemaPlayer.create(screen.dataset.cast, screen, {
  fit: "width",
  idleTimeLimit: 3,
  poster: wanted() ? `npt:${wanted()}` : undefined,
  preload: true,
  speed: Number(screen.dataset.speed),
  startAt: wanted(),
});

// A link to a moment on this page.
window.addEventListener("hashchange", () => {
  player.pause();
  player.seek(wanted());
  screen.scrollIntoView();
});
