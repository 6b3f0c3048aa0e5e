"""A TCP connection to a node: its name resolved, its addresses dialled one after the other; knows no SSH.

Whoever waits here can be broken off: resolvers and dialling take no token, so `Dial.drop` ends both.
"""

import socket
import threading
from contextlib import suppress
from typing import Any

from sando.model.target import Target
from sando.work.hosts.ssh.watch import Watch

_DEAD_S = 30  # the kernel gives up on a peer that acknowledges nothing for so long
_LEAST_S = 0.1


class Dropped(OSError):
    """`drop` was called."""


class Eager(socket.socket):
    """Acknowledges what it reads at once, while `hurry`.

    sshd keeps a small packet back until the last one is acknowledged (Nagle), and the kernel an acknowledgement for
    40 ms: together half of the time of a login. From its first session on sshd does so no more.
    """

    hurry = True

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if self.hurry:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


class Dial:
    """One attempt, and the socket that it leads to."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._news = threading.Event()
        self.dropped = False
        self.resolved = False
        self.socket: Eager | None = None

    def drop(self) -> None:
        """From any thread, at once, and for good: also what is dialled afterwards is shut."""
        self.dropped = True
        self._news.set()
        if (sock := self.socket) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.drop()
        if self.socket is not None:
            self.socket.close()

    def connect(self, watch: Watch) -> Eager:
        """To the first address that takes it; each gets its share of the time. Raises OSError, TimeoutError."""
        addresses = self._resolve(watch)
        self.resolved = True
        last: OSError = TimeoutError()
        for number, (family, address) in enumerate(addresses):
            try:
                return self._dial(family, address, max(_LEAST_S, watch.left / (len(addresses) - number)))
            except Dropped:
                raise
            except OSError as error:
                last = error
        raise last

    def _dial(self, family: int, address: tuple[str, int], seconds: float) -> Eager:
        sock = self.socket = Eager(family, socket.SOCK_STREAM)
        try:
            self._check()
            sock.settimeout(seconds)
            sock.connect(address)
            _keep_alive(sock)
        except OSError:
            sock.close()
            self._check()
            raise
        return sock

    def _check(self) -> None:
        if self.dropped:
            raise Dropped(None, "it was broken off")

    def _resolve(self, watch: Watch) -> list[tuple[int, tuple[str, int]]]:
        """Address families and addresses; a resolver that does not answer is left alone with its thread."""
        found: list[Any] = []
        thread = threading.Thread(
            target=self._ask, args=(found,), name=f"resolve {self._target.host}", daemon=True
        )
        thread.start()
        answered = self._news.wait(watch.left)
        self._check()
        if not answered:
            raise TimeoutError
        thread.join()
        if isinstance(found[0], OSError):
            raise found[0]
        return [(family, address[:2]) for family, _, _, _, address in found]

    def _ask(self, found: list[Any]) -> None:
        try:
            found.extend(socket.getaddrinfo(self._target.host, self._target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError(None, str(error)))
        self._news.set()


def _keep_alive(sock: socket.socket) -> None:
    """The kernel watches the peer while nobody calls: no thread wakes for it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 15),
        (socket.TCP_KEEPINTVL, 5),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, _DEAD_S * 1000),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
