"""What systemd hears of sandod: one datagram a message to NOTIFY_SOCKET. Where nobody listens it says nothing, and never raises.

The protocol is a few lines and promised to stay (sd_notify(3)), so it needs no library.
"""

import logging
import os
import socket
import time
from collections.abc import MutableMapping

from sando.model.names import visible

log = logging.getLogger(__name__)

SEND_S = 2.0
"""How long a full socket may hold up whoever speaks."""
STATUS_CHARS = 400
NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Notify:
    """`watchdog_s`: how soon after its last ping systemd takes the daemon for hung; 0 where nobody waits for pings."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._told = False

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> "Notify":
        """What the environment says, and out of it: whatever inherits it could speak in the daemon's name."""
        said = {name: environ.pop(name, "") for name in NAMES}
        address = said["NOTIFY_SOCKET"]
        if not address.startswith(("/", "@")):
            return cls()
        meant = said["WATCHDOG_PID"] in {"", str(os.getpid())}
        usec = said["WATCHDOG_USEC"] if meant else ""
        return cls(address, int(usec) / 1e6 if usec.isascii() and usec.isdigit() else 0.0)

    @property
    def heard(self) -> bool:
        """Somebody listens."""
        return bool(self._address)

    def say(self, **said: str | int) -> bool:
        """`say(READY=1, STATUS="…")`: all of it in one datagram, so that it counts as one. False: it did not arrive."""
        if not self.heard:
            return False
        lines = (f"{name}={_one_line(value)}" for name, value in said.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_S)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._told:
                log.warning("systemd could not be told %s: %s", ", ".join(said), error)
            self._told = True
            return False
        self._told = False
        return True


def monotonic_usec() -> int:
    """What RELOADING=1 has to come with."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def _one_line(value: str | int) -> str:
    return visible(str(value)).replace("\n", " ").replace("\t", " ")[:STATUS_CHARS]
