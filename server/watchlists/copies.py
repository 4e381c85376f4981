"""The active watchlist as agents hold it, so that a box recognises a vehicle without the link.

A copy holds no reason, no case and no name: only plates, levels and validity. Each copy that is
given out is on the audit log, since the box may be stolen with it.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from sqlalchemy.orm import Session

from server import audit
from server.auth.guards import ClientAddress, EdgeAgent
from server.context import Context
from server.watchlists.matching import CompiledWatchlist
from server.watchlists.service import current_revision
from server.wire import WATCHLIST_PATH, Watch, WatchlistCopy

router = APIRouter(tags=["agents"])


@router.get(WATCHLIST_PATH, response_model=WatchlistCopy)
def get_watchlist(
    agent: EdgeAgent,
    address: ClientAddress,
    context: Context,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Give the active watchlist; 304 while the agent's copy is of the current revision."""
    with context.database.read() as session:
        revision = current_revision(session)
    if if_none_match is not None and _tag(revision) in if_none_match:
        return Response(status_code=304, headers={"ETag": _tag(revision)})
    now = context.clock()
    with context.database.write() as session:
        copy = copy_for_agents(context.watchlist.current(session), now)
        _record(session, copy, agent.agent_id, address, now)
    return Response(
        copy.model_dump_json(),
        media_type="application/json",
        headers={"ETag": _tag(copy.revision)},
    )


def copy_for_agents(compiled: CompiledWatchlist, now: datetime) -> WatchlistCopy:
    """The entries of a compiled list that hold now or will hold, by entry."""
    targets = sorted(
        (target for found in compiled.by_plate.values() for target in found),
        key=lambda target: target.entry_id,
    )
    return WatchlistCopy(
        revision=compiled.revision,
        entries=tuple(
            Watch(
                entry_id=target.entry_id,
                plate=target.plate,
                level=target.level,
                valid_from=target.valid_from,
                valid_to=target.valid_to,
            )
            for target in targets
            if target.valid_to is None or target.valid_to > now
        ),
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
        detail={"agent": agent_id, "revision": copy.revision, "entries": len(copy.entries)},
    )


def _tag(revision: int) -> str:
    return f'"watchlist-{revision}"'
