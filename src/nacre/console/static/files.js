// Uploads files in pieces, with their progress, and goes on where a lost network has cut one off.
// Without this the form sends them whole.
"use strict";

const form = document.getElementById("upload");
const list = document.getElementById("uploads");
const PIECE = 4 * 1024 * 1024;
const PAUSES = [1, 2, 4, 8, 15, 30, 30, 30];
const csrf = form.elements.csrf.value;
let waiting = Promise.resolve();

class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

async function answered(answer) {
  if (answer.ok && !answer.redirected) {
    return answer.json();
  }
  if (answer.redirected) {
    throw new Refused("Your session has ended. Sign in again.", 401);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const said = page.querySelector("[role=alert]")?.textContent;
  throw new Refused(said || `Status ${answer.status}`, answer.status);
}

async function post(path, fields) {
  const body = new URLSearchParams({ csrf, ...fields });
  return answered(await fetch(path, { method: "POST", body }));
}

const paused = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function send(file, show) {
  const fields = { name: file.name, size: file.size };
  if (form.elements.replace.checked) {
    fields.replace = "yes";
  }
  const path = `/files/uploads/${(await post(form.dataset.begin, fields)).id}`;
  try {
    await sendAll(path, file, show);
  } catch (error) {
    // Given up here, it does not wait on the server until it is idle for too long.
    await post(`${path}/cancel`, {}).catch(() => {});
    throw error;
  }
}

async function sendAll(path, file, show) {
  let written = 0;
  let failures = 0;
  for (;;) {
    try {
      if (written >= file.size) {
        // Asked again, the console answers the same.
        await post(`${path}/finish`, {});
        return;
      }
      const body = file.slice(written, written + PIECE);
      const headers = { "X-CSRF": csrf, "Content-Type": "application/octet-stream" };
      const answer = await fetch(`${path}?offset=${written}`, { method: "POST", headers, body });
      written = (await answered(answer)).written;
      failures = 0;
      show(written);
    } catch (error) {
      // The console has not noticed yet that the request before has broken off, or closes the file.
      const early = error.status === 423 || (error.status === 409 && written < file.size);
      if ((error instanceof Refused && !early) || failures === PAUSES.length) {
        throw error;
      }
      show(written, "Broken off, trying again");
      await paused(PAUSES[failures++]);
      if (written >= file.size) {
        continue;
      }
      try {
        written = (await answered(await fetch(path))).written;
      } catch (again) {
        if (again instanceof Refused) {
          throw again;
        }
      }
    }
  }
}

function upload(file) {
  const row = document.createElement("li");
  const name = document.createElement("span");
  const bar = document.createElement("progress");
  const said = document.createElement("span");
  name.textContent = `${file.name} `;
  bar.max = Math.max(1, file.size);
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  row.append(name, bar, said);
  list.append(row);
  const show = (written, text = "") => {
    bar.value = written;
    said.textContent = text ? ` ${text}` : "";
  };
  waiting = waiting.then(async () => {
    try {
      await send(file, show);
      bar.value = bar.max;
      said.textContent = " Done";
    } catch (error) {
      said.textContent = ` Not uploaded: ${error.message}`;
      row.className = "problem";
    }
  });
}

function uploadAll(files) {
  const before = list.querySelectorAll(".problem").length;
  for (const file of files) {
    upload(file);
  }
  const mine = waiting;
  mine.then(() => {
    if (mine === waiting && list.querySelectorAll(".problem").length === before) {
      window.location.reload();
    }
  });
}

document.getElementById("drop-hint").hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  uploadAll(form.elements.file.files);
});
for (const kind of ["dragover", "dragenter"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  form.addEventListener(kind, () => form.classList.remove("over"));
}
form.addEventListener("drop", (event) => {
  event.preventDefault();
  uploadAll(event.dataTransfer.files);
});
