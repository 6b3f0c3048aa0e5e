"""The seam into Waitress 3: a request may leave with a dup of its socket, and Waitress writes nothing to it any more.

It also gives Waitress's own errors the form of all others, and says how long a connection has been silent.
It never touches a request that does not leave.
"""

import contextlib
import http
import ipaddress
import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest

from api.bodies import MOST_BYTES
from api.crowd import BODY_LATE, HEADERS_LATE, Crowd, Limits
from api.errors import PROBLEM, SAFE_HEADERS, body_of
from api.head import whole
from api.line import Line
from api.streams import LastWord, Stream
from sando.model.answers import Refusal
from sando.model.codes import general

LEAVE = "sando.leave"
LOCAL_ADDRESS = "sando.local_address"
MOST_IN_A_ROW = 4
"""Requests that a client may send ahead of the answers; none of ours does."""
MOVED_S = 5.0
"""An answer of which nothing was taken for so long keeps nobody else out."""

_SAFE = "".join(f"{name}: {value}\r\n" for name, value in SAFE_HEADERS.items()).encode("latin-1") + b"\r\n"

Make = Callable[[Line], Stream]


class FullError(Exception):
    """There are as many streams as there may be; the request has not left."""


class Task(WSGITask):  # type: ignore[misc]
    """A request whose responder may take the connection away."""

    gone = False
    _keeps = False

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        # Waitress folds `//promote/a` into `/promote/a`; what a path is must not depend on who looks at it.
        environ["PATH_INFO"] = self.request.path
        environ[LEAVE] = self._leave
        environ[LOCAL_ADDRESS] = self.channel.local_address
        return environ

    def build_response_header(self) -> bytes:
        # To Waitress whatever has no Content-Length ends with its connection; a 304 has none, and ends with its headers.
        asked = self.request.headers.get("CONNECTION", "").lower()
        self._keeps = not self.has_body and self.version == "1.1" and asked != "close"
        head = safe(super().build_response_header())
        self._keeps = False
        return head

    def set_close_on_finish(self) -> None:
        if not self._keeps:
            super().set_close_on_finish()

    def _leave(self, make: Make) -> None:
        """Hands the connection to the streams as what `make` makes of it. Raises FullError."""
        self.gone = leave(self, make)

    def write(self, data: bytes) -> None:
        if not self.gone:
            super().write(data)

    def finish(self) -> None:
        if not self.gone:
            super().finish()


_WORDS = {
    413: f"the body is larger than {MOST_BYTES} bytes",  # Waitress's limit is another, since it counts chunks too
    500: "see the log of sandod",  # an error of ours that came past all handlers: its text is not for the client
}


def safe(head: bytes) -> bytes:
    """With the safe headers in front of the empty line, in one piece: each by itself takes Waitress a microsecond."""
    return head[:-2] + _SAFE


def leave(task: Any, make: Make) -> bool:
    """True once Waitress has nothing more to do with the connection of this task. Raises FullError."""
    channel, streams = task.channel, task.channel.server.streams
    if not streams.reserve(channel.address):
        raise FullError
    taken = channel.hand_over()
    task.wrote_header = True  # with a header out, Waitress writes no error of its own either
    task.close_on_finish = True
    if taken is None:
        streams.unreserve(channel.address)
        return True
    try:
        streams.adopt(make(Line(*taken, address=channel.address)))
    except BaseException:
        task.gone = True
        taken[0].close()
        streams.unreserve(channel.address)
        raise
    return True


class Problem(ErrorTask):  # type: ignore[misc]
    """What Waitress's parser refuses, told like every other error; the client may still be sending while it is told."""

    gone = False

    def execute(self) -> None:
        error = self.request.error
        detail = _WORDS.get(error.code, str(error.body))
        refusal = Refusal(error.code, general(error.code), detail)
        try:
            self.gone = leave(self, lambda line: LastWord(line, whole(refusal)))
        except FullError:
            self._write(refusal)

    def build_response_header(self) -> bytes:
        return safe(super().build_response_header())

    def _write(self, refusal: Refusal) -> None:
        body = body_of(refusal)
        self.status = f"{refusal.status} {http.HTTPStatus(refusal.status).phrase}"
        self.response_headers.append(("Content-Type", PROBLEM))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)

    def finish(self) -> None:
        if not self.gone:
            super().finish()


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Refuses what two servers in a row could read in two ways (request smuggling)."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented as error:  # a 501 would be an error of ours
            raise ParsingError(error.args[0]) from None
        except ValueError:  # a Content-Length of thousands of digits, a target that is no URI
            raise ParsingError("a number or the target cannot be read") from None
        coded = self.chunked or "TRANSFER_ENCODING" in self.headers
        if coded and ("CONTENT_LENGTH" in self.headers or self.version != "1.1"):
            raise ParsingError("Transfer-Encoding together with Content-Length, or without HTTP/1.1")

    def received(self, data: bytes) -> int:
        consumed = int(super().received(data))
        if self.completed:  # with no body to come, or refused: Waitress would wait for one for ever
            self.expect_continue = False
        return consumed


