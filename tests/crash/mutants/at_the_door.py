"""Scenarios at a server's door: each returns what was wrong; nothing from an honest server.

Devices speak HTTP with keys of their own to a real `komgick serve`; what is stored is read by another connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from app import pipeline
from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.callers import Caller
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import create_database
from app.db.prepare import prepare
from app.evidence.keys import open_keyring, write_secret
from app.evidence.oddities import findings_of_device
from app.evidence.rules.signatures import b64url, jwk_of, take_apart, unb64url
from app.evidence.sun import SunKeys, make
from device_agent.receipts import read_receipt
from tests.crash.mutants.nursery import Child, Nursery
from tests.evidence.devices import Device, register, rows

PATH = "/api/v1/device/taps"
SUN = SunKeys(1, bytes(range(16)), bytes(range(16, 32)))
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256: (r, -s) is as valid a signature as (r, s)."""


class House:
    """A PostgreSQL and a database of the harness's own, and servers out of the nursery that serve it."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder, self._nursery = folder, nursery
        self.postgres = EmbeddedServer(folder / "postgres").start()
        create_database(self.postgres, "komgick")
        self.database = Database(self.postgres.url("komgick"), Settings(data=folder), passwordless=True)
        prepare(self.database)
        write_secret(folder / "logins.json", json.dumps(dict.fromkeys(("provider", "city", "ingest", "auth"), "-")))
        keys = {"1": {"meta_key": SUN.meta_key.hex(), "master_key": SUN.master_key.hex()}}
        write_secret(folder / "secrets" / "sun_keys.json", json.dumps(keys))
        open_keyring(folder)

    def serve(self, fault: str) -> Child:
        """A `komgick serve` on the database."""
        environment = {
            "KOMGICK_DATABASE_URL": self.postgres.url("komgick"), "KOMGICK_DATA": str(self.folder),
            "KOMGICK_LOGINS_FILE": str(self.folder / "logins.json"),
        }  # fmt: skip
        return self._nursery.fork("app.cli", "serve", "--port", "0", fault=fault, environment=environment)

    @contextmanager
    def door(self, fault: str) -> Iterator[Door]:
        """The tap door of a server with a fault, or of an honest one."""
        server = self.serve(fault)
        try:
            line = server.line("KomGick: ")
            assert line, f"a server with {fault or 'no fault'} does not start"
            with httpx.Client(base_url=line.split()[1], timeout=20) as http:
                yield Door(self, http)
        finally:
            server.kill()

    def close(self) -> None:
        """End the database."""
        self.database.close()
        self.postgres.stop()


@dataclass(frozen=True)
class Door:
    """Where devices speak."""

    house: House
    http: httpx.Client

    def device(self, **known: Any) -> Device:
        """A new device that the server knows."""
        device = Device(f"d_{secrets.token_hex(6)}", at=utc_now(), booted_at=utc_now() - timedelta(hours=1), **known)
        return register(self.house.database, device)

    def post(self, device: Device, taps: list[str], **head: Any) -> httpx.Response:
        """One upload."""
        return self.http.post(PATH, content=device.body(taps, **head))

    def stored(self, device: Device) -> list[tuple[Any, ...]]:
        """(seq, jws) of its taps, as another connection sees them."""
        return rows(
            self.house.database, "SELECT seq, jws FROM taps WHERE device_id = :d ORDER BY seq", d=device.device_id
        )

    def findings(self, device: Device) -> set[str]:
        """Codes of what is odd in its chain."""
        with self.house.database.transaction(Caller.batch(), read_only=True) as connection:
            return {finding.code for finding in findings_of_device(connection, device.device_id)}

    def execute(self, statement: str) -> None:
        """As the owner."""
        with self.house.database.transaction(Caller.batch()) as connection:
            connection.execute(text(statement))


def _body(response: httpx.Response) -> dict[str, Any]:
    return dict(response.json()) if response.status_code == 200 else {}


def commit_then_answer(door: Door) -> Iterator[str]:
    """A commit that takes its time: whoever has a 200 finds the tap in the database at once."""
    with _at_commit(door, "PERFORM pg_sleep(0.7)") as device:
        response = door.post(device, [device.tap()])
        if response.status_code == 200 and not door.stored(device):
            yield "200, and the tap is not in the database"
        if response.status_code != 200:
            yield f"{response.status_code} for a slow commit"


def failed_commit(door: Door) -> Iterator[str]:
    """A commit that fails is no 2xx, and the tap comes well when it is sent again."""
    document = ""
    with _at_commit(door, "RAISE EXCEPTION 'the disk is gone'") as device:
        document = device.tap()
        response = door.post(device, [document])
        if response.is_success:
            yield f"{response.status_code} although the commit failed"
    if door.post(device, [document]).status_code != 200 or not door.stored(device):
        yield "sent again and still not stored"


@contextmanager
def _at_commit(door: Door, what: str) -> Iterator[Device]:
    """A device whose taps do something in the database when they are committed."""
    device = door.device()
    door.execute(
        f"CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON taps DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        f" WHEN (NEW.device_id = '{device.device_id}') EXECUTE FUNCTION at_commit()"
    )
    try:
        yield device
    finally:
        door.execute("DROP TRIGGER at_commit ON taps; DROP FUNCTION at_commit()")


def gap(door: Door) -> Iterator[str]:
    """What comes after a gap is stored, the gap is named, and filled when the rest comes."""
    device = door.device()
    documents = [device.tap() for _ in range(4)]
    body = _body(door.post(device, [documents[0], documents[2]]))
    if [seq for seq, _ in door.stored(device)] != [1, 3]:
        yield "a tap after a gap is not stored"
    if (body.get("upto"), body.get("missing")) != (1, [2, 4]):
        yield f"the receipt says upto {body.get('upto')}, missing {body.get('missing')}"
    body = _body(door.post(device, [documents[1], documents[3]]))
    if (body.get("upto"), body.get("missing")) != (4, []) or len(door.stored(device)) != 4:
        yield "the gap is not filled"


def resent(door: Door) -> Iterator[str]:
    """The same again, and the same with another valid signature, is one tap."""
    device = door.device()
    document = device.tap()
    signing_input, _, signature = document.rpartition(".")
    raw = unb64url(signature)
    other = raw[:32] + (_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    door.post(device, [document])
    door.post(device, [document, f"{signing_input}.{b64url(other)}"])
    if door.stored(device) != [(1, document)]:
        yield f"one tap is stored {len(door.stored(device))} times"


def fork(door: Door) -> Iterator[str]:
    """Two contents under one number are both kept, and found."""
    device = door.device()
    twin = Device(device.device_id, device.key, device.at, booted_at=device.booted_at)
    first, copied = device.tap("KOM"), twin.tap("GICK")
    door.post(device, [first])
    door.post(twin, [copied])
    if {jws for _, jws in door.stored(device)} != {first, copied}:
        yield "one of the two contents is gone"
    if "seq_fork" not in door.findings(device):
        yield "nobody is told of the fork"


def ill_signed(door: Door) -> Iterator[str]:
    """An ill-signed statement is kept as rejected input, is no tap, and blocks nothing."""
    device = door.device()
    good, forged, last = (device.tap() for _ in range(3))
    forged = f"{forged.rpartition('.')[0]}.{b64url(os.urandom(64))}"
    body = _body(door.post(device, [good, forged, "inte en jws", last], head_seq=3))
    if [jws for _, jws in door.stored(device)] != [good, last]:
        yield "stored is not what the device signed"
    if (body.get("upto"), body.get("missing")) != (3, []):
        yield "the device is blocked by it for good"
    kept = rows(door.house.database, "SELECT item FROM rejected_input WHERE device_id = :d", d=device.device_id)
    if forged.encode() not in {bytes(item) for (item,) in kept}:
        yield "the rejected statement is not kept"


def foreign_key(door: Door) -> Iterator[str]:
    """Somebody else's key says nothing for the device, in a statement or in a head, whatever the header holds."""
    device, own = door.device(), ec.generate_private_key(ec.SECP256R1())
    stranger = Device(device.device_id, own, device.at, booted_at=device.booted_at)
    header = json.dumps({"alg": "ES256", "typ": "tap+jws", "jwk": jwk_of(own.public_key())}, separators=(",", ":"))
    said = json.loads(take_apart(stranger.tap()).payload)
    door.post(device, [stranger.sign("tap", said, header)], head_seq=0)
    if door.post(stranger, [], head_seq=0).status_code != 401:
        yield "a head signed by another key is taken"
    if door.stored(device):
        yield "a tap of another key is stored as the device's"


