"""/me: who am I here, in which role, where am I signed in; sign out. `/` leads here."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.api.access import declared
from app.web.pages import page

router = APIRouter(dependencies=[declared("public")])


@router.get("/", include_in_schema=False)
def get_root() -> RedirectResponse:
    """To /me, which leads to /sign-in whom it does not know."""
    return RedirectResponse("/me", 303)


@router.get("/me", include_in_schema=False)
def get_me(request: Request) -> HTMLResponse:
    """The page; its script asks who holds the cookie."""
    return page(request, "me")
