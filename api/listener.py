"""Waitress's listening socket with our own door: who comes in, and who goes for it. It never serves a request."""

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Collection
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from api.connection import Channel, share_of
from api.crowd import Crowd
from api.head import whole
from api.streams import Streams
from sando.model.answers import Refusal

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Connections that are taken in one turn of the loop: with Waitress's one, a flood of them keeps everybody waiting."""
REST_S = 0.2
_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        dispatcher: Any,
        settings: dict[str, Any],
        *,
        crowd: Crowd,
        streams: Streams,
        loop: dict[int, Any],
        at_once: Collection[str],
    ) -> None:
        self.crowd = crowd
        self.streams = streams
        self._at_once = at_once
        self._awake: int | None = None
        self._called = False
        self._rests_until = 0.0
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        adjustments = Adjustments(sockets=[listener], **settings)
        super().__init__(
            app,
            loop,
            _sock=listener,
            dispatcher=dispatcher,
            adj=adjustments,
            bind_socket=False,
            sockinfo=where,
        )

    # -- who answers ---------------------------------------------------------------------------------------------

    def answers_at_once(self, request: Any) -> bool:
        """What is in memory already is answered without waking another thread, which takes as long as the answer itself."""
        return not request.error and request.command == "GET" and request.path in self._at_once

    def add_task(self, task: Any) -> None:
        if not task.is_at_once():
            super().add_task(task)

    def answer_now(self, channel: Channel) -> None:
        """On the loop's thread, which is awake: it needs no call to look at its connections again."""
        self._awake = threading.get_ident()
        try:
            channel.service()
        finally:
            self._awake = None

    def pull_trigger(self) -> None:
        if self._awake != threading.get_ident():
            super().pull_trigger()

    # -- who comes in --------------------------------------------------------------------------------------------

    @property
    def rests(self) -> bool:
        """Nobody is taken just now; the loop has to come round again without being called."""
        return self.crowd.clock() < self._rests_until

    def readable(self) -> bool:
        return bool(self.accepting) and not self.rests

    def handle_accept(self) -> None:
        """Not now: who goes for a new one leaves its descriptor to it, and this turn has news for the old one yet."""
        self._called = True

    def welcome(self) -> None:
        """After each turn of the loop: takes those who have called."""
        called, self._called = self._called, False
        if called:
            for _ in range(AT_ONCE):
                if not self._take_one():
                    break

    def _take_one(self) -> bool:
        try:
            found = self.accept()
        except OSError as error:
            self._cannot(error)
            return False
        if found is not None:
            self._let_in(*found)
        return found is not None

    def _let_in(self, sock: socket.socket, peer: Any) -> None:
        if not self.crowd.room_for(share_of(str(peer[0]))):
            return _send_away(sock)
        try:
            self.set_socket_options(sock)
        except OSError:  # gone already
            return sock.close()
        self.channel_class(self, sock, peer, self.adj, map=self._map)
        return None

    def _cannot(self, error: OSError) -> None:
        """With no descriptor left, one that is silent gives up its own; else a moment passes before the next try."""
        if error.errno in _FULL and not self.crowd.make_room():
            log.warning("cannot take a connection: %s", error.strerror)
            self._rests_until = self.crowd.clock() + REST_S


def _send_away(sock: socket.socket) -> None:
    refusal = Refusal(
        503,
        "too_many_connections",
        "as many requests from there are being answered as there may be",
        "wait for their answers, or use fewer connections",
    )
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.send(whole(refusal))
    sock.close()
