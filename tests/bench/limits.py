"""The limits of this machine, in this run: what the parts cost when nothing else is done.

pgbench                  one row a COMMIT, 100 rows a COMMIT           (PostgreSQL's own load generator)
HTTP                     uvicorn + JSON + pydantic of signed uploads and nothing else
ES256                    verify and sign                               (cryptography)
floor of a stored tap    HTTP + verify + append taps, heads, receipts + COPY of the visits they pair to + sign; without
                         accounts and lines: one computation serves any number of a month's taps
floor of a city's month  sort (numpy), pairing by a window (DuckDB)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.callers import Caller
from app.db.copy_text import raw_connection
from app.db.embedded import EmbeddedServer
from app.db.engine import Database
from app.db.opening import create_database
from app.db.prepare import prepare
from app.evidence import device_store
from app.evidence.rules.reading import Upload, head_device
from app.facts import TapRef, Visit
from app.visits.store import to_row
from tests.bench.figures import Figure
from tests.bench.load import Senders
from tests.bench.machine import TICK_S, cpu_seconds
from tests.bench.street import Street
from tests.bench.world import World
from tests.evidence.devices import Device

TAPS_OF_A_CITY = 2_970_000


def measure(world: World) -> Iterator[Figure]:
    """Every limit as a figure, and into `world.limits`."""
    yield from _signatures(world)
    yield from _http(world)
    yield from _postgresql(world)
    yield from _pairing(world)
    limits = world.limits
    for at_once in (1, 20, 100):
        signed = (at_once + 1) * limits["verify_ms"] / at_once + limits["sign_ms"] / at_once
        floor = limits[f"http_{at_once}_ms"] + signed + limits[f"store_{at_once}_ms"]
        limits[f"floor_{at_once}_ms"] = floor
        yield Figure(
            f"floor_tap_{at_once}_per_request", floor, "CPU-ms", None, None,
            f"HTTP {limits[f'http_{at_once}_ms']:.3f} + signatures {signed:.3f} + stored and paired"
            f" {limits[f'store_{at_once}_ms']:.3f}",
        )  # fmt: skip


def _signatures(world: World) -> Iterator[Figure]:
    key = ec.generate_private_key(ec.SECP256R1())
    message = b"x" * 500
    algorithm = ec.ECDSA(hashes.SHA256())
    signature = key.sign(message, algorithm)
    public = key.public_key()
    for name, work in (
        ("verify", lambda: public.verify(signature, message, algorithm)),
        ("sign", lambda: key.sign(message, algorithm)),
    ):
        cost = _cost_ms(work, 2000)
        world.limits[f"{name}_ms"] = cost
        yield Figure(f"es256_{name}", 1000 / cost, "per CPU-s", None, None, "cryptography, one thread")


def _cost_ms(work: Callable[[], object], times: int) -> float:
    begun = time.process_time()
    for _ in range(times):
        work()
    return 1000 * (time.process_time() - begun) / times


def _http(world: World) -> Iterator[Figure]:
    with floor_server() as (pid, port):
        for at_once in (1, 20, 100):
            requests = max(world.sizes.connections, (3000 if at_once == 1 else 1000) // world.sizes.divisor)
            senders = Senders("127.0.0.1", port, world.sizes.connections)
            before = cpu_seconds(pid)
            senders.post("/taps", [floor_body(at_once)] * requests)
            cost = 1000 * max(TICK_S, cpu_seconds(pid) - before) / (requests * at_once)
            senders.close().require_ok()
            world.limits[f"http_{at_once}_ms"] = cost
            yield Figure(
                f"http_{at_once}_per_request",
                1000 / cost,
                "taps/CPU-s",
                None,
                None,
                "uvicorn + pydantic only, of signed uploads",
            )


def floor_body(at_once: int) -> bytes:
    """What `floor_app` reads: an upload of that many taps as a device signs them."""
    device = Device("d_000001")
    return device.body([device.tap() for _ in range(at_once)])


@contextmanager
def floor_server() -> Iterator[tuple[int, int]]:
    """uvicorn with `floor_app`: its process id and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tests.bench.floor_app:app", "--port", str(port), "--log-level", "error",
         "--no-access-log"],
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        for _ in range(400):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def _postgresql(world: World) -> Iterator[Figure]:
    server = EmbeddedServer(world.folder / "limits" / "postgres").start()
    try:
        create_database(server, "floor")
        database = Database(server.url("floor"), Settings(data=world.folder / "limits"), passwordless=True)
        prepare(database)
        try:
            yield from _pgbench(world, server)
            yield from _stored(world, server, database)
        finally:
            database.close()
    finally:
        server.stop()


