"""`komgick user ...`: the first admin, people and their roles, machines."""

from __future__ import annotations

import typer

from app.cli.machine import machine

user = typer.Typer(add_completion=False, no_args_is_help=True, help="People, roles, machines, the first admin.")
user.add_typer(machine, name="machine")
