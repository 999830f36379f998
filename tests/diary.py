"""The diary language of the tests (ARCHITECTURE.md section 2): a story in lines, times local.

    2026-01-05 08:00 KOM  anna  bo      # comment
    2026-01-05 08:15:40 GICK anna bo device=d2 seq=7 service=meal grade=B received=2026-01-05T09:00

Acts: KOM, GICK, AUTO, with staff and client. Unknown names are created: staff at provider P1 (unit P1-unit), clients
with a tag `tag-<client>`, each staff member with a phone `phone-<staff>`. A tap at `tag:<uid>` names a tag instead of
a client. Times that occur twice take `fold=1` for the second.

Registry lines (before or after their use):

    staff   anna provider=P2 unit=U2 person=annika from=2026-01-01 to=2026-06-30 role=trainee
    client  bo site=house
    tag     T1 bo,cia from=2026-01-01T00:00 to=2026-02-01T00:00     # several clients: a household
    order   bo P1 2026-01-01..2026-06-30 600/month max_staff=2      # or 20/day; open end: 2026-01-01..
    service o1 shopping proof=none                                  # order_id, care service
    device  d1 provider=P2 revoked=2026-01-05T12:00
    provider P1 minimum=sun since=2026-02-01
    absence bo hospital 2026-01-05..2026-01-09
    refuses bo 2026-01-01..
    outage  P1 2026-01-05T08:00..2026-01-05T12:00                   # `all` = every provider
    policy  household_split ordered [from=2026-01-01]

Statement lines:

    plan    p1 bo anna 2026-01-05T08:00..09:00 service=meal staff_count=2 provider=P1 withdrawn=2026-01-04T10:00
    decline x1 bo 2026-01-05T08:00..09:00 at_door noticed=2026-01-05T08:05 staff_count=2 made_up=30@2026-01-06
    manual  m1 bo anna 2026-01-05T08:00..09:00 forgot_both by=anna ok=chef service=care care_service=shopping
    correct c1 phone-anna/1 start=2026-01-05T08:00 end=2026-01-05T09:00 by=anna ok=chef made=2026-01-06T10:00
    correct c2 phone-anna/1 cancel | staff=bea | client=cia         # m1 instead of device/seq: a manual visit
    correct c3 device=phone-anna staff=bea 2026-01-05T07:10..2026-01-05T11:40
    dispute q1 bo 2026-01-05 open
    resolve <finding_id>

A missing end is written as nothing: `2026-01-05T08:00..` or `..2026-01-05T09:00`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.facts import Directory, Finding, RegistryRows, Visit
from app.policies import PolicyBook
from app.visits.rules.derive import Derivation, DerivationInput, derive
from tests.diary_reader import Reader, moment

__all__ = ["Diary", "codes", "derived", "minutes", "moment", "only", "read", "visit_of"]


@dataclass
class Diary:
    """A parsed story: statements, registry and policies, and what follows from them."""

    statements: DerivationInput
    registry: RegistryRows
    book: PolicyBook

    @property
    def directory(self) -> Directory:
        return Directory(self.registry)

    def derive(self) -> Derivation:
        """What follows from the story."""
        return derive(self.statements, self.directory, self.book)


def read(text: str) -> Diary:
    """The story of a diary text."""
    reader = Reader()
    for line in text.splitlines():
        reader.read(line)
    return Diary(*reader.story())


def derived(text: str) -> Derivation:
    """What follows from a diary text."""
    return read(text).derive()


def minutes(derivation: Derivation) -> list[int]:
    """The minutes of all visits in order of time."""
    return [visit.minutes for visit in derivation.visits]


def codes(derivation: Derivation) -> list[str]:
    """The codes of all findings, sorted."""
    return sorted(finding.code for finding in derivation.findings)


def only(derivation: Derivation, code: str) -> Finding:
    """The one finding of that code."""
    found = [finding for finding in derivation.findings if finding.code == code]
    assert len(found) == 1, f"{len(found)} findings {code} among {codes(derivation)}"
    return found[0]


def visit_of(derivation: Derivation, staff_id: str, client_id: str, nth: int = 0) -> Visit:
    """The nth visit of a staff member at a client."""
    return [v for v in derivation.visits if v.staff_id == staff_id and v.client_id == client_id][nth]
