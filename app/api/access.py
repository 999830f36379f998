"""Each route declares who may use it; the application refuses to start when one does not (EVIDENCE.md section 4).

    READ = Access(frozenset({"manager", "scheduling"}), tenant="own_provider", reads="visits")

    @router.get("/visits")
    def get_visits(request: Request, principal: Annotated[Principal, access(READ)]) -> Page:
        with reading(request, principal) as read:
            rows = read_visits(read.connection, of_provider(principal, visits.c.provider_id))
            read.saw(row.client_id for row in rows)

401 without credentials, 403 `not_allowed` for another role, 404 for what is foreign or unknown. A route that declares
`reads` and answers without having logged its reading is a bug: 500, and nothing goes out.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of Gate.__call__, which has no module's names.

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.access.entrance import NotSignedIn, machine_of, person_of
from app.access.logs import Asked, note_reading
from app.access.principals import NAMES, Principal, caller_of
from app.access.tokens import csrf_fits
from app.core.clock import utc_now
from app.db.callers import Caller
from app.db.engine import Database
from app.refusals import NotAllowed, Refused

__all__ = ["Access", "Principal", "access", "caller_of", "check_declared", "declared", "reading"]

Tenant = Literal["own_provider", "district", "city", "own", "none"]

SESSION_COOKIE = "__Host-sid"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf_token"
FRESH = timedelta(minutes=10)
"""How long a step-up lasts (EVIDENCE.md section 3)."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER = HTTPBearer(auto_error=False, description="Opaque token of POST /api/v1/oauth/token, 15 minutes")
_COOKIE = APIKeyCookie(name=SESSION_COOKIE, auto_error=False, description="A person's session")


class StepUp(Refused):
    """Show your second factor again: the last time is more than ten minutes ago."""

    code = "step_up"


class ForeignOrigin(Refused):
    """The request does not come from a page of this server."""

    code = "foreign_origin"


@dataclass(frozen=True, slots=True)
class Access:
    """A route's declaration. `roles`: people's roles and machines' scopes. `tenant`: how far a provider's or a
    district's caller sees: own_provider, district (of the city's data), city (all), own (herself), none (no data
    of care). `reads`: the kind of personal data in the answer, for the read log; empty for none. `fresh`: step-up.
    """

    roles: frozenset[str]
    tenant: Tenant
    reads: str = ""
    fresh: bool = False

    def __post_init__(self) -> None:
        if not self.roles or self.roles - NAMES:
            raise ValueError(f"no such roles: {sorted(self.roles - NAMES)}")


async def _csrf_sent(request: Request) -> str:
    """The CSRF token of the request: in the header, or in a form's field."""
    sent = request.headers.get(CSRF_HEADER, "")
    kind = request.headers.get("content-type", "")
    if sent or not kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return sent
    if request.method in _SAFE or SESSION_COOKIE not in request.cookies:
        return ""
    value = (await request.form()).get(CSRF_FIELD, "")
    return value if isinstance(value, str) else ""


_Csrf = Annotated[str, Depends(_csrf_sent)]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
_Cookie = Annotated[str | None, Security(_COOKIE)]


class Gate:
    """The dependency behind `access(...)`: the route gets the principal; on the way out the read log is looked at."""

    def __init__(self, declaration: Access) -> None:
        self.declaration = declaration

    def __call__(self, request: Request, csrf: _Csrf, bearer: _Bearer, cookie: _Cookie) -> Iterator[Principal]:
        """NotSignedIn, NotAllowed, ForeignOrigin, StepUp before the route runs."""
        now = utc_now()
        principal = _authenticate(request, bearer, cookie, now)
        if cookie and not bearer:
            _require_own_page(request, cookie, csrf)
        if principal.roles & self.declaration.roles:
            # What an admin may do anyway is done as ever, broken glass or not: as another login it could not be.
            principal = replace(principal, break_glass=False)
        elif not self._through_broken_glass(request, principal):
            raise NotAllowed
        if self.declaration.fresh:
            require_fresh(principal, now)
        request.state.principal = principal
        request.state.access = self.declaration
        request.state.read_logged = False
        yield principal
        if self.declaration.reads and not request.state.read_logged:
            raise RuntimeError(f"{_route_of(request)} answers without having logged what it read")

    def _through_broken_glass(self, request: Request, principal: Principal) -> bool:
        """An admin who broke the glass reads what the read log marks, and changes nothing (EVIDENCE.md section 3)."""
        declaration = self.declaration
        marked = bool(declaration.reads) and declaration.tenant != "own"
        return principal.break_glass and marked and request.method in _SAFE


