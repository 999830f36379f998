"""The application: settings, doors, error handler. No logic.

`ROUTERS` is the list of doors; a new door is one line. `create_app(database)` serves an opened database and leaves it
open; `komgick serve` opens and closes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from app import pipeline, pipeline_derive
from app.api import (
    alerts,
    auth,
    billing,
    corrections,
    declines,
    devices,
    disputes,
    enrolling,
    fees,
    findings,
    health,
    imports,
    insight,
    logs,
    machines,
    manual_visits,
    months,
    oauth,
    own,
    people,
    plans,
    problems,
    questions,
    reasons,
    registering,
    registry,
    shifts,
    taps,
    visits,
)
from app.api.access import check_declared
from app.api.backstage import Backstage
from app.api.deriver import Deriver
from app.api.door import TapDoor
from app.api.guard import Guard
from app.core.clock import utc_now
from app.db.engine import Database
from app.evidence.flow import Answer, Upload
from app.evidence.keys import open_keyring
from app.web import demo, invitation, me, sign_in, tag
from app.web.pages import STATIC

ROUTERS: tuple[APIRouter, ...] = (
    taps.router,
    devices.router,
    enrolling.router,
    oauth.router,
    machines.router,
    auth.router,
    own.router,
    people.router,
    registering.router,
    visits.router,
    findings.router,
    plans.router,
    declines.router,
    manual_visits.router,
    months.router,
    reasons.router,
    billing.router,
    fees.router,
    corrections.router,
    disputes.router,
    registry.router,
    imports.router,
    insight.router,
    questions.router,
    shifts.router,
    alerts.router,
    logs.router,
    health.router,
    demo.router,
    invitation.router,
    sign_in.router,
    me.router,
    tag.router,
)


def create_app(database: Database) -> FastAPI:
    """The application on an opened, migrated database.

    Raises SecretsUnfit when its keys cannot be used, RuntimeError when a route does not declare who may use it.
    """
    open_keyring(database.settings.data)
    deriver = Deriver(lambda: pipeline_derive.catch_up(database, utc_now()))

    def receive(uploads: Sequence[Upload]) -> list[Answer]:
        answers = pipeline.receive_taps(database, uploads, utc_now())
        deriver.wake()
        return answers

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        door = app.state.tap_door = TapDoor(receive)
        door.start()
        deriver.start()
        backstage = app.state.backstage = Backstage(database)
        backstage.start()
        yield
        backstage.stop()
        door.stop()
        deriver.stop()

    app = FastAPI(
        title="KomGick",
        summary="Home care visits from taps on tags to the month's billable minutes",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.database = database
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    # Probes look at the root, whoever reads the table of routes under the API's base: both answer.
    app.include_router(health.router, prefix="/api/v1", include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    check_declared(app)
    app.add_middleware(Guard, https=database.settings.public_url.startswith("https://"))
    return app