def void(door: Door) -> Iterator[str]:
    """A void ends a gap, and the gap is a finding."""
    device = door.device()
    device.tap()
    body = _body(door.post(device, [device.say("void", from_seq=1, to_seq=1, cause="storage_lost")]))
    if (body.get("upto"), body.get("missing")) != (2, []):
        yield "a voided number is asked for again"
    if "seq_gap" not in door.findings(device):
        yield "nobody is told of the gap"


def receipt(door: Door) -> Iterator[str]:
    """The answer is a receipt that the agent's own code believes."""
    device = door.device()
    answer = door.post(device, [device.tap()])
    try:
        read_receipt(answer.content, f"nonce-{device.nonces:06d}", device.device_id,
                     open_keyring(door.house.folder).public_jwk)  # fmt: skip
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with it
        yield f"no device believes the receipt: {error}"


def replay(door: Door) -> Iterator[str]:
    """An equal counter of a tag from another device is a copy: grade D."""
    uid = os.urandom(7)
    said = make(SUN, uid, 7)
    for device in (door.device(), door.device()):
        door.post(device, [device.tap(uid=uid.hex().upper(), sun=said)])
    query = "SELECT code FROM tap_doubts d JOIN taps t USING (device_id, seq) WHERE t.tag_uid = :u"
    if ("tag_counter_replay",) not in rows(door.house.database, query, u=uid.hex().upper()):
        yield "a copied tag text is not doubted"


