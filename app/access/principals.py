"""Who asks: one frozen value that a credential was exchanged for, and the roles there are (EVIDENCE.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.db.callers import Caller

Kind = Literal["person", "machine", "operator"]

PROVIDER_ROLES = frozenset({"carer", "scheduler", "manager", "provider_finance"})
CITY_ROLES = frozenset({"commissioner", "city_controller", "auditor"})
ROLES = PROVIDER_ROLES | CITY_ROLES | {"admin"}
SCOPES = frozenset({"billing", "scheduling", "registry", "study"})
SIGNED_IN = "signed_in"
NAMES = ROLES | SCOPES | {SIGNED_IN}
"""Everything that may stand in `Access.roles`: a person's role, `signed_in` for a person with no role in force (after a
recovery code), or a machine's scope."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `id` is a person_id (`u_`) or a machine_id (`m_`), for an operator the name given on the command line.

    A person acts in one `role` at a time, a machine within its `scopes`. `provider_id` is empty for the city's own.
    `unit_ids`: empty means all units of the provider. `district`: empty means all; only commissioners have one.
    `staff_id`: the employment chosen for the shift. `strong_at`: when both factors were last shown (step-up).
    """

    kind: Kind
    id: str
    role: str = ""
    scopes: frozenset[str] = frozenset()
    provider_id: str = ""
    unit_ids: frozenset[str] = frozenset()
    district: str = ""
    staff_id: str = ""
    person_key: str = ""
    session_id: str = ""
    strong_at: datetime | None = None
    break_glass: bool = False

    @property
    def roles(self) -> frozenset[str]:
        """What a route's declaration is compared with: the role in use, or the scopes."""
        if self.kind == "machine":
            return self.scopes
        return frozenset({self.role or SIGNED_IN})

    @property
    def of_provider(self) -> bool:
        """Whether this is one provider's own: it may see nothing of another's."""
        return bool(self.provider_id)


def caller_of(principal: Principal) -> Caller:
    """The database login that this principal's requests run as; never batch.

    ValueError for a provider role without provider, or a commissioner without district: an error of ours, a 500.
    """
    if principal.provider_id:
        return Caller.provider(principal.provider_id)
    if principal.kind == "operator":
        return Caller.city()
    if principal.role in PROVIDER_ROLES:
        raise ValueError(f"{principal.role} without a provider")
    if principal.role == "commissioner":
        if not principal.district:
            raise ValueError("a commissioner without a district")
        return Caller.city(principal.district)
    if principal.role in {"", "admin"} and not (principal.scopes or principal.break_glass):
        return Caller.auth()
    return Caller.city()
