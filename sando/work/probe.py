"""One look at a service, green or red, and the wait for green; it opens no socket and starts nothing by itself.

How a connection is made and where a command runs come as arguments, so that a probe is asked from its node.
"""

import io
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from typing import TypeAlias
from urllib.parse import quote, urlsplit

from sando.model.names import visible
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.stream import Stream, Tls

OpenTcp: TypeAlias = Callable[[str, int, float], Stream]
RunCommand: TypeAlias = Callable[[Command, float], tuple[bool, str]]

LOOK_S = 5.0
_LONGEST_PAUSE_S = 1.0
_SHORTEST_LOOK_S = 1.0  # one that is cut short would say that, and not why the others were red
_SHOWN = 200  # bytes of a red answer's body that are told
_SAFE = "/%:@!$&'()*+,;=~?"


def look(probe: Probe, open_tcp: OpenTcp, run_command: RunCommand, timeout: float) -> tuple[bool, str]:
    """One look of at most `timeout` seconds: green or red, and the sentence that says why."""
    if probe.command is not None:
        return run_command(probe.command, timeout)
    target = probe.http or f"tcp {probe.tcp}"
    until = time.monotonic() + timeout
    try:
        if probe.http is not None:
            return _http(probe.http, open_tcp, until)
        host, port = _address(probe.tcp or "")
        open_tcp(host, port, timeout).close()
    except TimeoutError:
        return False, f"{target}: no answer within {_seconds(timeout)}"
    except (OSError, HTTPException, ValueError) as error:
        return False, f"{target}: {_why(error)}"
    return True, f"{target}: connected"


def wait_green(
    probe: Probe,
    open_tcp: OpenTcp,
    run_command: RunCommand,
    *,
    deadline: float,
    cancel: CancelToken,
    interval: float = 0.2,
    over: Callable[[], bool] = lambda: False,
) -> tuple[bool, str]:
    """Look until green, until `deadline` (of time.monotonic) or until `over()`; the last look is the answer.

    The pause between two looks begins with `interval` and grows to a second. Raises Cancelled.
    """
    while True:
        cancel.check()
        left = deadline - time.monotonic()
        green, said = look(probe, open_tcp, run_command, min(LOOK_S, max(_SHORTEST_LOOK_S, left)))
        left = deadline - time.monotonic()
        if green or left <= 0 or over():
            return green, said
        cancel.wait(min(interval, left))
        interval = min(interval * 1.5, _LONGEST_PAUSE_S)


def address_of(probe: Probe) -> tuple[str, int] | None:
    """Where a probe connects; None where it is a command."""
    if probe.http is not None:
        parts = urlsplit(probe.http)
        return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)
    return _address(probe.tcp) if probe.tcp else None


def _http(url: str, open_tcp: OpenTcp, until: float) -> tuple[bool, str]:
    parts = urlsplit(url)
    host, port = address_of(Probe(http=url)) or ("", 0)
    sock = open_tcp(host, port, _left(until))
    try:
        if parts.scheme == "https":
            sock.settimeout(_left(until))
            sock = Tls(sock, host)
        path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)
        name = parts.netloc.rpartition("@")[2]
        sock.settimeout(_left(until))
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: sando\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        return _judge(url, sock, until)
    finally:
        sock.close()


def _judge(url: str, sock: Stream, until: float) -> tuple[bool, str]:
    response = HTTPResponse(_File(sock, until), method="GET")  # type: ignore[arg-type]
    response.begin()
    said = f"{url} answered {response.status}"
    if 200 <= response.status < 400:
        return True, said
    try:
        body = response.read(_SHOWN).decode("utf-8", "replace")
    except (OSError, HTTPException):  # the status is red whatever becomes of its body
        body = ""
    body = " ".join(visible(body).split())
    return False, f"{said}: {body}" if body else said


class _File(io.RawIOBase):
    """A socket as a file with one deadline for all reads: a server that trickles does not hold the look."""

    def __init__(self, sock: Stream, until: float) -> None:
        self._sock = sock
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(_left(self._until))
        data = self._sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _seconds(seconds: float) -> str:
    """What was left of some longer time is no round number."""
    return f"{round(seconds, 1):g}s"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, HTTPException):
        return f"no HTTP answer ({visible(str(error)) or type(error).__name__})"
    return visible(getattr(error, "strerror", None) or str(error))
