"""A pursuit, live (server-sent events): says when to look again, never what there is to see.

A word comes with each new sighting, at most a second after it is stored, and with every ten seconds
of silence, because silence changes the chances too. What is shown is always the server's own
rendering for whoever looks, so what he may not see is left out in one place. Between words nothing
but the index on (plate, time) is read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final
from uuid import UUID

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from server.auth.sessions import account_of
from server.auth.sight import sight_of
from server.context import AppContext
from server.errors import Unavailable
from server.tables import Passage

POLL_S: Final = 1.0
SILENCE_S: Final = 10.0
_GONE: Final = UUID(int=0)


def newest(context: AppContext, plate: str, token: str) -> UUID | None:
    """The newest passage of a plate that the one who listens may see; no passage has number 0.

    None: his session has ended.
    """
    now = context.clock()
    with context.database.read() as session:
        account = account_of(session, token, now)
        if account is None:
            return None
        sight = sight_of(session, account, now, context.settings)
        found = session.scalar(
            select(Passage.passage_id)
            .where(Passage.plate == plate, Passage.captured_at <= now, *sight.conditions(Passage))
            .order_by(Passage.captured_at.desc(), Passage.passage_id.desc())
            .limit(1)
        )
    return found or _GONE


async def words(
    context: AppContext,
    plate: str,
    token: str,
    seen: UUID | None,
    *,
    elapsed_s: Callable[[], float] = time.monotonic,
) -> AsyncIterator[bytes]:
    """Events ``sighting`` and ``silence`` until the session or the server ends.

    ``plate`` normalised; ``seen`` the passage that the page shows last.
    """
    yield b"retry: 2000\n\n"
    shown, said_s = seen or _GONE, elapsed_s()
    while not context.stream.stopping:
        try:
            found = await run_in_threadpool(newest, context, plate, token)
        except Unavailable:
            return  # the page asks again
        if found is None:
            return
        if found != shown:
            shown, said_s = found, elapsed_s()
            yield b"event: sighting\ndata: {}\n\n"
        elif elapsed_s() - said_s >= SILENCE_S:
            said_s = elapsed_s()
            yield b"event: silence\ndata: {}\n\n"
        await asyncio.sleep(POLL_S)
