"""What people state through the doors: stored as the caller, with the log of it, and what follows queued, at once.

One transaction: statement, audit event, queue of consequences. It is committed before anything is derived, and derived
before the door answers, so that the answer shows what the statement led to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.access.logs import Asked, note_change
from app.access.principals import Principal, caller_of
from app.db.engine import Database
from app.evidence.stated import KINDS, load_by_id
from app.evidence.store import Stored, append
from app.facts import Attest, Correction, ManualVisit, PlannedVisit, Resolution
from app.pipeline_derive import catch_up
from app.refusals import Conflict, Refused
from app.visits import queue
from app.visits.stated import Statement, changes_of_statement

Confirmable = ManualVisit | Correction


class SamePerson(Refused):
    """Maker and confirmer are never the same person."""

    code = "same_person"


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who states something, in which request."""

    principal: Principal
    asked: Asked = field(default_factory=Asked)

    @property
    def names(self) -> frozenset[str]:
        """Every id under which a statement may name this person."""
        who = self.principal
        return frozenset(one for one in (who.id, who.staff_id, who.person_key) if one)


@dataclass(frozen=True, slots=True)
class Saying:
    """Statements of one kind to store. `provider_id`: whose, where the statements do not say themselves."""

    action: str
    facts: Sequence[Statement]
    provider_id: str = ""


Prepare = Callable[[Connection], Iterable[Saying]]


def state(database: Database, speaker: Speaker, prepare: Prepare, now: datetime) -> list[Stored]:
    """Store what `prepare` makes of what the caller may see, note it, and derive what follows.

    `prepare` runs in the same transaction, and refuses by raising. Stored counts per saying.
    """
    with database.transaction(caller_of(speaker.principal)) as connection:
        stored = [_say(connection, speaker, saying, now) for saying in prepare(connection)]
    catch_up(database, now)
    return stored


def withdraw_plan(database: Database, speaker: Speaker, plan: PlannedVisit, now: datetime) -> None:
    """The planner takes a visit back; it stays, withdrawn."""
    state(database, speaker, lambda _: [Saying("plan.withdraw", [replace(plan, withdrawn_at=now)])], now)


def confirm(database: Database, speaker: Speaker, said: Confirmable, provider_id: str, now: datetime) -> None:
    """A second person confirms. SamePerson; Conflict when somebody has confirmed already."""
    if said.made_by in speaker.names:
        raise SamePerson
    if said.approved_by and said.approved_by != speaker.principal.id:
        raise Conflict
    kind = "manual_visit" if isinstance(said, ManualVisit) else "correction"
    confirmed = replace(said, approved_by=speaker.principal.id)
    state(database, speaker, lambda _: [Saying(f"{kind}.approve", [confirmed], provider_id)], now)


def resolve_finding(
    database: Database, speaker: Speaker, resolution: Resolution, provider_id: str, now: datetime
) -> None:
    """A person has dealt with a finding; what it held is judged again."""
    state(database, speaker, lambda _: [Saying("finding.resolve", [resolution], provider_id)], now)


def _say(connection: Connection, speaker: Speaker, saying: Saying, now: datetime) -> Stored:
    before = _before(connection, saying.facts)
    stored = append(connection, saying.facts, now, provider_id=saying.provider_id)
    changes = [one for fact in (*before, *saying.facts) for one in changes_of_statement(connection, fact)]
    queue.enqueue(connection, changes)
    for fact in saying.facts:
        note_change(
            connection, speaker.principal, saying.action, _id_of(fact), now, request_id=speaker.asked.request_id
        )
    return stored


def _before(connection: Connection, facts: Sequence[Statement]) -> list[Any]:
    """What the same ids said before: what that touched is touched again."""
    kind = KINDS.get(type(facts[0])) if facts else None
    if kind is None:
        return []
    ids = {str(getattr(fact, kind.key)) for fact in facts}
    return [said.fact for said in load_by_id(connection, kind.fact, ids)]


def _id_of(fact: Any) -> str:
    if isinstance(fact, Attest):
        return f"{fact.provider_id} {fact.month}"
    kind = KINDS.get(type(fact))
    return str(getattr(fact, kind.key if kind else "finding_id"))
