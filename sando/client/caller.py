"""One HTTP connection to sandod, kept open between questions. It repeats no POST, follows no redirect, shows nothing."""

import contextlib
import http.client
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from sando.client.address import Address
from sando.client.shapes import Problem
from sando.model.errors import SandoError
from sando.model.names import visible

CONNECT_S = 5.0
ANSWER_S = 15.0
MOST_BYTES = 64 * 2**20
"""More than any answer of sandod has: who sends more is not sandod."""
PIECE = 65536
NOT_SANDOD = "what answers is no sandod, or a proxy that does not reach it; SANDO_DAEMON says where sandod is asked for"

T = TypeVar("T")
Query: TypeAlias = Mapping[str, object]
"""Values that are None or False are left out, True is 1."""


class Unreachable(SandoError):
    """No answer came. `sent`: the question may have arrived, and whatever it asked for may have been done.

    `dropped`: the connection was closed, as sandod does with one that was idle for long.
    """

    def __init__(self, detail: str, *, sent: bool = False, dropped: bool = False) -> None:
        super().__init__(detail)
        self.sent = sent
        self.dropped = dropped


class Answer(Struct, frozen=True):
    """`status` and what came with it; header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}

    @property
    def ok(self) -> bool:
        return self.status < 400

    def json(self) -> Any:
        """Raises Unreachable where it is no JSON: then sandod is not who answered."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise Unreachable(f"what answered is not sandod (status {self.status}, no JSON)") from None

    def problem(self) -> Problem:
        """What a status of 400 and more says, also where it was a proxy that said it."""
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(self.body, type=Problem)
        said = visible(self.body[:200].decode("utf-8", "replace").strip().partition("\n")[0])
        detail = f"status {self.status}: {said}" if said else f"status {self.status}"
        return Problem(self.status, "not_sandod", detail, NOT_SANDOD)


class Caller:
    """For one thread. A GET that meets a connection which sandod has closed meanwhile is asked once more."""

    def __init__(self, address: Address, timeout: float = ANSWER_S, connect: float = CONNECT_S) -> None:
        self.address = address
        self._timeout = timeout
        self._connect_within = connect
        self._line: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._line:
            self._line.close()
        self._line = None

    def get(self, path: str, query: Query | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Raises Unreachable."""
        kept = self._line is not None
        try:
            return self._ask("GET", path, query or {}, None, headers or {})
        except Unreachable as error:
            if not (kept and error.dropped):
                raise
        return self._ask("GET", path, query or {}, None, headers or {})

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """What changes something: on a connection of its own, so that it cannot be lost in one that is dying."""
        self.close()
        kind = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else msgspec.json.encode(body)
        return self._ask(method, path, query or {}, data, {**kind, **(headers or {})})

    def stream(self, path: str, query: Query | None = None) -> Iterator[bytes]:
        """The body of a GET as it comes, until it ends. Raises Unreachable, and Refused for a status that is no 200."""
        answer = self._begin("GET", path, query or {}, None, {})
        try:
            if answer.status != 200:
                raise Refused(Answer(answer.status, self._read(answer)).problem())
            while piece := self._guarded(lambda: answer.read1(PIECE)):
                yield piece
        finally:
            self.close()

    def _ask(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        answer = self._begin(method, path, query, body, headers)
        data = self._read(answer)
        if answer.will_close:
            self.close()
        return Answer(answer.status, data, {k.lower(): v for k, v in answer.getheaders()})

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        data = self._guarded(lambda: answer.read(MOST_BYTES + 1))
        if len(data) > MOST_BYTES:
            self.close()
            raise Unreachable(f"the answer is larger than {MOST_BYTES >> 20} MiB: this is not sandod")
        return data

    def _begin(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        self._connect()
        line = self._line
        if line is None:
            raise AssertionError("connected")

        def begin() -> http.client.HTTPResponse:
            line.request(method, self._target(path, query), body, {**self.address.headers, **headers})
            return line.getresponse()

        return self._guarded(begin)

    def _target(self, path: str, query: Query) -> str:
        words = {k: 1 if v is True else v for k, v in query.items() if v is not None and v is not False}
        return self.address.base + quote(path, safe="/~") + (f"?{urlencode(words)}" if words else "")

    def _connect(self) -> None:
        if self._line is not None:
            return
        host, port = self.address.host, self.address.port
        line: http.client.HTTPConnection
        within = self._connect_within
        if self.address.secure:
            line = http.client.HTTPSConnection(
                host, port, timeout=within, context=ssl.create_default_context()
            )
        else:
            line = http.client.HTTPConnection(host, port, timeout=within)
        try:
            line.connect()
        except (OSError, ValueError) as error:
            why = _no_tls(error) if self.address.secure and line.sock is not None else reason(error)
            line.close()
            raise Unreachable(f"{self.address.url}: {why}") from None
        line.sock.settimeout(self._timeout)
        self._line = line

    def _guarded(self, act: Callable[[], T]) -> T:
        """Whatever goes wrong on the line is one error, and the end of the line."""
        try:
            return act()
        except TimeoutError:
            self.close()
            raise Unreachable(
                f"{self.address.url}: no answer within {self._timeout:g} s", sent=True
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            dropped = isinstance(error, ConnectionError)
            raise Unreachable(f"{self.address.url}: {reason(error)}", sent=True, dropped=dropped) from None


class Refused(SandoError):
    """sandod answered, and said no."""

    def __init__(self, problem: Problem, body: bytes = b"") -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.body = body
        """As it was sent."""


def _no_tls(error: Exception) -> str:
    """Why TLS was not agreed on, though somebody listens: most often who does speaks none."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return reason(error)
    why = "it is there, but no TLS in time" if isinstance(error, TimeoutError) else reason(error)
    return f"{why}; sandod itself speaks http, not https"


def reason(error: Exception) -> str:
    """What an error of the network is called by people."""
    match error:
        case ConnectionRefusedError():
            return "nothing listens there"
        case (
            http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError() | ssl.SSLEOFError()
        ):
            return "the connection was closed"
        case TimeoutError():
            return "no connection in time"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}".replace("_", " ").lower()
        case http.client.HTTPException():
            return "what answers does not speak HTTP"
        case OSError():
            return visible(error.strerror or str(error)).lower()
        case _:
            return visible(str(error))
