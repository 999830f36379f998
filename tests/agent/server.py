"""A real HTTP server in the form of EVIDENCE.md section 1, small enough to misbehave on order: statuses, lost answers,
lost memory.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from device_agent.clock import SystemClock
from device_agent.keys import DeviceKey, payload_of, short_thumbprint, statement_hash, verify


class TapServer(ThreadingHTTPServer):
    """Stores what devices upload and signs receipts. `script` holds what it does instead, one entry per upload."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, device_jwk: dict[str, str] | None = None, dev: str = "d_test") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = DeviceKey(ec.generate_private_key(ec.SECP256R1()))
        self.device_jwk, self.dev = device_jwk, dev
        self.held: dict[int, str] = {}
        self.uploads: list[tuple[dict[str, Any], list[str]]] = []
        self.script: list[Any] = []
        self.always: Any = None
        self.poison: set[int] = set()
        self.most = 100
        self.revoked = False
        self.forge: dict[str, Any] = {}
        self.tokens: set[str] = set()
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(2)

    def taps(self) -> list[dict[str, Any]]:
        """Payloads held, by seq."""
        return [payload_of(jws) for _, jws in sorted(self.held.items())]

    def upload(self, body: bytes) -> tuple[int, bytes]:
        with self._guard:
            sent = json.loads(body)
            head = verify(sent["head"], self.device_jwk or {}, "head+jws")
            self.uploads.append((head, sent["taps"]))
            does = self.script.pop(0) if self.script else self.always
            if isinstance(does, int):
                return does, b'{"code":"scripted"}'
            seqs = [payload_of(jws)["seq"] for jws in sent["taps"]]
            if len(seqs) > self.most:
                return 413, b"{}"
            if self.poison & set(seqs):
                return 422, b"{}"
            results = [self._store(jws) for jws in sent["taps"]]
            return (500, b"lost after commit") if does == "lose" else (200, self._receipt(head, results))

    def _store(self, jws: str) -> dict[str, Any]:
        said = verify(jws, self.device_jwk or {}, "tap+jws")
        old = self.held.get(said["seq"])
        status = "stored" if old is None else "duplicate" if old == jws else "fork"
        self.held.setdefault(said["seq"], jws)
        return {"seq": said["seq"], "status": status, "findings": []}

    def _receipt(self, head: dict[str, Any], results: list[dict[str, Any]]) -> bytes:
        voided = {
            seq for said in self.taps() if said["kind"] == "void" for seq in range(said["from_seq"], said["to_seq"] + 1)
        }
        known = set(self.held) | voided
        upto = 0
        while upto + 1 in known:
            upto += 1
        said = {
            "r": f"r_{len(self.uploads)}", "dev": self.dev, "upto": upto,
            "upto_hash": statement_hash(self.held[upto]) if upto in self.held else None,
            "missing": [seq for seq in range(1, head["head_seq"] + 1) if seq not in known],
            "recv": SystemClock().now().t, "nonce": head["nonce"], "results": results,
        } | ({"revoked": True} if self.revoked else {}) | self.forge  # fmt: skip
        return json.dumps({"receipt": self.key.sign("receipt+jws", said), **said}).encode()

    def enrol(self, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        if asked["token"] not in self.tokens:
            return 403, b"{}"
        self.tokens.remove(asked["token"])
        verify(asked["proof"], asked["public_jwk"], "enrol+jws")
        self.device_jwk = asked["public_jwk"]
        answer = {
            "device_id": self.dev, "server_jwk": self.key.jwk,
            "thumbprint": short_thumbprint(asked["public_jwk"]), "state": "pending",
        }  # fmt: skip
        return 200, json.dumps(answer).encode()


class _Handler(BaseHTTPRequestHandler):
    server: TapServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        door = self.server.enrol if self.path == "/api/v1/device/enrol" else self.server.upload
        status, answer = door(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet."""