def broken_chain(door: Door) -> Iterator[str]:
    """A statement that does not follow the one before is stored and found."""
    device = door.device()
    first = device.tap()
    device.prev = b64url(b"x" * 32)
    door.post(device, [first, device.tap()])
    if len(door.stored(device)) != 2 or "chain_broken" not in door.findings(device):
        yield "nobody is told that the chain is broken"


def rewritten(door: Door) -> Iterator[str]:
    """A tail that a head claimed, taken back and written anew, is found."""
    device = door.device()
    first = device.tap()
    copy = Device(device.device_id, device.key, seq=device.seq, prev=device.prev, nonces=100)
    device.tap("GICK")
    door.post(device, [first])
    door.post(copy, [])
    door.post(copy, [copy.tap("KOM")])
    if "chain_broken" not in door.findings(device):
        yield "nobody is told that what was claimed is something else now"


def revoked(door: Door) -> Iterator[str]:
    """A revoked device's taps are kept in quarantine, and it is told."""
    device = door.device()
    pipeline.revoke_device(door.house.database, device.device_id, "lost", device.at)
    body = _body(door.post(device, [device.tap()]))
    if not door.stored(device):
        yield "its tap is thrown away"
    if body.get("revoked") is not True or [one["status"] for one in body.get("results", [])] != ["quarantined"]:
        yield "it counts as if nothing had happened"


def version(door: Door) -> Iterator[str]:
    """A statement of a version to come is stored and quarantined."""
    device = door.device()
    device.seq = 1
    document = device.sign("tap", {"v": 2, "dev": device.device_id, "seq": 1, "wonder": {"new": True}})
    door.post(device, [document])
    query = "SELECT jws, quarantined FROM device_statements WHERE device_id = :d"
    if rows(door.house.database, query, d=device.device_id) != [(document, True)]:
        yield "a statement of a later version is not kept"


def stored_bytes(door: Door) -> Iterator[str]:
    """The evidence is kept byte for byte."""
    device = door.device()
    document = device.tap()
    door.post(device, [document])
    if door.stored(device) != [(1, document)]:
        yield "stored is not what was sent, byte for byte"


def database_killed(door: Door) -> Iterator[str]:
    """PostgreSQL killed at the very answer holds what was answered for. Several tries: a lucky write may hide it."""
    postgres, lost = door.house.postgres, 0
    for _ in range(6):
        device = door.device()
        with contextlib.suppress(httpx.HTTPError):
            answer = door.post(device, [device.tap()])
            _kill_all(postgres)
            postgres.start()
            lost += answer.status_code == 200 and not _again(lambda: door.stored(device))  # noqa: B023 -- called now
        if lost:
            yield "a tap that was answered for is gone after the kill"
            return


def _kill_all(postgres: EmbeddedServer) -> None:
    import signal

    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == postgres.cluster:
                os.kill(int(process.name), signal.SIGKILL)


def _again(what: Callable[[], list[tuple[Any, ...]]], seconds: float = 20) -> list[tuple[Any, ...]]:
    until = time.monotonic() + seconds
    while True:
        try:
            return what()
        except Exception:
            if time.monotonic() > until:
                raise
            threading.Event().wait(0.05)


def undurable(house: House, fault: str) -> Iterator[str]:
    """A server on a database that may lose commits does not start."""
    with psycopg.connect(house.postgres.url("komgick"), autocommit=True) as owner:
        owner.execute("ALTER ROLE ingest SET synchronous_commit = off")
        try:
            server = house.serve(fault)
            if server.line("KomGick: "):
                yield "it serves on a database that may lose what it has committed"
            server.kill()
        finally:
            owner.execute("ALTER ROLE ingest RESET synchronous_commit")


AT_THE_DOOR: dict[str, Callable[[Door], Iterator[str]]] = {
    "commit_then_answer": commit_then_answer, "failed_commit": failed_commit, "gap": gap, "resent": resent,
    "fork": fork, "ill_signed": ill_signed, "foreign_key": foreign_key, "void": void, "receipt": receipt,
    "replay": replay, "broken_chain": broken_chain, "rewritten": rewritten, "revoked": revoked, "version": version,
    "bytes": stored_bytes, "database_killed": database_killed,
}  # fmt: skip
