"""One connection that left Waitress: a socket that never blocks and what waits to go out on it. One thread uses it."""

import contextlib
import socket
from collections import deque
from time import monotonic

LINGER_S = 5.0
"""How long a last word may take to be read."""
HEARD_MOST = 16 * 1024
HEARD_PER_S = 1024
"""What a client may say at once, and regains each second: those who wait or listen have little to say."""


class Line:
    """Bytes go out at once as far as the client takes them; the rest waits, and `size` says how much."""

    def __init__(self, sock: socket.socket, left: bytes = b"", *, address: str = "") -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.sock = sock
        self.address = address
        self.size = 0
        self.lost = False
        self.finishing = False
        self.deadline = float("inf")
        self.moved_at = monotonic()
        self.patience = float(HEARD_MOST)
        """How many more bytes the client may say just now; below zero it has said too much."""
        self._heard_at = self.moved_at
        self._waiting: deque[memoryview] = deque()
        self._begun = False
        self._hung_up = False
        self.send(left)

    def send(self, data: bytes) -> None:
        if not data or self.lost or self.finishing:
            return
        if not self._waiting:  # what did not move before had nothing to move
            self.moved_at = monotonic()
        self._waiting.append(memoryview(data))
        self.size += len(data)
        if len(self._waiting) == 1:
            self.flush()

    def flush(self) -> None:
        try:
            while self._waiting:
                self._sent(self.sock.send(self._waiting[0]))
        except BlockingIOError:
            return
        except OSError:
            self.lost = True

    def _sent(self, count: int) -> None:
        self.size -= count
        self.moved_at = monotonic()
        self._begun = count < len(self._waiting[0])
        if self._begun:
            self._waiting[0] = self._waiting[0][count:]
        else:
            self._waiting.popleft()

    def receive(self) -> bytes:
        """What came in, empty when nothing did; a client that hung up makes the line `lost`."""
        try:
            data = self.sock.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.lost = self.lost or not data
        now = monotonic()
        regained = (now - self._heard_at) * HEARD_PER_S
        self.patience = min(max(HEARD_MOST, self.patience), self.patience + regained) - len(data)
        self._heard_at = now
        return data

    def forget_waiting(self) -> None:
        """Drops what has not begun to go out; a piece that has begun is still sent to its end."""
        begun = self._waiting[0] if self._begun and self._waiting else None
        self._waiting.clear()
        if begun is not None:
            self._waiting.append(begun)
        self.size = len(begun) if begun is not None else 0

    def finish(self, within: float = LINGER_S) -> None:
        """No more is sent; the rest gets `within` seconds to be taken."""
        if not self.finishing:
            self.finishing = True
            self.deadline = monotonic() + within

    def hang_up(self) -> None:
        """Once all is sent, the end of it; then the client hangs up. A hard close could cost it the last bytes."""
        if self.size or self._hung_up:
            return
        self._hung_up = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.lost = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # Waitress may still hold its own descriptor for a moment: the client must see the end now.
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
