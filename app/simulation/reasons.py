"""What people say when the month is over: reasons for excess with decisions, and disputes."""

from __future__ import annotations

from datetime import date, timedelta

from app.core.month import Month
from app.facts.statements import EXCESS_REASONS
from app.simulation.chance import stream
from app.simulation.clockwork import second_of, text_of
from app.simulation.residents import resident_of
from app.simulation.town import Town

Row = tuple[object, ...]
GIVEN = 0.85
"""Share of the excesses for which the provider gives a reason at all."""


def reason_rows(town: Town, month: Month, excess: dict[tuple[str, str], int]) -> list[Row]:
    """Rows of excess_reasons.csv for (client_id, provider_id) -> minutes above the ceiling."""
    rows = []
    for (client_id, provider_id), minutes in sorted(excess.items()):
        chance = stream(town.seed, "reason", client_id, provider_id, month)
        if chance.random() > GIVEN:
            continue
        asked = minutes if chance.random() < 0.8 else max(5, minutes // 2)
        reason = EXCESS_REASONS[int(chance.random() * len(EXCESS_REASONS))]
        late = chance.random() < 0.02
        submitted = month.next.next.first_on if late else month.last_on + timedelta(days=int(chance.random() * 9) - 3)
        rows.append((
            f"B{month}.{client_id}.{provider_id}", client_id, provider_id, str(month), asked, reason,
            "Beskrivs i journalen" if reason == "other" else "", submitted,
            *_decision(chance.random(), asked, submitted + timedelta(days=2 + int(chance.random() * 9))),
        ))  # fmt: skip
    return rows


def _decision(luck: float, asked: int, decided_on: date) -> Row:
    """(decision, approved_minutes, decided_on, decided_by, decision_note)."""
    if luck < 0.25:
        return "pending", "", "", "", ""
    if luck < 0.65:
        return "approved", "", decided_on, "handlaggare-2", ""
    if luck < 0.82:
        return "approved", max(1, asked // 2), decided_on, "handlaggare-1", "Hälften ryms i det ändrade behovet"
    return "rejected", "", decided_on, "handlaggare-1", "Behovet fanns redan när beslutet fattades"


def dispute_rows(town: Town, month: Month) -> list[Row]:
    """Rows of disputes.csv: about one client in four hundred, at least one."""
    chance = stream(town.seed, "dispute", month)
    rows: list[Row] = []
    for number in range(max(1, town.clients // 400)):
        resident = resident_of(town, int(chance.random() * town.clients), month)
        first, last = max(month.first_on, resident.from_on), min(month.last_on, resident.to_on)
        on = first + timedelta(days=int(chance.random() * ((last - first).days + 1)))
        state = ("open", "withdrawn", "rejected", "upheld")[(number + month.number) % 4]
        stated = text_of(second_of(on + timedelta(days=1), 600 + int(chance.random() * 300)))
        by = "anhörig" if chance.random() < 0.6 else "brukaren"
        rows.append((f"T{month}.{number + 1}", resident.client_id, on, stated, by, "Ingen kom på kvällen", state))
    return rows
