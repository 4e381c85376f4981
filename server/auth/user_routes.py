"""Users and areas, for administrators; one's own password, for everybody."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from server import audit
from server.auth.accounts import (
    Account,
    Role,
    UserView,
    add_user,
    change_own_password,
    disable_user,
    enable_user,
    end_sessions,
    list_users,
    set_areas,
    set_password,
    set_role,
)
from server.auth.areas import AreaView, list_areas, put_area
from server.auth.guards import Administrator, ClientAddress, SignedIn
from server.context import Context
from server.errors import Conflict
from server.http import no_content

router = APIRouter(prefix="/api/v1", tags=["users"])

UserName = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
AreaId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NewUser(_Body):
    """A person. The password is his until his first log-in: he has to choose another then."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=256)
    role: Role
    display_name: str = Field(default="", max_length=100)
    badge_number: str = Field(default="", max_length=32)
    unit: str = Field(default="", max_length=100)
    area_ids: list[str] | None = Field(default=None, max_length=1000)
    """The areas he sees; null = everywhere."""


class RoleBody(_Body):
    """Another role."""

    role: Role


class AreasBody(_Body):
    """The areas he sees; null = everywhere."""

    area_ids: list[str] | None = Field(max_length=1000)


class PasswordBody(_Body):
    """Another password, until he chooses one himself."""

    password: str = Field(max_length=256)


class OwnPasswordBody(_Body):
    """The present password and the one to come."""

    old: str = Field(max_length=256)
    new: str = Field(max_length=256)


class AreaBody(_Body):
    """An area and exactly its checkpoints."""

    name: str = Field(max_length=100)
    checkpoint_ids: list[str] = Field(max_length=100_000)


@router.post("/account/password", status_code=204)
def post_own_password(
    body: OwnPasswordBody, account: SignedIn, address: ClientAddress, context: Context
) -> Response:
    """Choose another password; all one's sessions end, this one too."""
    with context.database.write() as session:
        change_own_password(session, account.name, body.old, body.new)
        account_for(session, "account.password", account, address, context.clock())
    return no_content()


@router.get("/users")
def get_users(_account: Administrator, context: Context) -> tuple[UserView, ...]:
    """List users."""
    with context.database.read() as session:
        return list_users(session)


@router.post("/users", status_code=201)
def post_user(
    body: NewUser, account: Administrator, address: ClientAddress, context: Context
) -> Response:
    """Add a user."""
    now = context.clock()
    with context.database.write() as session:
        add_user(
            session,
            name=body.name,
            password=body.password,
            role=body.role,
            now=now,
            display_name=body.display_name,
            badge_number=body.badge_number,
            unit=body.unit,
            area_ids=body.area_ids,
            must_change_password=True,
        )
        account_for(session, "user.add", account, address, now, body.name, role=body.role.value)
    return Response(status_code=201)


@router.post("/users/{name}/role", status_code=204)
def post_role(
    name: UserName,
    body: RoleBody,
    account: Administrator,
    address: ClientAddress,
    context: Context,
) -> Response:
    """Give a user another role; his sessions end."""
    refuse_self(name, account)
    with context.database.write() as session:
        set_role(session, name, body.role)
        account_for(
            session, "user.role", account, address, context.clock(), name, role=body.role.value
        )
    return no_content()


@router.post("/users/{name}/areas", status_code=204)
def post_areas(
    name: UserName,
    body: AreasBody,
    account: Administrator,
    address: ClientAddress,
    context: Context,
) -> Response:
    """Say which areas a user sees."""
    with context.database.write() as session:
        set_areas(session, name, body.area_ids)
        account_for(
            session, "user.areas", account, address, context.clock(), name, areas=body.area_ids
        )
    return no_content()


@router.post("/users/{name}/password", status_code=204)
def post_password(
    name: UserName,
    body: PasswordBody,
    account: Administrator,
    address: ClientAddress,
    context: Context,
) -> Response:
    """Give a user another password, which he has to change; his sessions end."""
    refuse_self(name, account)
    with context.database.write() as session:
        set_password(session, name, body.password, must_change_password=True)
        account_for(session, "user.password", account, address, context.clock(), name)
    return no_content()


@router.post("/users/{name}/disable", status_code=204)
def post_disable(
    name: UserName, account: Administrator, address: ClientAddress, context: Context
) -> Response:
    """Lock a user out at once."""
    refuse_self(name, account)
    now = context.clock()
    with context.database.write() as session:
        disable_user(session, name, now)
        account_for(session, "user.disable", account, address, now, name)
    return no_content()


@router.post("/users/{name}/enable", status_code=204)
def post_enable(
    name: UserName, account: Administrator, address: ClientAddress, context: Context
) -> Response:
    """Let a user in again."""
    with context.database.write() as session:
        enable_user(session, name)
        account_for(session, "user.enable", account, address, context.clock(), name)
    return no_content()


@router.post("/users/{name}/end-sessions", status_code=204)
def post_end_sessions(
    name: UserName, account: Administrator, address: ClientAddress, context: Context
) -> Response:
    """End all of a user's sessions."""
    with context.database.write() as session:
        ended = end_sessions(session, name)
        account_for(
            session, "user.end_sessions", account, address, context.clock(), name, ended=ended
        )
    return no_content()


@router.get("/areas")
def get_areas(_account: Administrator, context: Context) -> tuple[AreaView, ...]:
    """List areas with their checkpoints."""
    with context.database.read() as session:
        return list_areas(session)


@router.put("/areas/{area_id}", status_code=204)
def put_one_area(
    area_id: AreaId,
    body: AreaBody,
    account: Administrator,
    address: ClientAddress,
    context: Context,
) -> Response:
    """Add an area, or make a known one have exactly these checkpoints."""
    now = context.clock()
    with context.database.write() as session:
        put_area(session, area_id, body.name, body.checkpoint_ids, now)
        account_for(
            session, "area.put", account, address, now, area_id,
            checkpoints=sorted(set(body.checkpoint_ids)),
        )  # fmt: skip
    return no_content()


def refuse_self(name: str, account: Account) -> None:
    """Nobody takes his own role away or locks himself out by mistake.

    Raises:
        Conflict: the user is the account itself.
    """
    if name == account.name:
        raise Conflict("not for oneself; another administrator does it")


def account_for(  # noqa: PLR0913, PLR0917 - the parts of an account
    session: Session,
    action: str,
    account: Account,
    address: str,
    now: datetime,
    subject: str | None = None,
    **detail: Any,
) -> None:
    """Put an act of administration on the audit log."""
    audit.record(
        session,
        now=now,
        user_name=account.name,
        address=address,
        action=action,
        detail=({"subject": subject} if subject is not None else {}) | detail,
    )
