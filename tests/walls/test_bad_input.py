"""What nobody should send, sent to every route by somebody it lets in: refused, never a fault, never repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.access import Access
from app.db.engine import Database
from app.main import create_app
from tests.walls.routes import Call, calls_of
from tests.walls.test_leaks import ROLE_OF
from tests.walls.world import World, build

_JSON = {"content-type": "application/json"}
NUL, SURROGATE, LONG = "EKO\x00", "EKO\ud800", "EKO" * 3000


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return build(database, tmp_path)


def test_no_route_breaks_at_or_repeats_what_cannot_be_stored(world: World) -> None:
    app, wrong, asked = create_app(world.database), [], 0
    with TestClient(app, raise_server_exceptions=False) as client:
        for call in calls_of(app):
            headers = _lets_in(world, call)
            for request in _bad(call, world.ids[1]):
                client.cookies.clear()
                answer = client.request(call.method, headers=headers() | _JSON, **request)
                asked += 1
                if answer.status_code >= 500 or "EKO" in answer.text:
                    wrong.append(f"{call.method} {call.path} {request}: {answer.status_code} {answer.text[:200]}"[:600])
    assert asked > 200
    assert not wrong, "\n".join(wrong)


def test_no_body_may_have_a_member_that_is_not_documented(world: World) -> None:
    app, taken = create_app(world.database), []
    with TestClient(app, raise_server_exceptions=False) as client:
        for call in calls_of(app):
            body = call.request(world.ids[1]).get("json")
            if not isinstance(body, dict):
                continue
            client.cookies.clear()
            request = {**call.request(world.ids[1]), "json": {**body, "unheard_of": 1}}
            answer = client.request(**request, headers=_lets_in(world, call)())
            if answer.status_code != 422:
                taken.append(f"{call.method} {call.path}: {answer.status_code} {answer.text[:100]}")
    assert not taken, "\n".join(taken)


def _lets_in(world: World, call: Call) -> Callable[[], dict[str, str]]:
    """Credentials of the first principal that the route is open to."""
    if not isinstance(call.declaration, Access):
        return dict
    for name, maker in world.makers.items():
        if ROLE_OF.get(name, name.rpartition(" ")[2]) in call.declaration.roles:
            return maker
    raise AssertionError(f"nobody may {call.method} {call.path}")


def _bad(call: Call, ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The route's own request, with each kind of bad text in path, query and body."""
    good = call.request(ids)
    for bad in ("%00", "%ED%A0%80", "EKO%0D%0AX: 1", LONG):
        if "{" in call.path:
            yield {**_plain(good), "url": "/".join(bad if "{" in part else part for part in call.path.split("/"))}
    names = [one["name"] for one in call.operation.get("parameters", []) if one["in"] == "query"]
    for encoded in ("EKO%00", "%ED%A0%80", "EKO", LONG[:500]):
        if names:
            query = "&".join(f"{name}={encoded}" for name in names)
            yield {**_plain(good), "url": f"{good['url']}?{query}", "params": None}
    if isinstance(good.get("json"), dict):
        for bad in (NUL, SURROGATE, LONG):
            body = {name: bad if isinstance(value, str) else value for name, value in good["json"].items()}
            yield {"url": good["url"], "content": _ascii_json(body), "params": good["params"]}
        for broken in (b"{", b"[]", b'"EKO"', b"[" * 20_000, b'{"a": 1e999, "a": 2}', b"\xff\xfe"):
            yield {"url": good["url"], "content": broken, "params": good["params"]}


def _plain(good: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in good.items() if name != "method"}


def _ascii_json(body: dict[str, Any]) -> bytes:
    import json

    return json.dumps(body).encode("ascii")
