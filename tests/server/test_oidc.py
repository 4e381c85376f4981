"""Log-in at an identity provider: a real one in a process of its own, and every way to cheat.

The provider is oidc-provider-mock: real discovery, real PKCE, tokens really signed; it lets
everybody be whom he says he is, which is what is wanted here.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey

from server import audit
from server.auth import oidc
from server.auth.accounts import disable_user
from server.auth.areas import put_area
from server.auth.oidc import expect, visitor_of
from server.errors import NotAuthenticated, SettingsError
from server.settings import Settings, load_settings
from server.settings_security import OidcSettings
from tests.server.conftest import PASSWORD, Site, SteppingClock, serving

PUBLIC = "http://localhost"
PEOPLE = {
    "u-zhao": {"preferred_username": "zhao", "name": "赵敏", "roles": ["traffic-police", "mail"],
               "badge": "370801", "areas": ["west"]},
    "u-boss": {"preferred_username": "boss", "name": "钱进", "roles": ["leaders"]},
    "u-clerk": {"preferred_username": "clerk", "name": "孙文", "roles": ["mail"]},
    "u-thief": {"preferred_username": "administrator", "name": "贼", "roles": ["traffic-police"]},
    "u-odd": {"preferred_username": "../odd", "name": "怪", "roles": ["traffic-police"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of a running provider."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    claims = [
        part
        for sub, theirs in PEOPLE.items()
        for part in ("--user-claims", json.dumps({"sub": sub} | theirs))
    ]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port),
         "--require-nonce", "true", *claims],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the provider does not start"
            assert time.monotonic() < until, "the provider does not answer"
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def oidc_site(provider: str, sqlite_settings: Settings) -> Iterator[Site]:
    """A server that trusts the provider. The provider's clock is the real one, so ours is too."""
    ours = OidcSettings(
        issuer=provider,
        client_id="kakou",
        client_secret="between us",
        public_url=PUBLIC,
        roles={"leaders": "supervisor", "traffic-police": "officer"},
        badge_claim="badge",
        areas_claim="areas",
    )
    settings = sqlite_settings.model_copy(update={"oidc": ours})
    with serving(settings, SteppingClock(datetime.now(UTC))) as site:
        with site.context.database.write() as session:
            put_area(session, "west", "西片", ["kk-west"], site.clock())
        yield site


def browser(site: Site) -> TestClient:
    return TestClient(
        site.app, base_url=PUBLIC, follow_redirects=False, raise_server_exceptions=False
    )


