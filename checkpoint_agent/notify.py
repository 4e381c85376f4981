"""Telling systemd how the service is: ``sd_notify(3)`` as datagrams, nothing more."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks to the service manager if there is one, and to nobody otherwise."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Read where the manager listens, and how often it wants a sign of life."""
        known = os.environ if environment is None else environment
        self._address = known.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(known)
        """A sign of life is due within so many seconds; ``None``: nobody waits for one."""

    def say(self, *lines: str) -> None:
        """Send state such as ``READY=1``; a manager that does not listen is no fault of ours."""
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaking:
                speaking.settimeout(0.2)
                speaking.sendto("\n".join(lines).encode(), address)
        except OSError:
            return


def _watchdog_s(known: Mapping[str, str]) -> float | None:
    try:
        asked_s = int(known.get("WATCHDOG_USEC", "")) / 1e6
        meant_for = int(known.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return asked_s if asked_s > 0 and meant_for == os.getpid() else None
