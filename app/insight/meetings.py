"""Meetings: what a client experiences as one time somebody was there (DOMAIN.md 6).

The connected groups of overlapping visits of one client that start in the period (and hours). Two visits overlap when
they share more than an instant; a visit with one tap is a point and belongs to the visit it lies in, also at that
visit's start. The visits are chosen first (period, hours), the groups made of the chosen ones: so every visit counts in
exactly one month.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.insight.stays import Ints, Stays, different


@dataclass(frozen=True, slots=True)
class Meetings:
    """Meetings as columns, in order of (client, start); `client` and `start_us` have one entry per meeting.

    `met_meeting`, `met_person` are the person-meetings: each person once per meeting, in order of meeting, person.
    """

    client: Ints
    start_us: Ints
    met_meeting: Ints
    met_person: Ints

    def __len__(self) -> int:
        return len(self.client)

    @property
    def met_client(self) -> Ints:
        """The client of each person-meeting."""
        return self.client[self.met_meeting]


def meetings_of(stays: Stays) -> Meetings:
    """The meetings among these visits. Linear after one sort; no other visits are looked at."""
    if not len(stays):
        empty = np.zeros(0, dtype=np.int64)
        return Meetings(empty, empty, empty, empty)
    # a point is as long as the smallest unit of time: it lies in [start, end) and meets another point at its instant
    after_us = np.maximum(stays.end_us, stays.start_us + 1)
    order = np.lexsort((stays.start_us, stays.client))
    client, start_us = stays.client[order], stays.start_us[order]
    latest_us = latest_so_far(client, after_us[order])
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (client[1:] != client[:-1]) | (start_us[1:] >= latest_us[:-1])
    meeting = np.cumsum(new) - 1
    people = int(stays.person.max()) + 1
    met = different(meeting * people + stays.person[order])
    return Meetings(client[new], start_us[new], met // people, met % people)


def latest_so_far(client: Ints, after_us: Ints) -> Ints:
    """The latest end among a client's visits up to each one (rows in order of client)."""
    # One running maximum over all clients: each client's ends are lifted above those of every client before.
    low = int(after_us.min())
    span = int(after_us.max()) - low + 1
    rank = np.zeros(len(client), dtype=np.int64)
    rank[1:] = np.cumsum(client[1:] != client[:-1])
    if span > (2**62) // (int(rank[-1]) + 1):  # stamps centuries apart: lifting would overflow, go client by client
        latest = after_us.copy()
        for border in np.split(np.arange(len(client)), np.flatnonzero(np.diff(rank)) + 1):
            latest[border] = np.maximum.accumulate(after_us[border])
        return latest
    lifted: Ints = np.maximum.accumulate(after_us - low + rank * span)
    return lifted - rank * span + low
