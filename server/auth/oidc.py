"""Log-in at an OpenID Connect provider: authorisation code with PKCE (RFC 7636), by Authlib.

Out: a state, a nonce and a verifier are made; the browser carries the state in a cookie, the
database keeps the rest for ten minutes. Back: the state must be the cookie's, the code is traded
for an ID token, whose signature, issuer, audience, time and nonce are checked (OpenID Connect
Core 1.0, section 3.1.3.7). Its claims say who it is and what he may do here; the role is taken
from them at every log-in, and whoever has none of the roles named in the settings does not get in.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from server import audit
from server.auth.accounts import Role, require_user_name, set_areas, set_role, token_hash
from server.auth.areas import list_areas
from server.db import Database
from server.errors import Conflict, InvalidRequest, NotAuthenticated, SettingsError, Unavailable
from server.settings_security import OidcSettings
from server.tables import OidcLogin, User

RETURN_PATH = "/login/oidc/return"
PATIENCE = timedelta(minutes=10)
"""How long somebody may take to log in over there."""
LEEWAY_S = 60
"""How far the provider's clock may be from ours."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures that only the provider can make; never "none", never one by a shared secret."""
_EXPECTED = "expected "


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser is sent, and the state that it must bring back in a cookie."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who the provider says has logged in, in our terms."""

    subject: str
    name: str
    role: Role
    display_name: str
    badge_number: str | None
    unit: str | None
    area_ids: tuple[str, ...] | None
    """None = not for the provider to say."""


def depart(
    database: Database, settings: OidcSettings, *, next_path: str, now: datetime
) -> Departure:
    """Begin a log-in.

    Raises:
        Unavailable: the provider, or the database, cannot be reached.
    """
    state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    verifier = secrets.token_urlsafe(64)
    with _client(settings) as client:
        provider = _discover(client, settings)
        url, _ = client.create_authorization_url(
            provider["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
        )
    with database.write() as session:
        session.execute(delete(OidcLogin).where(OidcLogin.expires_at <= now))
        session.add(
            OidcLogin(
                state_sha256=token_hash(state),
                nonce=nonce,
                verifier=verifier,
                next_path=next_path[:500],
                expires_at=now + PATIENCE,
            )
        )
    return Departure(str(url), state)


def arrive(  # noqa: PLR0913 - what the browser brought, when, under which rules
    database: Database,
    settings: OidcSettings,
    *,
    state: str,
    cookie_state: str,
    code: str,
    now: datetime,
) -> tuple[Visitor, str]:
    """Finish a log-in: who it is, and the path that he wanted to go to.

    Raises:
        NotAuthenticated: this browser did not begin it, it is over, or the token does not hold.
        Unavailable: the provider, or the database, cannot be reached.
    """
    if not state or not secrets.compare_digest(state.encode(), cookie_state.encode()):
        raise NotAuthenticated("this browser did not begin that log-in; begin again")
    with database.write() as session:
        begun = session.get(OidcLogin, token_hash(state))
        if begun is not None:  # good for one try, whatever comes of it
            session.delete(begun)
    if begun is None or begun.expires_at <= now:
        raise NotAuthenticated("that log-in is over; begin again")
    if not code:
        raise NotAuthenticated("the identity provider did not log you in")
    with _client(settings) as client:
        try:
            provider = _discover(client, settings)
            token = client.fetch_token(
                provider["token_endpoint"], code=code, code_verifier=begun.verifier
            )
            claims = _claims(client, provider, settings, token, begun.nonce, now)
        except httpx2.HTTPError as error:
            raise Unavailable(
                "the identity provider cannot be reached", retry_after_s=30
            ) from error
        except (OAuthError, JoseError, ValueError, KeyError, TypeError) as error:
            raise NotAuthenticated("the identity provider's answer does not hold") from error
    return visitor_of(claims, settings), begun.next_path


def visitor_of(claims: Mapping[str, Any], settings: OidcSettings) -> Visitor:
    """What verified claims say in our terms.

    Raises:
        NotAuthenticated: they name nobody, or nobody who has a role here.
    """
    name = _at(claims, settings.name_claim)
    held = _words(_at(claims, settings.role_claim))
    role = next((Role(ours) for theirs, ours in settings.roles.items() if theirs in held), None)
    if not isinstance(name, str) or role is None:
        raise NotAuthenticated("the identity provider gives you no role here")
    try:
        require_user_name(name)
    except InvalidRequest:
        raise NotAuthenticated("the identity provider's name for you cannot be used here") from None
    display_name = claims.get("name")
    return Visitor(
        subject=f"{settings.issuer} {claims['sub']}"[:600],
        name=name,
        role=role,
        display_name=display_name[:100] if isinstance(display_name, str) else "",
        badge_number=_text(claims, settings.badge_claim, 32),
        unit=_text(claims, settings.unit_claim, 100),
        area_ids=_words(_at(claims, settings.areas_claim)) if settings.areas_claim else None,
    )


def admit(session: Session, visitor: Visitor, *, address: str, now: datetime) -> User:
    """Find or make the user of a visitor and bring him up to what the provider says.

    Raises:
        NotAuthenticated: he is disabled here, or his name is that of a user with a password.
    """
    user = session.scalar(select(User).where(User.oidc_subject == visitor.subject))
    if user is None:
        user = _bind_or_add(session, visitor, address, now)
    if user.disabled_at is not None:
        raise NotAuthenticated("you are locked out here; ask an administrator")
    if user.role != visitor.role.value:
        try:
            set_role(session, user.name, visitor.role)
        except Conflict as error:
            raise NotAuthenticated(error.detail) from None
        _record(session, "user.role", user.name, address, now, {"role": visitor.role.value})
    user.display_name = visitor.display_name or user.display_name
    user.badge_number = user.badge_number if visitor.badge_number is None else visitor.badge_number
    user.unit = user.unit if visitor.unit is None else visitor.unit
    if visitor.area_ids is not None:
        set_areas(session, user.name, visitor.area_ids)
    session.flush()
    return user


def expect(session: Session, name: str) -> None:
    """Hand a user with a password over to the provider: his next log-in there binds him.

    Raises:
        InvalidRequest: no such user.
    """
    user = session.get(User, name)
    if user is None:
        raise InvalidRequest(f"name: no user {name}", field="name")
    user.password_hash, user.must_change_password = "", False
    user.oidc_subject = _EXPECTED + name
    session.flush()


def _bind_or_add(session: Session, visitor: Visitor, address: str, now: datetime) -> User:
    user = session.get(User, visitor.name)
    if user is not None and user.oidc_subject != _EXPECTED + visitor.name:
        # the provider's users choose their names: none of them becomes ours by choosing one
        raise NotAuthenticated("that name belongs to another user here; ask an administrator")
    if user is None:
        user = User(name=visitor.name, password_hash="", role=visitor.role.value, created_at=now)
        # where areas are kept, a newcomer sees none until the provider or an administrator says
        user.sees_everywhere = visitor.area_ids is None and not list_areas(session)
        session.add(user)
    user.oidc_subject = visitor.subject
    session.flush()
    _record(session, "user.oidc", user.name, address, now, {"subject_there": visitor.subject})
    return user


def _record(  # noqa: PLR0913, PLR0917 - the parts of an account
    session: Session, action: str, name: str, address: str, now: datetime, detail: dict[str, Any]
) -> None:
    audit.record(
        session,
        now=now,
        user_name=name,
        address=address,
        action=action,
        detail={"subject": name} | detail,
    )


def _client(settings: OidcSettings) -> OAuth2Client:
    return OAuth2Client(
        settings.client_id,
        _secret(settings) or None,
        scope=" ".join(settings.scopes),
        redirect_uri=settings.public_url.rstrip("/") + RETURN_PATH,
        code_challenge_method="S256",
        timeout=settings.timeout_s,
    )


def _secret(settings: OidcSettings) -> str:
    if settings.client_secret_file is None:
        return settings.client_secret.get_secret_value()
    try:
        return settings.client_secret_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"oidc.client_secret_file: cannot be read: {error.strerror}") from None


