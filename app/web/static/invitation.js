import { ask, at, canPasskey, complain, createPasskey, onClick, onLocalhost, say, text } from "/static/api.js";

const token = location.hash.slice(1);
at("language").hash = location.hash;

async function begin() {
  if (!canPasskey()) return (at("error").textContent = text("no_passkeys"));
  if (!token) return (at("error").textContent = text("no_token"));
  const offer = await ask("POST", "/auth/invitation", { token });
  at("name").textContent = offer.name;
  at("roles").textContent = offer.roles.map((role) => text(role)).join(", ");
  at("offer").hidden = false;
  onClick(at("create"), create);
}

async function create() {
  say(text("waiting"));
  // Asked again: the challenge may be older than its five minutes.
  const offer = await ask("POST", "/auth/invitation", { token });
  const credential = await createPasskey(offer.passkey);
  const joined = await ask("POST", "/auth/join/passkey", { token, credential });
  history.replaceState(null, "", "/invite"); // the token is used up and need not stay in sight
  at("offer").hidden = true;
  at("codes").replaceChildren(
    ...joined.recovery_codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })),
  );
  at("joined").hidden = false;
  at("codes-title").focus();
  say(text("done"));
}

if (!onLocalhost()) begin().catch(complain);
