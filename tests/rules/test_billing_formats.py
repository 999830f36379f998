"""Lines and statements as files: totals first or last, texts never formulas, the same sum everywhere."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import openpyxl

from app.billing.formats.lines_out import (
    write_fees_csv,
    write_fees_json,
    write_lines_csv,
    write_lines_json,
    write_lines_xlsx,
)
from app.billing.formats.rows import LINE_COLUMNS, safe_cell
from app.billing.formats.statement import Statement, kronor, write_statement_csv, write_statement_xlsx
from app.billing.rules.not_paid import NotPaid, not_paid
from app.billing.rules.totals import control_totals
from app.core.month import Month
from app.facts import BillingLine
from app.facts.accounts import AccountInput, FeeLine
from tests.rules.month_chain import Case
from tests.rules.month_facts import BOOK, account, local, order, outcome, reason, stay
from tests.rules.test_month_explain import visit

MARCH = Month(2017, 3)


def some_lines() -> list[BillingLine]:
    stays = (stay("v", "2017-03-05 08:00", 60), stay("n", "2017-03-05 23:00", 60))
    one = Case({MARCH: AccountInput(MARCH, "bo", "p1", orders=(order("2017-03-01", None, 1200),), stays=stays)})
    lines = one.lines(one.chain(MARCH))
    return [replace(lines[0], cost_code="=1+1", changed_at=local("2017-04-01 08:00")), replace(lines[1], amount_ore=-5)]


def test_csv_has_the_contracts_columns_and_ends_with_its_totals() -> None:
    lines = some_lines()
    out = io.StringIO()
    write_lines_csv(lines, out)
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0] == list(LINE_COLUMNS)
    assert ",".join(LINE_COLUMNS) == (
        "line_id,run_on,month,origin_month,client_id,provider_id,unit_id,district,order_id,cost_code,operation,kind,"
        "service,band,minutes,count,unit,unit_price_ore,amount_ore,cause,corrects,policy_version,account_hash,"
        "changed_at,state"
    )
    assert rows[1][LINE_COLUMNS.index("cost_code")] == "'=1+1"
    assert rows[1][LINE_COLUMNS.index("changed_at")] == "2017-04-01T06:00:00Z"
    assert rows[2][LINE_COLUMNS.index("amount_ore")] == "-5"
    totals = control_totals(lines)
    assert rows[-1] == [
        "totals", "lines=2", "minutes=120", f"amount_ore={51_600 - 5}", f"hash={totals.hash}",
    ]  # fmt: skip


def test_json_begins_with_its_totals() -> None:
    lines = some_lines()
    out = io.StringIO()
    write_lines_json(lines, out)
    first, *rest = json.loads(out.getvalue())
    assert first == {"lines": 2, "minutes": 120, "amount_ore": 51_595, "hash": control_totals(lines).hash}
    assert [tuple(row) for row in rest] == [LINE_COLUMNS, LINE_COLUMNS]
    assert rest[0]["cost_code"] == "=1+1"
    assert (rest[0]["month"], rest[0]["run_on"]) == ("2017-03", None)


def test_xlsx_holds_numbers_as_numbers_and_no_formula() -> None:
    out = io.BytesIO()
    write_lines_xlsx(some_lines(), out)
    book = openpyxl.load_workbook(out)
    rows = list(book["lines"].values)
    assert rows[0] == LINE_COLUMNS
    assert rows[1][LINE_COLUMNS.index("cost_code")] == "'=1+1"
    assert rows[2][LINE_COLUMNS.index("amount_ore")] == -5
    assert list(book["totals"].values)[1][:3] == (2, 120, 51_595)


def test_texts_that_begin_like_formulas_are_disarmed() -> None:
    assert [safe_cell(text) for text in ("=a", "+a", "-a", "@a", "a=", "", -5, None)] == [
        "'=a", "'+a", "'-a", "'@a", "a=", "", -5, None,
    ]  # fmt: skip


def test_fee_lines_are_written() -> None:
    line = FeeLine(MARCH, MARCH, "bo", "care", 30, 1, 0, 2, "month")
    out, text = io.StringIO(), io.StringIO()
    write_fees_csv([line], out)
    write_fees_json([line], text)
    assert out.getvalue().splitlines() == [
        "month,origin_month,client_id,fee_class,client_minutes,count,late_cancellations,absence_days,cause",
        "2017-03,2017-03,bo,care,30,1,0,2,month",
    ]
    assert json.loads(text.getvalue())[0]["absence_days"] == 2


def test_the_statement_has_the_lines_sum_and_what_was_not_paid() -> None:
    lines = some_lines()
    rows = [NotPaid("bo", "v9", MARCH.first_on, "2017-03-01 08:00", 30, "held", "Hade ersatts.", "Would be paid.")]
    statement = Statement(MARCH, "p1", "@Omsorg", lines, rows)
    out = io.StringIO()
    write_statement_csv(statement, out)
    written = list(csv.reader(io.StringIO(out.getvalue())))
    head = dict(row for row in written if len(row) == 2)
    assert (head["provider_name"], head["amount_ore"], head["hash"]) == (
        "'@Omsorg",
        "51595",
        control_totals(lines).hash,
    )
    assert head["amount_kr"] == "515,95 kr"
    assert written[-1] == [
        "bo",
        "2017-03-01",
        "2017-03-01 08:00",
        "30",
        "held",
        "v9",
        "Hade ersatts.",
        "Would be paid.",
    ]
    binary = io.BytesIO()
    write_statement_xlsx(statement, binary)
    book = openpyxl.load_workbook(binary)
    assert book.sheetnames == ["Sammanfattning", "Utbetalas", "Ersätts inte"]
    paid = list(book["Utbetalas"].values)
    assert sum(row[paid[0].index("amount_ore")] for row in paid[1:]) == 51_595
    assert kronor(-123_450) == "−1 234,50 kr"


def test_each_unpaid_minute_says_what_would_have_made_it_paid() -> None:
    visits = [
        visit("held", "2017-03-01 08:00", 30, holds=("unconfirmed",)),
        visit("half", "2017-03-03 08:00", 0, status="incomplete", end_at=None, gick=None),
    ]
    stays = (
        stay("held", "2017-03-01 08:00", 30, held=True),
        stay("outside", "2017-03-02 08:00", 30),
        stay("meal", "2017-03-02 12:00", 10, service="meal"),
    )
    found = not_paid(account("2017-03", stays=stays), visits, BOOK)
    assert [(row.cause_id, row.minutes, row.why) for row in found] == [
        ("held", 30, "held"), ("outside", 30, "no_order"), ("meal", 0, "no_order"), ("half", 0, "incomplete"),
    ]  # fmt: skip
    assert found[0].sv == "Hade ersatts om en andra person hade bekräftat registreringen."
    assert found[1].sv == (
        "Hade ersatts om beställning funnits den dagen, eller om en orsak hade lämnats in senast 2017-04-30 och "
        "godkänts."
    )
    assert found[3].en == "Would be paid if both KOM and GICK were registered, or the missing one were added."


def test_a_late_a_refused_and_a_waiting_reason_are_told_apart() -> None:
    ordered = (order("2017-03-01", None, 10),)
    visits = (stay("v", "2017-03-02 08:00", 30),)  # 19 too many

    def whys(*reasons: object) -> list[tuple[int, str]]:
        result = account("2017-03", orders=ordered, stays=visits, reasons=reasons)
        return [(row.minutes, row.why) for row in not_paid(result, (), BOOK)]

    assert whys() == [(19, "no_reason")]
    assert whys(reason(19)) == []
    assert whys(reason(19, "pending")) == [(19, "pending")]
    assert whys(reason(19, "rejected")) == [(19, "rejected")]
    assert whys(reason(19, approved=10)) == [(9, "rejected")]
    assert whys(reason(19, submitted="2017-05-02")) == [(19, "late")]
    late = not_paid(
        account("2017-03", orders=ordered, stays=visits, reasons=(reason(9, submitted="2017-05-02"),)), (), BOOK
    )
    assert "den kom 2017-05-02" in late[0].sv


def test_a_decline_that_is_not_compensated_says_which_rule_of_the_day() -> None:
    declined = (
        outcome("new", "2017-03-05 10:00", 30),
        outcome("absent", "2017-03-06 10:00", 30, notice="absent"),
    )
    found = not_paid(account("2017-03", declines=declined), (), BOOK)
    assert [(row.cause_id, row.minutes) for row in found] == [("new", 30), ("absent", 30)]
    assert "0 %" in found[0].sv
    assert "ingen öppnade" in found[1].sv
    old = (outcome("old", "2016-03-05 10:00", 30, made_up=30, made_up_on="2016-03-06"),)
    stays = (stay("v", "2016-03-06 08:00", 30),)
    (row,) = not_paid(account("2016-03", orders=(order("2016-03-01", None, 600),), declines=old, stays=stays), (), BOOK)
    assert (row.minutes, row.why) == (30, "declined")
    assert "redan betald" in row.sv
