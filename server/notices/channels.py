"""Ways to tell somebody (告知方式), as an entry of the watchlist names them.

``wall`` shows it without a bell and ``sound`` with one; ``webhook:NAME`` is one of
``[notices.webhooks]``; ``sms:NUMBER`` goes to the SMS gateway, ``mail:ADDRESS`` to the mail relay.
The wall is told of every alert. An entry that names no way at all has wall and bell.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

from server.errors import InvalidRequest
from server.settings_notices import NoticeSettings

ChannelKind = Literal["wall", "sound", "webhook", "sms", "mail"]
SOUND = "sound"
AT_THE_WALL = frozenset({"wall", "sound"})
MOST = 20
_NUMBER = re.compile(r"\+?[0-9]{5,20}")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LONGEST_ADDRESS = 190


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to one receiver."""

    kind: ChannelKind
    to: str = ""
    """Name, number or address; '' at the wall."""


def parse_channel(text: str) -> Channel:
    """Read ``kind`` or ``kind:to``.

    Raises:
        InvalidRequest: it is none.
    """
    kind, _, to = text.strip().partition(":")
    to = to.strip()
    right = {
        "wall": to == "",
        "sound": to == "",
        "webhook": 0 < len(to) <= 64 and to.isprintable(),
        "sms": _NUMBER.fullmatch(to) is not None,
        "mail": len(to) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(to) is not None,
    }
    if not right.get(kind, False):
        raise InvalidRequest(
            f"tell: {text[:80]!r} is none of wall, sound, webhook:NAME, sms:NUMBER, mail:ADDRESS",
            field="tell",
        )
    return Channel(cast("ChannelKind", kind), to)


def is_channel(text: str) -> bool:
    """Whether a text names a channel, in its one spelling."""
    try:
        channel = parse_channel(text)
    except InvalidRequest:
        return False
    return text == spelled(channel)


def spelled(channel: Channel) -> str:
    """The one spelling of a channel."""
    return f"{channel.kind}:{channel.to}" if channel.to else channel.kind


def check_channels(texts: Iterable[str], settings: NoticeSettings) -> tuple[str, ...]:
    """The channels in their one spelling, each once, in the order given.

    Raises:
        InvalidRequest: one is none, or is not set up at this site.
    """
    found: dict[str, None] = {}
    for text in texts:
        if not text.strip():
            continue
        channel = parse_channel(text)
        if channel.kind == "webhook" and channel.to not in settings.webhooks:
            raise InvalidRequest(f"tell: no webhook is called {channel.to}", field="tell")
        if channel.kind == "sms" and settings.sms is None:
            raise InvalidRequest("tell: no SMS gateway is set up", field="tell")
        if channel.kind == "mail" and settings.mail is None:
            raise InvalidRequest("tell: no mail relay is set up", field="tell")
        found[spelled(channel)] = None
    if len(found) > MOST:
        raise InvalidRequest(f"tell: at most {MOST}", field="tell")
    return tuple(found)
