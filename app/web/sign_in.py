"""/sign-in: sign in with a passkey. Care staff's other ways (badge, password) belong to the phone app."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.api.access import declared
from app.web.pages import page

router = APIRouter(dependencies=[declared("public")])


@router.get("/sign-in", include_in_schema=False)
def get_sign_in(request: Request) -> HTMLResponse:
    """The page with its one button."""
    return page(request, "sign_in")
