"""DOOR for operators and timers: `komgick COMMAND ARGUMENTS [--data DIR] [--format table|json|csv]`.

`COMMANDS` says where each command lies; a module is imported when its command is called, so that `komgick --help` and
the cheap commands start at once (deploy/decisions/0004-commands-are-imported-when-called.md). A new command is one line
here and one function with typer annotations. Exit status: 0 done, 1 refused or differing, 2 wrong usage.
"""

from __future__ import annotations

import sys

from app.cli.registry import Entry, run

COMMANDS: dict[str, Entry] = {
    "serve": Entry("app.cli.serve:serve", "Migrate, serve the API, the office pages and the phone app."),
    "demo": Entry("app.demo.command:demo", "A fictional town with a month of history and a live day."),
    "import": Entry("app.cli.bundle:import_bundle", "Read a bundle: all or nothing, idempotent."),
    "export": Entry("app.cli.bundle:export_bundle", "Write the bundle back; open data; data for a study."),
    "simulate": Entry("app.cli.simulate:simulate", "Write a realistic month as a bundle, deterministic by its seed."),
    "visits": Entry("app.cli.visits:visits", "Visits of a day or month, of a client or a staff member."),
    "findings": Entry("app.cli.visits:findings", "What a person must look at."),
    "month": Entry("app.cli.month:month", "Show, attest and close month accounts."),
    "explain": Entry("app.cli.month:explain", "Every minute of one account."),
    "billing": Entry("app.cli.billing:billing", "What the billing system pulls, and the provider's statement."),
    "fees": Entry("app.cli.billing:fees", "The basis for client fees."),
    "continuity": Entry("app.cli.insight:continuity", "A continuity measure with its definition."),
    "quality": Entry("app.cli.insight:quality", "Figures of quality for a month."),
    "shadow": Entry("app.cli.insight:shadow", "Several payment models over the same months."),
    "irregularities": Entry("app.cli.cases:irregular", "What a controller should look at; names only in a case."),
    "client-sheet": Entry("app.cli.insight:client_sheet", '"Mina besök": one readable sheet for the client.'),
    "study": Entry("app.cli.study:study", "Studies: deliveries, variables, the end of a key."),
    "policy": Entry("app.cli.policy:policy", "Policy values with their source."),
    "rebuild": Entry("app.cli.rebuild:rebuild", "Derive everything again; exit 1 where anything differs."),
    "verify": Entry("app.cli.verify:verify", "Check an exported month offline."),
    "device": Entry("app.cli.device:device", "Enrol, confirm, revoke and list devices."),
    "tag": Entry("app.cli.tag:tag", "Assign, move and list tags."),
    "registry": Entry("app.cli.entering:registry", "Enter a worker, a client, an order, a price by hand."),
    "user": Entry("app.cli.user:user", "People, roles, first admin."),
    "db": Entry("app.cli.db:db", "Prepare, check, migrate, back up and restore the database."),
}


def main() -> None:
    """Run the command line of this process and end it with the command's exit status."""
    sys.exit(run(COMMANDS, sys.argv[1:]))
