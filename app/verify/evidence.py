"""What the devices signed: every signature, every row against its document, every chain, every receipt.

A gap or a fork that the server itself reports is no tampering (the findings seq_gap and seq_fork tell of it); what is
wrong here is what no honest export can hold: a signature that is none, a row that says other than its document, a
statement that a receipt confirms and that is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from app.facts import Device
from app.verify.bundle import Bundle
from app.verify.chains import chains_of
from app.verify.found import RECEIPTS, Evidence
from app.verify.signed import device_documents, receipts_of, server_documents
from app.verify.taps import taps_of

__all__ = ["Evidence", "read_evidence"]


def read_evidence(
    bundle: Bundle, devices: Mapping[str, Device], keys: tuple[ec.EllipticCurvePublicKey, ...], *, whole: bool
) -> Evidence:
    """Read and check taps.csv, forks.csv and receipts.jsonl. `keys` are the server's; `whole`: no single month."""
    evidence = Evidence()
    for line, row in bundle.objects(RECEIPTS):
        evidence.lines[str(row.get("table"))].append((line, row))
    server_documents(evidence, keys)
    device_documents(evidence, devices)
    taps_of(evidence, bundle, devices)
    chains_of(evidence, whole=whole)
    receipts_of(evidence, keys)
    return evidence
