"""A signed document is accepted in exactly one form."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.evidence.rules.signatures import (
    Unreadable,
    b64url,
    jwk_thumbprint,
    key_of_jwk,
    read_object,
    short_thumbprint,
    sign,
    take_apart,
    unb64url,
)
from app.evidence.rules.statements import Unknown, VoidSaid, read_head, read_statement
from device_agent.keys import DeviceKey
from device_agent.keys import short_thumbprint as agents_short_thumbprint
from device_agent.keys import verify as agents_verify
from tests.evidence.devices import Device


def test_a_devices_statement_verifies_and_its_hash_ignores_the_signature() -> None:
    device = Device()
    document = device.tap()
    other = f"{document.rpartition('.')[0]}.{b64url(bytes(64))}"
    assert take_apart(document).signed_by(device.key.public_key(), "tap")
    assert take_apart(document).hash == take_apart(other).hash
    assert not take_apart(other).signed_by(device.key.public_key(), "tap")


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"none","typ":"tap+jws"}', '{"alg":"HS256","typ":"tap+jws"}', '{"typ":"tap+jws","alg":"ES256"}',
        '{"alg": "ES256","typ":"tap+jws"}', '{"alg":"ES256","typ":"head+jws"}',
        '{"alg":"ES256","typ":"tap+jws","kid":"1"}',
    ],
)  # fmt: skip
def test_any_other_header_is_no_tap_though_the_signature_fits(header: str) -> None:
    device = Device()
    assert not take_apart(device.sign("tap", {"v": 1}, header)).signed_by(device.key.public_key(), "tap")


def test_base64_has_one_spelling() -> None:
    assert (unb64url(""), unb64url("QQ"), unb64url("QUI"), unb64url("QUJD")) == (b"", b"A", b"AB", b"ABC")
    for wrong in ("Q", "QR", "QUJ", "QQ=", "QQ==", "QUI=", "Q Q", "QQ\n", "+/", "_-+A", "QUJDQ", "Å"):
        with pytest.raises(Unreadable):
            unb64url(wrong)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}', b'{"a":NaN}', b"[1]", b'{"a":"\\u0000"}', b'{"a":"\\ud800"}', b"\xff", b"[" * 100_000, b"",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_odd_json_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        read_object(payload)


def statement(**changed: object) -> bytes:
    payload = {
        "v": 1, "dev": "d_1", "seq": 2, "prev": "A" * 43, "t": "2026-11-22T07:03:12.480Z", "boot": "b_1", "mono": 1,
        "ack": None, "kind": "tap", "act": "KOM", "tag": {"uid": "04de5f1eacc040"}, **changed,
    }  # fmt: skip
    return json.dumps({name: value for name, value in payload.items() if value != "absent"}).encode()


def test_a_uid_is_written_in_capitals_and_other_names_stay() -> None:
    said = read_statement(statement())
    assert said.tag.uid == "04DE5F1EACC040"  # type: ignore[union-attr]
    assert read_statement(statement(tag={"uid": "tag_1"})).tag.uid == "tag_1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changed",
    [
        {"note": "fri text"}, {"seq": 0}, {"seq": "2"}, {"seq": True}, {"seq": 2.0}, {"seq": 2**60}, {"act": "IN"},
        {"t": "2026-11-22T07:03:12+01:00"}, {"t": "2026-11-22"}, {"t": "2026-13-22T07:03:12Z"}, {"t": 1}, {"v": "1"},
        {"t": "0001-01-01T00:00:00Z"}, {"tag": {}}, {"tag": {"uid": "04", "x": 1}}, {"mono": -1}, {"mono": 10**15},
        {"prev": "A"}, {"ack": "absent"}, {"kind": "wish"}, {"v": True}, {"dev": "d 1"}, {"staff": ""},
        {"kind": "void", "act": "absent", "tag": "absent", "from_seq": 1, "to_seq": 2, "cause": "storage_lost"},
    ],
)  # fmt: skip
def test_a_statement_of_another_form_is_unreadable(changed: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        read_statement(statement(**changed))


@pytest.mark.parametrize("at", ["2031-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08.000Z"])
def test_a_strange_year_is_a_readable_claim(at: str) -> None:
    assert read_statement(statement(t=at)).t.year in (2031, 1970, 2038)  # type: ignore[union-attr]


def test_voids_heads_and_versions_to_come_are_read() -> None:
    void = read_statement(
        statement(kind="void", act="absent", tag="absent", seq=9, from_seq=1, to_seq=8, cause="storage_lost")
    )
    assert isinstance(void, VoidSaid)
    assert isinstance(read_statement(statement(v=2, wonder="new")), Unknown)
    with pytest.raises(Unreadable):
        read_head(b"{}")


def test_a_key_is_a_point_on_the_curve_and_nothing_else() -> None:
    device = Device()
    jwk = device.jwk
    assert key_of_jwk(jwk) == device.key.public_key()
    for wrong in ({**jwk, "y": jwk["x"]}, {**jwk, "crv": "P-384"}, {**jwk, "d": "A"}, {**jwk, "x": "AA"}, {}):
        with pytest.raises(Unreadable):
            key_of_jwk(wrong)


def test_the_agent_and_the_server_understand_each_other() -> None:
    key = DeviceKey(ec.generate_private_key(ec.SECP256R1()))
    document = key.sign("tap+jws", {"v": 1})
    assert take_apart(document).signed_by(key_of_jwk(key.jwk), "tap")
    assert short_thumbprint(key.jwk) == agents_short_thumbprint(key.jwk)
    assert len(jwk_thumbprint(key.jwk)) == 32
    server = Device()
    assert agents_verify(sign(server.key, "receipt", {"r": "r_1"}), server.jwk, "receipt+jws") == {"r": "r_1"}
