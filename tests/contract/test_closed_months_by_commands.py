"""What changes after a close (DOMAIN.md 3), through bundles and commands: three months of clients with a case each.

Ordered 100 (ceiling 110) unless said otherwise; one visit on 3 March. Worked out by hand from the text.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.cli import COMMANDS
from app.cli.registry import run
from app.db.callers import Caller
from app.db.engine import Database
from app.months.tables import month_accounts
from tests.contract.commands import Komgick
from tests.contract.month_bundles import MonthBundle, figures
from tests.contract.vector_bundles import Ids

MARCH, APRIL, MAY = "2026-03", "2026-04", "2026-05"
THIRD = "2026-03-03 08:00"


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


def month(komgick: Komgick, name: str) -> dict[str, str]:
    """The month's accounts that have something in them."""
    return {client: said for client, account in komgick.accounts(name).items() if (said := figures(account))}


def money(komgick: Komgick, name: str) -> dict[str, int]:
    """Öre by client."""
    sums: dict[str, int] = {}
    for line in komgick.json("billing", "export", name)[1:]:
        sums[line["client_id"]] = sums.get(line["client_id"], 0) + line["amount_ore"]
    return sums


def owed(komgick: Komgick, name: str, ids: Ids) -> tuple[int, int]:
    """What explain says a month owes beyond what was settled for it: within the ceiling, of the approved excess."""
    told = komgick.explain(name, ids.client, ids.provider)
    return told["adjustment_free_minutes"], told["adjustment_approved_excess_minutes"]


def sums_up(told: dict[str, Any]) -> bool:
    """Whether the rows of an explanation sum to its account."""
    account, sums = told["account"], told["sums"]
    names = {"free": "free", "approved": "excess_approved", "pending": "excess_pending", "held": "held"}
    return sums["unpaid"] == account["unpaid_minutes"] and all(
        sums[name] == account[f"{figure}_minutes"] for name, figure in names.items()
    )


def test_what_becomes_of_a_closed_month(tmp_path: Path, komgick: Komgick) -> None:
    town = MonthBundle()
    town.prices()
    late, held = town.client("late", 600), town.client("held", 600)
    in_time, undecided = town.client("in time", 100), town.client("undecided", 100)
    raised, lowered = town.client("raised", 100, MARCH + "-01", MARCH + "-31"), town.client("lowered", 100)
    ended = town.client("ended", 310, MARCH + "-01", MARCH + "-31")
    shorter = town.client("shorter", 100)
    town.visit(late, THIRD, "08:30")
    town.visit(held, THIRD, "08:30")
    town.dispute(held, "2026-03-03")
    town.visit(in_time, THIRD, "10:40")
    town.visit(undecided, THIRD, "10:40")
    town.visit(raised, THIRD, "11:20")
    town.reason(raised, MARCH, 40, "2026-04-10", "approved")
    town.visit(lowered, THIRD, "09:40")
    town.visit(ended, "2026-03-25 08:00", "09:40")
    shorter_kom = town.visit(shorter, THIRD, "10:40")
    town.visit(shorter, "2026-03-20 22:30", "23:00")
    town.reason(shorter, MARCH, 80, "2026-04-10", "approved")
    town.put(komgick, tmp_path / "march")
    komgick("month", "close", MARCH, "--on", "2026-04-06")
    export = komgick("billing", "export", MARCH), komgick("fees", "export", MARCH)
    closed = {
        late.client: "executed 30, reported 30, free 30, settled 30",
        held.client: "held 30",
        in_time.client: "executed 160, reported 160, free 110, excess 50, unpaid 50, settled 110",
        undecided.client: "executed 160, reported 160, free 110, excess 50, unpaid 50, settled 110",
        raised.client: "executed 200, reported 200, free 110, excess 90, excess_reasoned 40, excess_approved 40, "
        "unpaid 50, settled 110",
        lowered.client: "executed 100, reported 100, free 100, settled 100",
        ended.client: "executed 100, reported 100, free 100, settled 100",
        shorter.client: "executed 190, reported 190, free 110, excess 80, excess_reasoned 80, excess_approved 80, "
        "settled 110",
    }
    assert month(komgick, MARCH) == closed

    # Between the runs of March and April.
    town.visit(late, "2026-03-04 08:00", "08:20", staff=2)
    town.dispute(held, "2026-03-03", "rejected")
    town.reason(in_time, MARCH, 50, "2026-04-30", "approved")
    town.reason(undecided, MARCH, 50, "2026-04-30")
    town.order(raised, 200, MARCH + "-01", MARCH + "-31")
    town.order(lowered, 60, "2016-01-01")
    town.visit(lowered, "2026-03-05 08:00", "08:30")
    town.order(ended, 310, MARCH + "-01", MARCH + "-10")
    town.put(komgick, tmp_path / "april")
    assert month(komgick, APRIL) == {
        late.client: "adjustment 20, settled 20",
        held.client: "adjustment 30, settled 30",
        in_time.client: "carried_in 50, settled 50",
        raised.client: "adjustment 90, settled 90",  # all 200 within 220: nothing is left to be approved
        lowered.client: "adjustment 10, settled 10",  # 130 against the ceiling of 100 that stands: 110 less 100
        shorter.client: "carried_in 80, settled 80",
    }
    # "What becomes of the excess freezes when the following month closes."
    closed[in_time.client] = (
        "executed 160, reported 160, free 110, excess 50, excess_reasoned 50, excess_approved 50, settled 110"
    )
    closed[undecided.client] = (
        "executed 160, reported 160, free 110, excess 50, excess_reasoned 50, excess_pending 50, settled 110"
    )
    assert month(komgick, MARCH) == closed
    assert {f["client_id"] for f in komgick.json("findings") if f["code"] == "order_changed_after_close"} == {
        lowered.client, ended.client,
    }  # fmt: skip
    assert [owed(komgick, MARCH, ids) for ids in (late, in_time, raised)] == [(20, 0), (0, 50), (90, 0)]
    told = komgick.explain(MARCH, held.client, held.provider)
    assert [(row["fate"], row["holds"]) for row in told["rows"]] == [("held", ["released_since"])]

    # After the run of April: a late decision settles as an adjustment, a correction takes back both parts.
    komgick("month", "close", APRIL, "--on", "2026-05-06")
    town.reason(undecided, MARCH, 50, "2026-04-30", "approved 30")
    town.new_end(shorter, shorter_kom, "2026-03-03 09:00", "2026-05-20 08:00")  # 60 + 30 = 90: within the ceiling
    town.put(komgick, tmp_path / "may")
    assert month(komgick, MAY) == {
        undecided.client: "adjustment 30, settled 30",
        shorter.client: "adjustment -100, settled -100",
    }
    assert month(komgick, MARCH) == closed
    assert [owed(komgick, MARCH, ids) for ids in (undecided, shorter)] == [(0, 30), (-20, -80)]
    # 90 day minutes less (110 + 50 paid) and the night visit, which is free now, as it was approved before.
    assert money(komgick, MAY)[shorter.client] == -51600 * 100 // 60
    komgick("month", "close", MAY, "--on", "2026-06-06")
    assert [owed(komgick, MARCH, ids) for ids in (undecided, shorter)] == [(0, 0), (0, 0)]
    for name in (MARCH, APRIL, MAY):
        for client, account in komgick.accounts(name).items():
            assert sums_up(komgick.explain(name, client, account["provider_id"])), (name, client)
    assert month(komgick, MARCH) == closed
    assert (komgick("billing", "export", MARCH), komgick("fees", "export", MARCH)) == export


