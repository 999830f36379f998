"""A passkey authenticator in software (WebAuthn level 2, ES256, attestation `none`), and a browser that uses it."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.testclient import TestClient

ORIGIN = "http://testserver"
_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One key. The attributes may be bent by a test to see that the server looks."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    count: int = 0
    origin: str = ORIGIN
    host: str = "testserver"
    verifies: bool = True

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create` answers."""
        client_data = self._client_data("webauthn.create", options["challenge"])
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cose
        data = self._authenticator_data(_ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential({"clientDataJSON": b64(client_data), "attestationObject": b64(attestation)})

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get` answers."""
        self.count += 1
        client_data = self._client_data("webauthn.get", options["challenge"])
        data = self._authenticator_data(0)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            {"clientDataJSON": b64(client_data), "authenticatorData": b64(data), "signature": b64(signature)}
        )

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _authenticator_data(self, more: int) -> bytes:
        flags = _PRESENT | (_VERIFIED if self.verifies else 0) | more
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _credential(self, response: dict[str, str]) -> dict[str, Any]:
        own_id = b64(self.credential_id)
        return {"id": own_id, "rawId": own_id, "type": "public-key", "response": response, "clientExtensionResults": {}}


class Browser:
    """A browser on our own page: keeps the cookie, sends the CSRF token and what browsers say of themselves."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.cookie = ""
        self.csrf = ""
        self.headers = {"sec-fetch-site": "same-origin", "origin": ORIGIN}

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {**self.headers, "x-csrf-token": self.csrf, **headers}
        if self.cookie:
            sent["cookie"] = f"__Host-sid={self.cookie}"
        self.client.cookies.clear()
        answer = self.client.request(method, f"/api/v1{path}", json=body, headers=sent)
        cookie = answer.cookies.get("__Host-sid") or _cookie_of(answer.headers.get("set-cookie", ""))
        if cookie is not None:
            self.cookie = cookie
        if answer.content and answer.headers.get("content-type", "") == "application/json":
            found = answer.json()
            session = found.get("session", found) if isinstance(found, dict) else None
            if isinstance(session, dict) and "csrf_token" in session:
                self.csrf = session["csrf_token"]
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def join(self, token: str, authenticator: Authenticator) -> Any:
        """Use an invitation up for a passkey."""
        choice = self.post("/auth/invitation", {"token": token})
        assert choice.status_code == 200, choice.text
        return self.post(
            "/auth/join/passkey", {"token": token, "credential": authenticator.create(choice.json()["passkey"])}
        )

    def sign_in(self, authenticator: Authenticator) -> Any:
        """Sign in with a passkey."""
        options = self.post("/auth/passkey/options").json()
        return self.post("/auth/passkey", {"credential": authenticator.get(options)})


def _cookie_of(header: str) -> str | None:
    name, _, value = header.partition(";")[0].partition("=")
    return value.strip('"') if name == "__Host-sid" else None
