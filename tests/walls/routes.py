"""Requests for every route of the application, made from its own description: path, query and body filled with ids.

A parameter or a body's member named as in `World.ids` gets that side's id; everything else the smallest value of its
form. A new route is asked without a line here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from app.api.access import Access, routes_of

SKIPPED = {"/api/v1/device/taps", "/api/v1/device/enrol"}
"""Doors of devices: authenticated by signatures, tested in tests/doors; they have no ids of others to ask for."""

_SAMPLES = {"date": "2026-11-02", "date-time": "2026-11-02T08:00:00Z"}
_NAMED = {"month": "2026-11", "measure": "kolada_14d", "day": "2026-11-20", "from": "2026-10-01", "to": "2026-12-31"}
_MEMBERS = {
    "note": "en not", "reason": "other", "start_at": "2026-11-02T08:00:00Z", "end_at": "2026-11-02T08:30:00Z",
    "planned_start_at": "2026-11-02T08:00:00Z", "planned_end_at": "2026-11-02T08:30:00Z", "role": "carer",
    "noticed_at": "2026-11-02T08:00:00Z", "valid_from": "2026-11-02", "kind": "set_staff", "kom_seq": 1,
    "new_staff_id": "staff_id", "new_client_id": "client_id", "kom_device_id": "device_id",
}  # fmt: skip
"""What a body needs to be taken seriously, by the member's name; an id's name stands for that id."""

_LEFT_OUT = {
    "/api/v1/corrections": {"manual_id", "device_id", "kom_device_id", "kom_seq", "new_client_id"},
    "/api/v1/continuity/{measure}": {"from"},
    "/api/v1/people": {"district"},
    "/api/v1/people/{person_id}/roles": {"district"},
}
"""Members and parameters that contradict others of the same request."""


@dataclass(frozen=True)
class Call:
    """A route to be asked: `by_id` when an id in path, query or body chooses whose data it is about."""

    method: str
    path: str
    declaration: Access | str
    operation: dict[str, Any]
    document: dict[str, Any]

    def request(self, ids: dict[str, str]) -> dict[str, Any]:
        """Arguments for an HTTP client."""
        values = _NAMED | ids
        parameters = self.operation.get("parameters", [])
        places = {
            one["name"]: values.get(one["name"], _sample(one["schema"])) for one in parameters if one["in"] == "path"
        }
        wanted = [one for one in parameters if one["in"] == "query"]
        query = {
            one["name"]: values.get(one["name"], _sample(one["schema"]))
            for one in wanted
            if one["name"] not in _LEFT_OUT.get(self.path, set()) and (one["name"] in values or one.get("required"))
        }
        path = re.sub(r"{(\w+)(:\w+)?}", lambda found: str(places[found[1]]), self.path)
        content = self.operation.get("requestBody", {}).get("content", {})
        asked: dict[str, Any] = {"method": self.method, "url": path, "params": query}
        if "application/json" in content:
            body = _filled(content["application/json"]["schema"], values, self.document)
            asked["json"] = _without(body, _LEFT_OUT.get(self.path, set()))
        elif content:
            asked["data"] = {"grant_type": "client_credentials", "client_id": "m_nobody", "client_secret": "none"}
        return asked

    @property
    def gives_csv(self) -> bool:
        """Whether the description promises CSV."""
        return "text/csv" in self.operation["responses"].get("200", {}).get("content", {})


def calls_of(app: FastAPI) -> list[Call]:
    """Every route of the application's description."""
    document = app.openapi()
    declared = {(method, path): declaration for method, path, declaration in routes_of(app)}
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            declaration = declared[method.upper(), path]
            assert declaration is not None
            if path not in SKIPPED:
                found.append(Call(method.upper(), path, declaration, operation, document))
    return found


def _filled(schema: dict[str, Any], values: dict[str, str], document: dict[str, Any], name: str = "") -> Any:
    schema = _resolved(schema, document)
    if name in _MEMBERS and schema.get("type", "string") in {"string", "integer"}:
        sample = _MEMBERS[name]
        return values.get(str(sample), sample)
    if name in values and schema.get("type", "string") == "string":
        return values[name]
    if schema.get("type") == "object" or "properties" in schema:
        required = set(schema.get("required", ()))
        return {
            member: _filled(inner, values, document, member)
            for member, inner in schema.get("properties", {}).items()
            if member in required or member in values or member in _MEMBERS
        }
    if schema.get("type") == "array":
        return [_filled(schema["items"], values, document, name.removesuffix("s"))]
    return _sample(schema)


def _without(body: Any, names: set[str]) -> Any:
    if not isinstance(body, dict) or not names:
        return body
    return {name: _without(value, names) for name, value in body.items() if name not in names}


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
        if "$ref" in schema:
            found: dict[str, Any] = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        else:
            options = schema.get("anyOf") or schema["oneOf"]
            schema = next(one for one in options if one.get("type") != "null")
    return schema


def _sample(schema: dict[str, Any]) -> Any:
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    if kind in {"integer", "number"}:
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return False
    if kind == "object":
        return {}
    if kind == "array":
        return []
    return _SAMPLES.get(schema.get("format", ""), "other".ljust(schema.get("minLength", 0), "x"))
