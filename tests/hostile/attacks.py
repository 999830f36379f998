"""The attackers: each sends a number of bad requests and knows what must never be accepted of them."""

from __future__ import annotations

import json
import random
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, response_schema_conformance

from app import pipeline
from app.core.clock import utc_now
from app.evidence.rules.signatures import take_apart
from app.evidence.sun import SunKeys, make
from app.refusals import BundleRefused
from tests.evidence.devices import Device, rows
from tests.flows.bundles import every_file, write
from tests.hostile.crowd import Crowd, as_query
from tests.hostile.spoiling import bad_value, spoilt, spoilt_bytes, wrong_bundle
from tests.walls.routes import Call, calls_of

TAPS = "/api/v1/device/taps"
KEYS = SunKeys(1, bytes(range(16)), bytes(range(16, 32)))
_MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


class FromTheDocument:
    """schemathesis over the OpenAPI document: what it allows and what it forbids, asked by who may and who may not."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._session = requests.Session()
        schema = schemathesis.openapi.from_dict(crowd.app.openapi())
        # A .zip is BadBundles' matter: schemathesis makes none.
        found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        self.operations = [one for one in found if one.label != "POST /api/v1/imports"]

    def attack(self, operation: Any, examples: int, number: int) -> None:
        """So many examples that fit the document and as many that do not."""
        may, others = self._crowd.principals_of(operation.method.upper(), operation.path)
        dice = random.Random(number)

        def ask(case: schemathesis.Case[Any]) -> None:
            who = dice.choice(others) if others and dice.random() < 0.2 else dice.choice(may)
            self._ask(operation.label, case, who, may)

        for mode in _MODES:
            limits = settings(
                max_examples=examples, database=None, derandomize=False, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            strategy = operation.as_strategy(generation_mode=mode)
            try:
                seed(number)(limits(given(case=strategy)(ask)))()
            except Unsatisfiable:
                continue  # a route without parameters and body cannot be asked wrongly

    def _ask(self, label: str, case: schemathesis.Case[Any], who: str, may: list[str]) -> None:
        crowd = self._crowd
        answer = case.call(base_url=crowd.address, headers=crowd.headers(who), session=self._session)
        crowd.answers[answer.status_code] += 1
        if answer.status_code >= 500 and label != "GET /readyz":
            crowd.fault(f"{label}: {answer.status_code}", case.as_curl_command())
        if who not in may and answer.status_code < 400:
            crowd.fault(f"{label}: lets {who} in", case.as_curl_command())
        if answer.status_code in (413, 503):  # too large whatever it holds; /readyz
            return
        try:
            case.validate_response(answer, checks=[negative_data_rejection, response_schema_conformance])
        except (Failure, FailureGroup) as failure:
            why = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
            crowd.fault(f"{label}: {answer.status_code} {type(why[0]).__name__}", f"{why} {case.as_curl_command()}")


class SpoiltRequests:
    """A request that would be taken, with one value of it spoilt: gets deeper than what is random from the start."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.calls = [call for call in calls_of(crowd.app) if call.path != "/readyz"]

    def attack(self, call: Call, dice: random.Random) -> None:
        crowd = self._crowd
        may, others = crowd.principals_of(call.method, call.path)
        who = dice.choice(others) if others and dice.random() < 0.1 else dice.choice(may)
        asked = call.request(crowd.world.ids[1])
        parts = [name for name in ("json", "data", "params") if asked.get(name)]
        if ("{" in call.path and dice.random() < 0.2) or not parts:
            asked["url"] = self._spoilt_path(call, dice)
        elif (part := dice.choice(parts)) == "json" and dice.random() < 0.15:
            asked["content"] = spoilt_bytes(json.dumps(asked.pop("json")).encode(), dice)
            asked["headers"] = {"Content-Type": "application/json"}
        elif part == "json":
            asked["content"] = json.dumps(spoilt(asked.pop("json"), dice)).encode()
            asked["headers"] = {"Content-Type": "application/json"}
        else:
            name = dice.choice([*sorted(asked[part]), "cursor", "limit", "from", "changed_since"])
            asked[part] = {**asked[part], name: as_query(bad_value(dice), dice)}
        answer = crowd.ask(who, asked, f"{call.method} {call.path}")
        crowd.refused_or_kept_out(who, may, answer, f"{call.method} {call.path}")

    def _spoilt_path(self, call: Call, dice: random.Random) -> str:
        bad = str(bad_value(dice)).encode("utf-8", "surrogatepass")
        quoted = "".join(f"%{byte:02X}" for byte in bad[:600]) or "%20"
        start, _, _ = call.path.partition("{")
        return start + quoted + call.path.partition("}")[2].replace("{", "%7B").replace("}", "%7D")


