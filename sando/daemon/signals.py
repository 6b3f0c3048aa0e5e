"""SIGTERM, SIGINT and SIGHUP as messages. A handler may interrupt anything, so it only starts a thread."""

import logging
import signal
import threading
from collections.abc import Callable

from actors.messages import Reload, Reply, Shutdown
from sando.daemon.service import Service

log = logging.getLogger("sandod")

DRAIN_S = 60.0
"""How long the node in work may take to be finished after SIGTERM."""

RELOAD_S = 60.0
"""How long systemd is told that the files are being read; the answer itself is in the log."""
ROUND_S = 2.0
"""How often systemd hears while stopping that it still goes on."""
MORE_S = 10.0
"""How much more time is asked for then: a drain that hangs is not waited for longer than it said last."""


class Signals:
    """`tell` posts to the actors, `stop` ends the server, `service` is what systemd hears of it."""

    def __init__(self, tell: Callable[[object], None], stop: Callable[[], None], service: Service) -> None:
        self._tell = tell
        self._stop = stop
        self._service = service
        self._stopping = threading.Event()
        self._reload = threading.Lock()

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
        if not _begin(self._drain, "drain"):
            log.error(
                "stopping at once, without a thread to drain with: what runs is settled at the next start"
            )
            self._service.stopping("stopping at once")
            self._stop()

    def _drain(self) -> None:
        """The node in work is finished, everything else is refused; then the server ends."""
        self._service.stopping("stopping: the node in work is finished")
        log.info("stopping: new work is refused, the node in work is finished")
        reply = Reply()
        self._tell(Shutdown(reply))
        if not self._wait(reply):
            log.warning("not idle after %.0f s: what runs is settled at the next start", DRAIN_S)
        self._stop()

    def _wait(self, reply: Reply) -> bool:
        """Until all is idle, for DRAIN_S at most."""
        for _ in range(round(DRAIN_S / ROUND_S)):
            try:
                reply.wait(ROUND_S)
            except TimeoutError:
                self._service.extend(MORE_S)
            else:
                return True
        return False

    def _on_hup(self, _number: int, _frame: object) -> None:
        if not _begin(self._read_again, "reload"):
            log.error(
                "the files are not read, without a thread to do it: send SIGHUP again when there is one"
            )

    def _read_again(self) -> None:
        wish = Reload(actor="sandod")
        with self._reload, self._service.reloading():
            self._tell(wish)
            try:
                wish.reply.wait(RELOAD_S)
            except TimeoutError:
                log.warning("the files are not read after %.0f s; this goes on", RELOAD_S)


def _begin(work: Callable[[], None], name: str) -> bool:
    """False: no thread is to be had. What a handler raised would end the part of the server that it came between."""
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError:
        return False
    return True
