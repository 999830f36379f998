"""Every case of vectors/continuity.json as a city would meet it: taps go in as a bundle, `komgick continuity` tells.

Each sequence of carers is a client with a provider, carers and a tag of its own; one visit an hour, several a day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.contract.commands import Komgick
from tests.contract.vector_bundles import Ids, VectorBundle, at

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "continuity.json").read_text(encoding="utf-8"))
FIRST, MONTH, A_DAY = date(2026, 10, 1), "2026-10", 4
COLUMNS = {"UPC": "upc", "HI": "hi", "COC": "coc_bice_boxerman", "SECON": "secon", "K": "k", "MMCI": "mmci"}
Meetings = Sequence[Sequence[str]]


@pytest.fixture
def komgick(cli_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Komgick:
    for name, value in cli_environment.items():
        monkeypatch.setenv(name, value)
    return Komgick()


class MeetingBundle(VectorBundle):
    """Adds clients whose meetings are given as who was there."""

    def add_meetings(self, name: str, meetings: Meetings) -> str:
        """The client_id. The second, third person of a meeting comes a minute after the one before, all stay a while"""
        ids = self.add_registry(name)
        (work,) = (row for row in self.rows["staff"] if row["staff_id"] == ids.staff(1))
        for who in sorted({person for persons in meetings for person in persons}):
            self.rows["staff"].append({**work, "staff_id": f"{ids.client}-{who}"})
        for place, persons in enumerate(meetings):
            start = at(str(FIRST + timedelta(days=place // A_DAY)), 8 + place % A_DAY)
            taps = [(act, who, minute) for late, who in enumerate(persons) for act, minute in
                    (("KOM", late), ("GICK", 30 + late))]  # fmt: skip
            for act, who, minute in sorted(taps, key=lambda tap: tap[2]):
                self.add_tap(ids, act, 1, start + timedelta(minutes=minute))
                self.rows["taps"][-1]["staff_id"] = f"{ids.client}-{who}"
        return ids.client


def _decimal(value: Mapping[str, Any] | None) -> float | None:
    """What CONTRACT.md 4 prints: ten digits of the exact fraction."""
    return None if value is None else float(round(Fraction(value["frac"]), 10))


def _measured(komgick: Komgick, bundle: MeetingBundle, tmp_path: Path) -> dict[str, Any]:
    bundle.rows["staff"] = sorted(bundle.rows["staff"], key=lambda row: str(row["staff_id"]))
    komgick("import", str(bundle.write(tmp_path / "bundle")))
    found = komgick.json("continuity", "--measure", "stockholm_month", "--month", MONTH)
    return {**found, "per_client": {row["client_id"]: row for row in found["per_client"]}}


def test_every_published_and_hand_made_sequence_of_carers_has_its_indices(tmp_path: Path, komgick: Komgick) -> None:
    bundle = MeetingBundle()
    sequences = {vector["name"]: vector for vector in VECTORS["index_vectors"]}
    clients = {name: bundle.add_meetings(name, [[who] for who in row["visits"]]) for name, row in sequences.items()}
    for name in sequences:  # whoever is never visited is still somebody's client
        bundle.add_orders(Ids(name), [{"from": "2026-10-01", "to": "2026-10-31", "minutes": 600}])
    found = _measured(komgick, bundle, tmp_path)
    told = {name: found["per_client"].get(client) for name, client in clients.items()}
    for name, vector in sequences.items():
        shown = told[name]
        if not vector["visits"]:
            assert shown is None
            assert {"client_id": clients[name], "why": "no_counted_meeting"} in found["clients_excluded"]
            continue
        expected = vector["expected"]
        assert (shown["visits"], shown["distinct_staff"]) == (vector["N"], vector["M_different_staff"]), name
        indices = {column: _decimal(expected[index]) for index, column in COLUMNS.items()}
        assert {column: shown[column] for column in indices} == indices, name
        assert shown["visit_entropy_bits"] == pytest.approx(expected["VE_bits"], abs=1e-9), name
    assert found["clients_included"] == 31
    assert found["mean"] == pytest.approx(sum(row["M_different_staff"] for row in sequences.values()) / 31, abs=1e-9)


def test_the_mean_of_an_index_is_over_clients_and_two_carers_at_once_are_one_meeting(
    tmp_path: Path, komgick: Komgick
) -> None:
    (aggregated,) = VECTORS["aggregation_vectors"]
    bundle = MeetingBundle()
    for number, carers in enumerate(aggregated["clients"]):
        bundle.add_meetings(f"mean-{number}", [[who] for who in carers])
    found = _measured(komgick, bundle, tmp_path / "mean")
    assert found["mean_coc"] == _decimal(aggregated["expected"]["mean_COC"])

    bundle = MeetingBundle()
    pairs = {vector["name"]: vector for vector in VECTORS["double_staffing_vectors"]}
    clients = {name: bundle.add_meetings(name, vector["visits"]) for name, vector in pairs.items()}
    rows = _measured(komgick, bundle, tmp_path / "pairs")["per_client"]
    for name, vector in pairs.items():
        shown, expected = rows[clients[name]], vector["expected"]
        assert (shown["visits"], shown["distinct_staff"]) == (expected["visits"], expected["distinct_staff"])
        named = {"UPC_visit_share": "upc", "visitpair_COC_any_shared": "coc_bice_boxerman", "SECON_any_shared": "secon"}
        assert {column: shown[column] for column in named.values()} == {
            column: _decimal(expected[index]) for index, column in named.items()
        }
