"""What every page keeps to: Swedish unless asked otherwise, every text translated, no inline script."""

from __future__ import annotations

import re

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.callers import Caller
from app.db.engine import Database
from app.main import create_app
from app.web import pages
from tests.doors import town

_WEB = pages.STATIC.parent
PATHS = ("/invite", "/sign-in", "/me", "/t")


@pytest.fixture
def client(database: Database) -> TestClient:
    return TestClient(create_app(database))


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_swedish_unless_english_is_asked_for(client: TestClient, path: str) -> None:
    for header, query, expected in (
        ("", "", "sv"), ("sv-SE,sv;q=0.9", "", "sv"), ("de", "", "sv"), ("en-GB,en;q=0.8", "", "en"),
        ("en", "?lang=sv", "sv"), ("sv", "?lang=en", "en"), ("sv", "?lang=<script>", "sv"),
    ):  # fmt: skip
        answer = client.get(path + query, headers={"accept-language": header})
        assert f'<html lang="{expected}">' in answer.text, (header, query)
        assert "<script>" not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_a_page_runs_nothing_but_files_of_this_server(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", answer.text)
    for file in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert client.get(file).status_code == 200, file


def test_every_text_of_the_pages_has_a_swedish_one() -> None:
    found = extract_from_dir(_WEB / "templates", [("**.html", "jinja2")], {"**.html": {"trimmed": "true"}})
    used = {message for _, _, message, _, _ in found}
    with (_WEB / "locale" / "sv" / "LC_MESSAGES" / "komgick.po").open("rb") as file:
        catalogue = {message.id: message.string for message in read_po(file) if message.id}
    assert used, "there are texts"
    assert {one for one in used if not catalogue.get(one)} == set(), "translate these"
    assert set(catalogue) - used == set(), "these are used no more"


def test_the_root_leads_to_ones_own_page(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")


def test_the_page_behind_a_sticker_says_what_it_is_and_nothing_of_anybody(database: Database) -> None:
    town.a_morning(database)
    before = _everything(database)
    with TestClient(create_app(database)) as client:
        plain = client.get("/t")
        for stranger in ("/t?e=0123&c=4567", "/t?uid=tag-c1", "/t?tag=tag-c1&lang=sv"):
            answer = client.get(stranger, headers=town.person(database, "manager", provider="P1"))
            assert answer.text == plain.text, "whoever asks, about whatever sticker"
            assert "set-cookie" not in answer.headers
        assert client.post("/t").status_code == 405
    assert "<script" not in plain.text
    for said in ("Ada", "Anna", "c1", "P1"):
        assert not re.search(rf"\b{said}\b", plain.text), said
    assert _everything(database) == before, "a GET registers nothing and uses nothing up"


def _everything(database: Database) -> dict[str, int]:
    with database.transaction(Caller.batch(), read_only=True) as connection:
        tables = ("taps", "heads", "sun_reads", "visits", "rejected_input", "audit_event")
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}
