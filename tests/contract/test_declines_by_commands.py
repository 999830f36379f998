"""Every sentence of DOMAIN.md 4 as a city would meet it: a bundle goes in, the month and its findings come out.

One case a client, on 5 December 2016 (the old rule: at the door 100 %) unless it says otherwise; planned 08:00-08:45.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.commands import Komgick
from tests.contract.month_bundles import MonthBundle, figures
from tests.contract.vector_bundles import Ids

ON = "2016-12-05"
START, END = f"{ON} 08:00", "08:45"


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


class Cases(MonthBundle):
    """Cases with what must come of each, worked out from the text."""

    def __init__(self, policies: str = "") -> None:
        super().__init__(policies)
        self.expected: dict[str, tuple[str, list[str]]] = {}

    def case(self, name: str, account: str, *codes: str, minutes: int = 600) -> Ids:
        """A client with an order, and its December: figures but those that follow from others, finding codes."""
        ids = self.client(name, minutes)
        self.expected[ids.client] = (account, sorted(codes))
        return ids

    def told(self, komgick: Komgick, month: str) -> dict[str, tuple[str, list[str]]]:
        codes = defaultdict(list)
        for finding in komgick.json("findings", "--month", month):
            codes[finding["client_id"]].append(finding["code"])
        said = komgick.accounts(month).items()
        return {client: (_short(figures(account)), sorted(codes[client])) for client, account in said}


def _short(text: str) -> str:
    derived = ("reported ", "free ", "settled ")
    return ", ".join(part for part in text.split(", ") if not part.startswith(derived))


def at_the_door(town: Cases) -> None:
    """The window and who came."""
    who = town.case("60 min before", "declined_compensated 45")
    town.tap(who, "KOM", f"{ON} 07:00")
    town.decline(who, START, END, "at_door", "08:02")
    who = town.case("61 min before", "", "kom_without_gick", "notice_contradicted")
    town.tap(who, "KOM", f"{ON} 06:59")
    town.decline(who, START, END, "at_door", "08:02")
    who = town.case("after noticed", "", "kom_without_gick")
    town.tap(who, "KOM", f"{ON} 08:10")
    town.decline(who, START, END, "in_advance", "08:02")
    who = town.case("ended before", "executed 20", "notice_contradicted")
    town.visit(who, f"{ON} 07:20", "07:40")
    town.decline(who, START, END, "at_door", "07:41")
    who = town.case("ended as planned began", "executed 30, declined_compensated 15")
    town.visit(who, f"{ON} 07:30", "08:00")
    town.decline(who, START, END, "at_door", "08:00")
    who = town.case("GICK alone", "declined_compensated 45", "gick_without_kom")
    town.tap(who, "GICK", f"{ON} 08:01")
    town.decline(who, START, END, "at_door", "08:02")
    who = town.case("code given", "declined_compensated 45")
    town.code_given(who, f"{ON} 07:55")
    town.decline(who, START, END, "at_door", "08:02")
    who = town.case("stated in advance", "declined_compensated 45", "notice_contradicted")
    town.tap(who, "KOM", f"{ON} 07:50")
    town.decline(who, START, END, "in_advance", "08:02")
    who = town.case("absent", "", "kom_without_gick", "notice_contradicted")
    town.tap(who, "KOM", f"{ON} 07:50")
    town.decline(who, START, END, "absent", "08:02")
    who = town.case("outage", "declined_compensated 45")
    town.outage(who, f"{ON} 08:00", f"{ON} 09:00")
    town.decline(who, START, END, "at_door", "08:02")
    who = town.case("outage just over", "", "notice_contradicted")
    town.outage(who, f"{ON} 07:00", f"{ON} 08:00")
    town.decline(who, START, END, "at_door", "08:00")
    who = town.case("tag refused", "declined_compensated 45")
    town.rows["tag_refusals"].append({"client_id": who.client, "valid_from": "2016-12-01", "valid_to": ""})
    town.decline(who, START, END, "at_door", "08:02")


def which_visits(town: Cases) -> None:
    """Whose minutes are whose."""
    who = town.case("two staff", "executed 10, declined_compensated 80")
    town.order(who, 600, "2016-01-01", max_staff=2)
    town.tap(who, "KOM", f"{ON} 07:58", 1)
    town.visit(who, f"{ON} 07:59", "08:09", 2)
    town.decline(who, START, END, "at_door", "08:05", staff_count=2)
    who = town.case("one declined, two came", "declined_compensated 45", "kom_without_gick")
    town.order(who, 600, "2016-01-01", max_staff=2)
    town.tap(who, "KOM", f"{ON} 07:58", 1)
    town.tap(who, "KOM", f"{ON} 07:59", 2)
    town.decline(who, START, END, "at_door", "08:05")
    who = town.case("another plan's", "executed 26, declined_compensated 45")
    town.plan(who, f"{ON} 07:35", "08:00", staff=1)
    town.plan(who, START, END)
    town.visit(who, f"{ON} 07:35", "08:01")
    town.decline(who, START, END, "at_door", "08:01")
    who = town.case("held", "held 20, declined_compensated 25", "client_disputes")
    town.visit(who, START, "08:20")
    town.decline(who, START, END, "at_door", "08:18")
    town.dispute(who, ON)
    who = town.case("longer than planned", "executed 60")
    town.visit(who, START, "09:00")
    town.decline(who, START, END, "at_door", "08:18")
    who = town.case("the last of December", "declined_compensated 45")
    town.tap(who, "KOM", "2016-12-31 23:29")
    town.decline(who, "2016-12-31 23:30", "2017-01-01 00:15", "at_door", "2017-01-01 00:05")
    who = town.case("the new rule", "")
    town.tap(who, "KOM", "2017-01-01 08:00")
    town.decline(who, "2017-01-01 08:00", END, "at_door", "08:02")
    who = town.case("a day without order", "declined_compensated 45, excess 45, unpaid 45", "no_order",
                    "excess_without_reason")  # fmt: skip
    town.order(who, 600, "2016-01-01", "2016-12-04")
    town.tap(who, "KOM", f"{ON} 07:58")
    town.decline(who, START, END, "at_door", "08:02")


def made_up(town: Cases) -> None:
    """Linked by date, each minute once, earlier declines first; paid once."""
    who = town.case("two linked", "executed 40, declined_compensated 50, made_up_offset 40")
    for hour in (8, 12):
        town.tap(who, "KOM", f"{ON} {hour:02d}:00")
        town.decline(who, f"{ON} {hour:02d}:00", f"{hour:02d}:45", "at_door", f"{hour:02d}:05", made_up_minutes=60,
                     made_up_on="2016-12-08")  # fmt: skip
    town.visit(who, "2016-12-08 08:00", "08:40")
    who = town.case("no date, no link", "executed 40, declined_compensated 45")
    town.tap(who, "KOM", START)
    town.decline(who, START, END, "at_door", "08:02", made_up_minutes=30)
    town.visit(who, "2016-12-08 08:00", "08:40")
    who = town.case("next month", "declined_compensated 15, made_up_offset 30")
    town.tap(who, "KOM", START)
    town.decline(who, START, END, "at_door", "08:02", made_up_minutes=30, made_up_on="2017-01-05")
    town.visit(who, "2017-01-05 08:00", "08:40")
    who = town.case("the same day", "executed 40, made_up_offset 35")
    town.visit(who, START, "08:10")
    town.visit(who, f"{ON} 15:00", "15:30")
    town.decline(who, START, END, "at_door", "08:08", made_up_minutes=45, made_up_on=ON)
    who = town.case("paid twice?", "executed 40, declined_compensated 45, excess 19, unpaid 19",
                    "possible_double_compensation", "excess_without_reason", minutes=60)  # fmt: skip
    town.tap(who, "KOM", START)
    town.decline(who, START, END, "at_door", "08:02")
    town.visit(who, "2016-12-08 08:00", "08:40")
    who = town.case("nothing compensated", "executed 80, excess 14, unpaid 14", "excess_without_reason", minutes=60)
    town.decline(who, START, END, "in_advance", "2016-12-04 12:00")
    town.visit(who, "2016-12-08 08:00", "09:20")


def test_every_sentence_about_declines(tmp_path: Path, komgick: Komgick) -> None:
    town = Cases()
    for part in (at_the_door, which_visits, made_up):
        part(town)
    town.put(komgick, tmp_path / "bundle")
    assert town.told(komgick, "2016-12") == town.expected
    january = town.told(komgick, "2017-01")
    assert {client for client, (account, _) in january.items() if account} == {"K-next month"}
    assert january["K-next month"] == ("executed 40", [])


SHARES = """
[[decline_shares]]
valid_from = 2026-03-01
value = [
  {notice = "in_advance", percent = 50},
  {notice = "in_advance", care_service = "meal", percent = 55},
  {notice = "in_advance", absence = "hospital", day_from = 1, day_to = 1, percent = 75},
  {notice = "in_advance", absence = "hospital", day_from = 2, day_to = 5, percent = 25},
]
"""


def test_other_municipalities_pay_shares_by_notice_service_absence_and_date(tmp_path: Path, komgick: Komgick) -> None:
    """Hospital from the 10th: day 1 75 %, days 2 and 5 25 %, day 6 as any other; 60 minutes each: 45 + 15 + 15 + 30."""
    town = Cases(SHARES)
    who = town.case("hospital", "declined_compensated 105")
    town.rows["absences"].append(
        {"client_id": who.client, "kind": "hospital", "from_on": "2026-03-10", "to_on": "2026-03-20"}
    )
    for day in (10, 11, 14, 15):
        town.decline(who, f"2026-03-{day} 08:00", "09:00", "in_advance", "2026-03-10 07:00")
    who = town.case("a meal", "declined_compensated 11")
    town.plan(who, "2026-03-05 12:00", "12:20", service="meal")
    town.decline(who, "2026-03-05 12:00", "12:20", "in_advance", "2026-03-01 08:00")
    who = town.case("before the policy", "")
    town.decline(who, "2026-02-28 08:00", "09:00", "in_advance", "2026-02-27 08:00")
    town.put(komgick, tmp_path / "bundle")
    assert town.told(komgick, "2026-03") == town.expected
