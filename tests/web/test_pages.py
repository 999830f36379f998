"""What every page keeps to: Swedish unless asked otherwise, every text translated, no inline script."""

from __future__ import annotations

import re

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from fastapi.testclient import TestClient

from app.db.engine import Database
from app.main import create_app
from app.web import pages

_WEB = pages.STATIC.parent
PATHS = ("/invite", "/sign-in", "/me")


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
    assert {text for text in used if not catalogue.get(text)} == set(), "translate these"
    assert set(catalogue) - used == set(), "these are used no more"


def test_the_root_leads_to_ones_own_page(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
