"""Stage C of the derivation for what changed: the clusters of a client's events that a change reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from app.core.ids import finding_id
from app.evidence import store as evidence
from app.evidence.store import Wanted
from app.facts import Directory, Finding, Visit
from app.policies import PolicyBook
from app.registry.store import DirectoryReader
from app.visits.draft import Draft
from app.visits.rules.clients import ClientEvents, settle_client
from app.visits.rules.clusters import Cluster, clusters
from app.visits.stretch import BEGINNING, END, Span, merged

FIRST_LOOK = timedelta(hours=26)
_NEARBY = timedelta(days=3)
"""Plans and declines are looked for by their start; they last hours, not days."""


def settle_clients(
    draft: Draft, spans: Mapping[str, Sequence[Span]], book: PolicyBook, registry: DirectoryReader
) -> None:
    """Class, plan, decline, status and the findings at the client, for every cluster that a span reaches."""
    wanted = {client_id: merged(its, FIRST_LOOK) for client_id, its in spans.items() if client_id}
    margin = FIRST_LOOK
    directory = registry.load(clients=wanted) if wanted else None
    while wanted and directory is not None:
        looks = {client_id: [span.wider(margin) for span in its] for client_id, its in wanted.items()}
        whole = _events(draft, looks)
        later: dict[str, list[Span]] = {}
        ready: dict[str, list[Cluster]] = {}
        for client_id, its in wanted.items():
            reached = _reached(clusters(whole[client_id], book), its)
            if any(not _contains(looks[client_id], cluster) for cluster in reached):
                later[client_id] = its
            else:
                ready[client_id] = reached
        _load_step(draft, ready, wanted)
        for client_id, reached in ready.items():
            _settle(draft, client_id, reached, wanted[client_id], (directory, book))
        wanted, margin = later, margin * 4


def _events(draft: Draft, looks: Mapping[str, Sequence[Span]]) -> dict[str, ClientEvents]:
    """What is known of each client in its windows, the draft's own visits included."""
    draft.load_stretches("client_id", [(key, span.from_at, span.to_at) for key, its in looks.items() for span in its])
    from_at = min(span.from_at for its in looks.values() for span in its)
    to_at = max(span.to_at for its in looks.values() for span in its)
    around = Span(from_at, to_at).wider(_NEARBY)
    said = Wanted(
        clients=looks.keys(),
        from_at=None if around.from_at == BEGINNING else around.from_at,
        to_at=None if around.to_at == END else around.to_at,
    )
    plans = evidence.load_planned_visits(draft.connection, said)
    declines = evidence.load_declines(draft.connection, said)
    disputes = evidence.load_disputes(draft.connection, looks.keys())
    return {
        client_id: ClientEvents(
            tuple(visit for visit in draft.of("client", client_id) if _inside(visit, its)),
            tuple(plan for plan in plans if plan.client_id == client_id),
            tuple(decline for decline in declines if decline.client_id == client_id),
            tuple(dispute for dispute in disputes if dispute.client_id == client_id),
        )
        for client_id, its in looks.items()
    }


def _inside(visit: Visit, spans: Sequence[Span]) -> bool:
    start, end = visit.start_at or visit.at, visit.end_at or visit.at
    return any(start <= span.to_at and max(start, end) >= span.from_at for span in spans)


def _reached(found: Sequence[Cluster], spans: Sequence[Span]) -> list[Cluster]:
    return [one for one in found if any(one.from_at <= span.to_at and one.to_at >= span.from_at for span in spans)]


def _contains(looks: Sequence[Span], cluster: Cluster) -> bool:
    return any(look.from_at <= cluster.from_at and cluster.to_at <= look.to_at for look in looks)


def _named(reached: Sequence[Cluster]) -> set[str]:
    """Ids of the findings that plans and declines themselves may have."""
    return {
        *(finding_id("visit_missed", plan.planned_id) for one in reached for plan in one.events.plans),
        *(finding_id("notice_contradicted", row.decline_id) for one in reached for row in one.events.declines),
    }


def _load_step(draft: Draft, ready: Mapping[str, Sequence[Cluster]], spans: Mapping[str, Sequence[Span]]) -> None:
    """What the step has said before of all these clients, read at once."""
    draft.load_client_step(
        [(client_id, span) for client_id in ready for span in spans[client_id]],
        [row.decline_id for reached in ready.values() for one in reached for row in one.events.declines],
        {one for reached in ready.values() for one in _named(reached)},
    )


def _settle(
    draft: Draft,
    client_id: str,
    reached: Sequence[Cluster],
    spans: Sequence[Span],
    context: tuple[Directory, PolicyBook],
) -> None:
    """Settle the clusters, and let the result replace what was known of them."""
    directory, book = context
    named = _named(reached)
    old = {
        one.finding_id
        for one in draft.findings_of("client", client_id, "client")
        if (one.visit_id and one.visit_id not in draft.visits)
        or (not one.visit_id and any(span.from_at <= one.at <= span.to_at for span in spans))
    }
    gone = {
        key
        for key, outcome in draft.outcomes.items()
        if outcome.client_id == client_id
        and any(span.from_at <= outcome.planned_start_at <= span.to_at for span in spans)
    }
    made: list[Finding] = []
    for cluster in reached:
        events = cluster.events
        settled = settle_client(events, directory, book)
        for visit in settled.visits:
            draft.put(visit)
        old.update(draft.findings_of_visits(visit.visit_id for visit in events.visits))
        gone.update((one.provider_id, one.decline_id) for one in events.declines)
        made.extend(settled.findings)
        draft.put_outcomes(settled.outcomes)
        gone -= {(one.provider_id, one.decline_id) for one in settled.outcomes}
    draft.replace_findings("client", old | named, made)
    draft.drop_outcomes(gone)
