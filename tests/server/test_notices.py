"""Others are told of an alert: nothing is lost, all of it is signed, and what fails is seen."""

import base64
import email
import email.policy
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from server.alerts.overdue import raise_overdue
from server.errors import InvalidRequest, SettingsError
from server.notices.channels import check_channels, parse_channel
from server.notices.messenger import Messenger
from server.notices.queue import Delivery, claim, retry_pause_s, settle
from server.notices.sending import sign
from server.settings import NoticeSettings, Settings, load_settings
from server.tables import Notice, WatchlistEntry
from tests.server.conftest import NOW, Site, SteppingClock, make_passage, serving

SECRET = "a secret of the duty desk"
WAIT_S = 60


class Receiver:
    """An HTTP server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A duty desk's program."""
    one = Receiver()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def nobody_sends_but_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own thread would send at moments of its choosing."""
    monkeypatch.setattr(Messenger, "start", lambda _self: None)
    monkeypatch.setattr("server.alerts.overdue.LOOK_EVERY_S", 3_600)


def told_of(settings: Settings, receiver: Receiver, **more: Any) -> Settings:
    """Settings with this receiver as webhook ``duty`` and as SMS gateway."""
    hook = {"url": f"http://{receiver.host}/kakou", "secret": SECRET}
    notices = {"hosts": [receiver.host], "webhooks": {"duty": hook}, "sms": hook, **more}
    return settings.model_copy(update={"notices": NoticeSettings.model_validate(notices)})


@pytest.fixture
def told_site(settings: Settings, clock: SteppingClock, receiver: Receiver) -> Iterator[Site]:
    """A site that tells the receiver."""
    with serving(told_of(settings, receiver, tries=3), clock) as site:
        yield site


def send_due(site: Site) -> int:
    context = site.context
    return Messenger(context.settings, context.database, site.clock).send_due()


def notices(site: Site) -> list[Notice]:
    with site.context.database.read() as session:
        return list(session.scalars(select(Notice).order_by(Notice.id)))


def alarm(site: Site, tell: list[str], **entry: Any) -> None:
    site.as_role("officer").watch("鲁H12345", tell=tell, level=1, **entry)
    site.post(make_passage())


# ---- what is sent


def test_a_webhook_gets_the_alert_signed_so_that_nobody_else_could_have_sent_it(
    told_site: Site, receiver: Receiver
) -> None:
    alarm(told_site, ["sound", "webhook:duty"])
    assert send_due(told_site) == 1
    ((headers, body),) = receiver.got
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert int(headers["webhook-timestamp"]) == int(NOW.timestamp())
    message = json.loads(body)
    assert message["type"] == "alert.raised"
    assert (message["alert"]["plate"], message["alert"]["level"]) == ("鲁H12345", 1)
    assert message["checkpoint"]["name"] == "西卡口"
    (kept,) = notices(told_site)
    assert (kept.state, kept.tries, kept.settled_at) == ("sent", 1, NOW)
    assert send_due(told_site) == 0, "sent once"


def test_the_signature_is_that_of_the_published_example() -> None:
    """standardwebhooks.com: the reference libraries' own test vector."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_sms_gateway_gets_number_and_text(told_site: Site, receiver: Receiver) -> None:
    alarm(told_site, ["sms:13800000000"])
    send_due(told_site)
    message = json.loads(receiver.got[0][1])
    assert message["to"] == "13800000000"
    assert message["text"] == "【1级预警】鲁H12345 11-22 18:15:00 西卡口 案件 A1"


class Mailbox:
    """Keeps what an SMTP server takes; refuses whom it is told to."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.refused = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address == self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        self.got.append(envelope)
        return "250 OK"


class OnAnyPort(Controller):
    """Listens on a free port, and finds out which before it tries itself."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server."""
    box = Mailbox()
    controller = OnAnyPort(box, hostname="127.0.0.1", port=0)
    controller.start()
    yield box, controller.port
    controller.stop()


def test_a_mail_says_where_and_when_and_no_plate_in_its_subject(
    sqlite_settings: Settings, clock: SteppingClock, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    relay = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "kakou@police.test"}
    mail = NoticeSettings.model_validate({"mail": relay, "page_url": "https://kakou.test/"})
    settings = sqlite_settings.model_copy(update={"notices": mail})
    with serving(settings, clock) as site:
        alarm(site, ["mail:duty@police.test", "mail:gone@police.test"])
        box.refused = "gone@police.test"
        assert send_due(site) == 2
        taken, refused = notices(site)
    (envelope,) = box.got
    assert (envelope.mail_from, envelope.rcpt_tos) == ("kakou@police.test", ["duty@police.test"])
    content = envelope.content
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert "H12345" not in message["Subject"]
    text = message.get_content()
    assert "鲁H12345" in text
    assert "西卡口" in text
    assert "https://kakou.test/alerts/1" in text
    assert (taken.state, refused.state) == ("sent", "dead"), "no such mailbox is final"
    assert refused.fault == "refused with 550"


