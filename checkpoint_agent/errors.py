"""What can go wrong on a checkpoint box, and who must act.

::

    AgentError
    ├── ConfigError        the configuration is wrong: the installer edits the named file and key
    ├── SourceError        a camera or recording cannot be used as configured: the installer acts
    │   └── CameraLost     a live camera does not answer: retried by itself, reported if it lasts
    ├── OutboxError        the outbox cannot be used: the maintainer checks the disk
    │   ├── OutboxFull     the disk is full even after giving up pictures: the maintainer frees space
    │   └── OutboxDamaged  the database is damaged: set aside by itself; the maintainer checks the disk
    └── ServerUnavailable  the server did not take what was sent: retried by itself
        └── AccessRefused  the server refuses the token: the administrator issues a new one

Models that fail raise :class:`anpr.AnprError`; the agent stops on them, because a broken reader
is not an empty road.
"""

from typing import Literal


class AgentError(Exception):
    """Base of everything that the agent raises on purpose."""


class ConfigError(AgentError):
    """The configuration is wrong; the message names the file and the key."""


class SourceError(AgentError):
    """A camera or recording cannot be used as configured; credentials are masked."""


CameraFault = Literal["address", "unreachable", "refused", "silent", "login", "path", "stream"]
"""address: no such host; unreachable: no way there; refused: nothing listens at the port; silent:
no answer in time, or frames stopped; login: user or password wrong; path: no such stream on the
camera; stream: what comes cannot be decoded."""


class CameraLost(SourceError):  # noqa: N818 - reads as what happened
    """A live camera cannot be opened or stopped answering; opening it again may help."""

    def __init__(self, message: str, fault: CameraFault = "silent") -> None:
        """Say what happened, without credentials, and of which sort it is."""
        super().__init__(message)
        self.fault: CameraFault = fault


class OutboxError(AgentError):
    """The outbox cannot be opened or written; the message names its file."""


class OutboxFull(OutboxError):  # noqa: N818 - reads as what happened
    """The disk holds no further passage, although pictures were given up."""


class OutboxDamaged(OutboxError):  # noqa: N818 - reads as what happened
    """The outbox's database is damaged; it is set aside and a new one is begun."""


class ServerUnavailable(AgentError):  # noqa: N818 - reads as what happened
    """The server did not take what was sent; everything is kept and sent again."""

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, answered: bool = False
    ) -> None:
        """Say what happened.

        Args:
            message: What the log shows.
            retry_after_s: What the server asked for, in seconds, if it asked.
            answered: Whether the server is there and failed on this very request.
        """
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.answered = answered


class AccessRefused(ServerUnavailable):
    """The server does not accept the agent's token; everything is kept."""
