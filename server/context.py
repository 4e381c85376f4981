"""What one running server process holds, handed to routes as a dependency."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from server.alerts.stream import AlertStream
from server.auth.limits import RateLimiter
from server.clock import Clock
from server.db import Database
from server.ingest.evidence_store import PictureStore
from server.ingest.intake import Intake
from server.metrics import Metrics
from server.passages.known import KnownPlates
from server.settings import Settings
from server.trajectories.traffic import TrafficCache
from server.vehicles.register import VehicleRegister
from server.watchlists.matching import WatchlistCache


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts that requests share; all of them are safe to use from several threads."""

    settings: Settings
    database: Database
    clock: Clock
    watchlist: WatchlistCache
    stream: AlertStream
    evidence: PictureStore
    intake: Intake
    metrics: Metrics
    limiter: RateLimiter
    plates: KnownPlates
    traffic: TrafficCache
    vehicles: VehicleRegister | None
    """The vehicle register, if one is connected."""


def context_of(request: Request) -> AppContext:
    """The context of the application that serves this request."""
    context: AppContext = request.app.state.context
    return context


async def _context(request: Request) -> AppContext:
    return context_of(request)  # async: what never waits needs no thread


Context = Annotated[AppContext, Depends(_context)]
