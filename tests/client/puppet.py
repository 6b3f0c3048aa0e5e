"""Somebody who answers like sandod, and does what a daemon should never do: is slow, lies, hangs up, sends garbage."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import simple_websocket

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


class Answer(NamedTuple):
    """`raw` is sent as it is, instead of JSON; `hold` is waited for first; `hang_up` ends the line without a word."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    headers: dict[str, str] | None = None
    hold: threading.Event | None = None
    hang_up: bool = False


def a_tier(name: str, **more: Any) -> dict[str, Any]:
    tier = {
        "name": name, "provisioned": True, "predecessor": None, "status": "steady", "current_version": "0.8.2",
        "previous_version": "0.8.1", "sha": "1a2b3c4" + "0" * 33, "since": "2026-11-23T10:00:00.000Z", "gates": [],
        "promotable": {"ready": False, "to": None, "blocking": []}, "lock": None, "freeze": None, "operation": None,
        "nodes": [], "marked_bad": [], "rollback_safe": {}, "detail": "", "burn_in_started_at": None,
    }  # fmt: skip
    return tier | more


def an_event(seq: int, kind: str = "GateDone", **more: Any) -> dict[str, Any]:
    data = {"gate": "boot_smoke", "outcome": "passed", "seconds": 3.2, "message": ""}
    event = {
        "seq": seq, "at": "2026-11-23T12:00:00.000Z", "type": kind, "operation": 44, "tier": "a", "node": None,
        "version": "0.8.2", "sha": None, "actor": "max", "data": data,
    }  # fmt: skip
    return event | more


class Puppet:
    """`start`, `stop` and `start` again on the same port. What is not in `answers` is answered as by a quiet daemon."""

    def __init__(self) -> None:
        self.tiers = [a_tier("mm"), a_tier("a", predecessor="mm")]
        self.more: dict[str, Any] = {}
        self.log: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], Answer | Callable[[Asked], Answer]] = {}
        self.greeting: list[str] = []
        """Frames that a new subscriber gets first."""
        self.port = 0
        self._lock = threading.Lock()
        """So that nothing happens between what a new subscriber is told of before and what it is told as it happens."""
        self._lines: list[simple_websocket.Server] = []
        self._socks: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def seq(self) -> int:
        return self.log[-1]["seq"] if self.log else 0

    def state(self) -> dict[str, Any]:
        daemon = {"version": "1.0.0", "started_at": "2026-11-23T09:00:00.000Z", "draining": False}
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {
            "seq": self.seq,
            "now": now,
            "daemon": daemon,
            "build": None,
            "tiers": self.tiers,
            "backup": None,
        } | self.more

    def start(self) -> "Puppet":
        puppet = self

        class Handler(_Handler):
            owner = puppet

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """As when a daemon is killed: nothing listens, every line is cut."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)
        self._server = None
        self.cut()

    def cut(self) -> None:
        """Every line is cut; whoever comes again is served again."""
        lines, self._lines = self._lines, []
        socks, self._socks = self._socks, []
        for line in lines:
            with contextlib.suppress(Exception):
                line.close()
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def happen(self, count: int = 1, kind: str = "GateDone", **more: Any) -> None:
        for _ in range(count):
            event = an_event(self.seq + 1, kind, **more)
            with self._lock:
                self.log.append(event)
                self.send(json.dumps(event))

    def send(self, text: str) -> None:
        for line in list(self._lines):
            with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
                line.send(text)

    @property
    def listeners(self) -> int:
        return len([x for x in self._lines if x.connected])

    def sent(self, method: str, path: str) -> list[Asked]:
        return [a for a in self.asked if (a.method, a.path) == (method, path)]

    def answer(self, asked: Asked) -> Answer:
        chosen = self.answers.get((asked.method, asked.path))
        if chosen is not None:
            return chosen(asked) if callable(chosen) else chosen
        match asked.method, asked.path:
            case "GET", "/state":
                return Answer(body=self.state(), headers={"ETag": f'"{self.seq}"'})
            case "GET", "/operations":
                return Answer(body={"operations": [], "next": None})
            case _:
                return problem(404, "not_found", f"nothing is at {asked.path}", "look elsewhere")


def problem(status: int, code: str, detail: str, hint: str = "") -> Answer:
    return Answer(status, {"status": status, "code": code, "title": code, "detail": detail, "hint": hint})


class _Handler(BaseHTTPRequestHandler):
    owner: Puppet
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.owner._socks.append(self.connection)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            super().handle()

    def do_GET(self) -> None:
        asked = self._asked()
        if (
            asked.path == "/events"
            and self.headers.get("Upgrade")
            and ("GET", "/events") not in self.owner.answers
        ):
            return self._subscribe(int(asked.query.get("since", 0)))
        self._answer(asked)

    def do_POST(self) -> None:
        self._answer(self._asked())

    do_DELETE = do_POST  # noqa: N815  (the standard library looks for it)

    def _asked(self) -> Asked:
        split = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k.lower(): v for k, v in self.headers.items()}
        asked = Asked(
            self.command, split.path, dict(parse_qsl(split.query)), json.loads(raw) if raw else None, headers
        )
        self.owner.asked.append(asked)
        return asked

    def _answer(self, asked: Asked) -> None:
        answer = self.owner.answer(asked)
        if answer.hold:
            answer.hold.wait(30)
        if answer.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        kind = "application/json" if answer.status < 400 else "application/problem+json"
        for name, value in (
            {"Content-Type": kind, "Content-Length": str(len(data))} | (answer.headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _subscribe(self, since: int) -> None:
        environ = {
            "werkzeug.socket": self.connection,
            **{f"HTTP_{k.upper().replace('-', '_')}": v for k, v in self.headers.items()},
        }
        line = simple_websocket.Server(environ)
        with self.owner._lock:
            for text in self.owner.greeting or [json.dumps(e) for e in self.owner.log if e["seq"] > since]:
                line.send(text)
            self.owner._lines.append(line)
        self.close_connection = True
        with contextlib.suppress(simple_websocket.ConnectionClosed):
            while True:
                line.receive()
