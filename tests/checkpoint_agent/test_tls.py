"""The agent against a real TLS server: a private authority, a token or a certificate of its own."""

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from checkpoint_agent.clock import Clock
from checkpoint_agent.config_upkeep import ServerConfig
from checkpoint_agent.errors import ConfigError, ServerUnavailable
from checkpoint_agent.uploader import Uploader
from tests.checkpoint_agent.fakes import NOON
from tests.checkpoint_agent.test_outbox import entry


class Authority:
    """A private certificate authority, made for one test run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Police private CA")
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self._certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, client: bool) -> tuple[Path, Path]:
        """Certificate and key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(_named(name), self._name, key)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert_file, key_file


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


class TlsServer:
    """Takes everything, and remembers who sent it."""

    def __init__(self, authority: Authority, *, asks_for_certificate: bool) -> None:
        self.seen: list[tuple[str | None, str | None]] = []
        """Common name of the client's certificate, and its Authorization."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server", client=False))
        if asks_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.ca_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # a refused handshake is what is tested
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                shown = self.connection.getpeercert() or {}
                names = dict(part[0] for part in shown.get("subject", ()))
                owner.seen.append((names.get("commonName"), self.headers["Authorization"]))
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                results = [
                    {"passage_id": p["passage_id"], "outcome": "accepted"}
                    for p in message["passages"]
                ]
                body = json.dumps({"results": results, "received_at": NOON.isoformat()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    (folder / "token").write_text("sesame")
    return Authority(folder)


@pytest.fixture(params=[False, True], ids=["token", "certificate"])
def tls_server(request, authority) -> Iterator[TlsServer]:
    server = TlsServer(authority, asks_for_certificate=request.param)
    yield server
    server.close()


def send(outbox, config: ServerConfig) -> None:
    outbox.put([entry(1)])
    uploader = Uploader(outbox, config, "agent-1", Clock())
    try:
        uploader.send_next()
    finally:
        uploader.close()


def test_with_the_right_authority_and_credential_a_passage_arrives(outbox, authority, tls_server):
    certificate, key = authority.issue("kk-west-box", client=True)
    send(
        outbox,
        ServerConfig(
            url=tls_server.url,
            ca_file=authority.ca_file,
            client_cert_file=certificate,
            client_key_file=key,
        ),
    )
    assert outbox.state().queued == 0
    ((shown, authorization),) = tls_server.seen
    assert authorization is None, "who shows a certificate needs no token"
    assert shown in {"kk-west-box", None}


def test_a_token_travels_over_tls(outbox, authority):
    server = TlsServer(authority, asks_for_certificate=False)
    try:
        token_file = authority.folder / "token"
        send(
            outbox,
            ServerConfig(url=server.url, ca_file=authority.ca_file, token_file=token_file),
        )
        assert server.seen == [(None, "Bearer sesame")]
    finally:
        server.close()


def test_a_server_of_another_authority_gets_nothing(outbox, authority, tls_server):
    """Without ``ca_file`` the system's authorities are asked, and do not know the private one."""
    config = ServerConfig(url=tls_server.url, token_file=authority.folder / "token")
    with pytest.raises(ServerUnavailable, match="certificate"):
        send(outbox, config)
    assert outbox.state().queued == 1
    assert tls_server.seen == []


def test_a_box_without_its_certificate_is_refused_and_keeps_everything(outbox, authority):
    server = TlsServer(authority, asks_for_certificate=True)
    try:
        config = ServerConfig(
            url=server.url, ca_file=authority.ca_file, token_file=authority.folder / "token"
        )
        with pytest.raises(ServerUnavailable):
            send(outbox, config)
        assert outbox.state().queued == 1
        assert server.seen == []
    finally:
        server.close()


def test_a_certificate_that_cannot_be_used_is_said_with_its_key(outbox, authority):
    for key, path in (("ca_file", "token"), ("client_cert_file", "ca.pem")):
        changes = {key: authority.folder / path, "token_file": authority.folder / "token"}
        with pytest.raises(ConfigError, match=rf"server\.{key}: "):
            Uploader(outbox, ServerConfig(url="https://kakou.test", **changes), "a", Clock())
