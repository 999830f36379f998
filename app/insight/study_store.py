"""What a study asks the database: rows of the chosen tables, month by month. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, and_, func, select

from app.core.month import Month
from app.evidence.store import is_current
from app.evidence.tables import planned_visits
from app.facts import Employment
from app.insight.continuity import measured_object
from app.insight.figures_store import load_employments
from app.insight.measure import compute
from app.insight.measures import measure_named
from app.insight.store import DatabaseSource, load_districts, load_operations
from app.insight.study import Register, Variable
from app.insight.study_keys import Pseudonym
from app.insight.windows import Window
from app.months.tables import month_accounts
from app.registry.tables import clients
from app.visits.tables import visits

_AT_ONCE = 20_000


@dataclass(slots=True)
class StudyRows:
    """The rows of a study's tables; `seen` and `left_out` fill as they are read."""

    connection: Connection
    pseudonym: Pseudonym
    months: Sequence[Month]
    seen: set[str] = field(default_factory=set)
    """Clients whose data were read into it."""
    left_out: set[str] = field(default_factory=set)
    """Clients with protected identity."""

    def rows(self, table: str, variables: Sequence[Variable]) -> Iterator[dict[str, Any]]:
        """The table's rows, every month's, with the chosen variables."""
        hidden = self._protected()
        for register in self._registers():
            for row in _READERS[table](self.connection, register.month, self._seed()):
                client_id = row["client_id"]
                if client_id in hidden:
                    self.left_out.add(client_id)
                    continue
                self.seen.add(client_id)
                yield {variable.column.name: variable.of(row, register) for variable in variables}

    def _seed(self) -> int:
        """Mixes the rows, the same way in every delivery: their order tells neither ids nor times."""
        return int(self.pseudonym("order", "rows")[:15], 16)

    def _protected(self) -> frozenset[str]:
        return frozenset(
            self.connection.execute(select(clients.c.client_id).where(clients.c.protected_identity)).scalars()
        )

    def _registers(self) -> Iterator[Register]:
        people = self.connection.execute(
            select(clients.c.client_id, clients.c.birth_date, clients.c.target_group)
        ).all()
        employments: dict[str, list[Employment]] = defaultdict(list)
        for row in sorted(load_employments(self.connection), key=lambda row: row.valid_from):
            employments[row.staff_id].append(row)
        for month in self.months:
            yield Register(
                self.pseudonym,
                month,
                born={row.client_id: row.birth_date for row in people},
                target_groups={row.client_id: row.target_group for row in people},
                districts=load_districts(self.connection, Window.of_month(month)),
                operations=load_operations(self.connection),
                employments=employments,
            )


def _visits(connection: Connection, month: Month, seed: int) -> Iterable[Any]:
    plan = and_(
        planned_visits.c.planned_id == visits.c.planned_id,
        planned_visits.c.provider_id == visits.c.provider_id,
        visits.c.planned_id != "",
        is_current(planned_visits),
    )
    query = (
        select(
            visits, planned_visits.c.start_at.label("planned_start_at"), planned_visits.c.end_at.label("planned_end_at")
        )
        .join_from(visits, planned_visits, plan, isouter=True)
        .where(visits.c.month_on == month.first_on, visits.c.status != "cancelled")
        .order_by(func.hashtextextended(visits.c.visit_id, seed), visits.c.visit_id)
        .execution_options(yield_per=_AT_ONCE)
    )
    return connection.execute(query).mappings()


def _accounts(connection: Connection, month: Month, seed: int) -> Iterable[Any]:
    query = (
        select(month_accounts)
        .where(
            month_accounts.c.month_on == month.first_on,
            month_accounts.c.superseded_at.is_(None),
            month_accounts.c.gone == 0,
        )
        .order_by(func.hashtextextended(month_accounts.c.client_id, seed), month_accounts.c.provider_id)
    )
    return connection.execute(query).mappings()


def _continuity(connection: Connection, month: Month, seed: int) -> Iterable[Any]:
    measured = compute(measure_named("stockholm_month"), DatabaseSource(connection), Window.of_month(month))
    rows: list[dict[str, Any]] = measured_object(measured)["per_client"]
    return sorted(rows, key=lambda row: sha256(f"{seed} {row['client_id']}".encode()).digest())


_READERS = {"visits": _visits, "accounts": _accounts, "continuity": _continuity}
