"""The WebSocket protocol with one client, as simple_websocket speaks it, without its thread and its socket."""

from typing import Any

import simple_websocket
from simple_websocket.ws import LocalProtocolError, Ping

MOST_INBOUND = 4096


class _Outbox:
    """Stands where simple_websocket expects a socket: collects what it wants to send."""

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def take(self) -> bytes:
        data, self.data = self.data, b""
        return data


class _NoThread:
    """simple_websocket starts a thread for each client; ours are all served by one."""

    name = ""

    def __init__(self, target: object) -> None:
        pass

    def start(self) -> None:
        pass


class Peer(simple_websocket.Server):  # type: ignore[misc]
    """The protocol with one client, without thread and socket."""

    pong_received: bool

    def __init__(self, environ: dict[str, Any]) -> None:
        self.outbox = _Outbox()
        environ = {**environ, "werkzeug.socket": self.outbox}
        super().__init__(environ, max_message_size=MOST_INBOUND, thread_class=_NoThread)

    def hear(self, data: bytes) -> bool:
        """Answers pings and closes, drops messages; False when the connection has ended."""
        try:
            self.ws.receive_data(data)
            alive = bool(self._handle_events())
        except LocalProtocolError:  # something after a close
            return False
        self.input_buffer.clear()
        return alive and self.connected

    def ping(self) -> bool:
        """False when the ping before this one was never answered."""
        answered, self.pong_received = self.pong_received, False
        if answered:
            self.outbox.send(self.ws.send(Ping()))
        return bool(answered)

    def bye(self, code: int, reason: str) -> None:
        if self.connected:
            self.close(code, reason)
