"""The contact's share of a client's minutes: contact of kind `contact` (kontaktperson), valid on the visit's day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from app.insight.stays import Ints, Stays, different
from app.insight.windows import Window

_FOR_EVER = 10**9


@dataclass(frozen=True, slots=True)
class ContactPerson:
    """Who is a client's contact at a provider, as a person, from a local day to a local day (None: open)."""

    client_id: str
    provider_id: str
    person: str
    valid_from: date
    valid_to: date | None


def contact_minutes(
    stays: Stays, window: Window, contacts: Mapping[str, Sequence[ContactPerson]]
) -> dict[str, tuple[int, int]]:
    """client_id -> (minutes with the contact, all minutes), for clients with a contact on a day of the window."""
    present = different(stays.client).tolist()
    client_of = {stays.clients[index]: index for index in present}
    relevant = [
        contact
        for name in client_of
        for contact in contacts.get(name, ())
        if window.touches(contact.valid_from, contact.valid_to)
    ]
    named = sorted({client_of[contact.client_id] for contact in relevant if contact.client_id in client_of})
    if not named:
        return {}
    with_contact = stays.minutes * _is_contact(stays, window, relevant, client_of)
    total = np.bincount(stays.client, weights=stays.minutes, minlength=len(stays.clients)).astype(np.int64)
    part = np.bincount(stays.client, weights=with_contact, minlength=len(stays.clients)).astype(np.int64)
    return {stays.clients[index]: (int(part[index]), int(total[index])) for index in named}


def _is_contact(stays: Stays, window: Window, contacts: list[ContactPerson], client_of: dict[str, int]) -> Ints:
    """1 where the visit's person was the client's contact at that provider on that day."""
    provider_of = {name: index for index, name in enumerate(stays.providers)}
    person_of = {name: index for index, name in enumerate(stays.persons)}
    days = window.day_count + 1
    rows = sorted(
        (
            _key(stays, client_of[c.client_id], provider_of[c.provider_id], person_of[c.person]) * days
            + max((c.valid_from - window.from_on).days, 0),
            _FOR_EVER if c.valid_to is None else (c.valid_to - window.from_on).days,
        )
        for c in contacts
        if c.client_id in client_of and c.provider_id in provider_of and c.person in person_of
    )
    if not rows:
        return np.zeros(len(stays), dtype=np.int64)
    begins = np.array([row[0] for row in rows], dtype=np.int64)
    ends = np.array([row[1] for row in rows], dtype=np.int64)
    day = window.day_index(stays.start_us)
    key = (stays.client * len(stays.providers) + stays.provider) * len(stays.persons) + stays.person
    latest = np.searchsorted(begins, key * days + day, side="right") - 1
    found: Ints = ((latest >= 0) & (begins[latest] // days == key) & (day <= ends[latest])).astype(np.int64)
    return found


def _key(stays: Stays, client: int, provider: int, person: int) -> int:
    return (client * len(stays.providers) + provider) * len(stays.persons) + person