# ---- nothing is lost


def test_no_alert_without_its_notices_and_no_notice_without_its_alert(told_site: Site) -> None:
    """They are of one transaction: what fails after both were written leaves neither."""
    told_site.as_role("officer").watch("鲁H12345", tell=["webhook:duty"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.holds.hold", _fail)
        assert told_site.post(make_passage()).status_code == 500
    assert (told_site.count("alert"), told_site.count("notice")) == (0, 0)
    told_site.post(make_passage())
    assert (told_site.count("alert"), told_site.count("notice")) == (1, 1)


def _fail(*_: Any) -> None:
    raise ZeroDivisionError


def test_a_sender_that_dies_leaves_its_notice_to_another(
    told_site: Site, receiver: Receiver
) -> None:
    alarm(told_site, ["webhook:duty"])
    with told_site.context.database.write() as session:
        (claimed,) = claim(session, told_site.clock(), 70)  # and is killed
    assert send_due(told_site) == 0, "it may still be at it"
    told_site.clock.advance(71)
    assert send_due(told_site) == 1
    assert receiver.got[0][0]["webhook-id"] == f"kakou-notice-{claimed.id}"
    assert notices(told_site)[0].state == "sent"


def test_several_senders_never_send_one_notice_twice(told_site: Site, receiver: Receiver) -> None:
    for number in range(6):
        plate = f"鲁H0000{number}"
        told_site.as_role("officer").watch(plate, tell=["webhook:duty"])
        told_site.post(make_passage(plate=plate))
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        while send_due(told_site):
            pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 6


def test_what_fails_is_tried_again_ever_more_slowly_then_is_a_dead_letter_that_can_be_sent_again(
    told_site: Site, receiver: Receiver
) -> None:
    receiver.status = 503
    alarm(told_site, ["webhook:duty"])
    pauses = []
    for _ in range(3):
        assert send_due(told_site) == 1
        (kept,) = notices(told_site)
        pauses.append((kept.due_at - told_site.clock()).total_seconds())
        told_site.clock.now = max(kept.due_at, told_site.clock.now)
    assert (kept.state, kept.tries, kept.fault) == ("dead", 3, "answered 503")
    assert 3.75 <= pauses[0] <= 5
    assert 7.5 <= pauses[1] <= 10
    supervisor = told_site.as_role("supervisor")
    assert "answered 503" in supervisor.get("/notices").text
    (dead,) = supervisor.get("/api/v1/notices").json()
    path = f"/api/v1/notices/{dead['id']}/requeue"
    assert told_site.as_role("operator").post(path).status_code == 403
    assert supervisor.post(path).json()["state"] == "waiting"
    assert supervisor.post(path).status_code == 409
    receiver.status = 200
    assert send_due(told_site) == 1
    assert notices(told_site)[0].state == "sent"


@pytest.mark.parametrize(
    ("status", "state"), [(404, "dead"), (401, "dead"), (429, "waiting"), (500, "waiting")]
)
def test_a_refusal_is_final_and_a_failure_is_not(
    told_site: Site, receiver: Receiver, status: int, state: str
) -> None:
    receiver.status = status
    alarm(told_site, ["webhook:duty"])
    send_due(told_site)
    assert notices(told_site)[0].state == state


def test_a_redirect_is_not_followed(told_site: Site, receiver: Receiver) -> None:
    receiver.status, receiver.location = 307, f"http://{receiver.host}/elsewhere"
    alarm(told_site, ["webhook:duty"])
    send_due(told_site)
    assert len(receiver.got) == 1
    assert (notices(told_site)[0].state, notices(told_site)[0].fault) == ("dead", "answered 307")


def test_a_receiver_that_is_away_is_tried_again(told_site: Site, receiver: Receiver) -> None:
    receiver.close()
    alarm(told_site, ["webhook:duty"])
    send_due(told_site)
    (kept,) = notices(told_site)
    assert kept.state == "waiting"
    assert "ConnectError" in (kept.fault or "")


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_a_pause_doubles_up_to_the_longest_and_is_spread_by_a_quarter(
    tries: int, chance: float
) -> None:
    settings = NoticeSettings()
    whole_s = min(900, 5 * 2 ** (tries - 1))
    assert 0.75 * whole_s <= retry_pause_s(tries, settings, chance) <= whole_s


def test_what_was_settled_meanwhile_is_left_alone(told_site: Site) -> None:
    """A sender that comes back from the dead does not undo what another has done."""
    alarm(told_site, ["webhook:duty"])
    with told_site.context.database.write() as session:
        (claimed,) = claim(session, NOW, 1)
    told_site.clock.advance(2)
    send_due(told_site)
    with told_site.context.database.write() as session:
        late = Delivery("too late", final=True)
        state = settle(session, claimed, late, NOW, told_site.context.settings.notices)
    assert state == "sent"


# ---- who is told, and who is not


def test_a_rise_tells_the_entrys_people_and_those_of_the_settings_once(
    settings: Settings, clock: SteppingClock, receiver: Receiver
) -> None:
    with serving(told_of(settings, receiver, overdue=["webhook:duty"]), clock) as site:
        alarm(site, ["webhook:duty", "sms:13800000000"])
        send_due(site)
        site.clock.advance(121)
        raise_overdue(site.context.database, site.context.settings, site.clock())
        send_due(site)
    kinds = sorted(json.loads(body).get("type", "sms") for _, body in receiver.got)
    assert kinds == ["alert.escalated", "alert.raised", "sms", "sms"]


def test_an_entry_without_a_bell_is_shown_and_does_not_ring(told_site: Site) -> None:
    alarm(told_site, ["webhook:duty"])
    (alert,) = told_site.as_role("operator").alerts()
    assert alert["rings"] is False


def test_a_way_that_is_none_keeps_no_passage_from_being_stored(told_site: Site) -> None:
    """However it came into the table: the alert is raised, and shown on the wall."""
    told_site.as_role("officer").watch("鲁H12345", tell=["webhook:duty"])
    with told_site.context.database.write() as session:
        for row in session.scalars(select(WatchlistEntry)):
            row.tell = ["pigeon:7", "webhook:duty"]
    assert told_site.outcomes(make_passage()) == ["accepted"]
    assert (told_site.count("alert"), told_site.count("notice")) == (1, 1)


def test_backlog_tells_nobody(told_site: Site) -> None:
    told_site.as_role("officer").watch("鲁H12345", tell=["webhook:duty"])
    told_site.post(make_passage(captured_at=NOW + timedelta(seconds=1)), delivery="backlog")
    assert told_site.count("notice") == 0


def test_nothing_leaves_about_a_protected_plate(told_site: Site) -> None:
    officer, custodian = told_site.as_role("officer"), told_site.as_role("custodian")
    officer.watch("鲁H12345", tell=["webhook:duty"])
    answer = custodian.post(
        "/api/v1/protected-plates", {"plate": "鲁H12345", "authority": "省厅〔2026〕17号"}
    )
    assert answer.status_code == 201, answer.text
    told_site.post(make_passage())
    assert (told_site.count("alert"), told_site.count("notice")) == (1, 0)


# ---- settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hosts = ["a.test"]\n[notices.webhooks.d]\nurl = "https://b.test/"\nsecret = "0123456789abcdef"',
         "b.test does not stand in notices.hosts"),
        ('hosts = ["a.test"]\n[notices.webhooks.d]\nurl = "http://a.test/"\nsecret = "0123456789abcdef"',
         "https, or set notices.allow_http"),
        ('hosts = ["a.test"]\n[notices.webhooks.d]\nurl = "https://a.test/"\nsecret = "short"',
         "16 characters"),
        ('hosts = ["a.test"]\n[notices.webhooks.d]\nurl = "file:///etc/passwd"\nsecret = "0123456789abcdef"',
         "http:// or https://"),
        ('hosts = ["a.test"]\n[notices.webhooks.d]\nurl = "https://a.test@b.test/"\nsecret = "0123456789abcdef"',
         "without user"),
        ('hosts = ["*.test"]', "no pattern"),
    ],
)  # fmt: skip
def test_a_receiver_that_is_not_allowed_is_an_error_at_the_start(
    tmp_path: Any, text: str, said: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[notices]\n" + text)
    with pytest.raises(SettingsError, match=said):
        load_settings(file, {})


@pytest.mark.parametrize("text", ["", "bell", "webhook:", "sms:abc", "mail:nobody", "sound:x",
                                  "mail:a@b.c\nBcc: d@e.f", "sms:1380000000\n"])  # fmt: skip
def test_what_is_no_channel_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="tell"):
        parse_channel(text if text != "sms:1380000000\n" else "sms:138 0000")


def test_a_channel_that_is_not_set_up_here_is_refused() -> None:
    for text in ("webhook:duty", "sms:13800000000", "mail:a@b.test"):
        with pytest.raises(InvalidRequest, match="tell"):
            check_channels([text], NoticeSettings())
    assert check_channels(["sound", " sound", "wall", ""], NoticeSettings()) == ("sound", "wall")


def wait_for(seen: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_running_server_sends_by_itself_and_counts_it(
    sqlite_settings: Settings, clock: SteppingClock, receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.undo()
    with serving(told_of(sqlite_settings, receiver), clock) as site:
        alarm(site, ["webhook:duty"])
        wait_for(lambda: notices(site)[0].state == "sent")
        counted = site.context.metrics.notices.labels("webhook", "sent")
        wait_for(lambda: counted._value.get() == 1.0)
    assert len(receiver.got) == 1
