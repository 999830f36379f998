"""What holds for every request: an id, a largest body counted while it streams, a longest time, security headers."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import bug

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

LARGEST_BODY = 1024 * 1024
LARGEST_BODIES = (("/api/v1/device/", 256 * 1024), ("/api/v1/imports", 20 * 1024 * 1024))
"""EVIDENCE.md section 6: by the beginning of the path."""

BODY_WITHIN_S = 30.0
IMPORT_WITHIN_S = 300.0
"""A body that trickles in longer than this is given up: 408, and whoever sends it tries again."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'",
}


class Guard:
    """ASGI middleware around the whole application. A door that sets one of the headers itself keeps its own."""

    def __init__(self, app: ASGIApp, *, https: bool = False) -> None:
        self.app = app
        self._headers = HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        started = False

        async def send_once(message: Message) -> None:
            nonlocal started
            started = True
            await send_guarded(message)

        try:
            await self.app(scope, _counted(receive, scope["path"]), send_once)
        except Exception as error:
            if started:
                raise
            await bug(Request(scope), error)(scope, receive, send_guarded)


def largest_body(path: str) -> int:
    """The most bytes a request to this path may carry."""
    return next((limit for start, limit in LARGEST_BODIES if path.startswith(start)), LARGEST_BODY)


def _counted(receive: Receive, path: str) -> Receive:
    """`receive` for one request: 413 above the path's largest body, 408 when the body is not whole in time."""
    limit, total, whole = largest_body(path), 0, False
    within_s = IMPORT_WITHIN_S if path.startswith("/api/v1/imports") else BODY_WITHIN_S
    deadline = asyncio.get_running_loop().time() + within_s

    async def counted() -> Any:
        nonlocal total, whole
        if whole:  # what comes now is only the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        whole = message["type"] != "http.request" or not message.get("more_body", False)
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise HTTPException(413, headers={"Connection": "close"})
        return message

    return counted
