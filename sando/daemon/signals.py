"""SIGTERM, SIGINT and SIGHUP as messages. A handler may interrupt anything, so it only starts a thread."""

import logging
import signal
import threading
from collections.abc import Callable

from actors.messages import Reload, Reply, Shutdown

log = logging.getLogger("sandod")

DRAIN_S = 60.0
"""How long the node in work may take to be finished after SIGTERM."""


class Signals:
    """`tell` posts to the actors, `stop` ends the server."""

    def __init__(self, tell: Callable[[object], None], stop: Callable[[], None]) -> None:
        self._tell = tell
        self._stop = stop
        self._stopping = threading.Event()

    def listen(self) -> None:
        """Only on the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hup)

    def _on_stop(self, number: int, _frame: object) -> None:
        if self._stopping.is_set():
            log.warning("%s again: not waiting any longer", signal.Signals(number).name)
            self._stop()
            return
        self._stopping.set()
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        """The node in work is finished, everything else is refused; then the server ends."""
        log.info("stopping: new work is refused, the node in work is finished")
        reply = Reply()
        self._tell(Shutdown(reply))
        try:
            reply.wait(DRAIN_S)
        except TimeoutError:
            log.warning("not idle after %.0f s: what runs is settled at the next start", DRAIN_S)
        self._stop()

    def _on_hup(self, _number: int, _frame: object) -> None:
        threading.Thread(
            target=self._tell, args=(Reload(actor="sandod"),), name="reload", daemon=True
        ).start()
