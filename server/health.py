"""Whether the process lives, and whether it can work. Open to all; they tell nothing else."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from server import schema
from server.context import Context
from server.errors import SchemaError, Unavailable

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready")
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
