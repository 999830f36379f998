"""POST /staff, /clients, /orders, /prices, /tags and below: the registry kept by people (EVIDENCE.md section 3)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from app.api.access import Access, Principal, access
from app.api.paging import Answered, problems
from app.api.said import Ident, Instant, Note, OptionalIdent, Stating
from app.core.clock import utc_now
from app.facts import Client, Employment, Order, OrderService, Price, Tag
from app.pipeline_access import registering
from app.pipeline_access.registering import Extras

router = APIRouter(prefix="/api/v1", tags=["registry"])

_Hirer = Annotated[Principal, access(Access(frozenset({"scheduler", "manager"}), tenant="own_provider", fresh=True))]
_Tagger = Annotated[Principal, access(Access(frozenset({"manager"}), tenant="own_provider"))]
_Orderer = Annotated[Principal, access(Access(frozenset({"commissioner", "city_controller"}), tenant="district"))]
_Controller = Annotated[Principal, access(Access(frozenset({"city_controller"}), tenant="city", fresh=True))]
_Uid = Annotated[str, Field(min_length=8, max_length=32, pattern=r"^[0-9A-Fa-f: -]+$")]


class HireBody(Stating):
    """A worker who starts. `invite`: also an invitation as carer; `device_id`: also a shift grant for that phone."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    unit_id: Ident
    valid_from: date
    valid_to: date | None = None
    person_key: OptionalIdent = ""
    employment: Literal["monthly", "hourly"] = "hourly"
    education: Literal["usk", "vardbitrade", "600p", "other_higher", "none"] = "none"
    education_document: bool = False
    in_training: bool = False
    badge_uid: Annotated[str, Field(max_length=32, pattern=r"^[0-9A-Fa-f: -]*$")] = ""
    invite: bool = False
    device_id: OptionalIdent = ""
    hours: Annotated[int, Field(ge=1, le=14)] = 14


class HiredBody(Answered):
    """Her ids; the invitation's token is shown here once. `grant` is the signed document for the phone."""

    staff_id: str
    person_key: str
    invitation: str | None
    grant: str | None


class ClientBody(Stating):
    """A new client. No personnummer: KomGick stores none."""

    client_id: OptionalIdent = ""
    name: Annotated[str, Field(max_length=200)] = ""
    birth_date: date | None = None
    site_id: OptionalIdent = ""
    address: Annotated[str, Field(max_length=400)] = ""
    entry_note: Note = ""
    protected_identity: bool = False
    target_group: Annotated[str, Field(max_length=100)] = ""


class ServiceBody(Stating):
    """A care service of an order."""

    care_service: Ident
    care_area: OptionalIdent = ""
    times: Annotated[int, Field(ge=1, le=1000)] | None = None
    per: Literal["day", "week", "month"] | None = None
    standard_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    proof: Literal["both", "one_end", "none"] = "both"


class OrderBody(Stating):
    """An order from a day on: minutes a month or minutes a day."""

    client_id: Ident
    provider_id: Ident
    unit_id: OptionalIdent = ""
    district: Ident
    valid_from: date
    valid_to: date | None = None
    minutes_per_month: Annotated[int, Field(ge=0, le=100_000)] | None = None
    minutes_per_day: Annotated[int, Field(ge=0, le=2880)] | None = None
    max_staff: Literal[1, 2] = 1
    service: OptionalIdent = ""
    cost_code: OptionalIdent = ""
    services: Annotated[list[ServiceBody], Field(max_length=100, default_factory=list)]


class PriceBody(Stating):
    """A price from a day on, in öre."""

    operation: Literal["municipal", "private"]
    band: Literal["day", "night"]
    service: OptionalIdent = ""
    unit: Literal["hour", "visit", "care_service", "month"]
    valid_from: date
    amount_ore: Annotated[int, Field(ge=0, le=100_000_000)]


