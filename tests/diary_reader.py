"""Reads the lines of the diary language (tests/diary.py says what they are)."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from app.core.localtime import STOCKHOLM
from app.facts import (
    Absence,
    Client,
    Correction,
    Decline,
    Device,
    Dispute,
    Employment,
    ManualVisit,
    Order,
    OrderService,
    Outage,
    PlannedVisit,
    Provider,
    RegistryRows,
    Resolution,
    Tag,
    TagRefusal,
    Tap,
    Unit,
)
from app.policies import PolicyBook
from app.policies.book import DatedValue
from app.policies.keys import ALWAYS
from app.visits.rules.derive import DerivationInput

EVER = date(2000, 1, 1)
EVER_AT = datetime(2000, 1, 1, tzinfo=UTC)
ACTS = ("KOM", "GICK", "AUTO")


def moment(text: str, fold: int = 0) -> datetime:
    """`2026-01-05T08:00[:00]` or with a blank, local, as a UTC instant."""
    return datetime.fromisoformat(text).replace(tzinfo=STOCKHOLM, fold=fold).astimezone(UTC)


@dataclass
class Reader:
    """Collects lines; `story` gives what they tell."""

    rows: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    staff: dict[str, list[Employment]] = field(default_factory=lambda: defaultdict(list))
    clients: dict[str, Client] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    units: dict[str, Unit] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    tags: list[Tag] = field(default_factory=list)
    taps: list[tuple[list[Any], dict[str, Any]]] = field(default_factory=list)
    policies: list[DatedValue] = field(default_factory=list)

    def read(self, line: str) -> None:
        """One line; comments and blank ones say nothing."""
        words: list[Any] = shlex.split(line, comments=True)
        if not words:
            return
        options: dict[str, Any] = dict(
            word.split("=", 1) for word in words if "=" in word and not word.startswith("tag:")
        )
        plain = [word for word in words if "=" not in word or word.startswith("tag:")]
        if len(plain) > 2 and plain[2] in ACTS:
            self.taps.append((plain, options))
        else:
            getattr(self, f"_{plain[0]}")(plain[1:], options)

    # registry

    def _provider(self, words: list[Any], options: dict[str, Any]) -> None:
        since = options.get("since")
        self.providers[words[0]] = Provider(
            words[0],
            words[0],
            "private",
            options.get("minimum", "uid"),
            _day(since) if since else None,
        )

    def _staff(self, words: list[Any], options: dict[str, Any]) -> None:
        provider = options.get("provider", "P1")
        unit = options.get("unit", f"{provider}-unit")
        to = options.get("to")
        self.staff[words[0]].append(
            Employment(
                words[0],
                _day(options.get("from", str(EVER))),
                _day(to) if to else None,
                options.get("person", ""),
                unit,
                provider,
                words[0],
                role=options.get("role", "carer"),
            )
        )
        self._at_provider(provider, unit)

    def _at_provider(self, provider: str, unit: str = "") -> None:
        self.providers.setdefault(provider, Provider(provider, provider, "private"))
        name = unit or f"{provider}-unit"
        self.units.setdefault(name, Unit(name, provider, name))

    def _client(self, words: list[Any], options: dict[str, Any]) -> None:
        self.clients[words[0]] = Client(words[0], words[0], site_id=options.get("site", ""))

    def _tag(self, words: list[Any], options: dict[str, Any]) -> None:
        to = options.get("to")
        for client in words[1].split(","):
            self.clients.setdefault(client, Client(client, client))
            since = moment(options["from"]) if "from" in options else EVER_AT
            self.tags.append(Tag(words[0], client, since, moment(to) if to else None, options.get("kind", "uid")))

    def _order(self, words: list[Any], options: dict[str, Any]) -> None:
        client, provider, period, amount = words
        first, last = _days(period)
        number, per = amount.split("/")
        self.clients.setdefault(client, Client(client, client))
        self._at_provider(provider)
        order_id = options.get("id", f"order-{client}-{provider}-{first}")
        self.rows["orders"].append(
            Order(
                order_id,
                client,
                provider,
                f"{provider}-unit",
                options.get("district", "D1"),
                first,
                last,
                int(number) if per == "month" else None,
                int(number) if per == "day" else None,
                int(options.get("max_staff", "1")),
            )
        )

    def _service(self, words: list[Any], options: dict[str, Any]) -> None:
        self.rows["order_services"].append(OrderService(words[0], words[1], proof=options.get("proof", "both")))

    def _device(self, words: list[Any], options: dict[str, Any]) -> None:
        revoked = options.get("revoked")
        self.devices[words[0]] = Device(
            words[0], options.get("provider", ""), options.get("kind", "phone"),
            revoked_at=moment(revoked) if revoked else None,
        )  # fmt: skip

    def _absence(self, words: list[Any], _options: dict[str, Any]) -> None:
        first, last = _days(words[2])
        self.rows["absences"].append(Absence(words[0], first, words[1], last))

    def _refuses(self, words: list[Any], _options: dict[str, Any]) -> None:
        self.rows["tag_refusals"].append(TagRefusal(words[0], *_days(words[1])))

    def _outage(self, words: list[Any], _options: dict[str, Any]) -> None:
        first, last = _moments(words[1])
        assert first is not None
        provider = "" if words[0] == "all" else words[0]
        self.rows["outages"].append(Outage(f"outage-{len(self.rows['outages'])}", provider, first, last))

    def _policy(self, words: list[Any], options: dict[str, Any]) -> None:
        value: Any = int(words[1]) if words[1].isdigit() else {"true": True, "false": False}.get(words[1], words[1])
        if words[1].startswith("[{"):
            value = json.loads(words[1])
        elif "," in words[1] or words[0].startswith("holds"):
            value = [code for code in words[1].split(",") if code != "none"]
        self.policies.append(DatedValue(words[0], value, _day(options["from"]) if "from" in options else ALWAYS))

    # statements

    def _plan(self, words: list[Any], options: dict[str, Any]) -> None:
        start, end = _moments(words[3])
        assert start is not None
        assert end is not None
        withdrawn = options.get("withdrawn")
        self.rows["plans"].append(
            PlannedVisit(
                words[0],
                words[1],
                options.get("provider", "P1"),
                words[2],
                start,
                end,
                options.get("service", "care"),
                int(options.get("staff_count", "1")),
                moment(withdrawn) if withdrawn else None,
            )
        )

    def _decline(self, words: list[Any], options: dict[str, Any]) -> None:
        start, end = _moments(words[2])
        assert start is not None
        assert end is not None
        made_up, _, made_up_on = options.get("made_up", "0").partition("@")
        noticed = moment(options["noticed"]) if "noticed" in options else start
        self.rows["declines"].append(
            Decline(
                words[0],
                words[1],
                options.get("provider", "P1"),
                start,
                end,
                int(options.get("staff_count", "1")),
                words[3],
                noticed,
                int(made_up),
                _day(made_up_on) if made_up_on else None,
            )
        )

    def _manual(self, words: list[Any], options: dict[str, Any]) -> None:
        start, end = _moments(words[3])
        self.clients.setdefault(words[1], Client(words[1], words[1]))
        if words[2] not in self.staff and options.get("known") != "no":
            self._staff([words[2]], {})
        self.rows["manual_visits"].append(
            ManualVisit(
                words[0],
                words[1],
                options.get("provider", "P1"),
                words[2],
                start,
                end,
                options.get("service"),
                options.get("care_service", ""),
                words[4],
                "",
                options.get("by", words[2]),
                options.get("ok", ""),
            )
        )

    def _correct(self, words: list[Any], options: dict[str, Any]) -> None:
        kind: Any = (
            "set_staff_of_device" if "device" in options
            else "cancel_visit" if "cancel" in words
            else "set_staff" if "staff" in options
            else "set_client" if "client" in options
            else "set_times"
        )  # fmt: skip
        target = words[1] if len(words) > 1 and kind != "set_staff_of_device" else ""
        device, slash, seq = target.partition("/")
        first, last = _moments(words[1]) if kind == "set_staff_of_device" and len(words) > 1 else (None, None)
        self.rows["corrections"].append(
            Correction(
                correction_id=words[0],
                made_at=moment(options.get("made", "2026-12-01T12:00")),
                kind=kind,
                kom_device_id=device if slash else "",
                kom_seq=int(seq) if slash else None,
                manual_id="" if slash else target,
                device_id=options.get("device", ""),
                from_at=first,
                to_at=last,
                new_start_at=moment(options["start"]) if "start" in options else None,
                new_end_at=moment(options["end"]) if "end" in options else None,
                new_staff_id=options.get("staff", ""),
                new_client_id=options.get("client", ""),
                reason=options.get("reason", "wrong_time"),
                note="",
                made_by=options.get("by", "office"),
                approved_by=options.get("ok", ""),
            )
        )

    def _dispute(self, words: list[Any], _options: dict[str, Any]) -> None:
        stated = moment("2026-12-01T12:00")
        self.rows["disputes"].append(Dispute(words[0], words[1], _day(words[2]), stated, "kin", "", words[3]))

    def _resolve(self, words: list[Any], _options: dict[str, Any]) -> None:
        self.rows["resolutions"].append(Resolution(words[0], moment("2026-12-01T12:00"), "chef", "seen"))

    # the end of the story

    def story(self) -> tuple[DerivationInput, RegistryRows, PolicyBook]:
        """Everything read, with what the lines left to defaults."""
        taps = tuple(self._taps())
        for unit in list(self.units.values()):
            self._at_provider(unit.provider_id)
        rows = self.rows
        registry = RegistryRows(
            providers=tuple(self.providers.values()),
            units=tuple(self.units.values()),
            employments=tuple(row for rows_ in self.staff.values() for row in rows_),
            clients=tuple(self.clients.values()),
            tag_refusals=tuple(rows["tag_refusals"]),
            tags=tuple(self.tags),
            orders=tuple(rows["orders"]),
            order_services=tuple(rows["order_services"]),
            devices=tuple(self.devices.values()),
            absences=tuple(rows["absences"]),
            outages=tuple(rows["outages"]),
        )
        statements = DerivationInput(
            taps=taps,
            plans=tuple(rows["plans"]),
            declines=tuple(rows["declines"]),
            manual_visits=tuple(rows["manual_visits"]),
            corrections=tuple(rows["corrections"]),
            disputes=tuple(rows["disputes"]),
            resolutions=tuple(rows["resolutions"]),
        )
        book = PolicyBook.built_in().with_overrides(self.policies)
        return statements, registry, book

    def _taps(self) -> list[Tap]:
        last_seq: dict[str, int] = defaultdict(int)
        known_tags = {tag.tag_uid for tag in self.tags}
        tagged = {tag.client_id for tag in self.tags}
        taps = []
        for (day, clock, act, staff, place), options in self.taps:
            if staff not in self.staff and not staff.startswith("unknown"):
                self._staff([staff], {})
            if place.startswith("tag:"):
                uid = place.removeprefix("tag:")
            else:
                self.clients.setdefault(place, Client(place, place))
                own = next((tag.tag_uid for tag in self.tags if tag.client_id == place), None)
                uid = own if own is not None and place in tagged else f"tag-{place}"
                if uid not in known_tags:
                    known_tags.add(uid)
                    self.tags.append(Tag(uid, place, EVER_AT, None))
            device = options.get("device", f"phone-{staff}")
            seq = int(options.get("seq", last_seq[device] + 1))
            last_seq[device] = seq
            at = moment(f"{day}T{clock}", int(options.get("fold", "0")))
            received = moment(options["received"]) if "received" in options else at
            tap = Tap(
                device,
                seq,
                act,
                uid,
                staff,
                at,
                received,
                doubts=tuple(options["doubts"].split(",")) if "doubts" in options else (),
                grade=options.get("grade", "A"),
                tag_level=options.get("level", "uid"),
            )
            taps.append(replace(tap, service=options["service"]) if "service" in options else tap)
        return taps


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _days(text: str) -> tuple[date, date | None]:
    first, _, last = text.partition("..")
    return _day(first), _day(last) if last else None


def _moments(text: str) -> tuple[datetime | None, datetime | None]:
    """`A..B`; B may be a time of the same day."""
    first, _, last = text.partition("..")
    if last and "T" not in last:
        last = f"{first.partition('T')[0]}T{last}"
    return moment(first) if first else None, moment(last) if last else None
