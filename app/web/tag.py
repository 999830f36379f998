"""/t: what a visitor's phone opens from a sticker. It says what the sticker is, and nothing about anybody.

The sticker's data stands behind `#`, which no browser sends: this server never learns which sticker it was, a link
scanner uses nothing up, and the page is the same for all (EVIDENCE.md section 2).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.api.access import declared
from app.web.pages import page

router = APIRouter(dependencies=[declared("public")])


@router.get("/t", include_in_schema=False)
def get_tag(request: Request) -> HTMLResponse:
    """The page: no script, no cookie, nothing looked up."""
    return page(request, "tag")
