"""NTAG 424 texts by NXP's and real cards' vectors; counters over all devices."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.sun import (
    Mirror,
    SunInvalid,
    SunKeys,
    SunRead,
    check,
    counter_doubts,
    decrypt_picc,
    diversify,
    make,
    sdm_mac,
    session_enc_key,
    session_mac_key,
)
from tests.evidence.devices import START

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/sun_vectors.json").read_text(encoding="utf-8"))
KEYS = SunKeys(1, bytes(range(16)), bytes(range(16, 32)))
UID = bytes.fromhex("04DE5F1EACC040")


def named(group: str) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in VECTORS[group]]


@pytest.mark.parametrize("vector", named("session_keys"))
def test_session_keys(vector: dict[str, str]) -> None:
    key, mirror = bytes.fromhex(vector["file_key"]), Mirror(*map(bytes.fromhex, (vector["uid"], vector["ctr_raw"])))
    assert session_mac_key(key, mirror) == bytes.fromhex(vector["mac_key"])
    if "enc_key" in vector:
        assert session_enc_key(key, mirror) == bytes.fromhex(vector["enc_key"])


@pytest.mark.parametrize("vector", named("encrypted"))
def test_encrypted_mirrors_of_nxp_and_real_cards(vector: dict[str, Any]) -> None:
    mirror = decrypt_picc(bytes.fromhex(vector["meta_key"]), bytes.fromhex(vector["e"]))
    assert (mirror.uid, mirror.counter) == (bytes.fromhex(vector["uid"]), vector["ctr"])
    said = vector.get("mac_input", "").encode()
    assert sdm_mac(bytes.fromhex(vector["file_key"]), mirror, said) == bytes.fromhex(vector["c"])


@pytest.mark.parametrize("vector", named("plain"))
def test_plain_mirrors(vector: dict[str, Any]) -> None:
    mirror = Mirror(bytes.fromhex(vector["uid"]), bytes.fromhex(vector["ctr_msb"])[::-1])
    assert mirror.counter == vector["ctr"]
    assert sdm_mac(bytes.fromhex(vector["file_key"]), mirror) == bytes.fromhex(vector["c"])


@pytest.mark.parametrize("vector", named("an10922"))
def test_keys_per_tag_by_an10922(vector: dict[str, str]) -> None:
    assert diversify(bytes.fromhex(vector["master"]), bytes.fromhex(vector["m"])) == bytes.fromhex(vector["key"])


def test_a_tags_text_is_checked_under_every_version_of_the_keys() -> None:
    old = SunKeys(0, bytes(16), bytes(16))
    said = make(old, UID, 77)
    assert check(said, (KEYS, old)) == Mirror(UID, b"\x4d\0\0")
    with pytest.raises(SunInvalid):
        check(said, (KEYS,))


@given(position=st.integers(0, 47), other=st.sampled_from("0123456789ABCDEF"))
def test_no_changed_digit_is_accepted(position: int, other: str) -> None:
    said = make(KEYS, UID, 5)
    position += position >= 32  # the point
    changed = said[:position] + other + said[position + 1 :]
    if changed != said:
        with pytest.raises(SunInvalid):
            check(changed, (KEYS,))


@pytest.mark.parametrize("said", ["", "AA.BB", "Z" * 32 + "." + "0" * 16, "0" * 48, "0" * 32 + "." + "0" * 16])
def test_what_is_no_sun_text_is_invalid(said: str) -> None:
    with pytest.raises(SunInvalid):
        check(said, (KEYS,))


def read(device: str, seq: int, counter: int, minute: int, *, timed: bool = True, tag: str = "T") -> SunRead:
    return SunRead(device, seq, tag, counter, START + timedelta(minutes=minute), timed)


def test_rising_counters_with_gaps_over_several_devices_are_no_doubt() -> None:
    assert (
        counter_doubts([read("a", 1, 5, 0), read("b", 1, 9, 1), read("a", 2, 12, 2), read("a", 3, 5, 3, tag="U")]) == {}
    )


def test_an_equal_counter_from_another_tap_is_a_replay_of_the_earlier_one() -> None:
    assert counter_doubts([read("a", 1, 5, 0), read("b", 1, 5, 9)]) == {("b", 1): {"tag_counter_replay"}}


def test_a_lower_counter_later_was_read_ahead() -> None:
    assert counter_doubts([read("a", 1, 6, 0), read("b", 1, 5, 9)]) == {("b", 1): {"tag_counter_order"}}


def test_a_tap_whose_time_nobody_knows_accuses_no_other_of_order_but_a_copy_is_a_copy() -> None:
    unknown = read("x", 1, 900, -9999, timed=False)
    assert counter_doubts([unknown, read("a", 1, 5, 0)]) == {}
    assert counter_doubts([unknown, read("a", 1, 900, 0)]) == {("x", 1): {"tag_counter_replay"}}


READS = [read("a", 1, 5, 0), read("b", 1, 5, 1), read("b", 2, 4, 2), read("c", 1, 8, 3), read("c", 2, 6, 4)]


def test_the_order_of_arrival_is_irrelevant() -> None:
    results = {str(sorted((k, sorted(v)) for k, v in counter_doubts(some).items())) for some in permutations(READS)}
    assert len(results) == 1


def test_more_readings_only_ever_add_doubts() -> None:
    for count in range(len(READS)):
        fewer, more = counter_doubts(READS[:count]), counter_doubts(READS)
        assert all(codes <= more[key] for key, codes in fewer.items())
