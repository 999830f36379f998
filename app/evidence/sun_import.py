"""The one check an imported tap without signature gets: its SUN value (CONTRACT.md section 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.evidence.device_tables import sun_reads, tap_doubts
from app.evidence.sun import SunInvalid, SunKeys, SunRead, check, counter_doubts
from app.evidence.tap_store import among
from app.registry.bundle.columns import TAPS_FILE
from app.registry.bundle.staging import Run, stage_name

SUN_COUNTERS = "stage_sun_counters"
SunCounter = Callable[[str, str], int | None]
"""(tag_uid, SUN value) to the tag's read counter, or None where the value is not that tag's."""


def counter_by(keys: Sequence[SunKeys]) -> SunCounter | None:
    """The check with these keys; None without keys."""
    if not keys:
        return None

    def counter_of(tag_uid: str, value: str) -> int | None:
        try:
            mirror = check(value, keys)
        except SunInvalid:
            return None
        return mirror.counter if mirror.uid.hex().upper() == tag_uid.upper().replace(":", "") else None

    return counter_of


def stage_sun_counters(run: Run, counter_of: SunCounter | None) -> None:
    """Check every staged SUN value into `stage_sun_counters`: NULL for one that does not hold. None: no keys here."""
    connection = run.connection
    connection.execute(text(f"DROP TABLE IF EXISTS {SUN_COUNTERS}"))
    connection.execute(text(f"CREATE TEMP TABLE {SUN_COUNTERS} (line int, counter bigint) ON COMMIT DROP"))
    if counter_of is None or TAPS_FILE.name not in run.staged:
        return
    stage = stage_name(TAPS_FILE)
    last = 0
    while True:  # in pages by line: a second result set cannot be streamed beside COPY on one connection
        rows = connection.execute(
            text(
                f"SELECT line, tag_uid, sun FROM {stage} WHERE sun <> '' AND jws = '' AND line > :last "  # noqa: S608 -- our own SQL
                "ORDER BY line LIMIT 20000"
            ),
            {"last": last},
        ).all()
        if not rows:
            return
        last = rows[-1].line
        found = [(row.line, counter_of(row.tag_uid, row.sun)) for row in rows]
        with run.raw.cursor() as cursor, cursor.copy(f"COPY {SUN_COUNTERS} FROM STDIN") as copy:
            for line, counter in found:
                copy.write_row((line, counter))


def store_sun_reads(run: Run) -> None:
    """Keep the verified readings of the taps just stored, and doubt what their counters contradict."""
    stage, connection = stage_name(TAPS_FILE), run.connection
    read = connection.execute(
        text(
            "INSERT INTO sun_reads (device_id, seq, provider_id, tag_uid, counter, at, timed) "  # noqa: S608 -- our own SQL
            "SELECT t.device_id, t.seq, t.provider_id, t.tag_uid, c.counter, t.at, true "
            f"FROM {SUN_COUNTERS} c JOIN {stage} s USING (line) JOIN taps t USING (device_id, seq) "
            "WHERE t.jws = '' AND c.counter IS NOT NULL ON CONFLICT DO NOTHING RETURNING tag_uid"
        )
    )
    tag_uids = sorted({row.tag_uid for row in read})
    if not tag_uids:
        return
    reads: dict[str, list[SunRead]] = defaultdict(list)
    owners: dict[tuple[str, int], str] = {}
    for row in connection.execute(select(sun_reads).where(among(sun_reads.c.tag_uid, tag_uids))):
        reads[row.tag_uid].append(SunRead(row.device_id, row.seq, row.tag_uid, row.counter, row.at, row.timed))
        owners[row.device_id, row.seq] = row.provider_id
    doubts = [
        {"device_id": key[0], "seq": key[1], "code": code, "provider_id": owners[key]}
        for of_tag in reads.values()
        for key, codes in sorted(counter_doubts(of_tag).items())
        for code in sorted(codes)
    ]
    if doubts:
        connection.execute(insert(tap_doubts).on_conflict_do_nothing(), doubts)
