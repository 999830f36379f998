"""Golden months: each folder tells a story in `taps.txt` and says by hand what must come of it (ARCHITECTURE.md 2).

`taps.txt` is the diary language of tests/diary.py and story.py, over the price list `prices.txt`; a line `show 2026-10
2026-11` names the months to compare. Beside it, one line for each:

    findings.txt  2026-10-05 08:00 kom_without_gick anna bo         local time, code, staff, client; - where none
    month.txt     2026-10 bo P1: ordered 600, ceiling 660, ...      figures that are not 0, in the account's order
    export.txt    2026-10 bo P1 time care/day: 59 min x 51600/hour = 50740
                  2026-11 bo P1 adjustment of 2026-10 care/day: 20 min x 51600/hour = 17200

A closed month is shown as its run froze it, with what has become of its excess. The comments in taps.txt say how each
figure is worked out from DOMAIN.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.localtime import local_text
from app.core.month import Month
from app.facts import BillingLine, Finding, MonthAccount
from app.months.tables import FIGURES
from tests.scenarios.story import Story

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/taps.txt"))
_SILENT = {"findings_open"}  # they stand in findings.txt


def told(folder: Path) -> tuple[Story, list[Month]]:
    """The folder's story, and the months it asks for."""
    story, months = Story(), []
    for line in [*(HERE / "prices.txt").read_text("utf-8").splitlines(), *_lines(folder / "taps.txt")]:
        if line.startswith("show "):
            months = [Month.parse(text) for text in line.split("#")[0].split()[1:]]
        else:
            story.read(line)
    return story, months


def account_text(account: MonthAccount) -> str:
    """An account as month.txt has it."""
    shown = [
        f"{name.removesuffix('_minutes')} {getattr(account, name)}"
        for name in FIGURES
        if name not in _SILENT and getattr(account, name)
    ]
    state = "" if account.state == "open" else f" ({account.state})"
    return f"{account.month} {account.client_id} {account.provider_id}{state}: {', '.join(shown) or 'nothing'}"


def finding_text(finding: Finding) -> str:
    """A finding as findings.txt has it."""
    at = local_text(finding.at)
    held = " (held)" if finding.holds else ""
    return f"{at} {finding.code} {finding.staff_id or '-'} {finding.client_id or '-'}{held}"


def line_text(line: BillingLine) -> str:
    """A billing line as export.txt has it."""
    origin = "" if line.origin_month == line.month else f" of {line.origin_month}"
    what = f"{line.service}/{line.band}" if line.band else line.service
    much = [f"{line.minutes} min"] if line.minutes else []
    much += [f"{line.count} times"] if line.count else []
    price = f"{line.unit_price_ore}/{line.unit}" if line.unit_price_ore else "0"
    place = f"{line.month} {line.client_id} {line.provider_id} {line.kind}{origin}"
    return f"{place} {what}: {', '.join(much) or 'nothing'} x {price} = {line.amount_ore}"


def outcome(story: Story, months: list[Month]) -> dict[str, list[str]]:
    """What came of a story, as the three files say it."""
    town, all_told = story.town, story.told()
    accounts: list[MonthAccount] = []
    findings = list(town.derive(all_told).findings)
    lines: list[BillingLine] = []
    for month in months:
        results = town.accounts(all_told, month)
        for key, result in results.items():
            accounts.append(town.shown(all_told, key, month) or result.account)
            findings += result.findings
        lines += town.lines(all_told, month)
    return {
        "findings.txt": sorted(map(finding_text, findings)),
        "month.txt": sorted(map(account_text, accounts)),
        "export.txt": sorted(map(line_text, lines)),
    }


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_scenario(folder: Path) -> None:
    story, months = told(folder)
    assert months, "taps.txt has no line `show`"
    expected = {
        name: sorted(line for line in _lines(folder / name) if line and not line.startswith("#"))
        for name in ("findings.txt", "month.txt", "export.txt")
    }
    assert outcome(story, months) == expected


def test_there_are_enough_of_them() -> None:
    assert len(FOLDERS) >= 40
