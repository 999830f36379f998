"""Every device's chain: each statement names the one before, and nothing is gone that a receipt confirms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from app.evidence.rules.chain import NOTHING_BEFORE
from app.evidence.rules.signatures import b64url
from app.verify.bundle import Wrong
from app.verify.found import RECEIPTS, Evidence, Place


def chains_of(evidence: Evidence, *, whole: bool) -> None:
    """Check links and gaps of all that was read; `whole`: an export of everything, so chains begin at number 1."""
    forgiven: dict[str, set[int]] = defaultdict(set)
    for _, row in evidence.lines["rejected_seqs"]:
        forgiven[str(row.get("device_id"))].add(int(row.get("seq") or 0))
    ranges: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for _, row in evidence.lines["voids"]:
        ranges[str(row.get("device_id"))].append((int(row.get("from_seq") or 0), int(row.get("to_seq") or 0)))
    noted = {(str(r.get("device_id")), int(r.get("seq") or 0)) for _, r in evidence.lines["chain_notes"]}
    highest: dict[str, int] = defaultdict(int)
    for _, row in evidence.lines["receipts"]:
        upto = row.get("upto")
        if type(upto) is int:
            highest[str(row.get("device_id"))] = max(highest[str(row.get("device_id"))], upto)
    for device_id, said in sorted(evidence.said.items()):
        evidence.chain.extend(_links(device_id, said, noted))
        excused = forgiven[device_id]
        taps = [s for s, contents in said.items() if any(p[0] != RECEIPTS for p, _ in contents.values())]
        span = (1, highest[device_id]) if whole else (min(taps, default=1), max(taps, default=0))
        evidence.chain.extend(_gaps(device_id, said, (span[0], min(span[1], highest[device_id])), (excused, ranges)))


def _links(
    device_id: str, said: Mapping[int, Mapping[str, tuple[Place, str]]], noted: set[tuple[str, int]]
) -> Iterator[Wrong]:
    """Every `prev` names the content of the number before it, unless the server noted the break itself."""
    first = b64url(NOTHING_BEFORE)
    for seq, contents in sorted(said.items()):
        before = said.get(seq - 1)
        for place, prev in contents.values():
            fits = prev in (first, "") if seq == 1 else not before or not prev or prev in before
            if not fits and (device_id, seq) not in noted:
                yield Wrong(*place, f"{device_id}/{seq}: prev is not the hash of number {seq - 1}")


def _gaps(
    device_id: str,
    said: Mapping[int, Mapping[str, tuple[Place, str]]],
    span: tuple[int, int],
    excused: tuple[set[int], Mapping[str, list[tuple[int, int]]]],
) -> Iterator[Wrong]:
    """Numbers of the span that a receipt confirms and that are gone, each run of them once."""
    rejected, voided = excused
    low = span[0]
    for seq in [*sorted(number for number in said if span[0] <= number <= span[1]), span[1] + 1]:
        missing = [
            number
            for number in range(low, seq)
            if number not in rejected and not any(a <= number <= b for a, b in voided[device_id])
        ]
        low = seq + 1
        if missing:
            near = said.get(seq) or said[max(said)]
            place = next(iter(near.values()))[0]
            yield Wrong(*place, f"{device_id}: a receipt confirms {_spelled(missing)}, missing beside this line")


def _spelled(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} ({len(numbers)} statements)"
