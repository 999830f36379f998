"""What doors ask most, over HTTP with a machine's token, one request at a time."""

from __future__ import annotations

import http.client
import json
import random
import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from app import pipeline_access
from app.access.machines import NewMachine
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from tests.bench.figures import LINEAR, Figure, slope
from tests.bench.history import grown, imported
from tests.bench.load import Answers, Senders
from tests.bench.world import Served, World

TARGETS: Mapping[str, float | None] = {
    "visits_of_client_month": 20.0,
    "open_visits_of_provider": 20.0,
    "explain": 20.0,
    "billing_lines": None,
}


def measure(world: World) -> Iterator[Figure]:
    """Each question about the newest whole month, with more and more months stored; the slopes of their CPU time."""
    today = local_date(utc_now())
    clients = world.sizes.clients // world.sizes.year_part
    data = str(world.given) if world.given else imported(world, clients)
    stored, medians = list[int](), dict[str, list[float]]()
    for wanted in world.sizes.months:
        months = len(grown(world, data, wanted, today))
        if stored and months == stored[-1]:
            continue
        stored.append(months)
        with world.served(data) as served:
            town = served.count("SELECT count(*) FROM clients")
            for name, (answers, cpu_ms) in ask(world, served, Month.of(today).previous).items():
                note = f"{len(answers.waits)} requests, {months} months and the begun one of {town} clients stored"
                p50, p99 = (answers.percentile_ms(share) for share in (0.5, 0.99))
                yield Figure(f"{name}_{months}_months_p50", p50, "ms wall", None, None, note)
                yield Figure(f"{name}_{months}_months_p99", p99, "ms wall", TARGETS[name], None, note)
                yield Figure(f"{name}_{months}_months_cpu", cpu_ms, "CPU-ms", None, None, "application and database")
                medians.setdefault(name, []).append(cpu_ms)
        month = str(Month.of(today).previous)
        spent = world.komgick(data, "continuity", "--measure", "stockholm_month", "--month", month, "--format", "json")
        yield Figure(f"continuity_{months}_months", spent.cpu_s, "CPU-s", None, None, f"the command, {town} clients")
        medians.setdefault("continuity", []).append(spent.cpu_s)
    for name, values in medians.items():
        if len(stored) > 1:
            yield Figure(
                f"growth_with_months_{name}", slope(stored, values), "slope", LINEAR, None, "asked about one month"
            )


def ask(world: World, served: Served, month: Month) -> dict[str, tuple[Answers, float]]:
    """The answers to each question about a month, and the CPU-milliseconds of one."""
    with served.database() as database:
        by = pipeline_access.operator("bench")
        with database.transaction(Caller.batch()) as connection:
            accounts = connection.exec_driver_sql(
                "SELECT client_id, provider_id FROM month_accounts WHERE superseded_at IS NULL AND gone = 0"
                f" AND month_on = '{month.first_on}' ORDER BY 1, 2"
            ).all()
        chosen = random.Random(1).choices(accounts, k=world.sizes.reads)
        provider_id = chosen[0].provider_id
        city = pipeline_access.add_machine(
            database,
            NewMachine(f"city {secrets.token_hex(4)}", frozenset({"scheduling", "billing"}), ""),
            by,
            utc_now(),
        )
        own = pipeline_access.add_machine(
            database, NewMachine(f"own {secrets.token_hex(4)}", frozenset({"scheduling"}), provider_id), by, utc_now()
        )
    period = {"from": str(month.first_on), "to": str(month.next.first_on)}
    paths = {
        "visits_of_client_month": [
            "/api/v1/visits?" + urlencode({**period, "client": one.client_id, "limit": 200}) for one in chosen
        ],
        "open_visits_of_provider": ["/api/v1/visits/open"] * len(chosen),
        "explain": [
            f"/api/v1/months/{month}/accounts/{one.client_id}/{one.provider_id}/explain" for one in chosen
        ],
        "billing_lines": [
            f"/api/v1/billing/{month}/lines?" + urlencode({"provider": one.provider_id}) for one in chosen
        ],
    }  # fmt: skip
    tokens = {"city": _token(served, city.machine_id, city.secret), "own": _token(served, own.machine_id, own.secret)}
    found = {}
    for name, its in paths.items():
        headers = {"Authorization": f"Bearer {tokens['own' if name == 'open_visits_of_provider' else 'city']}"}
        warm = Senders(served.host, served.port, 1)
        warm.get(its[:3], headers)
        warm.close().require_ok()
        senders = Senders(served.host, served.port, 1)
        before = served.cpu_seconds()
        senders.get(its, headers)
        cpu_ms = 1000 * (served.cpu_seconds() - before) / len(its)
        found[name] = (senders.close(), cpu_ms)
        found[name][0].require_ok()
    return found


def _token(served: Served, machine_id: str, secret: str) -> str:
    connection = http.client.HTTPConnection(served.host, served.port, timeout=30)
    form = {"grant_type": "client_credentials", "client_id": machine_id, "client_secret": secret}
    connection.request(
        "POST", "/api/v1/oauth/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["access_token"])
