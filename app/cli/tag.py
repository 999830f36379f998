"""`komgick tag assign | replace | retire | history`: whose a tag is, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from app.cli.context import DataOption, FormatOption, opened
from app.cli.output import Format, emit
from app.core.clock import utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from app.facts.registry import TagLevel

tag = typer.Typer(add_completion=False, no_args_is_help=True, help="Assign, replace, retire tags; who had which.")

UidArgument = Annotated[str, typer.Argument(metavar="UID", help="The tag's UID, 4, 7 or 10 bytes in hex.")]
KindOption = Annotated[str, typer.Option("--kind", help="uid, or sun for a tag that proves itself.")]
AtOption = Annotated[str, typer.Option("--at", metavar="TIME", help="Since when, RFC 3339; default now.")]
ByOption = Annotated[str, typer.Option("--by", help="Who does this, for the record.")]
_COLUMNS = ("tag_uid", "client_id", "kind", "valid_from_at", "valid_to_at")


@tag.command()
def assign(  # noqa: PLR0917 -- typer calls it by name
    uid: UidArgument,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id.")],
    kind: KindOption = "uid",
    household: Annotated[bool, typer.Option("--household", help="Another client shares the tag.")] = False,
    at: AtOption = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """The tag hangs at the client's door from now on."""
    from app.facts import Tag  # noqa: PLC0415 -- SQLAlchemy takes longer than `--help` may
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    now = utc_now()
    wanted = Tag(uid, client, _instant(at, now), None, _kind(kind))
    with opened(data) as database:
        stored = registering.assign_tag(database, wanted, operator(by), now, household=household)
    emit([{"tag_uid": stored, "client_id": client, "kind": kind, "valid_from_at": wanted.valid_from_at}], fmt)


@tag.command()
def replace(  # noqa: PLR0917 -- typer calls it by name
    old: UidArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new tag's UID.")],
    kind: KindOption = "uid",
    at: AtOption = "",
    by: ByOption = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """All who have the old tag get the new one."""
    from app.facts import Tag  # noqa: PLC0415 -- as above
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    now = utc_now()
    wanted = Tag(new, "", _instant(at, now), None, _kind(kind))
    with opened(data) as database:
        holders = registering.replace_tag(database, old, wanted, operator(by), now)
    emit([{"client_id": one, "old": old, "new": new} for one in holders], fmt, ("client_id", "old", "new"))


@tag.command()
def retire(
    uid: UidArgument, at: AtOption = "", by: ByOption = "", data: DataOption = None, fmt: FormatOption = Format.TABLE
) -> None:
    """Nobody has the tag from now on."""
    from app.pipeline_access import operator, registering  # noqa: PLC0415 -- as above

    now = utc_now()
    with opened(data) as database:
        holders = registering.retire_tag(database, uid, _instant(at, now), operator(by), now)
    emit([{"client_id": one, "tag_uid": uid} for one in holders], fmt, ("client_id", "tag_uid"))


@tag.command()
def history(
    uid: Annotated[str, typer.Argument(metavar="UID", help="The tag's UID; or use --client.")] = "",
    client: Annotated[str, typer.Option("--client", metavar="C", help="The tags of one client.")] = "",
    data: DataOption = None,
    fmt: FormatOption = Format.TABLE,
) -> None:
    """Who had a tag, or which tags a client had; without either, all."""
    from app.db.callers import Caller  # noqa: PLC0415 -- as above
    from app.registry.entries import tag_history  # noqa: PLC0415 -- as above

    with opened(data) as database, database.transaction(Caller.batch(), read_only=True) as connection:
        emit(tag_history(connection, uid=uid, client_id=client), fmt, _COLUMNS)


def _instant(text: str, now: datetime) -> datetime:
    from app.core.localtime import parse_instant  # noqa: PLC0415 -- as above

    return parse_instant(text) if text else now


def _kind(text: str) -> TagLevel:
    if text not in ("uid", "sun"):
        raise typer.BadParameter("uid or sun", param_hint="--kind")
    return cast("TagLevel", text)
