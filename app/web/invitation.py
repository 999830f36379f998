"""/invite: an invited person makes her passkey and is shown her recovery codes.

The token stands behind `#` in the link, so that it is in no server's log and in no `Referer`.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.api.access import declared
from app.web.pages import page

router = APIRouter(dependencies=[declared("public")])


@router.get("/invite", include_in_schema=False)
def get_invitation(request: Request) -> HTMLResponse:
    """The page; what the invitation offers is asked by its script."""
    return page(request, "invitation")
