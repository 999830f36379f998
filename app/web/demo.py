"""/demo: one click, and one is signed in as any role of the demo's invented people. Elsewhere there is no such page."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.api.access import declared
from app.api.auth import browser_of, own_page, set_session
from app.core.clock import utc_now
from app.pipeline_access.demo import demo_people, sign_in_as
from app.pipeline_access.signing_in import Browser
from app.refusals import NotFound
from app.web.pages import page


def from_this_machine(request: Request) -> None:
    """NotFound for whoever asks from elsewhere: a demo lets everybody in."""
    try:
        here = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        here = False
    if not here:
        raise NotFound


router = APIRouter(dependencies=[declared("public"), Depends(from_this_machine)])


@router.get("/demo", include_in_schema=False)
def get_demo(request: Request) -> HTMLResponse:
    """A button per role. 404 where this is no demo."""
    return page(request, "demo", people=demo_people(request.app.state.database, utc_now()))


@router.post("/demo", include_in_schema=False, dependencies=[Depends(own_page)])
def post_demo(
    request: Request,
    role: Annotated[str, Form(max_length=32)],
    browser: Annotated[Browser, Depends(browser_of)],
) -> RedirectResponse:
    """Signed in as that role, and on to one's own page. 404 where this is no demo."""
    answer = RedirectResponse("/me", 303)
    set_session(answer, sign_in_as(request.app.state.database, role, browser, utc_now()))
    return answer
