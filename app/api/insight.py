"""GET /continuity/{measure}, GET /quality/{month}: what the visits show (CONTRACT.md 3, 4; DOMAIN.md 6).

A provider sees its own visits' figures, a commissioner those of the own district's clients, the city all. Quality is
about organisations: a commissioner sees the own district, and the providers and units that have orders in it, whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from app.access.principals import Principal, caller_of
from app.api.access import Access, access, reading
from app.api.paging import Answered, Word, csv_of, day_given, json_answer, listed, tagged, wants_csv
from app.core.month import Month
from app.db.engine import Database
from app.refusals import Invalid
from app.registry.store import load_policy_book
from app.registry.tables import orders

router = APIRouter(prefix="/api/v1", tags=["insight"])

_ROLES = frozenset({"manager", "commissioner", "city_controller", "auditor"})
_CONTINUITY = Access(_ROLES, tenant="district", reads="continuity")
_QUALITY = Access(_ROLES, tenant="district")


class TextsBody(Answered):
    """The same text in both languages."""

    sv: str
    en: str


class ExcludedBody(Answered):
    """A client who is left out, and why."""

    client_id: str
    why: str


class DataQualityBody(Answered):
    """What the figure rests on, of the included clients' counted visits; null where there is none."""

    visits: int
    manual_share: float | None
    corrected_share: float | None
    incomplete_share: float | None
    unknown_share: float | None
    unknown_taps: int


class ClientBody(Answered):
    """One included client; null where an index is undefined. `visits` counts meetings."""

    client_id: str
    distinct_staff: int
    visits: int
    upc: float | None
    coc_bice_boxerman: float | None
    hi: float | None
    secon: float | None
    k: float | None
    mmci: float | None
    visit_entropy_bits: float | None
    contact_share: float | None


class ContinuityBody(Answered):
    """A measure's answer: exact fractions as decimals with ten digits."""

    measure: str
    version: str
    variants: list[str]
    definition: TextsBody
    population: TextsBody
    from_on: str
    to_on: str
    official: bool
    mean: float | None
    median: float | None
    share_over_20_percent: float | None
    clients_included: int
    mean_upc: float | None
    mean_coc: float | None
    mean_hi: float | None
    mean_secon: float | None
    mean_k: float | None
    mean_mmci: float | None
    clients_excluded: list[ExcludedBody]
    data_quality: DataQualityBody
    per_client: list[ClientBody]


class QualityBody(Answered):
    """The figures of a month: definitions, and one row per group."""

    month: str
    minimum_staff: int
    minimum_clients: int
    definitions: dict[str, TextsBody]
    groups: list[dict[str, Any]]


@router.get("/continuity/{measure}", response_model=ContinuityBody, responses=listed(404))
def get_continuity(
    request: Request,
    principal: Annotated[Principal, access(_CONTINUITY)],
    measure: str,
    *,
    month: Annotated[str, Query(max_length=7, description="YYYY-MM; or `from`")] = "",
    from_: Annotated[str, Query(alias="from", max_length=10, description="First day of the period; or `month`")] = "",
    variant: Annotated[list[Word] | None, Query(description="A variant of the measure; repeatable")] = None,
) -> Response:
    """A measure over a month, or over the period that begins on a day, with its definition and who is left out."""
    from app.insight import continuity as rules  # noqa: PLC0415 -- numpy is loaded by the first who asks
    from app.insight.measure import compute  # noqa: PLC0415 -- likewise
    from app.insight.measures import measure_named  # noqa: PLC0415 -- likewise
    from app.insight.scope import Scope  # noqa: PLC0415 -- likewise
    from app.insight.store import DatabaseSource  # noqa: PLC0415 -- likewise

    measure_named(measure)
    when, first = _month_given(month) if month else None, day_given(from_) if from_ else None
    with reading(request, principal) as read:
        chosen = measure_named(measure, load_policy_book(read.connection))
        window = rules.window_for(chosen, when, first)
        variants = rules.chosen_variants(chosen, variant or (), window.from_on)
        found = rules.measured_object(
            compute(chosen, DatabaseSource(read.connection, Scope(principal)), window, variants)
        )
        read.saw(row["client_id"] for part in ("per_client", "clients_excluded") for row in found[part])
    if wants_csv(request):
        return _csv(request, found["per_client"], tuple(ClientBody.model_fields))
    return json_answer(request, found)


@router.get("/quality/{month}", response_model=QualityBody, responses=listed(404))
def get_quality(request: Request, principal: Annotated[Principal, access(_QUALITY)], month: str) -> Response:
    """Figures of quality of a month per unit, provider, operation and district; nothing about any person."""
    from app.insight.figures_store import load_quality  # noqa: PLC0415 -- numpy is loaded by the first who asks
    from app.insight.quality import quality_object  # noqa: PLC0415 -- likewise
    from app.insight.scope import Scope  # noqa: PLC0415 -- likewise

    when = _month_given(month)
    database: Database = request.app.state.database
    with database.transaction(caller_of(principal), read_only=True) as connection:
        whole = Principal(principal.kind, principal.id, provider_id=principal.provider_id)
        found = quality_object(load_quality(connection, when, Scope(whole)))
        if principal.district:
            found["groups"] = _of_district(connection, principal.district, found["groups"])
    if wants_csv(request):
        columns = tuple(name for name in (found["groups"] or [{}])[0])
        return _csv(request, found["groups"], columns)
    return json_answer(request, found)


def _of_district(connection: Connection, district: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups a district's commissioner looks at."""
    rows = connection.execute(
        select(orders.c.provider_id, orders.c.unit_id).where(orders.c.district == district).distinct()
    ).all()
    seen = {("district", district), *(("provider", row.provider_id) for row in rows)}
    seen |= {("unit", row.unit_id) for row in rows}
    return [
        group
        for group in groups
        if group["level"] in ("municipality", "operation") or (group["level"], group["id"]) in seen
    ]


def _csv(request: Request, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Response:
    plain_rows: list[Mapping[str, Any]] = [
        {name: repr(value) if isinstance(value, float) else value for name, value in row.items()} for row in rows
    ]
    return tagged(request, csv_of(plain_rows, columns).encode("utf-8"), "text/csv; charset=utf-8")


def _month_given(text: str) -> Month:
    """A month YYYY-MM. Invalid."""
    try:
        month = Month.parse(text)
    except ValueError as error:
        raise Invalid from error
    if not 1000 < month.year < 9999:
        raise Invalid
    return month
