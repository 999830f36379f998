"""What a device proved here, no list of devices takes back: its key, its confirmation, its revocation (EVIDENCE.md 1).

A register of elsewhere knows devices by name only, and an empty column means empty (CONTRACT.md section 2): brought in
as it is it would silence every reader and trust a stolen one again.
"""

from __future__ import annotations

from sqlalchemy import text

from app.registry.bundle.columns import File
from app.registry.bundle.staging import Run, stage_name


def keep_proved(run: Run, file: File) -> None:
    """Give staged devices with a stored key what is stored of it. Notes rows that name another key."""
    stage = stage_name(file)
    others = run.connection.execute(
        text(
            f"SELECT line, s.public_jwk FROM {stage} s JOIN devices d USING (device_id) WHERE d.public_jwk <> '' "  # noqa: S608 -- our own SQL
            "AND s.public_jwk NOT IN ('', d.public_jwk) ORDER BY line LIMIT :room"
        ),
        {"room": run.errors.room},
    )
    for row in others:
        expected = "the key that is stored: a new key is a new device, which `replaces` this one"
        run.errors.add(file.name, row.line, "public_jwk", row.public_jwk, expected)
    run.connection.execute(
        text(
            f"UPDATE {stage} s SET public_jwk = d.public_jwk, enrolled_at = d.enrolled_at, "  # noqa: S608 -- our own SQL
            "revoked_at = coalesce(d.revoked_at, s.revoked_at), "
            "replaces = coalesce(nullif(s.replaces, ''), d.replaces) "
            "FROM devices d WHERE d.device_id = s.device_id AND d.public_jwk <> ''"
        )
    )
