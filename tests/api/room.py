"""What stands around the HTTP side in its tests: a store in memory, somebody who answers commands, a real server."""

import contextlib
import dataclasses
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import msgspec
from msgspec.structs import replace
from simple_websocket import Client as WebSocket

from actors import messages as m
from api.app import create_app
from api.board import Board
from api.collaborators import Collaborators
from api.routes import AT_ONCE
from api.server import Server
from sando.model import wire
from sando.model.answers import Accepted, Answer, Told, holds
from sando.model.claim import Claim
from sando.model.clock import Instant, stamp
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.forecast import Forecast, bare
from sando.model.gates import GateRun
from sando.model.operation import Operation, Status
from sando.model.release import FileEntry, Manifest, Release
from sando.model.tier import TierState
from sando.model.topology import TokenSpec, Topology
from tests import factories
from tests.api.conforming import Client

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
HOST = "127.0.0.1:7766"
SHA = "1a2b3c4" + "0" * 33


def an_operation(number: int, status: str = "running", **more) -> Operation:
    fields = {
        "kind": "promote", "tier": "a", "version": "0.8.2", "sha": SHA, "actor": "anonymous", "reason": "",
        "created_at": NOON, "started_at": NOON,
    }  # fmt: skip
    return Operation(id=number, status=Status(status), **(fields | more))


def an_event(seq: int, kind: str = "GateDone", **more) -> Event:
    return Event(kind, NOON, seq=seq, **({"tier": "a", "data": {"gate": "boot_smoke"}} | more))


def a_release(version: str) -> Release:
    return Release(
        version, version, SHA, "d" * 64, 1, NOON, NOON - timedelta(hours=1), author="Max", green=True
    )


USUAL = object()


def usual_answer(message) -> Answer:
    """What an act of this kind is answered with when all is well."""
    at = stamp(NOON)
    match message:
        case m.Confirm(tier, version) | m.Reject(tier, version):
            outcome = "passed" if isinstance(message, m.Confirm) else "failed"
            said = wire.Confirmation(
                tier, version or "0.8.2", "manual_confirm", outcome, message.actor, "", at, ""
            )
            return Told(said)
        case m.LockTier(tier, reason):
            return Told(wire.Locked((tier,), message.actor, at, reason, None))
        case m.UnlockTier(tier):
            return Told(wire.Unlocked((tier,)))
        case m.Reload():
            return Told(wire.Reloaded((), (), (), ()))
        case m.Plan(wish):
            return Told(a_plan(wish))
        case _:
            return Accepted(an_operation(44))


def a_plan(wish) -> Forecast:
    act = "promote" if isinstance(wish, m.Promote) else "rollback"
    return bare(act, wish.tier, holds("lock", f"tier {wish.tier} is not locked"), wish.version)


def as_read(value):
    return msgspec.json.decode(msgspec.json.encode(value))


class Picture:
    """A snapshot as the Journal publishes one."""

    def __init__(
        self, seq: int, topology: Topology | None = None, working: frozenset[int] = frozenset()
    ) -> None:
        self.seq = seq
        self.working = working
        self.etag = f'"state-{seq}"'
        self.topology = topology or factories.topology()
        self.state = as_read(wire.State(seq, "", wire.Daemon("1.0.0", stamp(NOON)), None, (), None, None))

    def has_end_of(self, operation: int) -> bool:
        return operation not in self.working

    def render(self, now: Instant) -> bytes:
        return msgspec.json.encode(self.state | {"now": stamp(now.at)})


class Shelf:
    """The reader's protocol over lists."""

    def __init__(self) -> None:
        self.kept_operations: dict[int, Operation] = {}
        self.kept_releases: list[Release] = []
        self.kept_events: list[Event] = []
        self.kept_safety: dict[tuple[str, str], str] = {}
        self.kept_tiers: dict[str, TierState] = {}
        self.kept_runs: dict[int, list[GateRun]] = {}
        self.kept_claims: dict[str, Claim] = {}
        self.asked_dora: list[tuple] = []
        self.broken = False

    def _look(self) -> None:
        if self.broken:
            raise StoreUnavailable("database is locked")

    def operation(self, operation):
        self._look()
        return self.kept_operations.get(operation)

    def operations(self, *, tier=None, kind=None, status=None, before=None, limit=50):
        self._look()
        wanted = [("tier", tier), ("kind", kind), ("status", status)]
        found = [o for _, o in sorted(self.kept_operations.items(), reverse=True)]
        found = [o for o in found if all(v is None or getattr(o, k) == v for k, v in wanted)]
        return [o for o in found if before is None or o.id < before][:limit]

    def release(self, version):
        return next((r for r in self.kept_releases if r.version == version), None)

    def reading(self):
        return contextlib.nullcontext()

    def tier(self, name, *, recent=None):
        return self.kept_tiers.get(name) or TierState(name)

    def last_stay(self, tier, version):
        return self.tier(tier).judged(version)

    def gate_runs(self, operation):
        return self.kept_runs.get(operation, [])

    def dora(self, *asked):
        self._look()
        self.asked_dora.append(asked)
        return wire.Dora(asked[3], stamp(asked[1]), stamp(asked[2]), ())

    def claim(self, key):
        self._look()
        return self.kept_claims.get(key)

    def keep(self, claim):
        self._look()
        self.kept_claims[claim.key] = claim

    def safety(self, *new):
        return {(of, old): safe for (of, old), safe in self.kept_safety.items() if of in new}

    def release_page(self, *, before=None, limit=50):
        kept = list(enumerate(self.kept_releases))[::-1]
        page = [(i, r) for i, r in kept if before is None or i < before]
        return [r for _, r in page[:limit]], page[limit - 1][0] if len(page) > limit else None

    def events(self, since, limit):
        self._look()
        return list(itertools.islice((e for e in self.kept_events if e.seq > since), limit))

    def first_seq(self):
        return self.kept_events[0].seq if self.kept_events else 0

    def last_seq(self):
        self._look()
        return self.kept_events[-1].seq if self.kept_events else 0


