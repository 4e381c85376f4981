"""The watchlist in force as agents hold it, so that a box recognises a vehicle without the link.

A copy holds no reason, no case and no name: what is looked for, where, when, how grave. An entry
that holds at none of the agent's places is not given to it. Each copy that is given out is on the
audit log, since the box may be stolen with it.

The tag names the revision and the agent's places. Whoever holds a copy of the same places asks
for the differences: entries are never deleted, so those to any earlier revision can be told.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from anpr.watch import Watched
from server import audit
from server.auth.agents import AgentIdentity
from server.auth.guards import ClientAddress, EdgeAgent
from server.context import Context
from server.tables import Checkpoint, Counter, WatchlistEntry
from server.watchlists.matching import watched_of
from server.watchlists.service import current_revision
from server.watchlists.states import IN_FORCE
from server.wire import WATCHLIST_PATH, Watch, WatchlistCopy, WatchRule

router = APIRouter(tags=["agents"])

_TAG = re.compile(r'"watchlist-(\d{1,18})-([0-9a-f]{12})"')
_STATES = {state.value for state in IN_FORCE}


@dataclass(frozen=True, slots=True)
class Held:
    """What an agent holds already, as its tag tells."""

    revision: int
    places: str


@router.get(WATCHLIST_PATH, response_model=WatchlistCopy)
def get_watchlist(
    agent: EdgeAgent,
    address: ClientAddress,
    context: Context,
    *,
    if_none_match: Annotated[str | None, Header()] = None,
    differences: Annotated[bool, Query()] = False,
) -> Response:
    """Give the watchlist in force; 304 while the agent's copy is of the current revision.

    With ``differences`` only what has changed since the copy that ``If-None-Match`` names.
    """
    held = _held(if_none_match)
    with context.database.read() as session:
        revision, places = current_revision(session), places_of(session, agent)
    if held == Held(revision, places):
        return Response(status_code=304, headers={"ETag": _tag(held)})
    now = context.clock()
    with context.database.write() as session:
        # locked for sharing, as by ingest: the entries read below are those of this revision
        row = select(Counter.value).where(Counter.name == "watchlist").with_for_update(read=True)
        current = Held(session.execute(row).scalar_one(), places_of(session, agent))
        since = None
        if differences and held is not None and held.places == current.places:
            since = held.revision if held.revision <= current.revision else None
        zone = context.settings.display.time_zone
        copy = copy_for(session, agent, current.revision, since, now, zone)
        _record(session, copy, agent.agent_id, address, now)
    return Response(
        copy.model_dump_json(),
        media_type="application/json",
        headers={"ETag": _tag(current)},
    )


def copy_for(  # noqa: PLR0913, PLR0917 - for whom, of what, since when
    session: Session,
    agent: AgentIdentity,
    revision: int,
    since: int | None,
    now: datetime,
    zone: str,
) -> WatchlistCopy:
    """What an agent is told: all that holds now or will hold, or what has changed of it."""
    query = select(WatchlistEntry).order_by(WatchlistEntry.id).execution_options(yield_per=1000)
    if since is None:
        query = query.where(WatchlistEntry.state.in_(_STATES))
    else:
        query = query.where(WatchlistEntry.revision > since)
    entries: list[Watch] = []
    rules: list[WatchRule] = []
    ended: list[int] = []
    for row in session.scalars(query):
        watched = watched_of(session, row)
        cameras = _cameras(watched, agent.checkpoint_of_camera)
        over = watched.valid_to is not None and watched.valid_to <= now
        if row.state not in _STATES or over or cameras == ():
            ended.append(row.id)
            continue
        terms = _terms(watched, cameras, (row.scope or {}).get("hours", ()))
        if watched.match in {"exact", "fuzzy"}:
            entries.append(Watch(plate=watched.plate, tolerance=row.tolerance, **terms))
        else:
            rules.append(_rule(watched, terms))
    return WatchlistCopy(
        revision=revision,
        entries=tuple(entries),
        rules=tuple(rules),
        since=since,
        ended=tuple(ended) if since is not None else (),
        time_zone=zone,
    )


def places_of(session: Session, agent: AgentIdentity) -> str:
    """A short name of where an agent's cameras stand; it changes when one of them is moved."""
    names = set(agent.checkpoint_of_camera.values())
    found = session.execute(
        select(Checkpoint.id, Checkpoint.lat, Checkpoint.lon).where(Checkpoint.id.in_(names))
    )
    at = {row.id: (row.lat, row.lon) for row in found}
    cameras = sorted(agent.checkpoint_of_camera.items())
    told = [(camera, name, at.get(name)) for camera, name in cameras]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def _cameras(watched: Watched, checkpoint_of: Mapping[str, str]) -> tuple[str, ...] | None:
    """At which of an agent's cameras an entry holds; None = at all."""
    if watched.places is None:
        return None
    return tuple(sorted(c for c, place in checkpoint_of.items() if place in watched.places))


def _terms(
    watched: Watched, cameras: tuple[str, ...] | None, hours: Iterable[str]
) -> dict[str, Any]:
    return {
        "entry_id": watched.entry_id,
        "level": watched.level,
        "valid_from": watched.valid_from,
        "valid_to": watched.valid_to,
        "cameras": cameras,
        "hours": tuple(hours),
    }


def _rule(watched: Watched, terms: dict[str, Any]) -> WatchRule:
    return WatchRule(
        match="pattern" if watched.match == "pattern" else "description",
        plate=watched.plate,
        plate_kinds=tuple(sorted(watched.plate_kinds)),
        plate_colors=tuple(sorted(watched.plate_colors)),
        vehicle_colors=tuple(sorted(watched.vehicle_colors)),
        **terms,
    )


def _record(
    session: Session, copy: WatchlistCopy, agent_id: str, address: str, now: datetime
) -> None:
    audit.record(
        session,
        now=now,
        user_name=agent_id,
        address=address,
        action="watchlist.copy",
        detail={
            "agent": agent_id,
            "revision": copy.revision,
            "since": copy.since,
            "entries": len(copy.entries) + len(copy.rules),
            "ended": len(copy.ended),
        },
    )


def _held(tag: str | None) -> Held | None:
    found = _TAG.search(tag or "")
    return None if found is None else Held(int(found.group(1)), found.group(2))


def _tag(held: Held) -> str:
    return f'"watchlist-{held.revision}-{held.places}"'