def at_provider(start: str, subject: str) -> str:
    """Log in over there as a person would; gives the address that he is sent back to."""
    with httpx.Client(trust_env=False) as client:
        answer = client.post(start, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def come_back(
    client: TestClient, site: Site, subject: str, next_path: str = "/search"
) -> httpx.Response:
    start = client.get("/login/oidc", params={"next": next_path})
    assert start.status_code == 303, start.text
    assert start.headers["location"].startswith(site.settings.oidc.issuer)
    asked = parse_qs(urlsplit(start.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{PUBLIC}/login/oidc/return"]
    return client.get(at_provider(start.headers["location"], subject))


def session_of(client: TestClient) -> dict:
    return client.get("/api/v1/session").json()


def test_whoever_logs_in_over_there_is_who_he_is_here(oidc_site: Site) -> None:
    client = browser(oidc_site)
    arrived = come_back(client, oidc_site, "u-zhao")
    assert arrived.status_code == 200, arrived.text
    assert 'content="0;url=/search"' in arrived.text
    assert "samesite=strict" in arrived.headers["set-cookie"].lower()
    session = session_of(client)
    assert (session["name"], session["role"], session["display_name"]) == (
        "zhao",
        "officer",
        "赵敏",
    )
    seen = client.get("/api/v1/checkpoints").json()
    assert [c["place"]["id"] for c in seen] == ["kk-west"], "his areas come from there"
    administrator = oidc_site.as_role("administrator")
    (view,) = [u for u in administrator.get("/api/v1/users").json() if u["name"] == "zhao"]
    assert (view["logs_in_elsewhere"], view["badge_number"]) == (True, "370801")
    again = browser(oidc_site)
    assert come_back(again, oidc_site, "u-zhao").status_code == 200
    with oidc_site.context.database.read() as db:
        acts = [r.action for r in audit.recent(db) if r.user_name == "zhao"]
    assert acts == ["login.open", "login.open", "user.oidc"], "bound once"


def test_he_has_no_password_here(oidc_site: Site) -> None:
    come_back(browser(oidc_site), oidc_site, "u-boss")
    for guess in ("", "boss", PASSWORD):
        body = {"name": "boss", "password": guess}
        assert oidc_site.client.post("/api/v1/login", json=body).status_code == 401
    reset = oidc_site.as_role("administrator").post(
        "/api/v1/users/boss/password", {"password": "a way around"}
    )
    assert reset.status_code == 409


@pytest.mark.parametrize("subject", ["u-clerk", "u-thief", "u-odd"])
def test_whoever_has_no_role_or_another_users_name_stays_outside(oidc_site: Site, subject) -> None:
    """Users over there choose their names: none becomes our administrator by choosing his."""
    client = browser(oidc_site)
    arrived = come_back(client, oidc_site, subject)
    assert arrived.status_code == 401
    assert "统一身份认证" in arrived.text
    assert client.get("/api/v1/session").status_code == 401


def test_a_user_is_handed_over_to_the_provider_on_purpose_only(oidc_site: Site) -> None:
    with oidc_site.context.database.write() as session:
        expect(session, "administrator")
    client = browser(oidc_site)
    assert come_back(client, oidc_site, "u-thief").status_code == 401, "the last administrator"
    with oidc_site.context.database.write() as session:
        expect(session, "officer")
        visitor = visitor_of(
            PEOPLE["u-zhao"] | {"sub": "u-zhao", "preferred_username": "officer"},
            oidc_site.settings.oidc,
        )
        user = oidc.admit(session, visitor, address="x", now=oidc_site.clock())
        assert (user.name, user.display_name) == ("officer", "赵敏")


def test_who_is_locked_out_here_is_locked_out(oidc_site: Site) -> None:
    come_back(browser(oidc_site), oidc_site, "u-boss")
    with oidc_site.context.database.write() as session:
        disable_user(session, "boss", oidc_site.clock())
    client = browser(oidc_site)
    assert come_back(client, oidc_site, "u-boss").status_code == 401
    assert client.get("/api/v1/session").status_code == 401


def test_a_log_in_that_this_browser_did_not_begin_is_refused(oidc_site: Site) -> None:
    """Else somebody could have a victim work in his name; and a code is good for one try."""
    thief = browser(oidc_site)
    start = thief.get("/login/oidc").headers["location"]
    back = at_provider(start, "u-zhao")
    assert browser(oidc_site).get(back).status_code == 401
    assert thief.get(back.replace("state=", "state=x")).status_code == 401
    assert thief.get(back).status_code == 200
    assert thief.get(back).status_code == 401


def test_a_log_in_takes_ten_minutes_at_most(oidc_site: Site) -> None:
    client = browser(oidc_site)
    back = at_provider(client.get("/login/oidc").headers["location"], "u-zhao")
    oidc_site.clock.advance(oidc.PATIENCE.total_seconds() + 1)
    assert client.get(back).status_code == 401


@pytest.mark.parametrize("params", [{}, {"state": "x"}, {"error": "access_denied", "state": "x"},
                                    {"code": "x"}, {"state": "x\u0000", "code": "y"}])  # fmt: skip
def test_what_did_not_come_from_the_provider_is_refused(oidc_site: Site, params) -> None:
    assert browser(oidc_site).get("/login/oidc/return", params=params).status_code == 401


@pytest.mark.parametrize("next_path", ["https://elsewhere.example/", "//elsewhere.example", "/\\x"])
def test_nobody_is_led_to_another_site(oidc_site: Site, next_path) -> None:
    arrived = come_back(browser(oidc_site), oidc_site, "u-zhao", next_path)
    assert re.search(r'content="0;url=/"', arrived.text)


KEY, FOREIGN_KEY = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
NONCE = "nonce"


class FakeProvider:
    """Answers like the provider's endpoints, with a token of our making: see test_oidc's table."""

    def __init__(self, token: str) -> None:
        self._token = token

    def request(self, _method: str, address: str, **_: object) -> httpx.Response:
        assert address == "keys"
        key = KEY.as_dict(private=False)
        return httpx.Response(200, json={"keys": [key]}, request=httpx.Request("GET", "http://x"))

    def claims(self, now: datetime) -> dict:
        settings = OidcSettings(issuer="https://idp.test", client_id="kakou", public_url="https://us.test",
                                roles={"r": "officer"})  # fmt: skip
        return dict(
            oidc._claims(
                self, {"jwks_uri": "keys"}, settings, {"id_token": self._token}, NONCE, now
            )
        )


def token(header: dict | None = None, key: RSAKey = KEY, **override: object) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": "https://idp.test", "aud": "kakou", "sub": "s", "exp": now + 86_400, "iat": now,
              "nonce": NONCE, "preferred_username": "zhao", "roles": ["r"]} | override  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(header or {"alg": "RS256"}, claims, key)


def test_a_token_that_holds_is_believed() -> None:
    assert FakeProvider(token()).claims(datetime.now(UTC))["sub"] == "s"


def _unsigned() -> str:
    _, body, _ = token().split(".")
    return f"eyJhbGciOiJub25lIn0.{body}."


@pytest.mark.parametrize(
    "forged",
    [
        token(iss="https://evil.test"),
        token(aud="somebody else"),
        token(aud=["kakou", "somebody else"]),
        token(azp="somebody else"),
        token(exp=1_700_000_000),
        token(exp=None),
        token(iat=4_000_000_000),
        token(nonce="another"),
        token(nonce=None),
        token(sub=None),
        token(key=FOREIGN_KEY),
        token()[:-4],
        _unsigned(),
        "not a token",
    ],
)
def test_a_token_that_does_not_hold_is_not_believed(forged: str) -> None:
    with pytest.raises((oidc.JoseError, ValueError)):
        FakeProvider(forged).claims(datetime.now(UTC))


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"roles": ["b", "a"]}, "supervisor"),
        ({"roles": "x b"}, "officer"),
        ({"realm_access": {"roles": ["b"]}}, None),
        ({"roles": {"a": 1}}, None),
        ({"roles": []}, None),
        ({}, None),
    ],
)
def test_the_first_role_of_the_settings_counts(claims: dict, role: str | None) -> None:
    settings = OidcSettings(roles={"a": "supervisor", "b": "officer"})
    claims = {"sub": "s", "preferred_username": "zhao"} | claims
    if role is None:
        with pytest.raises(NotAuthenticated):
            visitor_of(claims, settings)
    else:
        assert visitor_of(claims, settings).role == role


