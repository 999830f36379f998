"""Progress of long work: bars with rate and time left on a terminal (stderr), nothing when piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """A function to tell (phase, done, of how many); shows rate and time left on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _phase, _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 -- piped work needs no rich
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        tasks = {}

        def tell(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done, total=total)

        yield tell


Rows = Callable[[str, int], None]
"""Told (what, rows so far)."""
Phases = Callable[[str, int, int], None]
"""Told (phase, done, of how many)."""


@contextmanager
def rows_and_phases(verb: str) -> Iterator[tuple[Rows, Phases]]:
    """For work that reads rows, how many nobody knows, and then derives in phases: what to tell of the two."""
    if not sys.stderr.isatty():
        yield (lambda _what, _rows: None), (lambda _phase, _done, _total: None)
        return
    from rich.console import Console  # noqa: PLC0415 -- piped work needs no rich
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415 -- likewise

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*shown, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(verb, total=None, said="")

        def begun(what: str, total: int | None) -> float:
            """Seconds since this was begun; a new thing begins a new bar."""
            if bar.tasks[task].description != f"{verb}: {what}":
                bar.reset(task, description=f"{verb}: {what}", total=total, said="")
            return bar.tasks[task].elapsed or 0

        def rows(what: str, count: int) -> None:
            elapsed = begun(what, None)
            rate = f", {count / elapsed:,.0f}/s" if count and elapsed else ""
            bar.update(task, completed=count, said=f"{count:,} rows{rate}" if count else "")

        def phases_of(phase: str, done: int, total: int) -> None:
            elapsed = begun(phase, total)
            left = f", {elapsed / done * (total - done):,.0f} s left" if 0 < done < total else ""
            bar.update(task, completed=done, total=total, said=f"{done} of {total}{left}")

        yield rows, phases_of
