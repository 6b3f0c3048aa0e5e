"""Waitress, its settings and its life: bind, run on the main thread, close. It knows nothing of what is served."""

import logging
import socket
import threading
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from api.board import Board
from api.bodies import MOST_BYTES
from api.crowd import Crowd, Limits
from api.listener import Listener
from api.loop import Loop
from api.streams import Streams

SWEEP_S = 0.5
"""So exact are the deadlines of connections."""
EMPTY_S = 5.0
SETTINGS: dict[str, Any] = {
    "ident": None,
    "threads": 8,
    # Who may stay, and how many, is the crowd's business; Waitress's own limits are out of reach.
    "connection_limit": 2**20,
    "channel_timeout": 2**20,
    # A thread must not wait for a client that reads nothing: what is not taken lies in a file, see `Limits.stalled_s`.
    "outbuf_high_watermark": 2**30,
    # Waitress counts the framing of chunks too, and refuses what reaches the limit: the exact one is in `bodies`.
    "max_request_body_size": MOST_BYTES + 4096,
    "max_request_header_size": 16384,
    "expose_tracebacks": False,
    # Streams have descriptors too, and select() dies of one above 1023.
    "asyncore_use_poll": True,
    "clear_untrusted_proxy_headers": True,
}


class Threads(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's workers; each lets go of what it opened (a store connection) when it ends."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_end = on_end

    def handler_thread(self, thread_no: int) -> None:
        try:
            super().handler_thread(thread_no)
        finally:
            self._on_end()


class Server:
    """`bind`, then `run` until SIGTERM or `stop`, then `close`.

    Streams (WebSockets, followers, waits) go on between the end of `run` and `close`, so that they
    still hear how the daemon stops. `on_thread_end` runs on each thread of the server as it ends. A GET of the paths
    `at_once` is answered on the thread of `run`: their responders may neither block nor read a store.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        host: str,
        port: int,
        *,
        board: Board,
        on_thread_end: Callable[[], None] = lambda: None,
        crowd: Crowd | None = None,
        at_once: Collection[str] = (),
        **settings: Any,
    ) -> None:
        self._app = app
        self._at_once = at_once
        self._address = (host, port)
        self._settings = SETTINGS | settings
        self._crowd = Crowd(Limits()) if crowd is None else crowd
        self._on_thread_end = on_thread_end
        self._streams = Streams(board, on_end=on_thread_end)
        self._loop = Loop()
        self._waitress: Any = None
        self._swept = monotonic()
        self._stopped = threading.Event()

    def bind(self) -> None:
        """Takes the address; from here on clients may connect, and wait until `run`. Raises OSError."""
        quiet_waitress()
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
        dispatcher = Threads(self._on_thread_end)
        dispatcher.set_thread_count(self._settings["threads"])
        settings = {k: v for k, v in self._settings.items() if k != "threads"}
        self._waitress = Listener(
            self._app,
            listener,
            dispatcher,
            settings,
            crowd=self._crowd,
            streams=self._streams,
            loop=self._loop.connections,
            at_once=self._at_once,
        )
        self._loop.wakes_all = self._waitress.trigger
        self._streams.start()

    @property
    def port(self) -> int:
        """The one that was bound, also where 0 was asked for."""
        return int(self._waitress.effective_port)

    @property
    def subscribers(self) -> int:
        return self._streams.subscribers

    def check_permits(self) -> None:
        """From any thread, after the tokens have changed: streams that may not be there any more are ended."""
        self._streams.check_permits()

    def run(self) -> None:
        """Serves until SystemExit or KeyboardInterrupt is raised on this thread, or `stop` is called."""
        try:
            while not self._stopped.is_set():
                self._turn()
        except (SystemExit, KeyboardInterrupt):
            pass
        finally:
            self._waitress.task_dispatcher.shutdown()

    def _turn(self) -> None:
        wait = SWEEP_S if len(self._crowd) or self._waitress.rests else EMPTY_S
        self._loop.turn(wait)
        self._waitress.welcome()
        if monotonic() - self._swept >= SWEEP_S:
            self._crowd.sweep()
            self._loop.ask_all()
            self._swept = monotonic()

    def stop(self) -> None:
        """From any thread: `run` returns."""
        self._stopped.set()
        if self._waitress is not None:
            self._waitress.pull_trigger()

    def turn(self, call: Callable[[], None]) -> None:
        """From any thread: `call` is called by the accept loop, at its next turn. It must not wait."""
        if self._waitress is not None:
            self._waitress.trigger.pull_trigger(call)

    def close(self) -> None:
        """After `run`: every connection and thread ends; WebSockets hear 1001."""
        self._streams.close()
        if self._waitress is not None:
            self._waitress.task_dispatcher.shutdown()
            self._waitress.close()
            self._loop.close()


def quiet_waitress() -> None:
    """Its remarks about queue depth and lost clients are no news for an operator."""
    logging.getLogger("waitress").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
