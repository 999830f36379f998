"""What is received, what is missing, and what an unreadable item stands for."""

from __future__ import annotations

from app.evidence.rules.chain import MOST_MISSING, ChainReport, Progress, device_findings, place_unreadable
from app.evidence.rules.signatures import b64url
from tests.evidence.devices import START


def received(*seqs: int, upto: int = 0) -> Progress:
    progress = Progress(upto)
    progress.hashes.update({seq: {bytes([seq % 256]) * 32} for seq in seqs})
    progress.advance()
    return progress


def test_upto_stops_before_the_first_gap_and_passes_it_when_filled() -> None:
    progress = received(1, 2, 4, 5)
    assert (progress.upto, progress.missing(7)) == (2, [3, 6, 7])
    progress.hashes[3] = {b"3"}
    progress.advance()
    assert (progress.upto, progress.upto_hash(), progress.missing(5)) == (5, b64url(bytes([5]) * 32), [])


def test_a_void_ends_a_gap() -> None:
    progress = received(1, 9)
    progress.voided.append((2, 8))
    progress.advance()
    assert (progress.upto, progress.missing(9)) == (9, [])


def test_overlapping_voids_and_single_statements_are_counted_once() -> None:
    progress = received(1, 5, 30)
    progress.voided += [(10, 20), (15, 25), (3, 4)]
    progress.advance()
    assert (progress.upto, progress.missing(30)) == (1, [2, 6, 7, 8, 9, 26, 27, 28, 29])


def test_an_absurd_head_makes_no_absurd_answer() -> None:
    missing = received(1).missing(2**53 - 1)
    assert (missing[0], len(missing)) == (2, MOST_MISSING)


def test_an_unreadable_item_takes_the_place_between_its_neighbours() -> None:
    assert place_unreadable([4, None, 6], received(1, 2, 3), 9) == [4, 5, 6]
    assert place_unreadable([None, None, 6], received(1, 2, 3), 9) == [4, 5, 6]
    assert place_unreadable([4, None, None], received(1, 2, 3), 5) == [4, 5, None]


def test_an_upload_of_nothing_readable_takes_the_lowest_missing_numbers() -> None:
    assert place_unreadable([None, None], received(1, 2, 4), 9) == [3, 5]
    assert place_unreadable([None], received(1, 2), 2) == [None]


def test_findings_say_which_numbers_and_never_twice() -> None:
    report = ChainReport(
        "d_1",
        "p_1",
        forks=((5, START),),
        voids=((2, 3, "storage_lost", START),),
        gaps=((7, 8, START),),
        breaks=((9, START),),
        rejected=((11, START),),
    )
    made = device_findings(report)
    assert [(f.code, f.taps, f.provider_id, f.holds) for f in made] == [
        ("seq_fork", (("d_1", 5),), "p_1", False),
        ("seq_gap", (("d_1", 2),), "p_1", False),
        ("seq_gap", (("d_1", 9),), "p_1", False),
        ("chain_broken", (("d_1", 9),), "p_1", False),
        ("rejected_input", (("d_1", 11),), "p_1", False),
    ]
    assert len({f.finding_id for f in made}) == 5
