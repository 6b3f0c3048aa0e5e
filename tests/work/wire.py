"""A wire between a client and a server on loopback, which a test can cut, plug, stretch and mend; it changes no byte."""

import queue
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.ports import free_port

CHUNK = 64 * 1024
DEADLINE_S = 10.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, and what is unsent is lost


class Way:
    """One direction of a connection: what was read from `source` and `sink` has not taken yet."""

    def __init__(self, source: socket.socket, sink: socket.socket, *, towards_node: bool) -> None:
        self.source = source
        self.sink = sink
        self.towards_node = towards_node
        self.waiting = b""
        self.ended = False  # the source will send no more
        self.told = False  # and the sink knows

    def read(self) -> None:
        with suppress(BlockingIOError):
            data = self.source.recv(CHUNK)
            self.waiting += data
            self.ended = not data

    def write(self, most: int) -> int:
        size = 0
        with suppress(BlockingIOError):
            size = self.sink.send(self.waiting[:most])
        self.waiting = self.waiting[size:]
        return size

    def pass_the_end(self) -> None:
        if self.ended and not self.waiting and not self.told:
            self.sink.shutdown(socket.SHUT_WR)
            self.told = True


class Connection:
    """Both ways; the node hears of it only when `dial` is called."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.node = socket.socket()
        self.dialled = False
        self.ways = (
            Way(self.client, self.node, towards_node=True),
            Way(self.node, self.client, towards_node=False),
        )
        for sock in (self.client, self.node):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def dial(self, address: tuple[str, int]) -> None:
        self.dialled = True
        self.node.connect_ex(address)  # a refusal shows as an error when it is read

    def done(self) -> bool:
        return all(way.told for way in self.ways)

    def break_off(self) -> None:
        """The client hears RST, the node all that went its way and then the end: what it got is known to the byte."""
        with suppress(OSError):
            self.node.shutdown(socket.SHUT_WR)
        if not self.done():
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.client.close()


class Wire:
    """`port` leads to the node. What a control says holds for live and for new connections from its return on.

    `connections` are open now, `accepted` and `sent` (bytes that went towards the node) count since `reset`.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = free_port(host)
        self.accepted = 0
        self.sent = 0
        self._node = (host, port)
        self._open: list[Connection] = []
        self._parting: list[socket.socket] = []  # to nodes that have not closed their side yet
        self._listener: socket.socket | None = None
        self._hole = False
        # At which number of bytes in all what happens.
        self._fuse: tuple[int, Callable[[], None]] | None = None
        self._carried = 0
        self._rate: float | None = None
        self._credit: dict[bool, float] = {}
        self._paid = time.monotonic()
        self._asked: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._ear, self._bell = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._closed = False
        self._listen()
        self._thread = threading.Thread(target=self._loop, name=f"wire-{self.port}")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        return len(self._open)

    # -- controls ----------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Count from zero again."""
        self._do(self._reset)

    def cut(self) -> None:
        """All connections end; new ones are welcome."""
        self._do(self._cut)

    def cut_after(self, size: int) -> None:
        """Once: when that many more bytes have gone towards the node, not one later."""
        self._do(lambda: self._arm(size, self._cut))

    def black_hole(self) -> None:
        """Nothing passes and nothing ends, until `heal`; then all that waited goes on its way."""
        self._do(self._swallow)

    def black_hole_after(self, size: int) -> None:
        self._do(lambda: self._arm(size, self._swallow))

    def refuse(self) -> None:
        """No new connection is accepted; live ones stay."""
        self._do(self._deafen)

    def slow(self, bytes_per_second: float) -> None:
        """Each direction carries no more than that, for all connections together."""
        self._do(lambda: self._throttle(bytes_per_second))

    def heal(self) -> None:
        self._do(self._heal)

    def close(self) -> None:
        if not self._closed:
            self._do(self._finish)
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()

    def _do(self, control: Callable[[], None]) -> None:
        """The thread owns all that it uses: it is asked, and waited for."""
        done = threading.Event()
        self._asked.put((control, done))
        with suppress(BlockingIOError):
            self._bell.send(b"!")
        assert done.wait(DEADLINE_S), "the wire does not answer"

    # -- what they do, in the thread ---------------------------------------------------------------------------

    def _reset(self) -> None:
        self.sent = self.accepted = 0

    def _cut(self) -> None:
        for connection in self._open[:]:
            self._drop(connection)

    def _swallow(self) -> None:
        self._hole = True

    def _arm(self, size: int, then: Callable[[], None]) -> None:
        self._fuse = (self._carried + size, then)
        self._burn()

    def _burn(self) -> None:
        if self._fuse and self._carried >= self._fuse[0]:
            _, then = self._fuse
            self._fuse = None
            then()

    def _deafen(self) -> None:
        if self._listener:
            self._watch(self._listener, 0)
            self._listener.close()
            self._listener = None

    def _throttle(self, rate: float | None) -> None:
        self._rate = rate
        self._credit = {True: 0.0, False: 0.0}
        self._paid = time.monotonic()

    def _heal(self) -> None:
        self._hole = False
        self._fuse = None
        self._throttle(None)
        self._listen()
        for connection in self._open:
            if not connection.dialled:
                connection.dial(self._node)

    def _finish(self) -> None:
        self._cut()
        self._deafen()
        self._closed = True

    def _listen(self) -> None:
        if not self._listener:
            self._listener = socket.create_server((self.host, self.port), backlog=128)
            self._listener.setblocking(False)

    # -- the loop ----------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            while not self._closed:
                for key, events in self._selector.select(self._look()):
                    self._turn(key.fileobj, events)
        finally:
            for connection in self._open:
                connection.break_off()
                connection.node.close()
            for sock in (self._listener, self._ear, self._bell, *self._parting):
                if sock:
                    sock.close()
            self._selector.close()

    def _turn(self, sock: socket.socket, events: int) -> None:
        if sock is self._ear:
            self._obey()
        elif sock is self._listener:
            self._accept()
        elif sock in self._parting:
            self._part(sock)
        elif found := [c for c in self._open if sock in (c.client, c.node)]:
            try:
                self._carry(found[0], sock, events)
            except OSError:
                self._drop(found[0])

    def _obey(self) -> None:
        self._ear.recv(4096)
        with suppress(queue.Empty):
            while True:
                control, done = self._asked.get_nowait()
                try:
                    control()
                finally:
                    done.set()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            connection = Connection(self._listener.accept()[0])
            self._open.append(connection)
            self.accepted += 1
            if not self._hole:
                connection.dial(self._node)

    def _carry(self, connection: Connection, sock: socket.socket, events: int) -> None:
        for way in connection.ways:
            if self._hole:
                return  # since this round began
            if way.source is sock and events & selectors.EVENT_READ:
                way.read()
            if way.sink is sock and events & selectors.EVENT_WRITE:
                self._pass(way)
            way.pass_the_end()
        if connection.done():
            self._drop(connection)

    def _pass(self, way: Way) -> None:
        size = way.write(self._most(way))
        if self._rate:
            self._credit[way.towards_node] -= size
        if way.towards_node:
            self.sent += size
            self._carried += size
            self._burn()

    def _most(self, way: Way) -> int:
        """How much may pass on this way now."""
        most = CHUNK
        if self._rate:
            most = min(most, int(self._credit[way.towards_node]))
        if self._fuse and way.towards_node:
            most = min(most, self._fuse[0] - self._carried)
        return most

    def _drop(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._watch(connection.client, 0)
            self._watch(connection.node, 0)
            connection.break_off()
            self._parting.append(connection.node)

    def _part(self, node: socket.socket) -> None:
        """What it still says is heard by nobody; closed with that unread, it would lose what it was sent."""
        try:
            if node.recv(CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:  # it has reset, or was never dialled
            pass
        self._parting.remove(node)
        self._watch(node, 0)
        node.close()

    # -- what is waited for ------------------------------------------------------------------------------------

    def _look(self) -> float | None:
        """Tells the selector what would be of use now; answers after how many seconds to look again."""
        self._pay()
        self._watch(self._ear, selectors.EVENT_READ)
        for sock in filter(None, (self._listener, *self._parting)):
            self._watch(sock, selectors.EVENT_READ)
        for connection in self._open:
            there, back = connection.ways
            self._watch(connection.client, self._reads(connection, there) | self._writes(back))
            self._watch(connection.node, self._reads(connection, back) | self._writes(there))
        return 0.01 if self._rate else None

    def _pay(self) -> None:
        now = time.monotonic()
        if self._rate:
            for towards_node, credit in self._credit.items():
                # What is not used is not saved up, but for a moment: the wire is slow at each time.
                saved = credit + self._rate * (now - self._paid)
                self._credit[towards_node] = min(saved, max(1.0, self._rate / 10))
        self._paid = now

    def _reads(self, connection: Connection, way: Way) -> int:
        useful = connection.dialled and not self._hole and not way.ended and len(way.waiting) < CHUNK
        return selectors.EVENT_READ if useful else 0

    def _writes(self, way: Way) -> int:
        useful = way.waiting and not self._hole and self._most(way) > 0
        return selectors.EVENT_WRITE if useful else 0

    def _watch(self, sock: socket.socket, events: int) -> None:
        known = self._selector.get_map().get(sock)
        if known is None:
            if events:
                self._selector.register(sock, events)
        elif not events:
            self._selector.unregister(sock)
        elif known.events != events:
            self._selector.modify(sock, events)