def _pgbench(world: World, server: EmbeddedServer) -> Iterator[Figure]:
    """pgbench where PostgreSQL's programs have it (not every package does), else a psycopg loop, and said so."""
    with psycopg.connect(server.url("floor"), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.one_row (id bigserial PRIMARY KEY, device text, at timestamptz)")
        row = "INSERT INTO public.one_row (device, at) SELECT 'd_1', now() FROM generate_series(1, {})"
        program = server.bindir / "pgbench"
        for rows in (1, 100):
            connection.execute("TRUNCATE public.one_row")
            before = _server_cpu(server)
            if program.exists():
                script = world.folder / "pgbench.sql"
                script.write_text(row.format(rows) + ";\n", "ascii")
                subprocess.run(
                    [str(program), "-n", "-c", str(world.sizes.connections), "-T", str(world.sizes.pgbench_s),
                     "-h", str(server.socket), "-U", "postgres", "-f", str(script), "floor"],
                    check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
                )  # fmt: skip
                how = f"pgbench, {world.sizes.connections} connections"
            else:
                for _ in range(2000 // world.sizes.divisor):
                    connection.execute(row.format(rows).encode())
                how = "no pgbench here: psycopg, one connection"
            spent = max(TICK_S, _server_cpu(server) - before)
            found = connection.execute("SELECT count(*) FROM public.one_row").fetchone()
            yield Figure(
                f"postgresql_{rows}_rows_a_commit", (found[0] if found else 0) / spent, "rows/CPU-s", None, None, how
            )


def _server_cpu(server: EmbeddedServer) -> float:
    pid = (server.cluster / "postmaster.pid").read_text("ascii").split()[0]
    return cpu_seconds(int(pid))


def _stored(world: World, server: EmbeddedServer, database: Database) -> Iterator[Figure]:
    """Nothing but the rows: appended by the tap door's own statements, visits by COPY; one transaction a flush."""
    for at_once in (1, 20, 100):
        street = Street(world.sizes.connections, utc_now(), prefix=f"f{at_once:03d}")
        street.furnish(database)
        repeats = max(1, 8000 // (at_once * world.sizes.connections * world.sizes.divisor))
        rounds = [_rows_of(bodies) for bodies in street.uploads(at_once * repeats, at_once)]
        taps = sum(len(taps) for _, taps, _, _ in rounds)
        before = time.process_time() + _server_cpu(server)
        for heads, tap_rows, receipts, visits in rounds:
            with database.transaction(Caller.batch()) as connection:
                device_store.HEADS.append(connection, heads)
                device_store.TAPS.append(connection, tap_rows)
                device_store.RECEIPTS.append(connection, receipts)
                _copy_visits(connection, visits)
        cost = 1000 * (time.process_time() + _server_cpu(server) - before) / taps
        world.limits[f"store_{at_once}_ms"] = cost
        yield Figure(
            f"stored_{at_once}_per_request", 1000 / cost, "taps/CPU-s", None, None,
            f"rows of taps, heads, receipts, visits; {world.sizes.connections} requests a commit",
        )  # fmt: skip


Rows = Sequence[tuple[Any, ...]]


def _rows_of(bodies: Sequence[bytes]) -> tuple[Rows, Rows, Rows, list[Mapping[str, Any]]]:
    """The rows that one flush of uploads must leave, made beforehand: heads, taps, receipts, visits."""
    now = utc_now()
    heads: list[tuple[Any, ...]] = []
    taps: list[tuple[Any, ...]] = []
    receipts: list[tuple[Any, ...]] = []
    visits: list[Mapping[str, Any]] = []
    for body in bodies:
        wire = json.loads(body)
        upload = Upload(wire["head"], tuple(wire["taps"]))
        signed, device_id = head_device(upload)
        heads.append((device_id, signed.hash, "P", 1, "h", now, now, "b_1", 1, f"n{len(heads)}", "test", upload.head))
        for seq, document in enumerate(upload.taps):
            digest = os.urandom(32)
            taps.append(
                (device_id, int.from_bytes(digest[:6]), digest, "P", "KOM", f"04{device_id[:12]}", device_id, "", "",
                 "care", now, now + timedelta(seconds=seq), now, now, None, now, "b_1", 1, "A", "", "uid", "", document)
            )  # fmt: skip
            if seq % 2 == 0:
                visits.append(_visit_row(device_id, seq, now))
        receipts.append((os.urandom(8).hex(), device_id, "P", 1, "h", now, "nonce", "x" * 600))
    return heads, taps, receipts, visits


def _visit_row(device_id: str, seq: int, now: datetime) -> Mapping[str, Any]:
    """All that a visit of two taps says, as wide as the derivation stores it."""
    kom, gick = TapRef(device_id, seq, now), TapRef(device_id, seq + 1, now + timedelta(minutes=15))
    visit = Visit(
        visit_id=f"v_{os.urandom(16).hex()}", manual_id="", client_id=f"{device_id}c", provider_id="P", unit_id="U",
        staff_id=device_id, person=f"staff:{device_id}", role="carer", start_at=kom.at, end_at=gick.at,
        status="complete", source="taps", grade="A", service="care", kom=kom, gick=gick,
    )  # fmt: skip
    return {name: value for name, value in to_row(visit, device_id, now).items() if value not in (None, [], "")}


def _copy_visits(connection: Connection, visits: Sequence[Mapping[str, Any]]) -> None:
    """As nobody could who must ask first whether a visit is there already."""
    columns = ", ".join(visits[0])
    with raw_connection(connection).cursor() as cursor, cursor.copy(f"COPY visits ({columns}) FROM STDIN") as copy:
        for row in visits:
            copy.write_row(tuple(row.values()))


def _pairing(world: World) -> Iterator[Figure]:
    """Sorting a city's taps, and pairing each with the one before it by a window: what any derivation must do."""
    taps = TAPS_OF_A_CITY * world.sizes.clients // 16000
    random = np.random.default_rng(1)
    staff = random.integers(0, max(1, taps // 370), taps, dtype=np.int32)
    at = random.integers(0, 31 * 86400, taps, dtype=np.int32)
    begun = time.process_time()
    np.lexsort((at, staff))
    sorting = time.process_time() - begun
    world.limits["sort_s"] = sorting
    yield Figure("sort", sorting, "CPU-s", None, None, f"numpy lexsort of {taps} taps by staff and time")
    connection = duckdb.connect()
    connection.register("given", {"staff": staff, "tapped": at})
    connection.execute("CREATE TABLE taps AS SELECT * FROM given")
    begun = time.process_time()
    connection.execute(
        "CREATE TABLE paired AS SELECT staff, tapped, lag(tapped) OVER (PARTITION BY staff ORDER BY tapped) AS kom"
        " FROM taps"
    )
    pairing = time.process_time() - begun
    connection.close()
    world.limits["pair_s"] = pairing
    yield Figure("pair", pairing, "CPU-s", None, None, f"DuckDB window over {taps} taps, result written")