def test_a_price_put_right_is_owed_also_to_whom_has_no_account_any_more(tmp_path: Path, komgick: Komgick) -> None:
    """Both had 60 minutes at 516 kr in March; 520 kr were decided for March afterwards. One has left."""
    town = MonthBundle()
    town.prices()
    stays, left = town.client("stays", 600), town.client("left", 600, MARCH + "-01", MARCH + "-31")
    for ids in (stays, left):
        town.visit(ids, THIRD, "09:00")
    town.put(komgick, tmp_path / "one")
    komgick("month", "close", MARCH, "--on", "2026-04-06")
    town.price("day", "hour", 52000, since="2026-03-01")
    town.put(komgick, tmp_path / "two")
    assert money(komgick, APRIL) == {stays.client: 400, left.client: 400}
    komgick("month", "close", APRIL, "--on", "2026-05-06")
    assert money(komgick, APRIL) == {stays.client: 400, left.client: 400}
    assert money(komgick, MAY) == {}
    komgick("export", "--out", str(tmp_path / "out"))
    komgick("verify", str(tmp_path / "out"))


def test_a_price_that_is_missing_is_a_finding_until_there_is_one(tmp_path: Path, komgick: Komgick) -> None:
    """A city without a price list bills elsewhere; one with a list that lacks the night's price is told."""
    town = MonthBundle()
    bo = town.client("bo", 600)
    town.visit(bo, "2026-03-03 23:00", "23:30")
    town.put(komgick, tmp_path / "one")
    assert komgick.json("findings") == []
    town.price("day", "hour", 51600)
    town.put(komgick, tmp_path / "two")
    (finding,) = komgick.json("findings")
    assert (finding["code"], finding["client_id"], finding["provider_id"]) == ("price_missing", bo.client, bo.provider)
    assert "care/night" in finding["text"]
    assert money(komgick, MARCH) == {bo.client: 0}
    town.price("night", "visit", 26000)
    town.put(komgick, tmp_path / "three")
    assert komgick.json("findings") == []
    assert money(komgick, MARCH) == {bo.client: 26000}


