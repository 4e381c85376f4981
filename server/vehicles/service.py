"""Asking the register on somebody's behalf; every look-up of an owner is accounted for."""

from sqlalchemy.orm import Session

from server.context import AppContext
from server.errors import InvalidRequest
from server.passages.lookup import Inquiry, accounted_sight, record, stated
from server.passages.patterns import is_pattern, normal_pattern
from server.vehicles.register import RegisteredVehicle, VehicleRegister


def register_of(context: AppContext) -> VehicleRegister:
    """The register that is connected.

    Raises:
        InvalidRequest: there is none; the installer sets ``vehicles.csv_file`` or ``vehicles.url``.
    """
    if context.vehicles is None:
        raise InvalidRequest("no vehicle register is connected", field="register")
    return context.vehicles


def look_up_vehicle(
    session: Session, plate: str, inquiry: Inquiry, context: AppContext
) -> tuple[RegisteredVehicle, ...]:
    """The registrations of a plate, owner included; needs a writing transaction.

    A protected plate is answered as if it were not registered, except to the custodian.

    Raises:
        PurposeMissing: purpose or case number is missing.
        InvalidRequest: not a whole plate, or no register is connected.
        Unavailable: the register does not answer; nothing was looked up.
    """
    purpose = stated(inquiry, context.settings)
    plate = normal_pattern(plate)
    if is_pattern(plate):
        raise InvalidRequest("plate: a whole plate, without ? or *", field="plate")
    register = register_of(context)
    sight = accounted_sight(session, inquiry, context.settings, plate)
    found = () if plate in sight.hidden_plates else register.find(plate)
    record(session, inquiry, "vehicle.lookup", purpose, {"plate": plate}, found=len(found))
    return found
