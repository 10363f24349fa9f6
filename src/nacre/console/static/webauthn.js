// Asks a security key, or has one make a credential, and sends its answer by the form.
"use strict";

function bytesOf(text) {
  const plain = window.atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

function textOf(buffer) {
  const plain = Array.from(new Uint8Array(buffer), (one) => String.fromCharCode(one)).join("");
  return window.btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function described(keys) {
  return (keys ?? []).map((one) => ({ ...one, id: bytesOf(one.id) }));
}

function answerOf(credential, names) {
  const response = {};
  for (const name of names) {
    const part = credential.response[name];
    response[name] = part ? textOf(part) : null;
  }
  const id = textOf(credential.rawId);
  return { id, rawId: id, type: credential.type, response };
}

const asked = {
  async get(options) {
    const publicKey = {
      ...options,
      challenge: bytesOf(options.challenge),
      allowCredentials: described(options.allowCredentials),
    };
    const found = await navigator.credentials.get({ publicKey });
    return answerOf(found, ["clientDataJSON", "authenticatorData", "signature", "userHandle"]);
  },
  async create(options) {
    const publicKey = {
      ...options,
      challenge: bytesOf(options.challenge),
      user: { ...options.user, id: bytesOf(options.user.id) },
      excludeCredentials: described(options.excludeCredentials),
    };
    const made = await navigator.credentials.create({ publicKey });
    return answerOf(made, ["clientDataJSON", "attestationObject"]);
  },
};

const problems = {
  InvalidStateError: "This security key is enrolled already.",
  NotAllowedError: "No security key has answered. Try again.",
};

async function ask(form, state) {
  if (window.location.origin !== form.dataset.origin) {
    state.textContent = `Security keys work at ${form.dataset.origin} alone. Open the console there.`;
    return;
  }
  if (!window.PublicKeyCredential) {
    state.textContent = "This browser has no security keys.";
    return;
  }
  state.textContent = "Touch your security key, or follow what the browser shows.";
  try {
    const answer = await asked[form.dataset.webauthn](JSON.parse(form.dataset.options));
    form.elements.namedItem("answer").value = JSON.stringify(answer);
    form.submit(); // which asks no listener again
  } catch (error) {
    state.textContent = problems[error.name] ?? `The browser refuses: ${error.message}`;
  }
}

for (const form of document.querySelectorAll("form[data-webauthn]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form, form.querySelector("[role=status]"));
  });
}
