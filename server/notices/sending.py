"""Sending a notice: a signed POST, or an e-mail. Nothing here raises; a failure is a word.

Webhooks are signed as https://www.standardwebhooks.com says: ``webhook-id``,
``webhook-timestamp`` and ``webhook-signature: v1,`` + base64 of HMAC-SHA256 over
``id.timestamp.body``. Receivers have libraries for it.

Addresses come from the settings alone and their hosts stand in ``notices.hosts``; redirects are not
followed, proxies of the environment not used, and what a receiver answers is not kept.
"""

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any
from zoneinfo import ZoneInfo

import httpx2

from server.notices.queue import RISEN, Claimed, Delivery
from server.settings import Settings
from server.settings_notices import MailRelay, Webhook

_TRY_AGAIN = frozenset({408, 425, 429})
"""Of the 4xx these pass; the others will be the same next time."""
_REFUSED_FOR_GOOD = 500
"""SMTP: 5yz is permanent (RFC 5321, section 4.2.1)."""


def send(claimed: Claimed, settings: Settings, now: datetime) -> Delivery:
    """Send one notice."""
    notices = settings.notices
    try:
        match claimed.channel:
            case "webhook":
                hook = notices.webhooks.get(claimed.receiver)
                if hook is None:
                    return Delivery(f"no webhook is called {claimed.receiver}", final=True)
                return _post(hook, _document(claimed, settings), claimed, settings, now)
            case "sms" if notices.sms is not None:
                document = {"to": claimed.receiver, "text": text_of(claimed.body, settings)}
                return _post(notices.sms, document, claimed, settings, now)
            case "mail" if notices.mail is not None:
                return _mail(notices.mail, claimed, settings)
            case _:
                return Delivery(f"{claimed.channel} is not set up", final=True)
    except OSError as error:  # a key's file that cannot be read, a line that breaks
        return Delivery(f"{type(error).__name__}: {error.strerror or error}")


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message, as its header holds it."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def text_of(body: Mapping[str, Any], settings: Settings) -> str:
    """A notice in one short text, for a telephone."""
    alert, entry, place = body["alert"], body["entry"], body["checkpoint"]
    seen = datetime.fromisoformat(alert["captured_at"])
    at = seen.astimezone(ZoneInfo(settings.display.time_zone)).strftime("%m-%d %H:%M:%S")
    rise = "【超时未签】" if body["type"] == RISEN else ""
    text = f"{rise}【{alert['level']}级预警】{alert['plate']} {at} {place['name']}"
    text += f" 案件 {entry['case_number']}"
    link = _link(body, settings)
    return f"{text} {link}" if link else text


def _document(claimed: Claimed, settings: Settings) -> dict[str, Any]:
    document = dict(claimed.body)
    if link := _link(claimed.body, settings):
        document["page_url"] = link
    return document


def _link(body: Mapping[str, Any], settings: Settings) -> str:
    base = settings.notices.page_url.rstrip("/")
    return f"{base}/alerts/{body['alert']['id']}" if base else ""


def _post(
    hook: Webhook, document: Mapping[str, Any], claimed: Claimed, settings: Settings, now: datetime
) -> Delivery:
    if hook.host not in settings.notices.hosts:
        return Delivery(f"{hook.host} does not stand in notices.hosts", final=True)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    message_id, timestamp = f"kakou-notice-{claimed.id}", int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "kakou",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(hook.key(), message_id, timestamp, body),
    }
    try:
        with (
            httpx2.Client(
                timeout=settings.notices.timeout_s, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("POST", hook.url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except httpx2.HTTPError as error:
        return Delivery(f"{type(error).__name__}: {error}")
    if 200 <= status < 300:
        return Delivery()
    final = 300 <= status < 500 and status not in _TRY_AGAIN
    return Delivery(f"answered {status}", final=final)


def _mail(relay: MailRelay, claimed: Claimed, settings: Settings) -> Delivery:
    message = EmailMessage()
    message["From"], message["To"] = relay.sender, claimed.receiver
    # subjects are seen on locked telephones: no plate in them
    level = claimed.body["alert"]["level"]
    message["Subject"] = f"卡口预警 {level} 级 #{claimed.body['alert']['id']}"
    message["Date"] = format_datetime(claimed.queued_at)
    message["Message-ID"] = make_msgid(f"kakou-notice-{claimed.id}", "kakou.invalid")
    message.set_content(text_of(claimed.body, settings) + "\n")
    try:
        _deliver(relay, message, settings.notices.timeout_s)
    except smtplib.SMTPRecipientsRefused as error:
        code = max(code for code, _said in error.recipients.values())
        return Delivery(f"refused with {code}", final=code >= _REFUSED_FOR_GOOD)
    except smtplib.SMTPResponseException as error:
        final = error.smtp_code >= _REFUSED_FOR_GOOD
        return Delivery(f"answered {error.smtp_code}", final=final)
    except smtplib.SMTPException as error:
        return Delivery(f"{type(error).__name__}: {error}")
    return Delivery()


def _deliver(relay: MailRelay, message: EmailMessage, timeout_s: float) -> None:
    tls = ssl.create_default_context()
    if relay.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            relay.host, relay.port, timeout=timeout_s, context=tls
        )
    else:
        client = smtplib.SMTP(relay.host, relay.port, timeout=timeout_s)
    with client:
        if relay.security == "starttls":
            client.starttls(context=tls)
        if relay.user:
            client.login(relay.user, relay.secret())
        client.send_message(message)
