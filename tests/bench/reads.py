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
from app.db.callers import Caller
from tests.bench.figures import Figure
from tests.bench.load import Answers, Senders
from tests.bench.world import Served, World

TARGETS: Mapping[str, float | None] = {
    "visits_of_client_month": 20.0,
    "open_visits_of_provider": 20.0,
    "explain": 20.0,
    "billing_lines": None,
}


def measure_at(world: World, served: Served, month: str, months: int) -> Iterator[Figure]:
    """p50 and p99 of each question about one month while so many months are stored."""
    for name, answers in ask(world, served, month).items():
        note = f"{len(answers.waits)} requests, {months} months of {world.sizes.months_clients} clients stored"
        yield Figure(f"{name}_{months}_months_p50", answers.percentile_ms(0.5), "ms wall", None, None, note)
        yield Figure(f"{name}_{months}_months_p99", answers.percentile_ms(0.99), "ms wall", TARGETS[name], None, note)


def ask(world: World, served: Served, month: str) -> dict[str, Answers]:
    """The answers to each question."""
    year, number = int(month[:4]), int(month[5:])
    after = f"{year + number // 12}-{number % 12 + 1:02d}"
    with served.database() as database:
        by = pipeline_access.operator("bench")
        with database.transaction(Caller.batch()) as connection:
            accounts = connection.exec_driver_sql(
                "SELECT client_id, provider_id FROM month_accounts WHERE superseded_at IS NULL AND gone = 0"
                f" AND month_on = '{month}-01' ORDER BY 1, 2"
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
    period = {"from": f"{month}-01", "to": f"{after}-01"}
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
        senders.get(its, headers)
        found[name] = senders.close()
        found[name].require_ok()
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
