"""The tap door through a real `komgick serve`: devices with keys, signed uploads, receipts, and visits derived."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta

from app.core.clock import utc_now
from tests.bench.figures import Figure
from tests.bench.limits import floor_body, floor_server
from tests.bench.load import Answers, Senders
from tests.bench.street import Street
from tests.bench.world import Served, World

PATH = "/api/v1/device/taps"


def measure(world: World) -> Iterator[Figure]:
    """One, 20 and 100 taps a request; a steady stream; what was kept during eight hours offline."""
    with world.served("ingest") as served:
        for at_once in (1, 20, 100):
            yield _cost(world, served, at_once)
        yield from _steady(world, served)
        yield from _backlog(world, served)


def cost_per_tap(served: Served, street: Street, taps_each: int, at_once: int, connections: int) -> float:
    """CPU-milliseconds of application and database per tap, until its visit and account are derived."""
    rounds = list(street.uploads(taps_each, at_once))
    senders = Senders(served.host, served.port, connections)
    before = served.cpu_seconds()
    for bodies in rounds:
        senders.post(PATH, bodies)
    senders.close().require_ok()
    served.wait_until_derived()
    return 1000 * (served.cpu_seconds() - before) / (taps_each * street.count)


def furnished(served: Served, count: int, prefix: str) -> Street:
    """A street whose people are in the registry and whose first tap has been (caches, plans)."""
    street = Street(count, utc_now(), prefix=prefix)
    with served.database() as database:
        street.furnish(database)
    served.wait_until_derived()
    return street


def _cost(world: World, served: Served, at_once: int) -> Figure:
    sizes = world.sizes
    street = furnished(served, sizes.devices, f"b{at_once:03d}")
    taps_each = sizes.singles if at_once == 1 else sizes.batches * at_once
    cost = cost_per_tap(served, street, taps_each, at_once, sizes.connections)
    limit = world.limits.get(f"floor_{at_once}_ms")
    return Figure(
        f"tap_{at_once}_per_request", cost, "CPU-ms", 2.5 if at_once == 1 else limit and 2 * limit, limit,
        f"{taps_each * street.count} signed taps, {sizes.connections} connections, derived",
    )  # fmt: skip


def _steady(world: World, served: Served) -> Iterator[Figure]:
    """100 taps a second, one a request, from as many devices as say one each 4 s."""
    seconds, per_second = world.sizes.steady_s, min(100, world.sizes.devices * 25)
    street = furnished(served, per_second, "st")
    rounds = list(street.uploads(seconds, 1))
    before = served.count("SELECT count(*) FROM taps")
    answers = _paced(Senders(served.host, served.port, world.sizes.connections), PATH, rounds)
    served.wait_until_derived()
    # The same requests a second to a server that stores nothing: what the neighbours on this machine make one wait.
    with floor_server() as (_, port):
        nothing = [[floor_body(1)] * per_second] * min(30, seconds)
        bare = _paced(Senders("127.0.0.1", port, world.sizes.connections), "/taps", nothing)
    sent = seconds * per_second
    note = f"{per_second} taps/s for {seconds} s"
    yield Figure("steady_p50", answers.percentile_ms(0.5), "ms wall", None, bare.percentile_ms(0.5), note)
    yield Figure("steady_p99", answers.percentile_ms(0.99), "ms wall", 100, bare.percentile_ms(0.99), note)
    yield Figure("steady_lost", sent - (served.count("SELECT count(*) FROM taps") - before), "taps", 0, None, note)


def _paced(senders: Senders, path: str, rounds: Sequence[Sequence[bytes]]) -> Answers:
    """Every second a round, its bodies evenly over the second, however long the answers take."""
    senders.paced = True
    begun = time.monotonic()
    for second, bodies in enumerate(rounds):
        for place, body in enumerate(bodies):
            due = begun + second + place / len(bodies)
            time.sleep(max(0.0, due - time.monotonic()))
            senders.post_later(path, body)
    senders.wait()
    answers = senders.close()
    answers.require_ok()
    return answers


def _backlog(world: World, served: Served) -> Iterator[Figure]:
    """Every device comes back at once with what it kept."""
    sizes = world.sizes
    street = Street(sizes.backlog_devices, utc_now(), every=timedelta(hours=8) / sizes.backlog_taps, prefix="bl")
    with served.database() as database:
        street.furnish(database)
    served.wait_until_derived()
    bodies = [body for one in street.uploads(sizes.backlog_taps, 100) for body in one]
    senders = Senders(served.host, served.port, sizes.connections)
    begun, before = time.monotonic(), served.cpu_seconds()
    senders.post(PATH, bodies)
    stored = time.monotonic() - begun
    senders.close().require_ok()
    served.wait_until_derived()
    taps = sizes.backlog_devices * sizes.backlog_taps
    note = f"{taps} taps from {sizes.backlog_devices} devices after 8 h offline"
    yield Figure("backlog_stored", stored, "s wall", 60, None, note)
    yield Figure("backlog_derived", time.monotonic() - begun, "s wall", 60, None, note)
    yield Figure("backlog_cpu", served.cpu_seconds() - before, "CPU-s", None, None, note)
