"""`komgick registry staff | client | order | price`: single entries by hand; whole registers come as a bundle."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, cast

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.core.clock import utc_now

registry = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Enter a worker, a client, an order, a price by hand."
)

FromOption = Annotated[str, typer.Option("--from", metavar="DATE", help="The first day; default today.")]
ToOption = Annotated[str, typer.Option("--to", metavar="DATE", help="The last day.")]
ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the record.")]


@registry.command()
def staff(  # noqa: PLR0917 -- typer calls it by name
    name: Annotated[str, typer.Argument(metavar="NAME", help="The worker's name.")],
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="The employer.")],
    unit: Annotated[str, typer.Option("--unit", metavar="U", help="The unit.")],
    badge: Annotated[str, typer.Option("--badge", metavar="UID", help="The badge's UID.")] = "",
    phone: Annotated[str, typer.Option("--phone", metavar="DEVICE", help="A shift grant for this phone.")] = "",
    invite: Annotated[bool, typer.Option("--invite", help="Also an invitation as carer.")] = False,
    person_key: Annotated[str, typer.Option("--person-key", help="The same person's key elsewhere.")] = "",
    from_on: FromOption = "",
    to_on: ToOption = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """An hourly worker starts: employment, badge, and what is needed today."""
    from app.facts import Employment  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    wanted = Employment(
        "", _day(from_on), _last(to_on), person_key, unit, provider, name=name, employment="hourly", badge_uid=badge
    )
    with opened(data) as database:
        extras = registering.Extras(invite, phone)
        hired = registering.hire(database, wanted, extras, operator(by), utc_now())
    row = {
        "staff_id": hired.employment.staff_id,
        "person_key": hired.employment.person_key,
        "invitation": hired.invited.token if hired.invited else "",
        "grant": hired.grant.jws if hired.grant else "",
    }
    emit([row], fmt)


@registry.command()
def client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The client's name.")],
    address: Annotated[str, typer.Option("--address")] = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """A new client, under a made id."""
    from app.facts import Client  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    with opened(data) as database:
        made = registering.add_client(database, Client("", name, address=address), operator(by), utc_now())
    emit([{"client_id": made}], fmt)


@registry.command()
def order(  # noqa: PLR0917 -- typer calls it by name
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="Who gets the care.")],
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="Who gives it.")],
    district: Annotated[str, typer.Option("--district", help="Who orders it.")],
    minutes_per_month: Annotated[int | None, typer.Option("--minutes-per-month", min=0)] = None,
    minutes_per_day: Annotated[int | None, typer.Option("--minutes-per-day", min=0)] = None,
    unit: Annotated[str, typer.Option("--unit", metavar="U")] = "",
    service: Annotated[str, typer.Option("--service", help="A label; one order at a time for each.")] = "",
    from_on: FromOption = "",
    to_on: ToOption = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """An order begins."""
    from app.facts import Order  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    wanted = Order(
        "", client_id, provider, unit, district, _day(from_on), _last(to_on), minutes_per_month, minutes_per_day,
        service=service,
    )  # fmt: skip
    with opened(data) as database:
        made = registering.write_order(database, wanted, [], operator(by), utc_now())
    emit([{"order_id": made}], fmt)


@registry.command()
def price(  # noqa: PLR0917 -- typer calls it by name
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="municipal or private")],
    amount_ore: Annotated[int, typer.Argument(metavar="ÖRE", min=0, help="The amount, in öre.")],
    band: Annotated[str, typer.Option("--band", help="day or night")] = "day",
    service: Annotated[str, typer.Option("--service", help="A visit class or care service; empty: care.")] = "",
    unit: Annotated[str, typer.Option("--unit", help="hour, visit, care_service or month")] = "hour",
    from_on: FromOption = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """A price holds from a day on; what stands is never edited."""
    from app.facts import Price  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    if operation not in ("municipal", "private") or band not in ("day", "night"):
        raise typer.BadParameter("municipal or private; day or night")
    if unit not in ("hour", "visit", "care_service", "month"):
        raise typer.BadParameter("hour, visit, care_service or month", param_hint="--unit")
    wanted = Price(
        cast("Literal['municipal', 'private']", operation),
        cast("Literal['day', 'night']", band),
        service,
        cast("Literal['hour', 'visit', 'care_service', 'month']", unit),
        _day(from_on),
        amount_ore,
    )
    with opened(data) as database:
        registering.set_price(database, wanted, operator(by), utc_now())
    emit([{"operation": operation, "band": band, "service": service, "unit": unit, "valid_from": wanted.valid_from,
           "amount_ore": amount_ore}], fmt)  # fmt: skip


def _day(text: str) -> date:
    from app.core.localtime import local_date  # noqa: PLC0415 -- as above

    return date.fromisoformat(text) if text else local_date(utc_now())


def _last(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
