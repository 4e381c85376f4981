"""Whether the process lives, whether it can work, and its numbers.

The first two are open to all and tell nothing else; the numbers are for the addresses in
``metrics.allow_from``, which is this machine unless the settings say otherwise.
"""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server import schema
from server.auth.guards import ClientAddress
from server.context import Context
from server.errors import NotAllowed, SchemaError, Unavailable

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/health/ready")
def ready(context: Context) -> JSONResponse:
    """The database is there and has our schema: 200, else 503."""
    try:
        with context.database.read():
            schema.require_newest(context.database.engine)
    except Unavailable as error:
        return JSONResponse({"status": "not ready", "reason": error.detail}, 503)
    except SchemaError as error:
        return JSONResponse({"status": "not ready", "reason": str(error)}, 503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response)
def get_metrics(address: ClientAddress, context: Context) -> Response:
    """Give the numbers."""
    if address not in context.settings.metrics.allow_from:
        raise NotAllowed("not from this address; see metrics.allow_from")
    context.metrics.batches_inside.set(context.intake.gate.inside)
    return Response(generate_latest(context.metrics.registry), media_type=CONTENT_TYPE_LATEST)
