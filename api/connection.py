"""The seam into Waitress 3: a request may leave with a dup of its socket, and Waitress writes nothing to it any more.

It also gives Waitress's own errors the form of all others. It never touches a request that does not leave.
"""

import http
import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.task import ErrorTask, WSGITask

from api.errors import PROBLEM, SAFE_HEADERS, body_of
from api.line import Line
from api.streams import Stream, Streams
from sando.model.answers import Refusal
from sando.model.codes import general

LEAVE = "sando.leave"
LOCAL_ADDRESS = "sando.local_address"

Make = Callable[[Line], Stream]


class FullError(Exception):
    """There are as many streams as there may be; the request has not left."""


class Task(WSGITask):  # type: ignore[misc]
    """A request whose responder may take the connection away."""

    gone = False

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        # Waitress folds `//promote/a` into `/promote/a`; what a path is must not depend on who looks at it.
        environ["PATH_INFO"] = self.request.path
        environ[LEAVE] = self._leave
        environ[LOCAL_ADDRESS] = self.channel.local_address
        return environ

    def _leave(self, make: Make) -> None:
        """Hands the connection to the streams as what `make` makes of it. Raises FullError."""
        streams: Streams = self.channel.server.streams
        if not streams.reserve():
            raise FullError
        taken = self.channel.hand_over()
        self.gone = self.wrote_header = True  # with a header out, Waitress writes no error of its own either
        self.close_on_finish = True
        if taken is None:
            streams.unreserve()
            return
        try:
            streams.adopt(make(Line(*taken)))
        except BaseException:
            taken[0].close()
            streams.unreserve()
            raise

    def write(self, data: bytes) -> None:
        if not self.gone:
            super().write(data)

    def finish(self) -> None:
        if not self.gone:
            super().finish()


class Problem(ErrorTask):  # type: ignore[misc]
    """What Waitress's parser refuses, told like every other error."""

    def execute(self) -> None:
        error = self.request.error
        # 500 is an error of ours that came past all handlers: its text is not for the client.
        detail = str(error.body) if error.code < 500 else "see the log of sandod"
        body = body_of(Refusal(error.code, general(error.code), detail))
        self.status = f"{error.code} {http.HTTPStatus(error.code).phrase}"
        headers = {"Content-Type": PROBLEM, **SAFE_HEADERS}
        self.response_headers.extend(headers.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


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


class Channel(HTTPChannel):  # type: ignore[misc]
    task_class = Task
    error_task_class = Problem
    parser_class = Parser

    @cached_property
    def local_address(self) -> str | None:
        sock = self.socket
        try:
            return str(sock.getsockname()[0]) if sock else None
        except OSError:
            return None

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
