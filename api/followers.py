"""Requests that wait or follow, once they have left Waitress: they write their HTTP answer themselves, and close.

They hold no thread. Without the seam (a test client) there is nobody to leave to; see `api.waiting`.
"""

import codecs
from collections.abc import Callable
from time import monotonic
from typing import Any

import falcon

from api import shown
from api.auth import permit, unknown_token
from api.board import Board, News
from api.call import JSON, Answer, Call
from api.collaborators import Collaborators, Reader, ReadLog
from api.connection import LEAVE, FullError, Make
from api.errors import PROBLEM, Problem, body_of, problem
from api.head import head
from api.line import Line
from api.streams import NEVER, Stream
from sando.model.answers import Refusal, unavailable
from sando.model.errors import StoreUnavailable
from sando.model.names import visible
from sando.model.operation import Operation

PLAIN = "text/plain; charset=utf-8"
POLL_S = 0.15
"""How often a log that somebody follows is looked at."""
RECHECK_S = 5.0
"""So often an end is looked for in the store too, should the news of it have been lost."""
STALLED_S = 60.0
PIECE = 65536


def can_leave(req: falcon.Request) -> bool:
    return LEAVE in req.env


def leave(call: Call[Any, Any], make: Make) -> Answer | None:
    """The connection is no longer Waitress's, and None is all there is to answer: the last thing a responder does."""
    permitted = permit(call.req, call.given.tokens)

    def permitted_one(line: Line) -> Stream:
        stream = make(line)
        stream.permitted = permitted
        return stream

    try:
        call.req.env[LEAVE](permitted_one)
    except FullError:
        raise problem(
            503, "too_many_streams", "too many clients wait or follow already", "try again later"
        ) from None
    return None


class OneAnswer(Stream):
    """Waits for something, answers once, ends."""

    recheck_s = RECHECK_S

    def __init__(self, line: Line, seconds: float, headers: dict[str, str] | None = None) -> None:
        super().__init__(line)
        self.until = monotonic() + seconds
        self.headers = headers or {}

    def look(self, *, last: bool) -> Answer | None:
        """The answer if it can be given; with `last` there must be one. May raise Problem or StoreUnavailable."""
        raise NotImplementedError

    def try_now(self, *, last: bool = False) -> None:
        try:
            answer = self.look(last=last)
        except Problem as error:
            answer = (error.refusal.status, PROBLEM, body_of(error.refusal))
        except StoreUnavailable:
            answer = (503, PROBLEM, body_of(unavailable()))
        if answer is None:
            self.due = min(self.until, monotonic() + self.recheck_s)
        else:
            self._give(*answer)

    def _give(self, status: int, kind: str, body: bytes) -> None:
        self.due = NEVER
        self.line.send(head(status, kind, {"Content-Length": str(len(body)), **self.headers}) + body)
        self.line.finish()

    def banish(self) -> None:
        self.headers = {}  # they belong to an answer that is not given
        self._give(401, PROBLEM, body_of(unknown_token()))

    def begin(self, _seq: int, /) -> None:
        self.try_now()

    def tick(self, now: float) -> None:
        self.try_now(last=now >= self.until)

    def shut(self) -> None:
        self.try_now(last=True)


