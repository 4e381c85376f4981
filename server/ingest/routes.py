"""What agents call: pictures, passages, heartbeats."""

import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from server.auth.guards import EdgeAgent
from server.checkpoints.service import keep_heartbeat
from server.context import Context
from server.errors import InvalidRequest, Malformed, NotAllowed, Unavailable
from server.http import RawBody, no_content
from server.ingest.intake import receipt_of
from server.ingest.jpeg import NotJpegError, jpeg_size
from server.ingest.parse import parse_heartbeat
from server.ingest.pictures import lock_pictures
from server.tables import Evidence
from server.wire import EVIDENCE_PATH, HEARTBEAT_PATH, INGEST_PATH, Receipt

_log = logging.getLogger(__name__)

router = APIRouter(tags=["agents"])


@router.put(EVIDENCE_PATH, status_code=201)
def put_evidence(sha256: str, agent: EdgeAgent, body: RawBody, context: Context) -> Response:
    """Store a picture under its SHA-256: 201 when it is new, 204 when it was here already.

    The file is on the disk before its row is committed, so a row never points at nothing.
    """
    if hashlib.sha256(body).hexdigest() != sha256:
        raise InvalidRequest("sha256: the bytes do not have that SHA-256", field="sha256")
    try:
        size = jpeg_size(body)
    except NotJpegError as error:
        raise Malformed(f"the picture {error}") from None
    try:
        context.evidence.put(sha256, body)
    except OSError as error:
        _log.exception("evidence cannot be stored")
        raise Unavailable(
            "the picture cannot be stored now",
            retry_after_s=context.settings.ingest.retry_after_s,
        ) from error
    now = context.clock()
    insert = sqlite_insert if context.database.is_sqlite else postgresql_insert
    statement = (
        insert(Evidence)
        .values(
            sha256=sha256,
            size_bytes=len(body),
            media_type="image/jpeg",
            width_px=size.width_px,
            height_px=size.height_px,
            agent_id=agent.agent_id,
            received_on=now.date(),
            received_at=now,
        )
        .on_conflict_do_nothing()
        .returning(Evidence.sha256)
    )
    with context.database.write() as session:
        lock_pictures(session, [sha256])
        is_new = session.scalar(statement) is not None
        if not context.evidence.has(sha256):  # retention removed the bytes after we saw them
            context.evidence.put(sha256, body)
    return Response(status_code=201) if is_new else no_content()


async def admitted_body(
    request: Request, context: Context, _agent: EdgeAgent
) -> AsyncIterator[bytes]:
    """The body of a batch, once there is room for it; the room is kept until the answer is sent.

    Raises:
        Unavailable: no room; the body is not read.
    """
    with context.intake.gate.entered():
        yield await context.intake.body_of(request)


AdmittedBody = Annotated[bytes, Depends(admitted_body)]


@router.post(INGEST_PATH, response_model=Receipt)
async def post_passages(agent: EdgeAgent, body: AdmittedBody, context: Context) -> Response:
    """Take a batch of passages in; the receipt is given after the commit."""
    done = await context.intake.take_in(agent, body)
    if done.hits:
        context.stream.wake()
    return Response(receipt_of(done), media_type="application/json")


@router.post(HEARTBEAT_PATH, status_code=204)
def post_heartbeat(agent: EdgeAgent, body: RawBody, context: Context) -> Response:
    """Keep an agent's word about itself."""
    heartbeat = parse_heartbeat(body)
    if heartbeat.agent_id != agent.agent_id:
        raise NotAllowed(f"agent_id: the token is that of {agent.agent_id}", field="agent_id")
    with context.database.write() as session:
        keep_heartbeat(session, agent, heartbeat, context.clock())
    return no_content()
