"""A manager is invited, makes a passkey in a real Chromium, signs in with it, sees who she is, and signs out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import select

from app.access.people import NewRole
from app.access.tables import audit_event, passkeys
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.pipeline_access import operator, people
from app.pipeline_access.people import NewPerson
from tests.doors import town
from tests.doors.serving import served
from tests.web.chromium import Chromium, chromium


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """A served town. WebAuthn wants a name: localhost."""
    town.furnish(database)
    with served(database) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture
def browser() -> Iterator[Chromium]:
    with chromium() as page:
        yield page


def invited(database: Database, name: str = "Maja Manager") -> str:
    wanted = NewPerson(name, NewRole("manager", date(2026, 1, 1), provider_id="P1"))
    return people.invite_person(database, wanted, operator("test"), utc_now()).token


def test_an_invited_manager_makes_a_passkey_signs_in_and_out(
    database: Database, address: str, browser: Chromium
) -> None:
    browser.add_authenticator()
    # The link as it was sent may say 127.0.0.1, for which no passkey can be made: the page goes to localhost.
    browser.go(f"{address}/invite#{invited(database)}")
    browser.wait_for("location.hostname === 'localhost' && document.querySelector('#create')?.checkVisibility()")
    assert "Maja Manager" in browser.text()
    assert "chef" in browser.text()
    browser.click("#create")
    browser.wait_for("document.querySelectorAll('#codes li').length === 10")
    assert browser.run("location.hash") == "", "the used token is out of sight"
    assert "__Host-sid" not in browser.run("document.cookie"), "no script reads the session"

    browser.click("#joined a")
    browser.wait_for("location.pathname === '/me' && document.querySelector('#person')?.checkVisibility()")
    assert all(part in browser.text() for part in ("Maja Manager", "chef", "P1", "här, sedan"))
    browser.click("#sign-out")
    browser.wait_for("location.pathname === '/sign-in'")
    browser.go(f"{address.replace('127.0.0.1', 'localhost')}/")
    browser.wait_for("location.pathname === '/sign-in' && document.readyState === 'complete'")

    browser.click("#sign-in")
    browser.wait_for("location.pathname === '/me' && document.querySelector('#person')?.checkVisibility()")
    with database.transaction(Caller.batch()) as connection:
        actions = connection.execute(select(audit_event.c.action).order_by(audit_event.c.event_id)).scalars().all()
        [kept] = connection.execute(select(passkeys)).all()
    assert actions == ["person.invite", "person.join", "sign_out", "sign_in"]
    assert kept.used_at is not None
    assert not [line for line in browser.console if "401" not in line], "nothing was forbidden, no script failed"


def test_a_passkey_of_another_authenticator_or_a_used_invitation_is_told_in_the_readers_language(
    database: Database, address: str, browser: Chromium
) -> None:
    site, token = address.replace("127.0.0.1", "localhost"), invited(database)
    known = browser.add_authenticator()
    browser.go(f"{site}/invite?lang=en#{token}")
    browser.click("#create")
    browser.wait_for("document.querySelectorAll('#codes li').length === 10")
    assert "Recovery codes" in browser.text()

    browser.go(f"{site}/invite?lang=sv#{token}")
    browser.wait_for("document.querySelector('#error').textContent.includes('Inbjudan är använd')")
    [own] = browser.send("WebAuthn.getCredentials", authenticatorId=known)["credentials"]
    browser.send("WebAuthn.removeVirtualAuthenticator", authenticatorId=known)
    stranger = browser.add_authenticator()
    foreign = {**own, "credentialId": "AAAA", "signCount": 1}
    browser.send("WebAuthn.addCredential", authenticatorId=stranger, credential=foreign)
    browser.go(f"{site}/sign-in?lang=en")
    browser.click("#sign-in")
    browser.wait_for("document.querySelector('#error').textContent.includes('not known here')")
    assert browser.run("location.pathname") == "/sign-in"


def test_an_authenticator_that_does_not_verify_its_user_makes_no_passkey(
    database: Database, address: str, browser: Chromium
) -> None:
    authenticator = browser.add_authenticator()
    browser.send("WebAuthn.setUserVerified", authenticatorId=authenticator, isUserVerified=False)
    browser.go(f"{address.replace('127.0.0.1', 'localhost')}/invite#{invited(database)}")
    browser.click("#create")
    browser.wait_for("document.querySelector('#error').textContent.includes('avbröts')")
    with database.transaction(Caller.batch()) as connection:
        assert connection.execute(select(passkeys)).all() == []


def test_a_page_can_be_used_by_keyboard_and_by_a_screen_reader(address: str, browser: Chromium) -> None:
    browser.go(f"{address.replace('127.0.0.1', 'localhost')}/sign-in")
    browser.wait_for("document.querySelector('#sign-in')?.disabled === false")
    for kind in ("rawKeyDown", "keyUp"):  # past the link to the other language
        browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    for kind in ("rawKeyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("document.activeElement.id") == "sign-in"
    browser.send("Accessibility.enable")
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if "role" in node}
    assert ("heading", "Logga in") in named
    assert ("button", "Logga in med inloggningsnyckel") in named
    assert {"status", "alert", "main", "banner"} <= {role for role, _ in named}
    assert browser.run("document.documentElement.lang") == "sv"
