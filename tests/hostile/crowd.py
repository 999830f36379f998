"""Who asks badly: requests to a real server process by every kind of principal, and what is wrong with the answers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from app.api.access import Access, routes_of
from app.db.callers import Caller
from app.findings.codes import CODES
from app.main import create_app
from tests.doors.serving import serving
from tests.walls.world import World

ROLE_OF = {"registry": "registry", "scheduling": "scheduling", "billing": "billing", "study": "study"}
BROKEN_ON_PURPOSE = {"/readyz"}
"""Answers 503 whenever something is not well: that is what it is for."""


@dataclass
class Crowd:
    """The server, who may ask it, and what was found wrong: at most one example per route and fault."""

    world: World
    app: FastAPI
    address: str
    pid: int
    client: httpx.Client
    answers: Counter[int] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, who: str, asked: Mapping[str, Any], where: str) -> httpx.Response | None:
        """Send a request as `who`; None where no such request can be put on a wire. Notes a 5xx."""
        try:
            headers = {**self.headers(who), **asked.get("headers", {})}
            answer = self.client.request(**{**asked, "headers": headers})
        except (httpx.InvalidURL, UnicodeError, ValueError):
            return None
        return self.note(answer, where, asked)

    def note(self, answer: httpx.Response, where: str, asked: Any) -> httpx.Response:
        """Count an answer; a fault of the server, or an error that is no problem+json, is wrong."""
        self.answers[answer.status_code] += 1
        if answer.status_code >= 500 and not any(path in where for path in BROKEN_ON_PURPOSE):
            self.fault(f"{where}: {answer.status_code}", f"{answer.text[:200]} for {asked!r}")
        elif answer.status_code >= 400 and answer.headers.get("content-type") != "application/problem+json":
            self.fault(f"{where}: no problem+json", f"{answer.status_code} {answer.text[:200]} for {asked!r}")
        return answer

    def fault(self, what: str, example: str) -> None:
        """Something is wrong: said at once, for whoever watches, and at the end."""
        if what not in self.wrong:
            print(f"WRONG {what}: {example[:300]!r}")
        self.wrong.setdefault(what, example[:1500])

    def headers(self, who: str) -> dict[str, str]:
        """Credentials; made again after `forget`."""
        if who not in self._kept:
            self._kept[who] = self.world.makers[who]()
        return self._kept[who]

    def forget(self) -> None:
        """New credentials for all from now on, and no delays after failed logins: requests may have ended or caused
        them."""
        self._kept.clear()
        with self.world.database.transaction(Caller.auth()) as connection:
            connection.execute(text("DELETE FROM login_delays"))

    def principals_of(self, method: str, path: str) -> tuple[list[str], list[str]]:
        """(who may ask this route, who may not); of a door of devices or of everybody: nobody is refused.

        An admin is neither where personal data is read: one of the requests before may have broken the glass.
        """
        declared = {(m, p): declaration for m, p, declaration in routes_of(self.app)}
        declaration = declared.get((method, path))
        if not isinstance(declaration, Access):
            return ["nobody"], []
        may = [who for who in self.world.makers if _role(who) in declaration.roles]
        glass = bool(declaration.reads) and declaration.tenant != "own" and method == "GET"
        others = [who for who in self.world.makers if who not in may and not (glass and _role(who) == "admin")]
        return may or ["nobody"], others

    def memory_kib(self) -> int:
        """What the server process holds of memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.split("VmRSS:")[1].split()[0])

    def refused_or_kept_out(self, who: str, may: list[str], answer: httpx.Response | None, where: str) -> None:
        """Nobody gets in whom the route's declaration does not name."""
        if answer is not None and may and who not in may and answer.status_code < 400:
            self.fault(f"{where}: lets {who} in", answer.text[:200])


def _role(who: str) -> str:
    return who.rpartition(" ")[2]


@contextmanager
def crowd(world: World, environment: Mapping[str, str]) -> Iterator[Crowd]:
    """A real server process on the world's database. At the end everything it was told must have been derived."""
    with serving(environment) as (process, address), httpx.Client(base_url=address, timeout=60) as client:
        made = Crowd(world, create_app(world.database), address, process.pid, client)
        yield made
        assert process.poll() is None, "the server is dead"
        assert client.get("/healthz").status_code == 200


def left_behind(world: World) -> list[str]:
    """What bad input left in the database: changes that could not be derived, findings of codes nobody knows."""
    with world.database.transaction(Caller.batch(), read_only=True) as connection:
        failed = connection.execute(text("SELECT kind, key, failed FROM derive_queue WHERE failed <> ''")).all()
        # The world plants canaries in every text column, doubts about taps too: those are no codes of ours.
        codes = set(
            connection.execute(text("SELECT DISTINCT code FROM findings WHERE code NOT LIKE 'HEMLIG%'")).scalars()
        )
    return [f"not derived: {tuple(row)}" for row in failed] + [f"unknown code: {one}" for one in codes - set(CODES)]


def as_query(value: Any, dice: random.Random) -> Any:
    """A JSON value where a query takes texts."""
    if isinstance(value, (dict, list)) and dice.random() < 0.8:
        return json.dumps(value)
    return value