class Overrun(Parser):
    """Stands for all that comes after the last request that may be sent ahead."""

    def received(self, data: bytes) -> int:
        self.error = BadRequest(f"more than {MOST_IN_A_ROW} requests were sent ahead of their answers")
        self.completed = self.headers_finished = True
        return len(data)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A guest of the crowd: it knows since when its client owes the rest of a request, and since when anything."""

    task_class = Task
    error_task_class = Problem

    def __init__(self, server: Any, sock: socket.socket, peer: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        self.crowd: Crowd = server.crowd
        self.address = share_of(str(peer[0]))
        self._opened = self._since = self._moved = self._begun = self._headers = self.crowd.clock()
        self._half: object = None
        self._in_a_row = 0
        self._taking = self._at_once = False
        super().__init__(server, sock, peer, adj, map=map)
        self.crowd.enter(self)

    def del_channel(self, map: Any = None) -> None:  # noqa: A002
        super().del_channel(map)
        self.crowd.leave(self)

    @cached_property
    def local_address(self) -> str | None:
        sock = self.socket
        try:
            return str(sock.getsockname()[0]) if sock else None
        except OSError:
            return None

    # -- what came ---------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> bool:
        self._in_a_row, self._taking = 0, True
        taken = bool(super().received(data))
        self._note_progress()
        while self._at_once:
            self._at_once = False
            self.server.answer_now(self)
        self._taking = False
        return taken

    def is_at_once(self) -> bool:
        """Whether the next request is answered here, on the loop's thread, as soon as all that came has been parsed."""
        self._at_once = self._taking and self.server.answers_at_once(self.requests[0])
        return self._at_once

    def parser_class(self, adj: Any) -> HTTPRequestParser:
        """One for each request that begins in the piece at hand; no other piece is read before these are answered."""
        self._in_a_row += 1
        return Parser(adj) if self._in_a_row <= MOST_IN_A_ROW else Overrun(adj)

    def _note_progress(self) -> None:
        """When the request that is half there began, and when its headers were whole."""
        now, half = self.crowd.clock(), self.request
        if half is not self._half:
            self._half, self._begun, self._headers = half, now, now
        if half is not None and not half.headers_finished:
            self._headers = now

    def service(self) -> None:
        # Before, too: between the answer and the note of it, the loop must not take it for long silent.
        self._since = self._moved = self.crowd.clock()
        super().service()
        self._since = self._moved = self.crowd.clock()

    def _flush_some(self, do_close: bool = True) -> bool:
        sent = bool(super()._flush_some(do_close=do_close))
        if sent:
            self._moved = self.crowd.clock()
        return sent

    # -- as a guest --------------------------------------------------------------------------------------------

    def at_work(self) -> bool:
        unsent = self.total_outbufs_len and self.crowd.clock() - self._moved < MOVED_S
        return bool(self.requests or unsent)

    def quiet_since(self) -> float:
        return float(self._since)

    def overdue(self, limits: Limits, now: float) -> str | None:
        if self.requests:
            return None
        if self.total_outbufs_len:
            late = now - self._moved > limits.stalled_s or now - self._since > limits.taken_s
            return "" if late else None
        allowed = limits.idle_s if self._since > self._opened else limits.headers_s
        if self.request is None:
            return "" if now - self._since > allowed else None
        if self.request.headers_finished:
            return BODY_LATE if now - max(self._headers, self._since) > limits.body_s else None
        # Blank lines before a request begin it anew and anew; they win no more than one time over.
        begun = min(max(self._begun, self._since), self._since + allowed)
        return HEADERS_LATE if now - begun > limits.headers_s else None

    def dismiss(self, why: str) -> None:
        if why:
            with contextlib.suppress(OSError):
                self.socket.send(whole(Refusal(408, general(408), why, "send a request in one go")))
        self.handle_close()

    def hand_over(self) -> tuple[socket.socket, bytes] | None:
        """A descriptor of our own, and the bytes that were still to be sent; Waitress then closes only its own."""
        with self.outbuf_lock:
            sock = self.socket
            if not self.connected or sock is None:
                return None
            left = b"".join(buffer.get(-1, True) for buffer in self.outbufs)
            self.total_outbufs_len = 0
            try:
                return sock.dup(), left
            except OSError:
                return None


def share_of(host: str) -> str:
    """Whose share of the connections this is: an IPv6 client has a whole /64 of addresses."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
