"""`komgick user machine add | rotate | end-old-secret | end | list`: systems that sign in by client credentials."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.core.clock import utc_now

machine = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Systems that pull or push: ids, secrets, scopes."
)

MachineArgument = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine's id (m_...).")]
ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the record.")]
_COLUMNS = ("machine_id", "name", "scopes", "provider_id", "live_secrets", "created_at", "ended_at")


@machine.command()
def add(  # noqa: PLR0917 -- typer calls it by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call the system.")],
    scope: Annotated[list[str], typer.Option("--scope", help="billing, scheduling, registry or study; repeatable.")],
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="Whose it is; the city's without.")] = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Add a system and print its id and secret. The secret is shown once and stored nowhere."""
    from app import pipeline_access  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may
    from app.access.machines import NewMachine  # noqa: PLC0415 -- as above

    with opened(data) as database:
        wanted = NewMachine(name, frozenset(scope), provider)
        issued = pipeline_access.add_machine(database, wanted, pipeline_access.operator(by), utc_now())
    emit([{"client_id": issued.machine_id, "client_secret": issued.secret}], fmt, ("client_id", "client_secret"))


@machine.command()
def rotate(
    machine_id: MachineArgument, by: ByOption = "", data: DataOption = None, fmt: FormatOption = Format.TABLE
) -> None:
    """Print a second secret; the first works until `end-old-secret`."""
    from app import pipeline_access  # noqa: PLC0415 -- as above

    with opened(data) as database:
        issued = pipeline_access.rotate_machine_secret(database, machine_id, pipeline_access.operator(by), utc_now())
    emit([{"client_id": issued.machine_id, "client_secret": issued.secret}], fmt, ("client_id", "client_secret"))


@machine.command("end-old-secret")
def end_old_secret(machine_id: MachineArgument, by: ByOption = "", data: DataOption = None) -> None:
    """End the older of two secrets, once the system uses the new one."""
    from app import pipeline_access  # noqa: PLC0415 -- as above

    with opened(data) as database:
        pipeline_access.end_old_machine_secret(database, machine_id, pipeline_access.operator(by), utc_now())
    sys.stderr.write(f"{machine_id}: the old secret has ended\n")


@machine.command()
def end(machine_id: MachineArgument, by: ByOption = "", data: DataOption = None) -> None:
    """Let the system in no more, from this moment."""
    from app import pipeline_access  # noqa: PLC0415 -- as above

    with opened(data) as database:
        pipeline_access.end_machine(database, machine_id, pipeline_access.operator(by), utc_now())
    sys.stderr.write(f"{machine_id} has ended\n")


@machine.command("list")
def list_all(data: DataOption = None, fmt: FormatOption = Format.TABLE) -> None:
    """Every system with its scopes and the number of live secrets."""
    from app.access.machines import list_machines  # noqa: PLC0415 -- as above
    from app.db.callers import Caller  # noqa: PLC0415 -- as above

    with opened(data) as database, database.transaction(Caller.auth(), read_only=True) as connection:
        rows = list_machines(connection)
    emit(rows, fmt, _COLUMNS)
