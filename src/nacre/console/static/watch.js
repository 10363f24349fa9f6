// Shows a session that runs; with the keyboard, what is typed goes to it, too.
"use strict";

const screen = document.getElementById("screen");
const told = document.getElementById("state");
const terminal = makeTerminal(screen, { disableStdin: !screen.dataset.socket });
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
  over: (data) => tell(data.detail || "The console shows nothing more. Load the page again."),
};

function tell(text) {
  if (!over) {
    told.textContent = text;
  }
  over = true;
  terminal.options.disableStdin = true;
}

function watch() {
  const source = new EventSource(screen.dataset.events);
  for (const [name, show] of Object.entries(SHOWN)) {
    source.addEventListener(name, (event) => {
      show(JSON.parse(event.data));
      if (over) {
        source.close();
      }
    });
  }
  source.addEventListener("error", () => {
    source.close(); // to connect again would begin anew, and tell the session's user so
    tell("The console does not answer. Load the page again.");
  });
}

function join() {
  const socket = new WebSocket(socketAt(screen.dataset.socket));
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
}

if (screen.dataset.socket) {
  join();
} else {
  watch();
}
