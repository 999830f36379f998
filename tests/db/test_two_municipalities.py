"""Many municipalities in one database: a schema and logins each, nothing shared, nobody waits for the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app import pipeline
from app.api.wire import UploadBody
from app.core.clock import utc_now
from app.core.settings import Settings
from app.db.callers import DOOR_LOGINS, Caller, Login
from app.db.engine import Database
from app.db.prepare import prepare
from app.pipeline_derive import catch_up, lock
from tests.bench.street import Street

NAMES = ("sollentuna", "mariestad")


@pytest.fixture
def municipalities(make_database: Callable[..., Database]) -> Iterator[dict[str, Database]]:
    """Two installations in one database of the test's server."""
    shared = make_database(empty=True)
    with ExitStack() as stack:
        found: dict[str, Database] = {}
        for name in NAMES:
            folder = shared.settings.data / name
            folder.mkdir()
            settings = Settings.model_validate({"data": folder, "KOMGICK_SCHEMA": name, "login_prefix": f"{name}_"})
            found[name] = Database(shared.url, settings, passwordless=True)
            stack.callback(found[name].close)
            prepare(found[name])
        yield found
        with psycopg.connect(shared.url.render_as_string(hide_password=False).replace("+psycopg", "")) as raw:
            for name in NAMES:
                raw.execute(f"DROP SCHEMA {name} CASCADE".encode())
                for login in DOOR_LOGINS:
                    raw.execute(f"DROP OWNED BY {name}_{login}; DROP ROLE {name}_{login}".encode())


def living(database: Database) -> int:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        return int(connection.execute(text("SELECT count(*) FROM visits WHERE status = 'complete'")).scalar_one())


def tap(database: Database, carers: int) -> None:
    """The same people and the same devices in each municipality; what is said differs."""
    street = Street(carers, utc_now())
    street.furnish(database)
    for bodies in street.uploads(4, 4):
        uploads = [UploadBody.model_validate_json(body).from_wire() for body in bodies]
        assert {answer.status for answer in pipeline.receive_taps(database, uploads, utc_now())} == {200}


def test_what_one_municipality_is_told_is_nowhere_in_the_other(municipalities: dict[str, Database]) -> None:
    one, other = municipalities.values()
    tap(one, 3)
    tap(other, 1)
    catch_up(one, utc_now())
    catch_up(other, utc_now())
    assert (living(one), living(other)) == (6, 2)


def test_the_logins_of_one_may_not_enter_the_schema_of_the_other(municipalities: dict[str, Database]) -> None:
    one, _ = municipalities.values()
    for caller in (Caller.ingest(), Caller.city(), Caller.provider("Ps"), Caller.auth()):
        with one.transaction(caller) as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text("SELECT 1 FROM mariestad.visits"))
    assert one.login_name(Login.CITY) != municipalities["mariestad"].login_name(Login.CITY)


def test_a_rebuild_in_one_does_not_hold_up_the_other(municipalities: dict[str, Database]) -> None:
    one, other = municipalities.values()
    tap(one, 1)
    tap(other, 1)
    with one.transaction(Caller.batch()) as connection:
        lock(connection)
        assert catch_up(other, utc_now(), patience_s=0) > 0
        assert catch_up(one, utc_now(), patience_s=0) == 0
    assert (living(one), living(other)) == (0, 2)
    assert catch_up(one, utc_now() + timedelta(seconds=1)) > 0
    assert living(one) == 2