class Declared:
    """The declaration of a route that asks for no person or machine."""

    def __init__(self, kind: Literal["device", "public"]) -> None:
        self.kind = kind

    async def __call__(self) -> None:
        """Nothing to ask."""


def access(declaration: Access) -> Any:
    """The dependency of a route: `principal: Annotated[Principal, access(READ)]`, or in the router's dependencies."""
    return Depends(Gate(declaration), scope="function")


def declared(kind: Literal["device", "public"]) -> Any:
    """For routers of another kind: `device` proves itself by signatures, `public` says nothing about anybody."""
    return Depends(Declared(kind))


def require_fresh(principal: Principal, now: datetime) -> None:
    """StepUp unless a person showed both factors within ten minutes; machines have shown their secret."""
    if principal.kind == "person" and (principal.strong_at is None or now - principal.strong_at > FRESH):
        raise StepUp


@dataclass(slots=True)
class Reading:
    """A transaction on behalf of the caller, and whose data was read in it."""

    connection: Connection
    subjects: set[str] = field(default_factory=set)

    def saw(self, ids: Iterable[str]) -> None:
        """Note the ids of the clients and staff whose data goes into the answer."""
        self.subjects.update(ids)


@contextmanager
def reading(request: Request, principal: Principal) -> Iterator[Reading]:
    """Read personal data as the caller; what was seen is logged in the same transaction, committed before the answer.

    Not read-only, since the log is written: use it for reading all the same; changes go through the pipeline.
    """
    database: Database = request.app.state.database
    with database.transaction(caller_of(principal)) as connection:
        read = Reading(connection)
        yield read
        what = request.state.access.reads or "nothing"
        note_reading(connection, principal, what, read.subjects, utc_now(), asked=asked(request))
    request.state.read_logged = True


def asked(request: Request) -> Asked:
    """The request as the logs name it: method, path template, request id."""
    return Asked(_route_of(request), getattr(request.state, "request_id", ""))


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, Access | Literal["device", "public"] | None]]:
    """(method, path, declaration) of every route; None where there is no declaration. Sorted by path."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            declaration = _declaration(context.dependant)
            found += [(method, context.path or "", declaration) for method in sorted(context.methods or ())]
        elif _is_static(route, app):
            continue
        else:
            found.append(("*", context.path or str(route), None))
    yield from sorted(found, key=lambda one: (one[1], one[0]))


def check_declared(app: FastAPI) -> None:
    """RuntimeError naming every route without a declaration: the application must not start."""
    missing = [f"{method} {path}" for method, path, declaration in routes_of(app) if declaration is None]
    if missing:
        raise RuntimeError(f"routes without access(...) or declared(...): {', '.join(missing)}")


def _declaration(dependant: Dependant) -> Access | Literal["device", "public"] | None:
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Gate):
            return dependency.call.declaration
        if isinstance(dependency.call, Declared):
            return dependency.call.kind
        nested = _declaration(dependency)
        if nested is not None:
            return nested
    return None


def _is_static(route: Any, app: FastAPI) -> bool:
    """Files of the package, and the description of the routes: the same for everybody."""
    if isinstance(route, Mount):
        return isinstance(route.app, StaticFiles)
    return isinstance(route, Route) and route.path == app.openapi_url


def _authenticate(
    request: Request, bearer: HTTPAuthorizationCredentials | None, cookie: str | None, now: datetime
) -> Principal:
    if bearer is None and not cookie:
        raise NotSignedIn
    database: Database = request.app.state.database
    if bearer is not None:
        with database.question(Caller.auth()) as connection:
            principal = machine_of(connection, bearer.credentials, now)
    else:
        with database.transaction(Caller.auth()) as connection:
            principal = person_of(connection, cookie or "", now)
    if principal is None:
        raise NotSignedIn
    return principal


def _require_own_page(request: Request, cookie: str, csrf: str) -> None:
    """An unsafe request with a cookie comes from a page of ours, and proves that the page could read its token."""
    if request.method in _SAFE:
        return
    if not from_own_page(request) or not csrf_fits(cookie, csrf):
        raise ForeignOrigin


def from_own_page(request: Request) -> bool:
    """Whether the browser says that a page of this server made the request; a request that says nothing does not."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    return site is not None


def _route_of(request: Request) -> str:
    return f"{request.method} {getattr(request.scope.get('route'), 'path', request.url.path)}"