def _discover(client: OAuth2Client, settings: OidcSettings) -> Mapping[str, Any]:
    """The provider's own description (OpenID Connect Discovery 1.0)."""
    address = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
    try:
        provider = client.request("GET", address, withhold_token=True).raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        raise Unavailable("the identity provider cannot be reached", retry_after_s=30) from error
    if not isinstance(provider, dict) or provider.get("issuer") != settings.issuer:
        raise Unavailable("oidc.issuer: the provider there calls itself otherwise")
    return provider


def _claims(  # noqa: PLR0913, PLR0917 - the token, and everything it is held against
    client: OAuth2Client,
    provider: Mapping[str, Any],
    settings: OidcSettings,
    token: Mapping[str, Any],
    nonce: str,
    now: datetime,
) -> Mapping[str, Any]:
    keys = (
        client.request("GET", provider["jwks_uri"], withhold_token=True).raise_for_status().json()
    )
    decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=ALGORITHMS)
    checked = CodeIDToken(
        decoded.claims,
        decoded.header,
        {
            "iss": {"essential": True, "value": settings.issuer},
            "aud": {"essential": True, "value": settings.client_id},
        },
        {
            "nonce": nonce,
            "client_id": settings.client_id,
            "access_token": token.get("access_token"),
        },
    )
    checked.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
    claims: dict[str, Any] = dict(checked)
    missing = any(_at(claims, name) is None for name in (settings.name_claim, settings.role_claim))
    if not missing or "userinfo_endpoint" not in provider:
        return claims
    told = client.get(provider["userinfo_endpoint"]).raise_for_status().json()
    if told.get("sub") != claims["sub"]:
        raise ValueError("userinfo is about somebody else")
    merged: dict[str, Any] = {**told, **claims}
    return merged


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by name; dots lead into nested ones (``realm_access.roles``)."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, Sequence):
        return tuple(word for word in value if isinstance(word, str))
    return ()


def _text(claims: Mapping[str, Any], path: str, longest: int) -> str | None:
    value = _at(claims, path) if path else None
    return value[:longest] if isinstance(value, str) else None
