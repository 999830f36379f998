"""taps.csv and forks.csv: each signed row against its document and against what receipts.jsonl says of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.localtime import parse_instant
from app.evidence.rules.signatures import b64url
from app.evidence.rules.statements import TapSaid
from app.facts import Device, Tap
from app.verify.bundle import Bundle, Wrong
from app.verify.found import FORKS, RECEIPTS, TAPS, Evidence, Place, hash_text, instant_of
from app.verify.signed import statement


@dataclass(slots=True)
class _Beside:
    """What receipts.jsonl says of taps: by content, and of unsigned ones by number. `used`: whose tap was met."""

    signed: dict[tuple[str, int, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    unsigned: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    used: set[tuple[str, int, str]] = field(default_factory=set)


def _beside(evidence: Evidence) -> _Beside:
    beside = _Beside()
    for line, row in evidence.lines["taps"]:
        try:
            key = (str(row["device_id"]), int(row["seq"]))
            if row.get("signed", True):
                beside.signed[*key, hash_text(row["hash"])] = (line, row)
            else:
                beside.unsigned[key] = row
        except (KeyError, TypeError, ValueError):
            evidence.forms.append(Wrong(RECEIPTS, line, "a line about a tap without its key"))
    return beside


def taps_of(evidence: Evidence, bundle: Bundle, devices: Mapping[str, Device]) -> None:
    """Check every row of both files; `evidence.taps` are the taps as the rules see them. After the grants."""
    beside = _beside(evidence)
    doubts: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, row in evidence.lines["tap_doubts"]:
        doubts[str(row.get("device_id")), int(row.get("seq") or 0)].add(str(row.get("code")))
    seen: dict[tuple[str, str], int] = {}
    for file in (TAPS, FORKS):
        for line, row in bundle.rows(file):
            key = (row.get("device_id", ""), row.get("seq", ""))
            if file == TAPS and key in seen:
                what = f"{key[0]}/{key[1]}: another row of this number stands on line {seen[key]}"
                evidence.contents.append(Wrong(file, line, what))
            seen.setdefault(key, line)
            try:
                tap = _tap(evidence, (file, line), row, devices, beside)
            except (KeyError, ValueError, TypeError) as error:
                evidence.forms.append(Wrong(file, line, f"not a tap ({error})"))
                continue
            if tap is not None and file == TAPS:
                _keep(evidence, tap, row, devices, doubts)
    for index in sorted(beside.signed.keys() - beside.used):
        line = beside.signed[index][0]
        evidence.contents.append(Wrong(RECEIPTS, line, f"{index[0]}/{index[1]}: the signed tap it is about is missing"))


def _tap(
    evidence: Evidence,
    place: Place,
    row: Mapping[str, str],
    devices: Mapping[str, Device],
    beside: _Beside,
) -> Tap | None:
    file, line = place
    key = (row["device_id"], int(row["seq"]))
    claimed = parse_instant(row["tapped_at"])
    received = parse_instant(row["received_at"]) if row.get("received_at") else claimed
    plain: dict[str, Any] = {
        "device_id": key[0], "seq": key[1], "act": row["act"], "tag_uid": row["tag_uid"],
        "staff_id": row.get("staff_id", ""), "service": row.get("service") or None,
    }  # fmt: skip
    if row["act"] not in ("KOM", "GICK", "AUTO"):
        raise ValueError("act is none of KOM, GICK, AUTO")
    if not row.get("jws"):
        evidence.unsigned += 1
        noted = beside.unsigned.get(key, {}) if row.get("sun") else {}
        doubts, level = tuple(sorted(noted.get("doubts") or ())), noted.get("tag_level", "uid")
        return Tap(**plain, at=claimed, received_at=received, doubts=doubts, tag_level=level)
    evidence.signed += 1
    item = statement(evidence, file, line, row, devices)
    if item is None:
        return None
    if not isinstance(item.said, TapSaid):
        evidence.contents.append(Wrong(file, line, f"{key[0]}/{key[1]}: the document is no tap"))
        return None
    evidence.contents.extend(_differences(evidence, place, row, item.said))
    index = (*key, b64url(item.hash))
    if index not in beside.signed:
        what = f"{key[0]}/{key[1]}: {RECEIPTS} has no line that says when it was received"
        evidence.contents.append(Wrong(file, line, what))
        return None
    beside.used.add(index)
    at_line, noted = beside.signed[index]
    got = instant_of(noted.get("received_at"))
    if got is None or got != received:
        evidence.contents.append(Wrong(file, line, f"received_at is not that of {RECEIPTS}, line {at_line}"))
    said = item.said
    if (noted.get("boot"), noted.get("mono"), noted.get("grant_id")) != (said.boot, said.mono, said.grant or ""):
        evidence.contents.append(Wrong(RECEIPTS, at_line, f"{key[0]}/{key[1]}: its columns are not what was signed"))
    at = instant_of(noted.get("at")) or claimed
    if at != claimed and "clock_doubt" not in (noted.get("doubts") or ()):
        evidence.contents.append(Wrong(RECEIPTS, at_line, "another stamp than claimed, and no clock_doubt"))
    return Tap(
        **plain, at=at, received_at=got or received, grade=noted["grade"],
        doubts=tuple(sorted(set(noted.get("doubts") or ()))), tag_level=noted.get("tag_level", "uid"),
    )  # fmt: skip


def _differences(evidence: Evidence, place: Place, row: Mapping[str, str], said: TapSaid) -> Iterator[Wrong]:
    """Where a row says other than its signed document."""
    staff = said.staff or ""
    if said.staff is None and said.grant is not None:
        staff = str(evidence.grants.get(said.grant, {}).get("staff_id", row.get("staff_id", "")))
    pairs = (
        ("act", row.get("act"), said.act), ("tag_uid", row.get("tag_uid"), said.tag.uid),
        ("tapped_at", parse_instant(row["tapped_at"]), said.t), ("sun", row.get("sun") or "", said.tag.sun or ""),
        ("service", row.get("service") or None, said.service), ("staff_id", row.get("staff_id") or "", staff),
    )  # fmt: skip
    for column, written, signed in pairs:
        if written != signed:
            yield Wrong(*place, f"{said.dev}/{said.seq}: {column} is {written}, signed was {signed}")


def _keep(
    evidence: Evidence,
    tap: Tap,
    row: Mapping[str, str],
    devices: Mapping[str, Device],
    doubts: Mapping[tuple[str, int], set[str]],
) -> None:
    """THE tap of its number as the rules see it; what an unconfirmed device signed is no tap yet."""
    device = devices.get(tap.device_id)
    if row.get("jws") and device is not None and device.enrolled_at is None:
        evidence.quarantined += 1
        return
    if device is not None and device.revoked_at is not None and tap.received_at >= device.revoked_at:
        evidence.after_revocation += 1
    codes = doubts.get(tap.key)
    if codes:
        values = {name: getattr(tap, name) for name in Tap.__slots__}
        tap = Tap(**{**values, "grade": "D", "doubts": tuple(sorted({*tap.doubts, *codes}))})
    evidence.taps.append(tap)
