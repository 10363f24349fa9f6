// A shell of one's own. When the connection is lost, the page comes back to the same shell for a
// while.
"use strict";

const LONGEST_COPIED = 65536; // characters of base64 that a program may put into the clipboard
const GRACE = 60000; // milliseconds for which the console keeps the shell

const screen = document.getElementById("screen");
const told = document.getElementById("state");
const clipboard = document.getElementById("clipboard");
const terminal = makeTerminal(screen, {});
const fit = new FitAddon.FitAddon();
terminal.loadAddon(fit);
fit.fit();

let socket = null;
let shell = ""; // what the console finds it by
let over = false;
let lost = 0; // when the connection was lost

const SHOWN = {
  opened: (data) => {
    shell = data.shell;
    lost = 0;
  },
  screen: (data) => {
    terminal.reset();
    terminal.write(data.text, back);
  },
  output: (data) => terminal.write(data.text, back),
  end: (data) => {
    const reason = data.reason ? `: ${data.reason}` : "";
    end(data.status === null ? reason : ` with the exit status ${data.status}`);
  },
  refused: (data) => end(`: ${data.detail}`),
};

function back() {
  if (!over) {
    told.textContent = "";
  }
}

function end(how) {
  over = true;
  told.textContent = `The shell has ended${how}.`;
  terminal.options.disableStdin = true;
}

function say(message) {
  if (socket && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify(message));
  }
}

function open() {
  socket = new WebSocket(socketAt(screen.dataset.socket));
  socket.addEventListener("open", () => {
    const first = { csrf: screen.dataset.csrf, size: [terminal.cols, terminal.rows] };
    say(shell ? { ...first, shell } : first);
    terminal.focus();
  });
  socket.addEventListener("message", (event) => {
    const data = JSON.parse(event.data);
    SHOWN[data.event]?.(data);
  });
  socket.addEventListener("close", (event) => {
    if (over) {
      return;
    }
    lost = lost || Date.now();
    if (!shell || event.code === 1008 || event.code === 1009 || Date.now() - lost > GRACE) {
      end(": the connection is lost");
      return;
    }
    told.textContent = "The connection is lost: trying again.";
    window.setTimeout(open, 2000);
  });
}

terminal.onData((text) => {
  for (const piece of pieces(text)) {
    say({ typed: piece });
  }
});
terminal.onResize((size) => say({ size: [size.cols, size.rows] }));
window.addEventListener("resize", () => fit.fit());

// OSC 52: a program writes to the clipboard, if the person has switched that on. None reads it.
terminal.parser.registerOscHandler(52, (text) => {
  const data = text.slice(text.indexOf(";") + 1);
  if (clipboard.checked && data.length <= LONGEST_COPIED && data !== "?") {
    try {
      const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
      navigator.clipboard?.writeText(new TextDecoder().decode(bytes)).catch(() => {});
    } catch {
      // it is no base64
    }
  }
  return true;
});

open();
