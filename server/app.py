"""The door: :func:`create_app` makes the application, with every router and layer in order."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from server import audit_routes, health
from server.alerts import overdue
from server.alerts import routes as alert_routes
from server.alerts.stream import AlertStream
from server.analyses import routes as analysis_routes
from server.analyses.runner import JobRunner
from server.audit_anchor import note_head
from server.auth import approval_routes, user_routes
from server.auth import routes as auth_routes
from server.auth.limits import RateLimiter
from server.cases import routes as case_routes
from server.checkpoints import routes as checkpoint_routes
from server.clock import Clock, utc_now
from server.context import AppContext
from server.db import Database
from server.errors import RequestError, SettingsError, Unavailable
from server.exports import routes as export_routes
from server.http import EdgeOfHttp, add_routes, problem_of
from server.ingest import routes as ingest_routes
from server.ingest.evidence_s3 import picture_store
from server.ingest.intake import Intake
from server.metrics import Metrics
from server.notices import routes as notice_routes
from server.notices.messenger import Messenger
from server.passages import routes as passage_routes
from server.passages.known import KnownPlates
from server.settings import Settings
from server.trajectories import routes as trajectory_routes
from server.trajectories.traffic import TrafficCache
from server.upkeep import Upkeep
from server.upkeep_process import UpkeepProcess
from server.vehicles import routes as vehicle_routes
from server.vehicles.register import connected
from server.watchlists import copies as watchlist_copies
from server.watchlists import routes as watchlist_routes
from server.watchlists.matching import WatchlistCache
from server.web import pages

_log = logging.getLogger(__name__)

_ROUTERS = (
    health.router,
    auth_routes.router,
    ingest_routes.router,
    passage_routes.router,
    export_routes.router,
    trajectory_routes.router,
    watchlist_routes.router,
    watchlist_copies.router,
    alert_routes.router,
    alert_routes.feedback_router,
    notice_routes.router,
    case_routes.router,
    checkpoint_routes.router,
    analysis_routes.router,
    vehicle_routes.router,
    audit_routes.router,
    user_routes.router,
    approval_routes.router,
)


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """Make the application; nothing is connected before it is served.

    If ``state.upkeep_apart`` is set by then, the upkeep gets a process of its own, by the
    system's clock.

    Raises:
        SettingsError: a setting cannot be used.
    """
    database, watchlist, metrics = Database(settings), WatchlistCache(), Metrics()
    context = AppContext(
        settings=settings,
        database=database,
        clock=clock,
        watchlist=watchlist,
        stream=AlertStream(settings.alerts.poll_ms / 1000, settings.alerts.keepalive_s),
        evidence=picture_store(settings),
        intake=Intake(settings, database, clock, watchlist, metrics),
        metrics=metrics,
        limiter=RateLimiter(settings.limits.requests_per_minute),
        plates=KnownPlates(),
        traffic=TrafficCache(settings),
        vehicles=connected(settings.vehicles),
    )
    app = FastAPI(
        title="Kakou 卡口",
        lifespan=_lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    app.state.upkeep_apart = False
    add_routes(app, _ROUTERS)
    pages.install(app)
    app.add_middleware(EdgeOfHttp, answer=_answer, answered=metrics.answered)
    for kind in (RequestError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)
    return app


def _answer(request: Request, error: Exception) -> Response:
    """An error as a page for people, as a problem document for everybody else."""
    if not pages.is_page(request):
        return problem_of(error)
    if isinstance(error, RequestError):
        return pages.error_page(request, error)
    return pages.failure_page(request, problem_of(error).status_code)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: AppContext = app.state.context

    async def latest() -> int:
        return await run_in_threadpool(alert_routes.latest, context)

    upkeep = _upkeep(context, apart=app.state.upkeep_apart)
    upkeep.start()
    messenger = Messenger(
        context.settings,
        context.database,
        context.clock,
        lambda channel, state: context.metrics.notices.labels(channel, state).inc(),
    )
    messenger.start()
    runner = JobRunner(context.settings, context.database, context.clock)
    if context.settings.analyses.run_jobs:
        runner.start()
    tasks = (
        asyncio.create_task(context.stream.watch(latest), name="alert stream"),
        asyncio.create_task(_anchor(context), name="audit anchors"),
        asyncio.create_task(_know_plates(context), name="known plates"),
        asyncio.create_task(_know_watchlist(context), name="watchlist"),
        asyncio.create_task(_raise_overdue(context), name="overdue alerts"),
    )
    try:
        yield
    finally:
        context.stream.stop()
        await run_in_threadpool(upkeep.stop)
        await run_in_threadpool(messenger.stop)
        await run_in_threadpool(runner.stop)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        context.database.close()


def _upkeep(context: AppContext, *, apart: bool) -> Upkeep | UpkeepProcess:
    def failed(step: str) -> None:
        context.metrics.upkeep_failures.labels(step).inc()

    if apart:
        return UpkeepProcess(context.settings, failed)
    return Upkeep(context.settings, context.database, context.evidence, context.clock, failed)


async def _know_plates(context: AppContext) -> None:
    """Read the plates in, so that the first search need not; it will, if this fails."""

    def read() -> None:
        with context.database.read() as session:
            context.plates.refresh(session, context.clock())

    try:
        await run_in_threadpool(read)
    except Unavailable:
        _log.warning("the plates cannot be read in yet; the first search will")


async def _raise_overdue(context: AppContext) -> None:
    """Let alerts rise that nobody signs; a failure is said, counted and tried again."""
    while True:
        await asyncio.sleep(overdue.LOOK_EVERY_S)
        try:
            risen = await run_in_threadpool(
                overdue.raise_overdue, context.database, context.settings, context.clock()
            )
            for one in risen:
                context.metrics.alerts_risen.labels(str(one.rank)).inc()
            if risen:
                context.stream.wake()
            waiting = await run_in_threadpool(
                overdue.count_overdue, context.database, context.settings, context.clock()
            )
            context.metrics.alerts_overdue.set(waiting)
        except Unavailable:
            _log.warning("overdue alerts: the database is away; trying again")
            context.metrics.upkeep_failures.labels("overdue").inc()
        except Exception:  # noqa: BLE001 - a defect must not end the watch over later alerts
            _log.exception("overdue alerts: trying again")
            context.metrics.upkeep_failures.labels("overdue").inc()


async def _know_watchlist(context: AppContext) -> None:
    """Take changes of the watchlist in before ingest has to; it will, if this fails."""

    def refresh() -> None:
        with context.database.read() as session:
            context.watchlist.refresh(session)

    while True:
        try:
            await run_in_threadpool(refresh)
        except Unavailable:
            _log.warning("the watchlist cannot be read in yet; the first batch will")
        await asyncio.sleep(context.settings.alerts.poll_ms / 1000)


async def _anchor(context: AppContext) -> None:
    """Note the audit log's head from time to time; a failure is said and tried again."""
    path = context.settings.audit_anchor_file
    while True:
        try:
            await run_in_threadpool(note_head, context.database, path, context.clock)
        except (Unavailable, SettingsError, OSError):
            _log.exception("the audit log's head cannot be noted; trying again")
        await asyncio.sleep(context.settings.audit.anchor_every_s)