def test_roles_may_lie_deeper() -> None:
    settings = OidcSettings(role_claim="realm_access.roles", roles={"b": "officer"})
    claims = {"sub": "s", "preferred_username": "zhao", "realm_access": {"roles": ["b"]}}
    assert visitor_of(claims, settings).role == "officer"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"issuer": "http://idp.example", "client_id": "x", "public_url": "https://u"}, "https"),
        ({"issuer": "https://idp.example", "public_url": "https://u"}, "client_id"),
        ({"issuer": "https://idp.example", "client_id": "x"}, "public_url"),
    ],
)
def test_half_a_provider_is_a_wrong_setting(tmp_path, section, said) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[oidc]\n" + "".join(f'{k} = "{v}"\n' for k, v in section.items()))
    with pytest.raises(SettingsError, match=said):
        load_settings(file, {})


def test_without_a_provider_there_is_no_way_to_it(sqlite_site: Site) -> None:
    for path in ("/login/oidc", "/login/oidc/return?state=x&code=y"):
        assert sqlite_site.client.get(path).status_code == 404
    assert "/login/oidc" not in sqlite_site.client.get("/login").text


def test_a_provider_that_is_away_is_said_and_not_guessed(sqlite_settings, clock) -> None:
    gone = OidcSettings(issuer="http://127.0.0.1:9", client_id="kakou", public_url=PUBLIC)
    with serving(sqlite_settings.model_copy(update={"oidc": gone}), clock) as site:
        answer = browser(site).get("/login/oidc")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
