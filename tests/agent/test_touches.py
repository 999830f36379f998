"""What a touch means: tag or badge, whose, and which act."""

from datetime import UTC, datetime

import pytest

from device_agent.clock import Moment
from device_agent.touches import BadgeSeen, Choices, Desk, NotMeant, Rules, TapMeant, Touch, sun_of

TAG, OTHER_TAG, BADGE, OTHER_BADGE = "04A1B2C3D4E580", "04A1B2C3D4E581", "04000000000001", "04000000000002"
SHARED = Rules(badges={BADGE: "s_anna", OTHER_BADGE: "s_bo"})


def at(seconds: float) -> Moment:
    return Moment(datetime(2026, 11, 22, 7, 0, tzinfo=UTC), int(seconds * 1000), "b_1")


def body(meaning: object) -> dict[str, object]:
    assert isinstance(meaning, TapMeant)
    return {name: value for name, value in meaning.body.items() if value is not None}


def test_a_personal_device_taps_for_its_person() -> None:
    desk = Desk(Rules("KOM", "s_12", "g_5", "meal"), Choices())
    meant = desk.meaning(Touch(TAG), at(0))
    assert body(meant) == {"act": "KOM", "tag": {"uid": TAG}, "service": "meal", "staff": "s_12", "grant": "g_5"}


def test_a_shared_reader_asks_for_the_badge_first_and_says_that_a_badge_named_the_person() -> None:
    desk = Desk(SHARED, Choices())
    assert desk.meaning(Touch(TAG), at(0)) == NotMeant("badge_first")
    assert desk.meaning(Touch(BADGE), at(1)) == BadgeSeen("s_anna")
    assert body(desk.meaning(Touch(TAG), at(5))) == {
        "act": "AUTO",
        "tag": {"uid": TAG},
        "staff": "s_anna",
        "staff_by": "badge",
    }


def test_a_badge_counts_for_one_tag_so_the_next_person_does_not_tap_for_the_first() -> None:
    desk = Desk(SHARED, Choices())
    desk.meaning(Touch(BADGE), at(0))
    desk.meaning(Touch(TAG), at(1))
    assert desk.meaning(Touch(OTHER_TAG), at(2)) == NotMeant("badge_first")


def test_of_two_persons_at_one_reader_the_last_badge_counts() -> None:
    desk = Desk(SHARED, Choices())
    desk.meaning(Touch(BADGE), at(0))
    desk.meaning(Touch(OTHER_BADGE), at(1))
    assert body(desk.meaning(Touch(TAG), at(2)))["staff"] == "s_bo"


@pytest.mark.parametrize(("seconds", "counts"), [(60, True), (60.001, False), (-1, False)])
def test_a_badge_shown_long_ago_or_before_a_reboot_counts_no_more(seconds: float, counts: bool) -> None:
    desk = Desk(SHARED, Choices())
    desk.meaning(Touch(BADGE), at(0))
    assert isinstance(desk.meaning(Touch(TAG), at(seconds)), TapMeant) == counts


def test_a_phone_with_its_random_number_is_no_tag() -> None:
    desk = Desk(Rules(staff="s_1"), Choices())
    assert desk.meaning(Touch("08123456"), at(0)) == NotMeant("random_uid")
    assert isinstance(desk.meaning(Touch("08123456ABCDEF"), at(0)), TapMeant)


@pytest.mark.parametrize(("pressed_at", "act"), [(0, "GICK"), (-30, "GICK"), (-31, "AUTO"), (1, "AUTO")])
def test_with_keys_the_choice_counts_once_for_half_a_minute(pressed_at: float, act: str) -> None:
    choices = Choices()
    desk = Desk(Rules(None, "s_1"), choices)
    choices.choose("GICK", at(100 + pressed_at))
    assert body(desk.meaning(Touch(TAG), at(100)))["act"] == act
    assert body(desk.meaning(Touch(TAG), at(100)))["act"] == "AUTO"


PICC, MAC = "EF963FF7828658A599F3041510671E88", "94EED9EE65337086"


@pytest.mark.parametrize(
    ("iri", "found"),
    [
        (f"https://a.example/t#e={PICC}&c={MAC}", f"{PICC}.{MAC}"),
        (f"https://a.example/t?e={PICC}&c={MAC}", f"{PICC}.{MAC}"),
        (f"https://a.example/t#/tag?e={PICC}&c={MAC}", f"{PICC}.{MAC}"),
        (f"https://a.example/t?picc_data={PICC}&cmac={MAC}", f"{PICC}.{MAC}"),
        (f"https://a.example/t#e={PICC[:-1]}&c={MAC}", None),
        (f"https://a.example/t#e={PICC[:-1]}x&c={MAC}", None),
        ("https://[broken/#e=1", None),
        ("https://a.example/t#abc", None),
        (None, None),
    ],
)
def test_the_proof_of_an_ntag_424_is_found_in_its_address(iri: str | None, found: str | None) -> None:
    assert sun_of(iri) == found