class Room:
    """The collaborators, and what a test does in place of the actors."""

    def __init__(self) -> None:
        self.store = Shelf()
        self.board = Board()
        self.told: list = []
        self.answer: object = USUAL
        self.logs: dict[int, bytes] = {}
        self.allowed_hosts: list[str] = []
        self.tokens: list[TokenSpec] = []
        self.now = Instant(NOON, "boot", 100.0)
        self.board.publish(Picture(0), (), ())
        self.given = Collaborators(
            store=self.store,
            board=self.board,
            tell=self._tell,
            clock=lambda: self.now,
            read_log=self._read_log,
            manifest=self._manifest,
            metrics=lambda: (b"sando_up 1\n", "text/plain; version=0.0.4; charset=utf-8"),
            listen=("127.0.0.1", 7766),
            allowed_hosts=lambda: self.allowed_hosts,
            tokens=lambda: self.tokens,
            keep=self._keep,
            answer_within=0.3,
        )
        self.app = create_app(self.given)
        self.client = Client(self.app, headers={"Host": HOST})

    def configure(self, **collaborators) -> None:
        """The same room with other collaborators."""
        self.given = dataclasses.replace(self.given, **collaborators)
        self.app = create_app(self.given)
        self.client = Client(self.app, headers={"Host": HOST})

    def _tell(self, message) -> None:
        self.told.append(message)
        answer = usual_answer(message) if self.answer is USUAL else self.answer
        if answer is not None:
            message.reply.answer(answer)

    def _keep(self, claim) -> None:
        self.store.keep(claim)

    def _read_log(self, operation, offset, limit):
        data = self.logs.get(operation, b"")[offset : offset + limit]
        return data, offset + len(data)

    def _manifest(self, version):
        return Manifest(
            version, SHA, "main", "Max", "a change", NOON, "mm", (FileEntry("server", 3, 0o755, "e" * 64),)
        )

    def commit(self, *events: Event, ended: tuple[Operation, ...] = ()) -> None:
        """Stores what the actors would store, and publishes it as the Journal does."""
        self.store.kept_events.extend(events)
        self.store.kept_operations |= {o.id: o for o in ended}
        self.board.publish(Picture(self.store.last_seq()), events, ended)

    def happen(self, count: int, **data) -> list[Event]:
        first = self.store.last_seq() + 1
        events = [an_event(seq, **({"data": data} if data else {})) for seq in range(first, first + count)]
        self.commit(*events)
        return events

    def run_operation(self, number: int) -> Operation:
        self.store.kept_operations[number] = an_operation(number)
        return self.store.kept_operations[number]

    def end_operation(self, number: int, status: str = "succeeded", **more) -> Operation:
        ended = replace(self.store.kept_operations[number], status=Status(status), finished_at=NOON, **more)
        self.commit(an_event(self.store.last_seq() + 1, operation=number), ended=(ended,))
        return ended


@contextlib.contextmanager
def serving(room: Room, **settings) -> Iterator[Server]:
    server = Server(room.app, "127.0.0.1", 0, board=room.board, at_once=AT_ONCE, **settings)
    server.bind()
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        server.close()
        assert not thread.is_alive()


def until(true: Callable[[], object], within: float = 30.0) -> None:
    """Waits for what has no event of its own to wait for."""
    deadline = monotonic() + within
    while not true():
        assert monotonic() < deadline, "it did not become true in time"
        sleep(0.005)


def dial(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def ask(server: Server, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> socket.socket:
    """Sends a request on a socket of its own; the answer is the caller's to read."""
    sock = dial(server)
    lines = {"Host": f"127.0.0.1:{server.port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if body:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    text = "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    sock.sendall(f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode() + body)
    return sock


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the connection, and closes it."""
    with sock:
        return b"".join(iter(lambda: sock.recv(65536), b""))


def read_head(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data


def get(server: Server, target: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of one request that closes its connection."""
    answer = read_all(ask(server, target, Connection="close", **headers))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def unchunked(body: bytes) -> bytes:
    """Raises when the last chunk is missing."""
    pieces, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if size == 0:
            assert body[end:] == b"\r\n\r\n"
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size


class Listener(WebSocket):
    """Hears also what came in one packet with the handshake."""

    def handshake(self) -> None:
        super().handshake()
        self.connected = self._handle_events()


def listen_to(server: Server, query: str = "", **options) -> WebSocket:
    return Listener.connect(f"ws://127.0.0.1:{server.port}/events{query}", **options)


def hear(client: WebSocket) -> dict:
    text = client.receive(timeout=20)
    assert text is not None, "no event came"
    return msgspec.json.decode(text)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