class TagBody(Stating):
    """A tag put up at a client's door. `household`: another client shares it."""

    tag_uid: _Uid
    client_id: Ident
    kind: Literal["uid", "sun"] = "uid"
    valid_from_at: Instant | None = None
    household: bool = False


class TagReplaceBody(Stating):
    """The tag that comes instead."""

    tag_uid: _Uid
    kind: Literal["uid", "sun"] = "uid"


class MadeBody(Answered):
    """The id of what was stored."""

    id: str


class HoldersBody(Answered):
    """The clients concerned, and since when."""

    client_ids: list[str]
    at: datetime


@router.post("/staff", status_code=201, responses=problems(404, 409))
def post_staff(body: HireBody, request: Request, by: _Hirer) -> HiredBody:
    """A worker starts, with badge, invitation and grant in one go."""
    wanted = Employment(
        "", body.valid_from, body.valid_to, body.person_key, body.unit_id, by.provider_id, name=body.name,
        employment=body.employment, education=body.education, education_document=body.education_document,
        in_training=body.in_training, badge_uid=body.badge_uid,
    )  # fmt: skip
    extras = Extras(body.invite, body.device_id, body.hours)
    hired = registering.hire(request.app.state.database, wanted, extras, by, utc_now())
    return HiredBody(
        staff_id=hired.employment.staff_id,
        person_key=hired.employment.person_key,
        invitation=hired.invited.token if hired.invited else None,
        grant=hired.grant.jws if hired.grant else None,
    )


@router.post("/clients", status_code=201, responses=problems(409))
def post_client(body: ClientBody, request: Request, by: _Orderer) -> MadeBody:
    """A new client; a commissioner's gets a made id."""
    wanted = Client(**body.model_dump())
    return MadeBody(id=registering.add_client(request.app.state.database, wanted, by, utc_now()))


@router.post("/orders", status_code=201, responses=problems(404, 409))
def post_order(body: OrderBody, request: Request, by: _Orderer) -> MadeBody:
    """An order begins. A commissioner orders for the own district, and for clients nobody has ordered for yet."""
    fields = body.model_dump(exclude={"services"})
    services = [OrderService("", **one.model_dump()) for one in body.services]
    order_id = registering.write_order(request.app.state.database, Order("", **fields), services, by, utc_now())
    return MadeBody(id=order_id)


@router.post("/prices", status_code=204, responses=problems(409))
def post_price(body: PriceBody, request: Request, by: _Controller) -> None:
    """A price holds from a day on; what stands is never edited."""
    registering.set_price(request.app.state.database, Price(**body.model_dump()), by, utc_now())


@router.post("/tags", status_code=201, responses=problems(404, 409))
def post_tag(body: TagBody, request: Request, by: _Tagger) -> MadeBody:
    """A tag is put up at a client's door."""
    now = utc_now()
    wanted = Tag(body.tag_uid, body.client_id, body.valid_from_at or now, None, body.kind)
    uid = registering.assign_tag(request.app.state.database, wanted, by, now, household=body.household)
    return MadeBody(id=uid)


@router.post("/tags/{tag_uid}/replace", status_code=201, responses=problems(404, 409))
def post_tag_replace(tag_uid: str, body: TagReplaceBody, request: Request, by: _Tagger) -> HoldersBody:
    """A broken tag's holders get a new one, from now on."""
    now = utc_now()
    holders = registering.replace_tag(
        request.app.state.database, tag_uid, Tag(body.tag_uid, "", now, None, body.kind), by, now
    )
    return HoldersBody(client_ids=holders, at=now)


@router.post("/tags/{tag_uid}/retire", responses=problems(404))
def post_tag_retire(tag_uid: str, request: Request, by: _Tagger) -> HoldersBody:
    """Nobody has the tag from now on."""
    now = utc_now()
    return HoldersBody(client_ids=registering.retire_tag(request.app.state.database, tag_uid, now, by, now), at=now)
