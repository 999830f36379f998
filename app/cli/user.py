"""`komgick user ...`: the first admin, people and their roles, machines."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.machine import machine
from app.cli.output import Format, emit, emit_object
from app.core.clock import utc_now

if TYPE_CHECKING:
    from app.access.people import Invited

user = typer.Typer(add_completion=False, no_args_is_help=True, help="People, roles, machines, the first admin.")
user.add_typer(machine, name="machine")

_OWN_MACHINE = "http://localhost:8000"
"""Where `komgick serve` is found by who tries it out; elsewhere KOMGICK_PUBLIC_URL says it."""

EndOption = Annotated[str, typer.Option("--to", metavar="DATE", help="The role's last day.")]
ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the record.")]


@user.command("add-admin")
def add_admin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")],
    another: Annotated[bool, typer.Option("--another", help="There is an admin already; add one more.")] = False,
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Invite the first admin: prints a one-use link (72 hours). There is no default account."""
    from app.pipeline_access import operator, people  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may

    with opened(data) as database:
        invited = people.add_first_admin(database, name, operator(by), utc_now(), more=another)
        _show(invited, database.settings.public_url, fmt)


@user.command()
def invite(  # noqa: PLR0917 -- typer calls it by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person's name.")],
    role: Annotated[str, typer.Option("--role", help="carer, scheduler, manager, provider_finance, commissioner, ...")],
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="Where a provider role holds.")] = "",
    unit: Annotated[list[str] | None, typer.Option("--unit", help="Only these units; repeatable.")] = None,
    district: Annotated[str, typer.Option("--district", help="Where a commissioner's role holds.")] = "",
    to: EndOption = "",
    person_key: Annotated[str, typer.Option("--person-key", help="Her key in the staff registers.")] = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Invite a person with a first role: prints a one-use link (72 hours)."""
    from app.access.people import NewRole  # noqa: PLC0415 -- as above
    from app.core.localtime import local_date  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator, people  # noqa: PLC0415 -- as above

    now = utc_now()
    last = date.fromisoformat(to) if to else None
    wanted = NewRole(role, local_date(now), last, provider, tuple(unit or ()), district)
    with opened(data) as database:
        invited = people.invite_person(database, people.NewPerson(name, wanted, person_key), operator(by), now)
        _show(invited, database.settings.public_url, fmt)


@user.command("invite-again")
def invite_again(
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="The person's id (u_...).")],
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """All factors were lost: a new one-use token."""
    from app.pipeline_access import operator, people  # noqa: PLC0415 -- as above

    with opened(data) as database:
        _show(people.invite_again(database, person_id, operator(by), utc_now()), database.settings.public_url, fmt)


@user.command()
def end(
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="The person's id (u_...).")],
    by: ByOption = "",
    data: DataOption = None,
) -> None:
    """The person signs in no more; her sessions end now."""
    from app.pipeline_access import operator, people  # noqa: PLC0415 -- as above

    with opened(data) as database:
        people.end_person(database, person_id, operator(by), utc_now())
    sys.stderr.write(f"{person_id} has ended\n")


@user.command("list")
def list_all(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Every person with her roles."""
    from app.access.people import list_people  # noqa: PLC0415 -- as above
    from app.db.callers import Caller  # noqa: PLC0415 -- as above

    with opened(data) as database, database.transaction(Caller.auth(), read_only=True) as connection:
        rows = list_people(connection, limit=1_000_000)
    for row in rows:
        row["roles"] = [
            " ".join(filter(None, (one["role"], one["provider_id"], one["district"])))
            for one in row["roles"]
            if one["ended_at"] is None
        ]
    emit(rows, fmt, ("person_id", "name", "person_key", "roles", "created_at", "ended_at"))


@user.command()
def review(
    month: Annotated[str, typer.Argument(metavar="M", help="The month, YYYY-MM.")],
    sample: Annotated[int, typer.Option("--sample", min=1, max=1000, help="How many readings.")] = 20,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """A month's sample of who read whose data, for a person to look at; all readings under break-glass."""
    from app.access.log_lines import glass_reasons  # noqa: PLC0415 -- as above
    from app.access.retention import review_sample  # noqa: PLC0415 -- as above
    from app.core.month import Month  # noqa: PLC0415 -- as above
    from app.db.callers import Caller  # noqa: PLC0415 -- as above

    with opened(data) as database, database.transaction(Caller.batch(), read_only=True) as connection:
        rows = review_sample(connection, Month.parse(month), sample)
        glass_reasons(connection, rows)
    emit(rows, fmt, ("at", "actor", "role", "provider_id", "district", "what", "route", "count", "subjects",
                     "break_glass", "reason"))  # fmt: skip


@user.command()
def log(
    kind: Annotated[str, typer.Argument(metavar="LOG", help="changes or readings")],
    after: Annotated[int, typer.Option("--after", min=0, help="Only what has a higher id than this.")] = 0,
    data: DataOption = None,
) -> None:
    """Who changed what, or who read whose data: one JSON object a line, for a log system.

    What is younger than five minutes waits for the next call."""
    from app.access.log_lines import read_lines  # noqa: PLC0415 -- as above
    from app.db.callers import Caller  # noqa: PLC0415 -- as above

    if kind not in ("changes", "readings"):
        raise typer.BadParameter("changes or readings", param_hint="LOG")
    which: Literal["changes", "readings"] = "changes" if kind == "changes" else "readings"
    with opened(data) as database, database.transaction(Caller.batch(), read_only=True) as connection:
        for row in read_lines(connection, which, after, utc_now()):
            emit_object(row, Format.JSON)


@user.command("retention")
def keep_no_longer(
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it only counts are shown.")] = False,
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """What logs, sessions and tokens are over their time: a dry run, unless --delete."""
    from app.pipeline_access import operator, people  # noqa: PLC0415 -- as above

    with opened(data) as database:
        rows = people.keep_no_longer(database, operator(by), utc_now(), delete_them=delete)
    emit(rows, fmt, ("table", "rows", "deleted", "why"))


def _show(invited: Invited, public_url: str, fmt: Format) -> None:
    row = {
        "person_id": invited.person_id,
        "token": invited.token,
        "link": f"{public_url or _OWN_MACHINE}/invite#{invited.token}",
        "expires_at": invited.expires_at,
    }
    emit([row], fmt, ("person_id", "token", "link", "expires_at"))