@dataclass
class ForgedStatements:
    """Uploads of a device with its key, of which something was changed on the way, or signed though it is nonsense."""

    crowd: Crowd
    device: Device
    signed: set[str] = field(default_factory=set)
    proved: set[int] = field(default_factory=set)
    counter: int = 0

    def upload(self, dice: random.Random) -> None:
        """One upload: its head, a statement, or the body itself is bad."""
        device = self.device
        device.wait(seconds=1)
        taps = [self._signed(device.tap(dice.choice(("KOM", "GICK", "AUTO")))) for _ in range(dice.randrange(1, 3))]
        head, kind = device.head(), dice.randrange(7)
        if kind == 0:
            head = self._changed(head, dice)
        elif kind == 1:
            taps[0] = self._changed(taps[0], dice)
        elif kind == 2:
            taps[-1] = self._nonsense(taps[-1], "tap", dice)
        elif kind == 3:
            head = self._nonsense(head, "head", dice)
        elif kind == 4:
            taps[0] = Device(device.device_id).sign("tap", json.loads(take_apart(taps[0]).payload))
        elif kind == 5:
            bad_header = dice.choice(('{"alg":"none"}', '{"typ":"tap+jws","alg":"ES256"}', "", "[]", '{"alg":"HS256"}'))
            taps[0] = device.sign("tap", json.loads(take_apart(taps[0]).payload), bad_header)
        body = json.dumps({"head": head, "taps": taps}).encode()
        if kind == 6:
            body = spoilt_bytes(body, dice)
        answer = self.crowd.client.post(TAPS, content=body)
        self.crowd.note(answer, f"POST {TAPS}", body)
        if answer.status_code not in (200, 401, 413, 422):
            self.crowd.fault(f"POST {TAPS}: {answer.status_code}", str(body))
        if kind in (0, 3) and answer.status_code == 200 and head not in self.signed:
            self.crowd.fault("a changed head is believed", head)

    def sun(self, dice: random.Random) -> None:
        """A tap at an NTAG 424: its text genuine or not; only genuine ones may count as proof."""
        uid, self.counter = bytes.fromhex("04DE5F1EACC040"), self.counter + 1
        said = make(KEYS, uid, self.counter)
        kind = dice.randrange(5)
        if kind == 0:
            at = dice.choice([place for place in range(49) if place != 32])
            said = said[:at] + dice.choice([c for c in "0123456789ABCDEF" if c != said[at]]) + said[at + 1 :]
        elif kind == 1:
            said = make(SunKeys(1, KEYS.meta_key, secrets.token_bytes(16)), uid, self.counter)
        elif kind == 2:
            said = make(KEYS, dice.randbytes(7), self.counter)
        elif kind == 3:
            said = spoilt_bytes(said.encode(), dice).decode("latin-1")[:256]
        genuine = said.upper() == make(KEYS, uid, self.counter)
        self.device.wait(seconds=1)
        tap = self._signed(self.device.tap(uid=uid.hex().upper(), sun=said))
        if genuine:
            self.proved.add(self.device.seq)
        body = self.device.body([tap])
        self.crowd.note(self.crowd.client.post(TAPS, content=body), f"POST {TAPS} (sun)", body)

    def enrol(self, dice: random.Random) -> None:
        """An enrolment with a token nobody gave, or of no form at all."""
        stranger = Device(f"d_{dice.randrange(10**6)}")
        good = {
            "token": secrets.token_urlsafe(16), "public_jwk": stranger.jwk, "kind": "reader", "agent_version": "1",
            "proof": stranger.sign("enrol", {"token_sha256": "x", "jwk_thumbprint": "y", "t": "z"}),
        }  # fmt: skip
        body = json.dumps(spoilt(good, dice)).encode()
        body = spoilt_bytes(body, dice) if dice.random() < 0.2 else body
        answer = self.crowd.client.post("/api/v1/device/enrol", content=body)
        self.crowd.note(answer, "POST /api/v1/device/enrol", body)
        if answer.status_code < 400:
            self.crowd.fault("an enrolment without a token", str(body))

    def accepted_wrongly(self) -> list[str]:
        """What the database holds of this device that it never said; and proofs that are none, or are missing."""
        database, device_id = self.crowd.world.database, self.device.device_id
        stored = rows(database, "SELECT seq, jws, tag_level FROM taps WHERE device_id = :d", d=device_id)
        wrong = [f"stored and never signed: {jws[:200]}" for _, jws, _ in stored if jws not in self.signed]
        proofs = {seq for seq, _, level in stored if level == "sun"}
        wrong += [f"proof wrongly taken or refused: {seq}" for seq in sorted(proofs ^ self.proved)]
        return wrong if stored and proofs else ["nothing of this device was stored: this proves nothing"]

    def _signed(self, document: str) -> str:
        self.signed.add(document)
        return document

    def _changed(self, document: str, dice: random.Random) -> str:
        return spoilt_bytes(document.encode(), dice).decode("latin-1")

    def _nonsense(self, document: str, typ: str, dice: random.Random) -> str:
        """Truly signed, but something that no device of ours says."""
        payload = spoilt(json.loads(take_apart(document).payload), dice)
        return self._signed(self.device.sign(typ, payload))


