"""The events of sandod as they happen: a WebSocket that begins after a given place. One thread, one connection.

simple_websocket speaks the protocol. Its own client is not used: it tries only the first address of a name, waits for
a connection without end, and sits on what comes in one packet with the greeting.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from threading import Event as Flag

import msgspec
from simple_websocket.ws import Base
from wsproto import ConnectionType
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.utilities import ProtocolError

from sando.client.address import Address
from sando.client.caller import Caller, Refused, Unreachable, reason
from sando.client.shapes import Event

CONNECT_S = 5.0
SILENT_S = 50.0
"""sandod pings every 20 s: who is silent for longer than two of them is gone."""
PIECE = 65536
MOST_BYTES = 16 * 2**20


class _NoThread:
    """simple_websocket would read in a thread of its own; here whoever listens does."""

    name = ""

    def __init__(self, target: object) -> None:
        pass

    def start(self) -> None:
        pass


class _Wire(Base):  # type: ignore[misc]
    """The client's side of the protocol on a socket that is connected."""

    connected: bool
    input_buffer: list[str | bytes]

    def __init__(self, sock: socket.socket, request: Request) -> None:
        self._request = request
        super().__init__(sock, ConnectionType.CLIENT, max_message_size=MOST_BYTES, thread_class=_NoThread)

    def handshake(self) -> None:
        self.sock.sendall(self.ws.send(self._request))
        while not self.connected:
            data = self.sock.recv(PIECE)
            if not data:
                raise ConnectionResetError
            self.ws.receive_data(data)
            for event in self.ws.events():
                if isinstance(event, RejectConnection):
                    raise _Rejected(event.status_code)
                if isinstance(event, AcceptConnection):
                    self.connected = True
                    break  # what follows it in the same packet waits for `hear`

    def hear(self) -> list[str]:
        """What has come by now; waits for nothing."""
        self.connected = self._handle_events() and self.connected
        heard, self.input_buffer = self.input_buffer, []
        return [m if isinstance(m, str) else bytes(m).decode("utf-8", "replace") for m in heard]

    def read(self) -> None:
        """Waits for more. Raises OSError when the connection has ended."""
        data = self.sock.recv(PIECE)
        if not data:
            raise ConnectionResetError
        self.ws.receive_data(data)


class _Rejected(Exception):
    """The server would not upgrade."""


class Feed:
    """`listen` in one thread; `close` from any other ends it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sock: socket.socket | None = None
        self._closed = Flag()

    def close(self) -> None:
        self._closed.set()
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def listen(self, since: int) -> Iterator[tuple[Event, ...]]:
        """What came together, together, for as long as the connection lives; the first one is empty: it lives.

        Raises Unreachable, and Refused with the reason that sandod gives.
        """
        for texts in self.frames(since):
            try:
                events = tuple(_decoder.decode(text) for text in texts)
            except msgspec.DecodeError as error:
                raise Unreachable(f"{self._address.url}: {_told(error)}") from None
            yield events

    def frames(self, since: int) -> Iterator[tuple[str, ...]]:
        """The same as they were sent, for who passes them on."""
        try:
            with self._connect() as sock:
                self._sock = sock
                if self._closed.is_set():
                    return
                yield from self._texts(_Wire(sock, self._request(since)))
        except _Rejected:
            raise self._why(since) from None
        except (OSError, ValueError, ProtocolError) as error:
            if not self._closed.is_set():
                raise Unreachable(f"{self._address.url}: {_told(error)}") from None

    def _texts(self, wire: _Wire) -> Iterator[tuple[str, ...]]:
        yield ()
        while True:
            if heard := wire.hear():
                yield tuple(heard)
            if not wire.connected:
                raise Unreachable(f"{self._address.url}: {wire.close_message or 'the connection was closed'}")
            wire.read()

    def _connect(self) -> socket.socket:
        address = self._address
        sock = socket.create_connection((address.host, address.port), CONNECT_S)
        sock.settimeout(SILENT_S)
        return (
            ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)
            if address.secure
            else sock
        )

    def _request(self, since: int) -> Request:
        headers = [(k.encode(), v.encode()) for k, v in self._address.headers.items()]
        target = f"{self._address.base}/events?since={since}"
        return Request(host=self._address.netloc, target=target, extra_headers=headers)

    def _why(self, since: int) -> Exception:
        """The refusal of an upgrade has no body to read from: asked without one, sandod says it in words."""
        with Caller(self._address) as caller:
            answer = caller.get("/events", {"since": since, "limit": 1})
        return (
            Refused(answer.problem())
            if not answer.ok
            else Unreachable(f"{self._address.url}: no WebSocket there")
        )


_decoder = msgspec.json.Decoder(Event)


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"silent for {SILENT_S:g} s"
    if isinstance(error, msgspec.DecodeError | ProtocolError):
        return "what it sends are no events"
    return reason(error)
