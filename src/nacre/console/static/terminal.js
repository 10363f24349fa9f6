// A terminal on a page, which xterm.js draws. What programs print is never markup here: it is drawn,
// and the title of a window is set as text.
"use strict";

// xterm.js writes styles as text, which the Content-Security-Policy refuses. The same rules are
// permitted as objects of CSSOM: as sheets that the page adopts, and as the style of an element.
document.createElement = function (name, options) {
  const isStyle = String(name).toLowerCase() === "style";
  // A template shows nothing, as a style does not.
  const made = Document.prototype.createElement.call(document, isStyle ? "template" : name, options);
  return isStyle ? withSheet(made) : made;
};

function withSheet(element) {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, "textContent", { set: (text) => sheet.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
}

const setAttribute = Element.prototype.setAttribute;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") {
    this.style.cssText = value;
  } else {
    setAttribute.call(this, name, value);
  }
};

const LONGEST_TYPED = 2000; // characters of a message: with escapes they are below the bound

// Make a terminal. Links of programs (OSC 8) lead nowhere: what they show need not be where they
// lead.
function makeTerminal(element, options) {
  const terminal = new Terminal({
    cursorBlink: false,
    linkHandler: { activate: () => {} },
    scrollback: 2000,
    ...options,
  });
  terminal.open(element);
  const title = document.getElementById("title");
  if (title) {
    terminal.onTitleChange((text) => {
      title.textContent = text.slice(0, 200);
    });
  }
  // Who can't use a mouse leaves the terminal so: all other keys are the program's.
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type === "keydown" && event.key === "Escape" && event.shiftKey) {
      document.getElementById("leave")?.focus();
      return false;
    }
    return true;
  });
  return terminal;
}

// Return pieces of a text, none of which ends within a character.
function* pieces(text) {
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + LONGEST_TYPED, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last < 0xdc00) {
      end -= 1;
    }
    yield text.slice(start, end);
    start = end;
  }
}

// Return the address of a WebSocket of this console.
function socketAt(path) {
  const url = new URL(path, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