def test_the_statement_of_a_closed_month_says_what_its_run_did_not_pay(tmp_path: Path, komgick: Komgick) -> None:
    """Whatever comes later; only what has become of the excess, and of what was held, is told as it stands."""
    town = MonthBundle()
    town.prices()
    bo = town.client("bo", 100)
    town.visit(bo, THIRD, "10:40")
    town.visit(bo, "2026-03-02 08:00", "08:30")
    town.dispute(bo, "2026-03-02")
    town.put(komgick, tmp_path / "one")
    komgick("month", "close", MARCH, "--on", "2026-04-06")
    town.dispute(bo, "2026-03-02", "withdrawn")
    town.visit(bo, "2026-03-20 08:00", "09:00")
    town.reason(bo, MARCH, 20, "2026-04-20")
    town.put(komgick, tmp_path / "two")
    out = tmp_path / "statement.csv"
    komgick("billing", "statement", MARCH, "--provider", bo.provider, "--out", str(out))
    paid, _, unpaid = out.read_text("utf-8").partition("\nclient_id,on,from,")
    (billed,) = komgick.json("billing", "export", MARCH)[1:]
    assert f"minutes,{billed['minutes']}\namount_ore,{billed['amount_ore']}\n" in paid
    rows = [line.split(",")[2:5] for line in unpaid.splitlines()[1:]]
    assert rows == [
        ["2026-03-02 08:00", "30", "held"],
        ["2026-03-03 09:50", "20", "pending"],
        ["2026-03-03 10:10", "30", "no_reason"],
    ]
    assert "Väntade på åtgärd när månaden stängdes" in unpaid


def test_the_months_lines_come_as_a_spreadsheet_through_a_pipe(
    tmp_path: Path, komgick: Komgick, cli_environment: Mapping[str, str]
) -> None:
    town = MonthBundle()
    town.prices()
    bo = town.client("bo", 600)
    town.visit(bo, THIRD, "08:30")
    town.put(komgick, tmp_path / "one")
    command = [sys.executable, "-m", "app.cli", "billing", "export", MARCH, "--format", "xlsx"]
    done = subprocess.run(command, env=dict(cli_environment), capture_output=True, check=True)
    with zipfile.ZipFile(io.BytesIO(done.stdout)) as book:
        assert b"P-bo" in book.read("xl/sharedStrings.xml")


def test_a_decline_made_up_in_another_month_follows_what_was_executed_there(tmp_path: Path, komgick: Komgick) -> None:
    """45 min declined at the door in October 2016, 30 made up on 5 December: known before October's run, or after."""
    town = MonthBundle()
    town.prices()
    before, after = town.client("before", 600), town.client("after", 600)
    for ids in (before, after):
        town.tap(ids, "KOM", "2016-10-05 08:00")
        town.decline(ids, "2016-10-05 08:00", "08:45", "at_door", "08:02", made_up_minutes=30, made_up_on="2016-12-05")
    town.put(komgick, tmp_path / "one")
    whole = "declined_compensated 45, reported 45, free 45, settled 45"
    assert month(komgick, "2016-10") == dict.fromkeys((before.client, after.client), whole)
    town.visit(before, "2016-12-05 08:00", "08:40")
    town.put(komgick, tmp_path / "two")
    october = {
        before.client: "declined_compensated 15, made_up_offset 30, reported 15, free 15, settled 15",
        after.client: whole,
    }
    assert month(komgick, "2016-10") == october
    komgick("month", "close", "2016-10", "--on", "2016-11-06")
    assert month(komgick, "2016-11") == {}
    town.visit(after, "2016-12-05 08:00", "08:20")
    town.put(komgick, tmp_path / "three")
    assert month(komgick, "2016-11") == {after.client: "adjustment -20, settled -20"}
    assert month(komgick, "2016-10") == october
    assert komgick.json("rebuild") == []


def test_a_rebuild_names_the_accounts_that_were_stored_otherwise(
    tmp_path: Path, komgick: Komgick, database: Database
) -> None:
    town = MonthBundle()
    bo = town.client("bo", 600)
    town.visit(bo, THIRD, "08:30")
    town.put(komgick, tmp_path / "one")
    assert komgick.json("rebuild") == []
    with database.transaction(Caller.batch()) as connection:
        connection.execute(update(month_accounts).values(executed_minutes=31))
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said):
        status = run(COMMANDS, ["rebuild", "--format", "json"])
    (row,) = json.loads(said.getvalue())
    assert (status, row["table"], row["kind"], row["id"]) == (
        1, "month_accounts", "changed", f"{MARCH}/{bo.client}/{bo.provider}",
    )  # fmt: skip
    assert month(komgick, MARCH)[bo.client].startswith("executed 30")
