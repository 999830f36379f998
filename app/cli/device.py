"""`komgick device create | confirm | list | revoke | replace`: devices, their keys, their end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.core.clock import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from app.evidence.enrolment import NewDevice

device = typer.Typer(add_completion=False, no_args_is_help=True, help="Enrol, confirm, revoke and list devices.")

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id (d_...).")]
AtOnceOption = Annotated[
    bool, typer.Option("--confirm-at-once", help="No second look at the thumbprint: for a device enrolled on the spot.")
]
ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the record.")]


@device.command()
def create(  # noqa: PLR0917 -- typer calls it by name
    provider: Annotated[str, typer.Option("--provider", metavar="P", help="Whose device it is.")],
    kind: Annotated[str, typer.Option("--kind", help="reader or phone")] = "reader",
    confirm_at_once: AtOnceOption = False,
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Make a device and print its one-use token (15 minutes), as a QR code too on a terminal."""
    from app.evidence.enrolment import NewDevice  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may

    _invite(NewDevice(provider, kind, confirm_at_once, by=by), data, fmt)


@device.command()
def replace(
    old: DeviceArgument,
    confirm_at_once: AtOnceOption = False,
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """A new device row, with a key of its own, that succeeds an old one. The old one stays until it is revoked."""
    from app.db.callers import Caller  # noqa: PLC0415 -- as above
    from app.evidence.enrolment import NewDevice, list_devices  # noqa: PLC0415 -- as above
    from app.refusals import NotFound  # noqa: PLC0415 -- as above

    with opened(data) as database, database.transaction(Caller.batch(), read_only=True) as connection:
        found = next((row for row in list_devices(connection) if row["device_id"] == old), None)
    if found is None:
        raise NotFound(f"there is no device {old}")
    kind = found["kind"] if found["kind"] in ("reader", "phone") else "reader"
    _invite(NewDevice(found["provider_id"], kind, confirm_at_once, replaces=old, by=by), data, fmt)


@device.command()
def confirm(
    device_id: DeviceArgument,
    thumbprint: Annotated[str, typer.Argument(help="The six characters on the device's screen.")],
    by: ByOption = "",
    data: DataOption = None,
) -> None:
    """Confirm that the device shows these six characters: what it says counts from now on, the past included."""
    from app import pipeline  # noqa: PLC0415 -- as above

    with opened(data) as database:
        pipeline.confirm_device(database, device_id, thumbprint, utc_now(), by)
    sys.stderr.write(f"{device_id} confirmed\n")


@device.command()
def revoke(
    device_id: DeviceArgument,
    reason: Annotated[str, typer.Option("--reason", help="lost, stolen, broken, replaced, ...")] = "",
    by: ByOption = "",
    data: DataOption = None,
) -> None:
    """Trust the device no more: what it uploads from now on is kept in quarantine."""
    from app import pipeline  # noqa: PLC0415 -- as above

    with opened(data) as database:
        pipeline.revoke_device(database, device_id, reason, utc_now(), by)
    sys.stderr.write(f"{device_id} revoked\n")


@device.command("list")
def list_all(
    silent_hours: Annotated[int, typer.Option("--silent-hours", min=1, help="Silent so long is marked.")] = 24,
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Every device: state, thumbprint, when it was last heard of, and whether it is silent."""
    from datetime import timedelta  # noqa: PLC0415 -- as above

    from app.db.callers import Caller  # noqa: PLC0415 -- as above
    from app.evidence.enrolment import list_devices  # noqa: PLC0415 -- as above

    limit = utc_now() - timedelta(hours=silent_hours)
    with opened(data) as database, database.transaction(Caller.batch(), read_only=True) as connection:
        rows = list(list_devices(connection))
    for row in rows:
        last = row["last_seen_at"] or row["enrolled_at"]
        row["silent"] = row["state"] == "active" and last is not None and last < limit
    emit(rows, fmt, ("device_id", "provider_id", "kind", "state", "thumbprint", "enrolled_at", "revoked_at", "replaces",
                     "last_seen_at", "silent"))  # fmt: skip


def _invite(wanted: NewDevice, data: Path | None, fmt: Format) -> None:
    from app import pipeline  # noqa: PLC0415 -- as above

    with opened(data) as database:
        invitation = pipeline.create_device(database, wanted, utc_now())
    row = {"device_id": invitation.device_id, "token": invitation.token, "expires_at": invitation.expires_at}
    emit([row], fmt, ("device_id", "token", "expires_at"))
    if fmt is Format.TABLE and sys.stdout.isatty():
        import segno  # noqa: PLC0415 -- only on a terminal

        segno.make(invitation.token, micro=False).terminal(compact=True)
