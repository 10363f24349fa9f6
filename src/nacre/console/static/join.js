// Joins a session that runs: shows it, and sends what is typed to it.
"use strict";

const screen = document.getElementById("screen");
const told = document.getElementById("state");
const terminal = makeTerminal(screen, {});
const socket = new WebSocket(socketAt(screen.dataset.socket));
let sized = false;
let over = false;

const SHOWN = {
  size: (data) => {
    sized = true;
    terminal.resize(data.columns, data.rows);
  },
  screen: (data) => {
    // What has no terminal ends its lines by a line feed alone.
    terminal.options.convertEol = !sized;
    terminal.reset();
    terminal.write(data.text);
  },
  output: (data) => terminal.write(data.text),
  end: (data) => {
    const status = data.status === null ? "" : ` with the exit status ${data.status}`;
    tell(`The session has ended${status}.`);
  },
  refused: (data) => tell(data.detail),
};

function tell(text) {
  if (!over) {
    told.textContent = text;
  }
  over = true;
  terminal.options.disableStdin = true;
}

socket.addEventListener("open", () => {
  socket.send(JSON.stringify({ csrf: screen.dataset.csrf }));
  terminal.focus();
});
socket.addEventListener("message", (event) => {
  const data = JSON.parse(event.data);
  SHOWN[data.event]?.(data);
});
socket.addEventListener("close", () => {
  tell("The connection has ended. Load the page again to join again.");
});
terminal.onData((text) => {
  for (const piece of pieces(text)) {
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ typed: piece }));
    }
  }
});
