"""Findings about a device's chain: gaps, forks, broken links (EVIDENCE.md section 1)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from app.evidence.oddities import chain_report
from app.evidence.rules.chain import device_findings
from app.evidence.tables import heads
from app.findings import store as finding_store
from app.findings.tables import findings


def derive_device(connection: Connection, device_id: str, now: datetime) -> None:
    """The findings of one device's chain as stored now replace those there were."""
    step = f"device:{device_id}"
    made = {finding.finding_id: finding for finding in device_findings(chain_report(connection, device_id))}
    stored = {finding.finding_id: finding for _, finding in finding_store.load(connection, findings.c.step == step)}
    finding_store.drop(connection, [finding_id for finding_id in stored if finding_id not in made])
    changed = [finding for finding_id, finding in made.items() if stored.get(finding_id) != finding]
    finding_store.put(connection, step, changed, now)


def rebuild_devices(connection: Connection, now: datetime) -> None:
    """The findings of every device that ever said something signed."""
    for device_id in connection.execute(select(heads.c.device_id).distinct().order_by(heads.c.device_id)).scalars():
        derive_device(connection, device_id, now)
