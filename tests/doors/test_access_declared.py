"""Every route says who may use it, and an application with one that does not is not started."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter

from app import main
from app.api.access import Access, Principal, access, routes_of
from app.db.engine import Database
from app.main import create_app
from tests.access_table import README, with_table


def test_every_route_declares_who_may_use_it(database: Database) -> None:
    declarations = list(routes_of(create_app(database)))
    assert ("POST", "/api/v1/device/taps", "device") in declarations
    assert ("GET", "/healthz", "public") in declarations


def test_a_route_without_declaration_stops_the_start(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    router = APIRouter()

    @router.get("/forgotten")
    def forgotten() -> str:
        return "everything"

    monkeypatch.setattr(main, "ROUTERS", (*main.ROUTERS, router))
    with pytest.raises(RuntimeError, match="GET /forgotten"):
        create_app(database)


def test_a_declaration_knows_only_the_roles_there_are() -> None:
    with pytest.raises(ValueError, match="boss"):
        Access(frozenset({"boss"}), tenant="city")


def test_a_declared_route_starts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    router = APIRouter()

    @router.get("/declared")
    def of_managers(principal: Annotated[Principal, access(Access(frozenset({"manager"}), "own_provider"))]) -> str:
        return principal.id

    monkeypatch.setattr(main, "ROUTERS", (*main.ROUTERS, router))
    assert any(path == "/declared" for _, path, _ in routes_of(create_app(database)))


def test_the_readme_has_the_table_of_today() -> None:
    readme = README.read_text("utf-8")
    assert with_table(readme) == readme, "write it anew: python -m tests.access_table"
