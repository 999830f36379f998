"""The words of a device: payloads of statements and heads, member by member as EVIDENCE.md section 1 writes them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from device_agent import __version__
from device_agent.clock import Moment

Act = Literal["KOM", "GICK", "AUTO"]
VoidCause = Literal["storage_lost", "outbox_corrupt", "clock_only"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands in the device's chain: its own number, the hash before it, the last receipt seen."""

    dev: str
    seq: int
    prev: str
    ack: str | None


def envelope(place: Place, moment: Moment, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a statement. Members of the body that are None are left out."""
    return {
        "v": 1, "dev": place.dev, "seq": place.seq, "prev": place.prev,
        "t": moment.t, "boot": moment.boot, "mono": moment.mono, "ack": place.ack, "kind": kind,
    } | {name: value for name, value in body.items() if value is not None}  # fmt: skip


def void_body(from_seq: int, to_seq: int, cause: VoidCause) -> dict[str, Any]:
    """The numbers from_seq..to_seq (both included) can no longer be produced."""
    return {"from_seq": from_seq, "to_seq": to_seq, "cause": cause}


def head_payload(dev: str, head: tuple[int, str], moment: Moment) -> dict[str, Any]:
    """The head of an upload: authenticates it, is the heartbeat and clock sample, and shows a cut-off tail. head: seq
    and hash.
    """
    return {
        "dev": dev, "head_seq": head[0], "head_hash": head[1], "t": moment.t, "boot": moment.boot, "mono": moment.mono,
        "nonce": secrets.token_urlsafe(16), "agent_version": __version__,
    }  # fmt: skip
