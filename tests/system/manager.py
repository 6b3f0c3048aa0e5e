"""The end of NOTIFY_SOCKET that systemd has: it hears every datagram of a sandod, in order. It never answers."""

import socket
import threading
from collections.abc import Callable

from tests.system.sandod import until
from tests.system.workspace import Workspace

Message = dict[str, str]


class Manager:
    """`said` has what came so far; a message is a dict, as `{"READY": "1", "STATUS": "…"}`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.said: list[Message] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while text := self._sock.recv(65536).decode():
            self.said.append(dict(line.split("=", 1) for line in text.split("\n")))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join(10)
        self._sock.close()

    def heard(self, match: Callable[[Message], object], after: int = 0) -> int:
        """The place of the first such message from `after` on, once it has come."""

        def place() -> int | None:
            return next((n + 1 for n, m in enumerate(self.said) if n >= after and match(m)), None)

        return until(place, what=f"for a message to systemd; there were {self.said[-20:]}") - 1

    def word(self, name: str, after: int = 0) -> int:
        return self.heard(lambda m: name in m, after)

    def words(self, *names: str) -> list[str]:
        """These of all that was said, in order."""
        return [name for message in self.said for name in message if name in names]


def watched(sandod: Workspace, seconds: float) -> None:
    """systemd waits this long for a ping."""
    sandod.env["WATCHDOG_USEC"] = str(round(seconds * 1e6))
