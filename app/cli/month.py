"""`komgick month show | attest | close`, `komgick explain`: the month's accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit, emit_object
from app.cli.reading import day_of, month_of
from app.cli.reporting import phases

month = typer.Typer(add_completion=False, no_args_is_help=True, help="Show, attest and close month accounts.")
MonthArgument = Annotated[str, typer.Argument(metavar="M", help="The local month, YYYY-MM.")]
ClientOption = Annotated[str, typer.Option("--client", metavar="C", help="Only this client_id.")]
ProviderOption = Annotated[str, typer.Option("--provider", metavar="P", help="Only this provider_id.")]


@month.command()
def show(
    m: MonthArgument,
    client: ClientOption = "",
    provider: ProviderOption = "",
    as_known_on: Annotated[
        str, typer.Option("--as-known-on", metavar="D", help="As the accounts were known at the end of this local day.")
    ] = "",
    *,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Month accounts, from ordered to settled, with forecast and time left; all durations in minutes."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.core.localtime import day_bounds  # noqa: PLC0415 -- likewise
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.months import store  # noqa: PLC0415 -- likewise
    from app.months.presented import ACCOUNT_FIELDS, accounts_fields  # noqa: PLC0415 -- likewise
    from app.months.tables import month_accounts  # noqa: PLC0415 -- likewise
    from app.pipeline_months import complete_month  # noqa: PLC0415 -- likewise
    from app.registry.store import load_policy_book  # noqa: PLC0415 -- likewise

    wanted, now = month_of(m), utc_now()
    before = day_bounds(day_of(as_known_on, "--as-known-on"))[1] if as_known_on else None
    with opened(data) as database:
        complete_month(database, wanted, now, client=client, provider=provider)
        with database.transaction(Caller.batch(), read_only=True) as connection:
            c = month_accounts.c
            if before is not None:
                found = store.load_known_on(connection, wanted, before)
                found = [one for one in found if client in ("", one.account.client_id)]
                found = [one for one in found if provider in ("", one.account.provider_id)]
            else:
                conditions = [c.month_on == wanted.first_on]
                conditions += [c.client_id == client] if client else []
                conditions += [c.provider_id == provider] if provider else []
                found = store.load_current(connection, *conditions)
            rows = accounts_fields(connection, found, load_policy_book(connection), min(now, before or now))
            emit(rows, fmt, ACCOUNT_FIELDS)


@month.command()
def attest(
    m: MonthArgument,
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="The provider whose month is ready.")],
    by: Annotated[str, typer.Option("--by", help="Who says so.")] = "operator",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Say that a provider's month is ready (klarmarkering); prints what is left open in it."""
    from dataclasses import asdict  # noqa: PLC0415 -- `--help` needs nothing

    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.pipeline_months import attest_month  # noqa: PLC0415 -- likewise

    with opened(data) as database:
        left = attest_month(database, month_of(m), provider, by, utc_now())
    emit([{"provider_id": provider, "month": m, **asdict(left)}], fmt)


@month.command()
def close(
    m: MonthArgument,
    on: Annotated[str, typer.Option("--on", metavar="D", help="The local day of the run; default today.")] = "",
    carry_open: Annotated[
        bool, typer.Option("--carry-open", help="Do not ask about what is open: it settles later, as an adjustment.")
    ] = False,
    by: Annotated[str, typer.Option("--by", help="Who runs it.")] = "operator",
    *,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """The payment run: freeze the month for ever, print what is due per provider and what was left open.

    Nothing blocks it: what is unresolved is not paid now and becomes an adjustment when it is resolved.
    """
    import sys  # noqa: PLC0415 -- `--help` needs nothing

    from app.core.clock import utc_now  # noqa: PLC0415 -- likewise
    from app.pipeline_months import close_month  # noqa: PLC0415 -- likewise

    wanted = month_of(m)
    run_on = day_of(on, "--on") if on else None
    if not carry_open and sys.stdin.isatty():
        typer.confirm(f"{wanted} never changes after this. Close it?", abort=True, err=True)
    with opened(data) as database, phases() as progress:
        closed = close_month(database, wanted, on=run_on, by=by, now=utc_now(), progress=progress)
    rows = [
        {"provider_id": provider_id, "lines": lines, "minutes": minutes, "amount_ore": ore}
        for provider_id, lines, minutes, ore in closed.due
    ]
    emit(rows, fmt, ("provider_id", "lines", "minutes", "amount_ore"))
    left, totals = closed.left_open, closed.totals
    typer.echo(
        f"{wanted} closed on {closed.run_on}: {totals.lines} lines, {totals.minutes} minutes, {totals.amount_ore} öre, "
        f"hash {closed.hash}\nleft open: {left.not_attested} of {left.accounts} accounts not attested, "
        f"{left.held_minutes} minutes held, {left.pending_minutes} pending, {left.unpaid_minutes} unpaid, "
        f"{left.findings_open} findings",
        err=True,
    )


def explain(
    m: MonthArgument,
    client: Annotated[str, typer.Option("--client", metavar="C", help="The client_id.")],
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="The provider_id.")],
    lang: Annotated[str, typer.Option("--lang", help="sv or en.")] = "sv",
    *,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Every minute of one account: its visit, taps, cuts, and why it is paid or not, in words or as JSON."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs nothing
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.months.reading import explanation  # noqa: PLC0415 -- likewise
    from app.pipeline_months import complete_month  # noqa: PLC0415 -- likewise

    if lang not in ("sv", "en"):
        raise typer.BadParameter("sv or en", param_hint="--lang")
    wanted = month_of(m)
    with opened(data) as database:
        complete_month(database, wanted, utc_now(), client=client, provider=provider)
        with database.transaction(Caller.batch(), read_only=True) as connection:
            told = explanation(connection, wanted, client, provider)
    if fmt is Format.TABLE:
        for sentence in told["sentences"][lang]:
            typer.echo(sentence)
        return
    emit_object(told, fmt)