@dataclass
class BadBundles:
    """Bundles of which one cell cannot be, or whose bytes were damaged."""

    crowd: Crowd
    folder: Path
    sent: list[str] = field(default_factory=list)

    def wrong_cell(self, dice: random.Random) -> None:
        """Refused, and the file named; nothing of it stored."""
        bundle, file, column = wrong_bundle(every_file(), dice)
        said = self._read(write(self.folder / secrets.token_hex(4), bundle), f"{file} {column}")
        if file not in said:
            self.crowd.fault(f"a bundle with a wrong {file} {column} is taken", f"{said} {bundle[file]}")

    def damaged(self, dice: random.Random) -> None:
        """Whatever its bytes are, reading a file ends in rows or in named errors."""
        place = write(self.folder / secrets.token_hex(4), every_file())
        victim = dice.choice(sorted(place.iterdir()))
        victim.write_bytes(spoilt_bytes(victim.read_bytes(), dice))
        self._read(place, victim.name)

    def over_http(self, dice: random.Random) -> None:
        """A damaged .zip."""
        place = self.folder / f"{secrets.token_hex(4)}.zip"
        pipeline.export_bundle(self.crowd.world.database, place)
        content = spoilt_bytes(place.read_bytes(), dice)
        headers = {"Content-Type": "application/zip"}
        asked = {"method": "POST", "url": "/api/v1/imports?dry_run=yes", "content": content, "headers": headers}
        answer = self.crowd.ask("city registry", asked, "POST /api/v1/imports")
        if answer is not None and answer.status_code == 202:
            self.sent.append(answer.json()["import_id"])

    def failed(self) -> list[str]:
        """Imports over HTTP that ended in a fault of the server."""
        states = dict(rows(self.crowd.world.database, "SELECT import_id, state FROM import_jobs"))
        return [f"import {one}: {states[one]}" for one in self.sent if states[one] == "failed"]

    def _read(self, place: Path, what: str) -> str:
        """What was said of a bundle; empty where it was taken."""
        self.crowd.answers[0] += 1
        try:
            pipeline.import_bundle(self.crowd.world.database, place, now=utc_now(), dry_run=True)
        except BundleRefused as refused:
            return refused.detail
        except Exception as error:  # noqa: BLE001 -- whatever breaks is what this looks for
            self.crowd.fault(f"reading {what}: {type(error).__name__}", f"{error}")
            return what
        finally:
            shutil.rmtree(place)
        return ""
