"""Users (用户) for administrators, and one's own account (我的账户)."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from server.auth.accounts import (
    Account,
    Role,
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
from server.auth.areas import list_areas
from server.auth.guards import SESSION_COOKIE, Administrator, ClientAddress, SignedIn
from server.auth.user_routes import UserName, account_for, refuse_self
from server.context import AppContext, Context
from server.errors import Conflict, InvalidRequest, RequestError
from server.web.forms import said
from server.web.rendering import render

router = APIRouter(include_in_schema=False)

EVERYWHERE = "everywhere"
_EMPTY = {"name": "", "display_name": "", "role": "operator", "badge_number": "", "unit": ""}


# ---- users


@router.get("/users")
def show_users(request: Request, context: Context, account: Administrator) -> Response:
    """Everybody, and the form to add somebody."""
    return _users(request, context, account)


@router.post("/users")
def add(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Administrator,
    address: ClientAddress,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    display_name: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    badge_number: Annotated[str, Form()] = "",
    unit: Annotated[str, Form()] = "",
    area: Annotated[list[str], Form()] = [],  # noqa: B006 - copied by FastAPI
) -> Response:
    """Add a user, who has to choose another password at his first log-in."""
    form = {
        "name": name,
        "display_name": display_name,
        "role": role,
        "badge_number": badge_number,
        "unit": unit,
    }
    now = context.clock()
    try:
        with context.database.write() as session:
            add_user(
                session,
                name=name.strip(),
                password=password,
                role=_role(role),
                now=now,
                display_name=display_name.strip(),
                badge_number=badge_number.strip(),
                unit=unit.strip(),
                area_ids=_chosen(session, area),
                must_change_password=True,
            )
            account_for(session, "user.add", account, address, now, name.strip(), role=role)
    except RequestError as error:
        errors = {error.field or "name": said(request, error)}
        return _users(request, context, account, form, errors, error.status)
    return RedirectResponse(f"/users#user-{name.strip()}", status_code=303)


@router.post("/users/{name}")
def change(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: Administrator,
    address: ClientAddress,
    name: UserName,
    act: Annotated[str, Form()] = "",
    role: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    area: Annotated[list[str], Form()] = [],  # noqa: B006 - copied by FastAPI
) -> Response:
    """Change a user: role, areas, password, disable, enable, end sessions."""
    now = context.clock()
    try:
        with context.database.write() as session:
            if act in {"role", "password", "disable"}:
                refuse_self(name, account)
            detail = _apply(session, act, name, now, role=role, areas=area, password=password)
            account_for(session, f"user.{act}", account, address, now, name, **detail)
    except (InvalidRequest, Conflict) as error:
        errors = {f"user-{name}": said(request, error)}
        return _users(request, context, account, None, errors, error.status)
    return RedirectResponse(f"/users#user-{name}", status_code=303)


def _apply(  # noqa: PLR0913 - what may be changed of a user
    session: Session,
    act: str,
    name: str,
    now: datetime,
    *,
    role: str,
    areas: list[str],
    password: str,
) -> dict[str, Any]:
    """Do what a button says and give what the audit log is told of it."""
    match act:
        case "role":
            set_role(session, name, _role(role))
            return {"role": role}
        case "areas":
            chosen = _chosen(session, areas)
            set_areas(session, name, chosen)
            return {"areas": chosen}
        case "password":
            set_password(session, name, password, must_change_password=True)
        case "disable":
            disable_user(session, name, now)
        case "enable":
            enable_user(session, name)
        case "end_sessions":
            return {"ended": end_sessions(session, name)}
        case _:
            raise InvalidRequest("act: not known", field="act")
    return {}


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise InvalidRequest("role: not one of ours", field="role") from None


def _chosen(session: Session, areas: list[str]) -> list[str] | None:
    """What the boxes say; where no areas are kept there are no boxes, and all see everywhere."""
    if EVERYWHERE in areas or not list_areas(session):
        return None
    return sorted(set(areas))


def _users(  # noqa: PLR0913, PLR0917 - the parts of the page
    request: Request,
    context: AppContext,
    account: Account,
    form: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    with context.database.read() as session:
        users = list_users(session)
        areas = list_areas(session)
    return render(
        request,
        "users.html",
        page="users",
        account=account,
        status=status,
        users=users,
        areas=areas,
        everywhere=EVERYWHERE,
        roles=tuple(role.value for role in Role),
        form=form or _EMPTY,
        errors=errors or {},
    )


# ---- one's own account


@router.get("/account")
def show_account(request: Request, account: SignedIn) -> Response:
    """Who one is here, and the form to choose another password."""
    return _account(request, account, {})


@router.post("/account")
def change_password(  # noqa: PLR0913, PLR0917 - the form's fields
    request: Request,
    context: Context,
    account: SignedIn,
    address: ClientAddress,
    old: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> Response:
    """Choose another password; all sessions end, and one logs in with it."""
    if new != again:
        error = InvalidRequest("again: the two differ", field="again")
        return _account(request, account, {"again": said(request, error)})
    try:
        with context.database.write() as session:
            change_own_password(session, account.name, old, new)
            account_for(session, "account.password", account, address, context.clock())
    except (InvalidRequest, Conflict) as refusal:
        return _account(request, account, {refusal.field or "new": said(request, refusal)})
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def _account(request: Request, account: Account, errors: dict[str, str]) -> Response:
    return render(
        request,
        "account.html",
        page="account",
        account=account,
        status=422 if errors else 200,
        errors=errors,
    )
