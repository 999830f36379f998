"""Reasons for excess that come without an id get one that the same row gets again (CONTRACT.md section 2)."""

from __future__ import annotations

from sqlalchemy import text

from app.registry.bundle.columns import File
from app.registry.bundle.staging import Run, stage_name


def name_reasons(run: Run, file: File) -> None:
    """Fill empty reason_ids: a hash of client, provider, month, submitted_on, minutes, reason and occurrence.

    The occurrence counts equal rows of one file from 0, so that two equal reasons stay two.
    """
    stage = stage_name(file)
    what = "client_id, provider_id, month, submitted_on, minutes, reason"
    run.connection.execute(
        text(
            f"UPDATE {stage} u SET reason_id = left(encode(sha256(convert_to(concat_ws(E'\\x1f', {what}, "  # noqa: S608 -- our own SQL
            f"(SELECT occurrence FROM (SELECT line, row_number() OVER (PARTITION BY {what} ORDER BY line) - 1 "
            f"AS occurrence FROM {stage} WHERE reason_id = '') o WHERE o.line = u.line)), 'UTF8')), 'hex'), 16) "
            "WHERE reason_id = ''"
        )
    )
