"""What commands that only read share: months and days as arguments, a read-only connection, a bar, a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from app.cli.context import opened
from app.refusals import Invalid

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.core.month import Month

Item = TypeVar("Item")


@contextmanager
def reading(data: Path | None) -> Iterator[Connection]:
    """One read-only transaction of the owner's over the opened database."""
    from app.db.callers import Caller  # noqa: PLC0415 -- `--help` needs no database

    with opened(data) as db, db.transaction(Caller.batch(), read_only=True) as connection:
        yield connection


@contextmanager
def derived_reading(data: Path | None) -> Iterator[Connection]:
    """`reading`, after deriving whatever was stated before the command and still waits."""
    from app.core.clock import utc_now  # noqa: PLC0415 -- `--help` needs no database
    from app.db.callers import Caller  # noqa: PLC0415 -- likewise
    from app.pipeline_derive import catch_up  # noqa: PLC0415 -- likewise

    with opened(data) as db:
        catch_up(db, utc_now())
        with db.transaction(Caller.batch(), read_only=True) as connection:
            yield connection


def month_of(text: str, hint: str = "M") -> Month:
    """The month of an argument; wrong usage otherwise."""
    from app.core.month import Month  # noqa: PLC0415 -- `--help` needs nothing

    try:
        return Month.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error


def day_of(text: str, hint: str) -> date:
    """The day of an argument; wrong usage otherwise."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"a day is written YYYY-MM-DD, not {text!r}", param_hint=hint) from error


def values_of(given: Iterable[str], hint: str) -> dict[str, Fraction]:
    """NAME=VALUE pairs as exact numbers, decimal comma or point; wrong usage otherwise."""
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = Fraction(value.replace(",", "."))
        except (ValueError, ZeroDivisionError) as error:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=hint) from error
    return found


def counted(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The items, with a bar on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console  # noqa: PLC0415 -- only a terminal needs it
    from rich.progress import Progress  # noqa: PLC0415 -- likewise

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)


def draw(file: Path | None, picture: str, found: Mapping[str, Any]) -> None:
    """Draw a picture of the result where one is asked for; wrong usage for a file that is neither .svg nor .png."""
    if file is None:
        return
    if file.suffix not in (".svg", ".png"):
        raise typer.BadParameter("a picture is an .svg or a .png", param_hint="--plot")
    try:
        from app.insight.pictures import draw_picture  # noqa: PLC0415 -- matplotlib is slow to load, and an extra
    except ModuleNotFoundError as error:
        raise Invalid(f"pictures need the extra komgick[insight]: {error}") from error
    try:
        draw_picture(picture, found, file)
    except OSError as error:
        sys.stderr.write(f"cannot_write: {error.strerror}: {error.filename or file}\n")
        raise typer.Exit(1) from error
    sys.stderr.write(f"{file}\n")
