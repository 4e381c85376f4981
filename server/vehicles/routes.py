"""The vehicle register, for officers."""

from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from server.auth.guards import ClientAddress, Officer
from server.context import Context
from server.passages.lookup import Inquiry
from server.vehicles.register import RegisteredVehicle
from server.vehicles.service import look_up_vehicle

router = APIRouter(prefix="/api/v1/vehicles", tags=["vehicles"])


class VehicleQuestion(BaseModel):
    """Whose registration, and why. Posted, so that no plate stands in an address."""

    model_config = ConfigDict(extra="forbid")

    plate: str = Field(min_length=2, max_length=16)
    purpose: str | None = Field(default=None, max_length=200)
    case_number: str | None = Field(default=None, max_length=64)


@dataclass(frozen=True, slots=True)
class VehiclesFound:
    """The registrations of a plate."""

    vehicles: tuple[RegisteredVehicle, ...]


@router.post("")
def post_vehicle(
    question: VehicleQuestion, account: Officer, address: ClientAddress, context: Context
) -> VehiclesFound:
    """Give the registrations of a plate, owner included. Needs purpose and case number."""
    inquiry = Inquiry(account, address, context.clock(), question.purpose, question.case_number)
    with context.database.write() as session:
        return VehiclesFound(look_up_vehicle(session, question.plate, inquiry, context))