class OperationWait(OneAnswer):
    """Until an operation has ended; `tell` makes the answer of how it stands then, and `headers` go with it."""

    def __init__(
        self,
        line: Line,
        seconds: float,
        reader: Reader,
        board: Board,
        operation: Operation,
        tell: Callable[[Operation], Answer],
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(line, seconds, headers)
        self._reader = reader
        self._board = board
        self._operation = operation
        self._tell = tell

    def look(self, *, last: bool) -> Answer | None:
        self._operation = self._reader.operation(self._operation.id) or self._operation
        return self._tell(self._operation) if last or self._board.tells_end(self._operation) else None

    def heard(self, news: News) -> None:
        if self._operation.id in news.ended_by_id:
            self.try_now()


class EventsPoll(OneAnswer):
    """Until there is an event after `since`; `page` makes the answer, None as long as it would be empty."""

    def __init__(self, line: Line, seconds: float, since: int, page: Callable[[bool], bytes | None]) -> None:
        super().__init__(line, seconds)
        self._since = since
        self._page = page

    def look(self, *, last: bool) -> Answer | None:
        body = self._page(last)
        return None if body is None else (200, JSON, body)

    def heard(self, news: News) -> None:
        if news.snapshot.seq > self._since:
            self.try_now()


class LogFollow(Stream):
    """The bytes of a log as they come, decoded with replacement, until the operation has ended and all is told.

    With `until`, an offset, it ends there instead: a long log that is read and not followed. `shown`: on a terminal.
    """

    def __init__(
        self,
        line: Line,
        req: falcon.Request,
        given: Collaborators,
        operation: Operation,
        offset: int,
        until: int | None,
        *,
        shown: bool = False,
    ) -> None:
        super().__init__(line)
        self._shown = shown
        self._read: ReadLog = given.read_log
        self._reader = given.store
        self._operation = operation
        self._offset = offset
        self._until = until
        self._chunked = req.env.get("SERVER_PROTOCOL") == "HTTP/1.1"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._recheck = monotonic() + RECHECK_S

    def begin(self, _seq: int, /) -> None:
        headers = {"Transfer-Encoding": "chunked"} if self._chunked else {}
        if self._until is not None:
            headers["X-Next-Offset"] = str(self._until)
        self.line.send(head(200, PLAIN, headers))
        self._operation = self._reader.operation(self._operation.id) or self._operation
        self.tick(monotonic())

    def heard(self, news: News) -> None:
        if ended := news.ended_by_id.get(self._operation.id):
            self._operation = ended
            self.tick(monotonic())

    def drained(self) -> None:
        if self.line.size < PIECE:
            self.due = min(self.due, monotonic())

    def tick(self, now: float) -> None:
        if (
            self.line.size >= PIECE
        ):  # the client is slower than the log: it is read no faster than it is taken
            self.due = now + 1.0
            self.line.lost = self.line.lost or now - self.line.moved_at > STALLED_S
            return
        limit = PIECE if self._until is None else min(PIECE, self._until - self._offset)
        data, after = self._read(self._operation.id, self._offset, limit) if limit > 0 else (b"", 0)
        if data:
            self._offset = after
            self._write(self._decoder.decode(data))
            self.due = now
        elif self._operation.status.ended or self._until is not None:
            self._end()
        else:
            self._look_again(now)

    def _look_again(self, now: float) -> None:
        self.due = now + POLL_S
        if now >= self._recheck:
            self._recheck = now + RECHECK_S
            self._operation = self._reader.operation(self._operation.id) or self._operation

    def _write(self, text: str) -> None:
        data = (on_a_terminal(text) if self._shown else text).encode()
        if data:
            self.line.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _end(self) -> None:
        self._write(self._decoder.decode(b"", final=True))
        if self._chunked:
            self.line.send(b"0\r\n\r\n")
        self.due = NEVER
        self.line.finish()


def on_a_terminal(text: str) -> str:
    """A log's text that does nothing to who looks at it; offsets stay those of the log."""
    return visible(text.replace("\r\n", "\n"))


def told(operation: Operation) -> Answer:
    """GET /operations/{id}?wait: however it stands."""
    return 200, JSON, shown.encode(shown.operation(operation))


def judged(operation: Operation) -> Answer:
    """POST …?wait: 200 when it succeeded, 202 while it runs, else 409 with the operation."""
    match operation.status:
        case "succeeded":
            return told(operation)
        case status if not status.ended:
            return 202, JSON, told(operation)[2]
        case status:
            refusal = Refusal(
                409,
                f"operation_{status}",
                f"operation {operation.id} ended {status}"
                + (f": {operation.error}" if operation.error else ""),
                f"GET /operations/{operation.id}/log shows its output",
                operation,
            )
            return 409, PROBLEM, body_of(refusal)
