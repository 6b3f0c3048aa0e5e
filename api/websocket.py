"""GET /events as a WebSocket: replay, then live. `peer` speaks the protocol, one thread does the writing.

A frame is encoded once for all subscribers; a client that does not read is dropped and slows nobody.
"""

import base64
import binascii
from time import monotonic
from typing import TYPE_CHECKING

import falcon

from api.board import News
from api.collaborators import Collaborators
from api.errors import problem
from api.frame import frame
from api.line import Line
from api.shown import event_bytes
from api.streams import Stream
from sando.model.errors import StoreUnavailable

if TYPE_CHECKING:
    from api.peer import Peer

MOST_BUFFERED = 2**20
PING_S = 20.0
AFTER_GREETING_S = 0.05
STALLED_S = 10.0
REPLAY_EVENTS = 200
REPLAY_AHEAD = 65536
"""A replay is read from the store no faster than the client takes it."""


def wanted(req: falcon.Request) -> bool:
    return req.method == "GET" and (req.get_header("Upgrade") or "").strip().lower() == "websocket"


def greet(req: falcon.Request) -> "Peer":
    """The handshake; nothing is sent yet. Raises Problem. No extension is offered on, so nothing is compressed."""
    from api.peer import Peer  # noqa: PLC0415  (a twelfth of the start, for what nobody may ever ask)

    headers = {name: req.get_header(name) or "" for name in ("Connection", "Sec-WebSocket-Key")}
    tokens = {token.strip().lower() for token in headers["Connection"].split(",")}
    if "upgrade" not in tokens or req.env.get("SERVER_PROTOCOL") == "HTTP/1.0":
        raise problem(400, "bad_request", "an upgrade needs HTTP/1.1 and Connection: Upgrade")
    if req.get_header("Sec-WebSocket-Version") != "13":
        error = problem(426, "upgrade_required", "only version 13 of the WebSocket protocol is spoken")
        error.headers["Sec-WebSocket-Version"] = "13"
        raise error
    if not _is_key(headers["Sec-WebSocket-Key"]):
        raise problem(400, "bad_request", "Sec-WebSocket-Key must be 16 bytes in base64")
    return Peer(
        {
            "HTTP_HOST": req.env["HTTP_HOST"],
            "HTTP_UPGRADE": "websocket",
            "HTTP_CONNECTION": "Upgrade",
            "HTTP_SEC_WEBSOCKET_KEY": headers["Sec-WebSocket-Key"],
            "HTTP_SEC_WEBSOCKET_VERSION": "13",
        }
    )


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


class Subscriber(Stream):
    """One client of /events. `cursor` is the last event that it was sent."""

    subscriber = True

    def __init__(self, line: Line, peer: "Peer", given: Collaborators, since: int) -> None:
        super().__init__(line)
        self._peer = peer
        self._given = given
        self._cursor = since
        self._live = False
        self._heard = 0
        self._ping_at = monotonic() + PING_S

    def begin(self, seq: int, /) -> None:
        self._heard = seq
        self._flush_peer()
        # Not in one packet with the handshake: simple_websocket's own client would sit on what follows it there.
        self.due = monotonic() + AFTER_GREETING_S

    def heard(self, news: News) -> None:
        self._heard = max(self._heard, news.snapshot.seq)
        if self._live:
            self._deliver(news)

    def received(self, data: bytes) -> None:
        alive = self._peer.hear(data)
        self._flush_peer()
        if not alive:
            self.line.finish()
        self._check_buffer()

    def drained(self) -> None:
        if not self._live and self.line.size < REPLAY_AHEAD:
            self._replay()

    def tick(self, now: float) -> None:
        if self.line.size and now - self.line.moved_at >= STALLED_S:
            return self._too_slow()
        if now >= self._ping_at:
            self._ping_at = now + PING_S
            if not self._peer.ping():
                return self._end(1008, "no answer to a ping")
            self._flush_peer()
        if not self._live and self.line.size < REPLAY_AHEAD:
            self._replay()
        self.due = min(self.due, self._ping_at if self._live else now + 1.0)
        self._watch()

    def overheard(self) -> None:
        self._end(1008, "too much was said: this connection is for listening")

    def banish(self) -> None:
        self._end(1008, "the token is not valid any more")

    def shut(self) -> None:
        self._end(1001, "sandod is stopping")

    # -- what is sent ----------------------------------------------------------------------------------------

    def _deliver(self, news: News) -> None:
        """What lies after the cursor, in one piece; a gap is filled from the store."""
        if news.first == self._cursor + 1:
            self.line.send(news.blob)
            self._cursor = news.last
        elif news.first <= self._cursor < news.last:
            self.line.send(b"".join(f for seq, f in news.frames if seq > self._cursor))
            self._cursor = news.last
        self._check_buffer()
        if self._cursor < self._heard:
            self._live = False
            self.due = monotonic()

    def _replay(self) -> None:
        """One page from the store; live once nothing lies between the cursor and the latest news."""
        try:
            newest = max(self._heard, self._given.store.last_seq())
            page = self._given.store.events(self._cursor, REPLAY_EVENTS)
        except StoreUnavailable:
            return self._end(1013, "the store cannot be read just now")
        missing = page[0].seq != self._cursor + 1 if page else self._cursor < self._heard
        if self._cursor > newest or missing:
            self._reset()
        elif page:
            self.line.send(b"".join(frame(event_bytes(e)) for e in page))
            self._cursor = page[-1].seq
        self._live = self._cursor >= self._heard
        full = self.line.size >= REPLAY_AHEAD
        self.due = self._ping_at if self._live else monotonic() + (1.0 if full else 0.0)

    def _reset(self) -> None:
        """What lies between is gone, or was never ours: the whole state, and on from there."""
        latest = self._given.board.latest
        if latest is None:
            return self._end(1013, "sandod is starting")
        self.line.send(frame(b'{"type":"Reset","state":' + latest.render(self._given.clock()) + b"}"))
        self._cursor = latest.seq

    def _flush_peer(self) -> None:
        self.line.send(self._peer.outbox.take())

    def _check_buffer(self) -> None:
        if self.line.size > MOST_BUFFERED:
            self._too_slow()
        else:
            self._watch()

    def _watch(self) -> None:
        """What waits for the client is looked at again when it has waited too long."""
        if self.line.size:
            self.due = min(self.due, self.line.moved_at + STALLED_S)

    def _too_slow(self) -> None:
        self.line.forget_waiting()
        self._end(1013, "too slow: read faster, or come back with since")

    def _end(self, code: int, reason: str) -> None:
        self._peer.bye(code, reason)
        self._flush_peer()
        self.line.finish()
