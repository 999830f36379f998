"""People: invited, with two factors, in roles with validity; sessions that end; nobody locked out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text

from app.access import retention
from app.access.log_lines import glass_reasons
from app.access.people import NewRole
from app.access.tables import audit_event, reading, sessions
from app.core.clock import utc_now
from app.core.localtime import local_date
from app.core.month import Month
from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from app.pipeline_access import operator, people
from app.pipeline_access.people import NewPerson
from app.refusals import Conflict
from app.registry.tables import employments, providers, units
from tests.doors.authenticator import Authenticator, Browser, b64

BY = operator("test")
LONG_AGO = date(2020, 1, 1)


@pytest.fixture
def town(database: Database) -> Database:
    """Two providers with a unit each; Anna works hourly at both under one person_key."""
    with database.transaction(Caller.city()) as connection:
        for one in ("P1", "P2"):
            connection.execute(insert(providers), {"provider_id": one, "operation": "private"})
            connection.execute(insert(units), {"unit_id": f"U{one}", "provider_id": one})
            row = {
                "staff_id": f"s_{one}", "valid_from": LONG_AGO, "person_key": "k_anna", "unit_id": f"U{one}",
                "provider_id": one, "badge_uid": "04AABBCCDDEE80" if one == "P1" else "",
            }  # fmt: skip
            connection.execute(insert(employments), row)
    return database


@pytest.fixture
def open_browser(town: Database) -> Callable[[], Browser]:
    app = create_app(town)
    return lambda: Browser(TestClient(app))


def invited(database: Database, role: str, *, provider_id: str = "", key: str = "", **place: Any) -> str:
    wanted = NewPerson("Anna Test", NewRole(role, LONG_AGO, provider_id=provider_id, **place), key)
    return people.invite_person(database, wanted, BY, utc_now()).token


def signed_in(database: Database, browser: Browser, role: str, **place: Any) -> Authenticator:
    authenticator = Authenticator()
    assert browser.join(invited(database, role, **place), authenticator).status_code == 201
    return authenticator


def age(database: Database, **by: float) -> None:
    """Make every session older: as if the time had passed."""
    with database.transaction(Caller.auth()) as connection:
        connection.execute(
            text("UPDATE sessions SET created_at = created_at - :d, seen_at = seen_at - :d, strong_at = strong_at - :d,"
                 " expires_at = expires_at - :d"),
            {"d": timedelta(**by)},
        )  # fmt: skip


def test_there_is_no_account_before_the_command_makes_the_first_admin(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser, authenticator = open_browser(), Authenticator()
    assert browser.sign_in(authenticator).status_code == 401
    first = people.add_first_admin(town, "Ada Admin", BY, utc_now())
    with pytest.raises(Conflict):
        people.add_first_admin(town, "Eva Admin", BY, utc_now())
    joined = browser.join(first.token, authenticator)
    assert (joined.status_code, joined.json()["session"]["role"]) == (201, "admin")
    assert len(joined.json()["recovery_codes"]) == 10
    cookie = joined.headers["set-cookie"]
    assert all(part in cookie for part in ("__Host-sid=", "HttpOnly", "Secure", "Path=/", "SameSite=lax"))
    assert "Domain" not in cookie
    assert browser.post("/auth/invitation", {"token": first.token}).status_code == 403


def test_a_passkey_signs_in_and_the_server_looks_at_everything_it_says(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    authenticator = signed_in(town, browser, "manager", provider_id="P1")
    other = open_browser()
    answer = other.sign_in(authenticator)
    assert (answer.status_code, answer.json()["role"]) == (200, "manager")
    assert other.get("/auth/me").json()["provider_id"] == "P1"

    bent: dict[str, Any] = {"origin": "https://evil.example", "host": "evil.example", "verifies": False, "count": -1}
    for name, value in bent.items():
        options = other.post("/auth/passkey/options").json()
        kept = getattr(authenticator, name)
        setattr(authenticator, name, value)
        credential = authenticator.get(options)
        setattr(authenticator, name, max(kept, 5) if name == "count" else kept)
        assert other.post("/auth/passkey", {"credential": credential}).status_code in {401, 429}, name
        with town.transaction(Caller.auth()) as connection:
            connection.execute(text("DELETE FROM login_delays"))

    options = other.post("/auth/passkey/options").json()
    credential = authenticator.get(options)
    assert other.post("/auth/passkey", {"credential": credential}).status_code == 200
    assert other.post("/auth/passkey", {"credential": credential}).status_code == 401, "a challenge is used once"


def test_the_database_holds_no_secret_that_would_sign_anybody_in(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    joined = browser.join(invited(town, "manager", provider_id="P1"), Authenticator())
    with town.transaction(Caller.batch()) as connection:
        named = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        tables = connection.execute(text(named)).scalars().all()
        dump = " ".join(
            str(connection.execute(text(f"SELECT array_agg(t::text) FROM {one} t")).scalar()) for one in tables
        )
    secrets = [browser.cookie, *(code.replace("-", "") for code in joined.json()["recovery_codes"])]
    assert len(browser.cookie) >= 43
    assert not [one for one in secrets if one in dump]


def test_care_staff_may_use_password_and_totp_but_a_manager_may_not(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    token = invited(town, "carer", provider_id="P1", key="k_anna")
    choice = browser.post("/auth/invitation", {"token": token}).json()
    app_of_hers = _authenticator_app(choice["totp_uri"])
    now = utc_now().timestamp()
    form = {"login_name": "anna", "password": "en lagom lång mening"}
    bad = browser.post("/auth/join/password", {"token": token, **form, "code": "000000"})
    assert bad.status_code == 401, "a wrong code uses nothing up"
    joined = browser.post("/auth/join/password", {"token": token, **form, "code": app_of_hers(now)})
    assert (joined.status_code, joined.json()["session"]["role"]) == (201, "carer")

    again = browser.post("/auth/password", {**form, "code": app_of_hers(now)})
    assert again.status_code == 401, "a code counts once"
    answer = browser.post("/auth/password", {**form, "code": app_of_hers(now + 30)})
    assert answer.status_code == 200
    unknown = browser.post("/auth/password", {**form, "login_name": "nobody", "code": "123456"})
    assert {**unknown.json(), "request_id": ""} == {**again.json(), "request_id": ""}

    office = invited(town, "manager", provider_id="P1")
    assert browser.post("/auth/invitation", {"token": office}).json()["totp_secret"] == ""
    refused = browser.post("/auth/join/password", {"token": office, **form, "login_name": "m", "code": "123456"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


def test_badge_and_pin_sign_in_on_a_shared_phone_in_that_employment(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    token = invited(town, "carer", provider_id="P1", key="k_anna")
    assert browser.post("/auth/join/pin", {"token": token, "pin": "123456"}).status_code == 422, "counted off"
    assert browser.post("/auth/join/pin", {"token": token, "pin": "493817"}).json()["session"] is None
    badge = {"badge_uid": "04aabbccddee80", "pin": "493817"}
    assert browser.post("/auth/badge", {**badge, "pin": "493818"}).status_code == 401
    assert browser.post("/auth/badge", {**badge, "badge_uid": "04000000000000"}).status_code == 401
    assert browser.post("/auth/badge", badge).status_code == 200
    me = browser.get("/auth/me").json()
    assert (me["role"], me["staff_id"], me["method"]) == ("carer", "s_P1", "badge")
    assert [one["staff_id"] for one in me["employments"]] == ["s_P1", "s_P2"]
    assert browser.post("/auth/employment", {"staff_id": "s_P2"}).status_code == 404, "another provider's shift"
    assert browser.post("/auth/employment", {"staff_id": "s_P1"}).status_code == 204


def test_a_recovery_code_lets_in_once_and_only_to_add_a_passkey(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    first, lost = open_browser(), Authenticator()
    codes = first.join(invited(town, "manager", provider_id="P1"), lost).json()["recovery_codes"]
    browser = open_browser()
    assert browser.post("/auth/recovery", {"code": codes[0]}).status_code == 200
    assert first.get("/auth/me").status_code == 401, "every other session has ended"
    assert browser.get("/people").status_code == 403
    new = Authenticator()
    options = browser.post("/auth/passkeys/options").json()
    assert browser.post("/auth/passkeys", {"credential": new.create(options)}).status_code == 201
    assert browser.get("/auth/me").status_code == 401
    assert browser.sign_in(new).status_code == 200
    assert browser.post("/auth/recovery", {"code": codes[0]}).status_code == 401


def test_sessions_end_by_time_by_idleness_by_hand_and_with_the_role(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    authenticator = signed_in(town, browser, "manager", provider_id="P1")
    age(town, minutes=29)
    assert browser.get("/auth/me").status_code == 200
    age(town, minutes=31)
    assert browser.get("/auth/me").status_code == 401
    browser.sign_in(authenticator)
    second = open_browser()
    second.sign_in(authenticator)
    listed = second.get("/auth/sessions").json()["items"]
    [own] = [one for one in listed if one["current"]]
    [other] = [one for one in listed if not one["current"]]
    assert "token" not in str(listed)
    assert second.send("DELETE", f"/auth/sessions/{other['session_id']}").status_code == 204
    assert browser.get("/auth/me").status_code == 401
    stranger = open_browser()
    signed_in(town, stranger, "manager", provider_id="P2")
    foreign = stranger.send("DELETE", f"/auth/sessions/{own['session_id']}", **{"x-request-id": "r"})
    unknown = stranger.send("DELETE", "/auth/sessions/s_0123456789abcdef", **{"x-request-id": "r"})
    assert (foreign.status_code, foreign.content) == (404, unknown.content)
    person = second.get("/auth/me").json()
    people.end_role(town, person["person_id"], person["roles"][0]["role_id"], BY, utc_now())
    assert second.get("/people").status_code == 403, "the role has ended in the running session"
    people.end_person(town, person["person_id"], BY, utc_now())
    assert second.get("/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("role", "place", "hours", "idle"),
    [("carer", {"provider_id": "P1"}, 12, 240), ("scheduler", {"provider_id": "P1"}, 10, 30), ("admin", {}, 2, 15)],
)
def test_the_times_of_a_session_are_those_of_the_role(
    town: Database, open_browser: Callable[[], Browser], role: str, place: dict[str, str], *, hours: int, idle: int
) -> None:
    signed_in(town, open_browser(), role, **place)
    with town.transaction(Caller.auth()) as connection:
        row = connection.execute(select(sessions)).one()
    assert (row.expires_at - row.created_at, row.idle_minutes) == (timedelta(hours=hours), idle)


def test_what_is_delicate_needs_a_step_up(town: Database, open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()
    authenticator = signed_in(town, browser, "manager", provider_id="P1")
    assert browser.post("/auth/recovery-codes").status_code == 201
    age(town, minutes=11)
    refused = browser.post("/auth/recovery-codes")
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up")
    stranger = signed_in(town, open_browser(), "manager", provider_id="P2")
    options = browser.post("/auth/step-up/options").json()
    assert browser.post("/auth/step-up/passkey", {"credential": stranger.get(options)}).status_code == 401
    options = browser.post("/auth/step-up/options").json()
    assert browser.post("/auth/step-up/passkey", {"credential": authenticator.get(options)}).status_code == 204
    assert browser.post("/auth/recovery-codes").status_code == 201


def test_a_foreign_page_gets_nothing_done_with_the_cookie(town: Database, open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()
    signed_in(town, browser, "manager", provider_id="P1")
    for bent in (
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
        {"x-csrf-token": ""}, {"x-csrf-token": "A" * 43},
    ):  # fmt: skip
        refused = browser.post("/auth/recovery-codes", **bent)
        assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin"), bent
    browser.headers = {}
    assert browser.post("/auth/recovery-codes").status_code == 403, "a client that does not say where it comes from"
    browser.headers = {"origin": "http://testserver"}
    assert browser.post("/auth/recovery-codes").status_code == 201


def test_a_manager_gives_provider_roles_at_the_own_provider_and_sees_nobody_elsewhere(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser, stranger = open_browser(), open_browser()
    signed_in(town, browser, "manager", provider_id="P1")
    signed_in(town, stranger, "manager", provider_id="P2")

    def invite(role: str, provider_id: str = "", **more: Any) -> Any:
        wanted = {"role": role, "provider_id": provider_id, "valid_from": "2026-01-01", **more}
        return browser.post("/people", {"name": "Bo Test", "role": wanted})

    made = invite("scheduler", "P1")
    assert made.status_code == 201
    for role, provider_id in (("scheduler", "P2"), ("admin", ""), ("city_controller", "")):
        assert invite(role, provider_id).status_code == 403, role
    assert invite("scheduler", "P1", unit_ids=["UP2"]).status_code == 404
    person_id = made.json()["person_id"]
    assert {one["person_id"] for one in browser.get("/people").json()["items"]} >= {person_id}
    assert person_id not in stranger.get("/people").text
    for path in (f"/people/{person_id}/invitation", f"/people/{person_id}/roles"):
        body = {"role": "carer", "provider_id": "P2", "valid_from": "2026-01-01"}
        foreign = stranger.post(path, body, **{"x-request-id": "r"})
        unknown = stranger.post(path.replace(person_id, "u_0123456789abcdef"), body, **{"x-request-id": "r"})
        assert (foreign.status_code, foreign.content) == (404, unknown.content)
    assert stranger.send("DELETE", f"/people/{person_id}/sessions").status_code == 404


def test_a_manager_does_not_take_over_somebody_with_rights_elsewhere(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    signed_in(town, browser, "manager", provider_id="P1")
    twice = people.invite_person(town, NewPerson("Cia", NewRole("carer", LONG_AGO, provider_id="P1")), BY, utc_now())
    people.grant_role(town, twice.person_id, NewRole("manager", LONG_AGO, provider_id="P2"), BY, utc_now())
    assert browser.post(f"/people/{twice.person_id}/invitation").status_code == 403


def test_an_admin_sees_no_client_data_without_breaking_the_glass_and_changes_none_with_it(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    signed_in(town, browser, "admin")
    visits = "/visits?from=2026-01-01&to=2026-01-02"
    assert browser.get(visits).status_code == 403
    assert browser.post("/auth/break-glass", {"reason": "kort"}).status_code == 422
    assert browser.post("/auth/break-glass", {"reason": "Ärende 4711: fel besök"}).status_code == 200
    assert browser.get(visits).status_code == 200
    assert browser.get("/clients").status_code == 200
    assert browser.get("/me/today").status_code == 403
    dispute = {"client_id": "c", "on_date": "2026-01-01", "text": "fel"}
    assert browser.post("/disputes", dispute).status_code == 403
    with town.transaction(Caller.batch()) as connection:
        read = connection.execute(select(reading.c.what, reading.c.break_glass)).all()
        assert [tuple(row) for row in read] == [("visits", True), ("clients", True)]
        sample = retention.review_sample(connection, Month.of(local_date(utc_now())), 1)
        glass_reasons(connection, sample)
        assert {row["reason"] for row in sample} == {"Ärende 4711: fel besök"}
        connection.execute(text("UPDATE break_glasses SET ends_at = ends_at - interval '61 minutes'"))
    assert browser.get(visits).status_code == 403, "sixty minutes are over"


def test_an_admin_with_broken_glass_still_does_an_admins_own_work(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    signed_in(town, browser, "admin")
    role = {"role": "carer", "valid_from": "2026-01-01", "provider_id": "P1"}
    invited = browser.post("/people", {"name": "Cia", "role": role}).json()["person_id"]
    assert browser.post("/auth/break-glass", {"reason": "Ärende 4711: fel besök"}).status_code == 200
    assert invited in {one["person_id"] for one in browser.get("/people").json()["items"]}
    assert browser.post(f"/people/{invited}/invitation").status_code == 201
    assert browser.post("/people/u_nobody/invitation").status_code == 404


def test_a_lost_passkey_is_found_by_its_label_and_removed(town: Database, open_browser: Callable[[], Browser]) -> None:
    browser, stranger = open_browser(), open_browser()
    lost = signed_in(town, browser, "manager", provider_id="P1")
    other = signed_in(town, stranger, "manager", provider_id="P2")
    new = Authenticator()
    options = browser.post("/auth/passkeys/options").json()
    made = browser.post("/auth/passkeys", {"credential": new.create(options), "label": "Nya telefonen"})
    assert made.status_code == 201
    items = browser.get("/auth/passkeys").json()["items"]
    assert [one["label"] for one in items] == ["", "Nya telefonen"]
    assert b64(other.credential_id) not in str(items)
    assert browser.send("DELETE", f"/auth/passkeys/{b64(other.credential_id)}").status_code == 404
    assert browser.send("DELETE", f"/auth/passkeys/{items[0]['credential_id']}").status_code == 204
    assert open_browser().sign_in(lost).status_code == 401
    assert open_browser().sign_in(new).status_code == 200
    last = browser.send("DELETE", f"/auth/passkeys/{items[1]['credential_id']}")
    assert last.status_code == 409, "the last one stays"


def test_a_carer_steps_up_with_her_own_badge_and_pin(town: Database, open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()
    browser.post("/auth/join/pin", {"token": invited(town, "carer", provider_id="P1", key="k_anna"), "pin": "493817"})
    badge = {"badge_uid": "04AABBCCDDEE80", "pin": "493817"}
    assert browser.post("/auth/badge", badge).status_code == 200
    age(town, minutes=11)
    assert browser.send("PUT", "/auth/pin", {"pin": "817493"}).json()["code"] == "step_up"
    assert browser.post("/auth/step-up/badge", {**badge, "pin": "000001"}).status_code == 401
    assert browser.send("PUT", "/auth/pin", {"pin": "817493"}).status_code == 403
    stranger = open_browser()
    signed_in(town, stranger, "carer", provider_id="P1")
    assert stranger.post("/auth/step-up/badge", badge).status_code == 401, "another's badge"
    assert browser.post("/auth/step-up/badge", badge).status_code == 204
    assert browser.send("PUT", "/auth/pin", {"pin": "817493"}).status_code == 204


def test_every_change_is_in_the_audit_log_of_the_same_transaction(
    town: Database, open_browser: Callable[[], Browser]
) -> None:
    browser = open_browser()
    signed_in(town, browser, "manager", provider_id="P1")
    browser.post("/auth/sign-out")
    with town.transaction(Caller.auth()) as connection:
        actions = connection.execute(select(audit_event.c.action).order_by(audit_event.c.event_id)).scalars().all()
    assert actions == ["person.invite", "person.join", "sign_out"]


def _authenticator_app(uri: str) -> Callable[[float], str]:
    import base64
    from urllib.parse import parse_qs, urlsplit

    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    totp = TOTP(base64.b32decode(secret + "=" * (-len(secret) % 8)), 6, SHA1(), 30)  # noqa: S303 -- RFC 6238
    return lambda at: totp.generate(int(at)).decode()
