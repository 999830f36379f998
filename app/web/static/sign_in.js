import { ask, at, canPasskey, onClick, onLocalhost, say, showPasskey, text } from "/static/api.js";

async function signIn() {
  say(text("waiting"));
  const credential = await showPasskey(await ask("POST", "/auth/passkey/options"));
  await ask("POST", "/auth/passkey", { credential });
  location.assign("/me");
}

if (!onLocalhost()) {
  if (canPasskey()) onClick(at("sign-in"), signIn);
  else at("error").textContent = text("no_passkeys");
}
