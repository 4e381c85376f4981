"""Ask an RTSP camera what it offers, or why it gives nothing: one DESCRIBE (RFC 2326, 10.2).

Video libraries say "cannot be opened" whether the password is wrong or the cable is out. The
installer on the ladder must know which.
"""

import hashlib
import re
import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = {"rtsp": 554, "rtsps": 322}
_ANSWER_LIMIT_BYTES = 262_144
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_CODEC = re.compile(r"^a=rtpmap:\d+ ([A-Za-z0-9-]+)/90000", re.MULTILINE)
_CHALLENGE = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Described:
    """A camera's answer."""

    status: int
    """As in HTTP: 200 good, 401 login refused, 404 no such stream."""
    reason: str
    codecs: tuple[str, ...]
    """Video codecs offered, such as ``H264`` and ``H265``."""


def describe(address: str, timeout_s: float) -> Described:
    """Ask the camera at an ``rtsp(s)://`` address to describe its stream, with login if it wants one.

    Raises:
        OSError: if it cannot be reached, or does not speak RTSP. The message has no credentials.
        ValueError: if the address is none.
    """
    parts = urlsplit(address)
    host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    if not host or not port:
        raise ValueError("no host in the address")
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    with ExitStack() as stack:
        line = stack.enter_context(socket.create_connection((host, port), timeout_s))
        if parts.scheme == "rtsps":
            line = stack.enter_context(_unchecked().wrap_socket(line, server_hostname=host))
        answer = _exchange(line, target, 1, None)
        login = _login(parts, target, answer) if answer.startswith("RTSP/1.0 401") else None
        if login:
            answer = _exchange(line, target, 2, login)
        return _parsed(answer)


def _unchecked() -> ssl.SSLContext:
    """Cameras sign their own certificates; this only asks, and pictures are fetched elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _exchange(line: socket.socket, target: str, number: int, login: str | None) -> str:
    """One question and its answer, head and body."""
    lines = [f"DESCRIBE {target} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    if login:
        lines.append(f"Authorization: {login}")
    line.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while len(answer) < _ANSWER_LIMIT_BYTES:
        head, ended, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
        if ended and len(body) >= (int(length[1]) if length else 0):
            break
        more = line.recv(65_536)
        if not more:
            break
        answer += more
    return answer.decode("utf-8", "replace")


def _parsed(answer: str) -> Described:
    first, _, rest = answer.partition("\r\n")
    status = re.match(r"RTSP/1\.\d (\d{3}) ?(.*)", first)
    if status is None:
        raise ConnectionError("what answers there does not speak RTSP")
    codecs = tuple(dict.fromkeys(codec.upper() for codec in _CODEC.findall(rest)))
    return Described(int(status[1]), status[2][:80], codecs)


def _login(parts: SplitResult, target: str, answer: str) -> str | None:
    """The ``Authorization`` that answers a challenge: digest if offered (RFC 2617), else basic."""
    user, word = unquote(parts.username or ""), unquote(parts.password or "")
    offers = re.findall(r"(?im)^www-authenticate:\s*(\w+)\s+(.*?)\s*$", answer)
    digests = [text for scheme, text in offers if scheme.lower() == "digest"]
    if not user:
        return None
    for text in digests:
        given = {name.lower(): quoted or bare for name, quoted, bare in _CHALLENGE.findall(text)}
        make = _HASHES.get(given.get("algorithm", "MD5").upper())
        realm, nonce = given.get("realm", ""), given.get("nonce", "")
        if make is None:
            continue
        secret = make(f"{user}:{realm}:{word}".encode(), usedforsecurity=False).hexdigest()
        asked = make(f"DESCRIBE:{target}".encode(), usedforsecurity=False).hexdigest()
        proof = make(f"{secret}:{nonce}:{asked}".encode(), usedforsecurity=False).hexdigest()
        algorithm = f", algorithm={given['algorithm']}" if "algorithm" in given else ""
        return (
            f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}",'
            f' response="{proof}"{algorithm}'
        )
    if any(scheme.lower() == "basic" for scheme, _ in offers):
        from base64 import b64encode  # noqa: PLC0415 - only this way of login needs it

        return "Basic " + b64encode(f"{user}:{word}".encode()).decode()
    return None
