"""Every route, asked by every principal for what is its own, foreign and unknown: nothing of side 2 comes out.

Once with both walls, once with the doors' own filters off (row-level security must hold), once with row-level security
off (the filters must hold), and once with both off, to see that this suite can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text, true
from structlog.testing import capture_logs

from app.access import filters
from app.api.access import Access
from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from tests.walls.canaries import without_canary
from tests.walls.routes import Call, calls_of
from tests.walls.world import World, build, unknown

PROVIDERS_OWN = ("carer", "scheduler", "manager", "provider_finance", "provider registry", "provider scheduling")
BOUND = (*PROVIDERS_OWN, "commissioner")
"""Who may never see side 2. The other principals are the city's and see both."""

ROLE_OF = {"provider registry": "registry", "provider scheduling": "scheduling"}


@dataclass
class Findings:
    """What the suite found wrong, and how much it asked."""

    asked: int = 0
    answered: int = 0
    by_route: dict[str, bool] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return build(database, tmp_path)


def test_every_text_column_has_a_canary_of_the_other_side(world: World) -> None:
    with world.database.transaction(Caller.batch()) as connection:
        assert without_canary(connection, [*world.canaries(2), "P2"]) == []


def test_nothing_of_another_provider_or_district_comes_out_of_any_route(world: World) -> None:
    found = _ask_everything(world, world.makers)
    never = sorted(route for route, answered in found.by_route.items() if not answered)
    print(f"{found.asked} requests, {found.answered} answered with data; never with own ids: {never}")
    assert not found.wrong, "\n".join(found.wrong)
    assert not [route for route in never if route.startswith("GET")], "what is own must be seen, or this proves nothing"


def test_row_level_security_holds_where_the_filters_are_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "narrowed", lambda _condition: true())
    found = _ask_everything(world, PROVIDERS_OWN, reading_only=True)
    assert not found.wrong, "\n".join(found.wrong)


def test_the_filters_hold_where_row_level_security_is_off(world: World) -> None:
    _switch_off_row_level_security(world.database)
    found = _ask_everything(world, BOUND, reading_only=True)
    assert not found.wrong, "\n".join(found.wrong)


def test_with_both_walls_down_the_suite_sees_the_leaks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "narrowed", lambda _condition: true())
    _switch_off_row_level_security(world.database)
    found = _ask_everything(world, ("manager",), reading_only=True)
    assert any("leaks" in line for line in found.wrong)


def _ask_everything(world: World, names: Any, *, reading_only: bool = False) -> Findings:
    found = Findings()
    app = create_app(world.database)
    with TestClient(app, raise_server_exceptions=False) as client, capture_logs() as logs:
        calls = [call for call in calls_of(app) if not reading_only or call.method == "GET"]
        # What changes something comes last: the own rows must still be there to be read.
        for call in sorted(calls, key=lambda one: one.method != "GET"):
            for name in names:
                if isinstance(call.declaration, Access) or name == "nobody":
                    _ask(world, client, call, name, found)
        said = str(logs)
        found.wrong += [f"the log leaks {one}" for one in ("HEMLIG1", "HEMLIG2") if one in said]
    return found


def _ask(world: World, client: TestClient, call: Call, name: str, found: Findings) -> None:
    allowed = (
        isinstance(call.declaration, Access) and ROLE_OF.get(name, name.rpartition(" ")[2]) in call.declaration.roles
    )
    fresh = allowed and call.method != "GET"  # what is let in may end its own credentials
    requests = {
        whose: call.request(ids)
        for whose, ids in (("foreign", world.ids[2]), ("unknown", unknown()), ("own", world.ids[1]))
    }
    answers = {whose: _send(world, client, asked, name, fresh=fresh) for whose, asked in requests.items()}
    if name in BOUND and allowed and call.gives_csv:
        answers |= {
            f"{whose} as CSV": _send(world, client, requests[whose], name, fresh=fresh, accept="text/csv")
            for whose in ("foreign", "own")
        }
    found.asked += len(answers)
    where = f"{name}: {call.method} {call.path}"
    statuses = {whose: answer.status_code for whose, answer in answers.items()}
    if any(status >= 500 for status in statuses.values()) and call.path != "/readyz":
        found.wrong.append(f"{where} breaks: {statuses} {answers['own'].text[:200]}")
    if isinstance(call.declaration, Access) and not allowed and set(statuses.values()) - {401, 403, 422}:
        found.wrong.append(f"{where} lets in: {statuses}")
    if name in BOUND:
        fits = allowed and statuses["own"] < 300
        found.answered += fits
        if allowed and _names_ids(requests["own"], world.ids[1]):
            route = f"{call.method} {call.path}"
            found.by_route[route] = found.by_route.get(route, False) or fits
        found.wrong += _leaks(world, where, answers)
        named = _names_ids(requests["foreign"], world.ids[2])
        if named and not _equal(answers["foreign"], answers["unknown"]):
            shown = [answers[whose].text[:300] for whose in ("foreign", "unknown")]
            found.wrong.append(f"{where} tells foreign from unknown: {statuses} {shown}")


def _leaks(world: World, where: str, answers: dict[str, Any]) -> Iterator[str]:
    for whose, answer in answers.items():
        said = answer.text + str(answer.headers)
        for canary in world.canaries(2):
            if canary in said:
                yield f"{where} ({whose}) leaks {canary}: {answer.status_code} {answer.text[:300]}"
                break


def _equal(one: Any, other: Any) -> bool:
    """Byte-equal: status, body, headers. What succeeds with fresh ids of its own (POST) has no equal body."""
    if one.request.method != "GET" and one.status_code == other.status_code < 300:
        return True
    unlike = {"date", "set-cookie"}
    headers = [{k: v for k, v in answer.headers.items() if k not in unlike} for answer in (one, other)]
    return (one.status_code, one.content, headers[0]) == (other.status_code, other.content, headers[1])


def _names_ids(asked: dict[str, Any], ids: dict[str, str]) -> bool:
    """Whether any id goes into the request."""
    said = str(asked)
    return any(value in said for value in ids.values())


def _send(world: World, client: TestClient, asked: dict[str, Any], name: str, *, fresh: bool, accept: str = "") -> Any:
    client.cookies.clear()
    if asked["method"] != "GET" and ("/auth/" in asked["url"] or "/oauth/" in asked["url"]):
        with world.database.transaction(Caller.auth()) as connection:
            connection.execute(text("DELETE FROM login_delays"))
    headers = _headers(world, name, fresh=fresh)
    more = {"accept": accept} if accept else {}
    return client.request(**asked, headers={**headers, **more, "x-request-id": "same"})


def _headers(world: World, name: str, *, fresh: bool) -> dict[str, str]:
    """Credentials; fresh ones where the request might end them."""
    if fresh or name not in world.kept:
        world.kept[name] = world.makers[name]()
    return world.kept[name]


def _switch_off_row_level_security(database: Database) -> None:
    with database.transaction(Caller.batch()) as connection:
        for table in connection.execute(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relnamespace = current_schema()::regnamespace")
        ).scalars():
            connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
