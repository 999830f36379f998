"""What a device's stored chain says about itself: forks, voids, open gaps, broken links, rejected input."""

from __future__ import annotations

from sqlalchemy import Connection, text

from app.evidence.rules.chain import ChainReport, device_findings
from app.facts import Finding

_FORKS = text(
    """
    SELECT f.seq, min(x.at) AS at FROM tap_forks f CROSS JOIN LATERAL (
        SELECT at FROM taps t WHERE t.device_id = f.device_id AND t.seq = f.seq
        UNION ALL SELECT received_at FROM voids v WHERE v.device_id = f.device_id AND v.seq = f.seq
        UNION ALL SELECT received_at FROM device_statements s WHERE s.device_id = f.device_id AND s.seq = f.seq
    ) x WHERE f.device_id = :device_id GROUP BY f.seq ORDER BY f.seq
    """
)
_VOIDS = text(
    "SELECT from_seq, to_seq, min(cause) AS cause, min(received_at) AS at FROM voids WHERE device_id = :device_id"
    " GROUP BY from_seq, to_seq ORDER BY from_seq, to_seq"
)
_GAPS = text(
    """
    WITH received AS (
        SELECT seq, seq AS last, at FROM taps WHERE device_id = :device_id
        UNION ALL SELECT seq, seq, received_at FROM device_statements WHERE device_id = :device_id
        UNION ALL SELECT seq, seq, received_at FROM rejected_seqs WHERE device_id = :device_id
        UNION ALL SELECT seq, seq, received_at FROM voids WHERE device_id = :device_id
        UNION ALL SELECT from_seq, to_seq, received_at FROM voids WHERE device_id = :device_id
    ), tail AS (
        SELECT seq + 1 AS seq, seq + 1 AS last, received_at AS at FROM claimed_heads WHERE device_id = :device_id
        ORDER BY claimed_heads.seq DESC, received_at LIMIT 1
    ), stepped AS (
        SELECT seq, at, coalesce(
            max(last) OVER (ORDER BY seq, last ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS before
        FROM (
            SELECT * FROM received
            UNION ALL SELECT * FROM tail WHERE seq > (SELECT coalesce(max(last), 0) FROM received)
        ) AS every
    )
    SELECT before + 1 AS first, seq - 1 AS last, at FROM stepped WHERE seq > before + 1 ORDER BY seq
    """
)
_BREAKS = text(
    """
    WITH said AS (
        SELECT device_id, seq - 1 AS seq, prev AS hash, at, true AS wrong_without FROM chain_notes
            WHERE device_id = :device_id
        UNION ALL SELECT device_id, seq, hash, claimed_at, false FROM claimed_heads WHERE device_id = :device_id
    )
    SELECT n.seq + 1 AS seq, min(n.at) AS at FROM said n CROSS JOIN LATERAL (
        SELECT bool_or(x.hash = n.hash) AS fits FROM (
            SELECT hash FROM taps t WHERE t.device_id = n.device_id AND t.seq = n.seq
            UNION ALL SELECT hash FROM voids v WHERE v.device_id = n.device_id AND v.seq = n.seq
            UNION ALL SELECT hash FROM device_statements s WHERE s.device_id = n.device_id AND s.seq = n.seq
        ) x
    ) c WHERE NOT coalesce(c.fits, NOT n.wrong_without) GROUP BY n.seq ORDER BY n.seq
    """
)
_REJECTED = text(
    """
    SELECT j.seq, j.received_at AS at FROM rejected_seqs j WHERE j.device_id = :device_id AND NOT EXISTS (
        SELECT FROM taps t WHERE t.device_id = j.device_id AND t.seq = j.seq
        UNION ALL SELECT FROM voids v WHERE v.device_id = j.device_id AND v.seq = j.seq
        UNION ALL SELECT FROM device_statements s WHERE s.device_id = j.device_id AND s.seq = j.seq
    ) ORDER BY j.seq
    """
)
_PROVIDERS = text("SELECT coalesce(provider_id, '') FROM devices WHERE device_id = :device_id")
_SIGNING = text("SELECT DISTINCT device_id FROM heads ORDER BY device_id")


def chain_report(connection: Connection, device_id: str) -> ChainReport:
    """What is odd in a device's chain as stored now. Its tail is open while any of its heads claims more than came."""
    values = {"device_id": device_id}
    return ChainReport(
        device_id=device_id,
        provider_id=str(connection.execute(_PROVIDERS, values).scalar() or ""),
        forks=tuple((row.seq, row.at) for row in connection.execute(_FORKS, values)),
        voids=tuple((row.from_seq, row.to_seq, row.cause, row.at) for row in connection.execute(_VOIDS, values)),
        gaps=tuple((row.first, row.last, row.at) for row in connection.execute(_GAPS, values)),
        breaks=tuple((row.seq, row.at) for row in connection.execute(_BREAKS, values)),
        rejected=tuple((row.seq, row.at) for row in connection.execute(_REJECTED, values)),
    )


def findings_of_device(connection: Connection, device_id: str) -> tuple[Finding, ...]:
    """The findings about a device's chain (`chain.device_findings`); step `device` of the derivation."""
    return device_findings(chain_report(connection, device_id))


def signing_devices(connection: Connection) -> list[str]:
    """Devices that ever sent a signed head: those that have a chain to report on."""
    return [row.device_id for row in connection.execute(_SIGNING)]
