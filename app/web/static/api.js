// What every screen does: ask the API, say what went wrong, translate a passkey's bytes.

export class Problem extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

let csrf = "";

export async function ask(method, path, body) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method, headers, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body),
  });
  const found = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Problem(answer.status, found.code ?? "failed");
  csrf = found.csrf_token ?? found.session?.csrf_token ?? csrf;
  return found;
}

export const at = (id) => document.getElementById(id);

export function text(of) {
  return document.querySelector("#texts").content.querySelector(`[data-of="${of}"]`)?.textContent;
}

export function say(message) {
  at("status").textContent = message ?? "";
  at("error").textContent = "";
}

export function complain(error) {
  say("");
  const code = error instanceof Problem ? error.code : error?.name === "NotAllowedError" ? "cancelled" : "failed";
  at("error").textContent = text(code) ?? text("failed");
}

// Runs `action` at a click; the button waits meanwhile, and says what went wrong. It is disabled until this is called.
export function onClick(button, action) {
  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
    }
  });
}

// A passkey is bound to a name, never to a number: on the own machine that name is localhost.
export function onLocalhost() {
  if (location.hostname !== "127.0.0.1" && location.hostname !== "[::1]") return false;
  const there = new URL(location.href);
  there.hostname = "localhost";
  location.replace(there);
  return true;
}

export const canPasskey = () => Boolean(globalThis.PublicKeyCredential && navigator.credentials);

const bytes = (base64url) => Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));

const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

const known = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

function credentialBody(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = base64url(credential.response[name]);
  }
  return { id: credential.id, rawId: base64url(credential.rawId), type: credential.type, response, clientExtensionResults: {} };
}

export async function createPasskey(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials),
  };
  return credentialBody(await navigator.credentials.create({ publicKey }));
}

export async function showPasskey(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) };
  return credentialBody(await navigator.credentials.get({ publicKey }));
}
