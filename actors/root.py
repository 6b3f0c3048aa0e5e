"""Root: it owns the Supervisor and the Journal, and is the one address that HTTP and signals post to."""

import logging
from collections.abc import Callable
from typing import Any

from actors.base import ROUND_S, Actor, Site, post
from actors.journal import Journal
from actors.messages import Begin, ChildFailed, Configured, GiveUp, Shutdown, Tick
from actors.supervisor import Supervisor
from sando.model.topology import Topology

log = logging.getLogger(__name__)

SUPERVISOR, JOURNAL = "supervisor", "journal"


class Root(Actor):
    """`die` ends the process with a non-zero exit: over their budget nobody here can go on without these two."""

    def __init__(
        self, site: Site, topology: Topology, board: Any, daemon: dict[str, Any], die: Callable[[str], None]
    ) -> None:
        super().__init__(site, None, "root")
        self.configured = Configured(topology, 0)
        self.board = board
        self.daemon = daemon
        self.die = die
        self.stopping: Shutdown | None = None

    def handle(self, message: Any) -> None:
        match message:
            case Begin(fresh):
                self._journal()
                self._supervisor(fresh=fresh)
                self.tick(ROUND_S, "look after")
            case Tick("look after"):
                self.look_after()
                self.tick(ROUND_S, "look after")
            case ChildFailed():
                self._child_failed(message)
            case Configured():
                self.configured = message
                post(
                    self.children.get(JOURNAL), message
                )  # it may have been raised with the old one meanwhile
            case GiveUp(why):
                self.die(why)
            case Shutdown():
                self.stopping = message
                post(self.children.get(JOURNAL), Tick("draining"))
                post(self.children.get(SUPERVISOR), message)
            case _:
                post(self.children.get(SUPERVISOR), message)

    def _journal(self) -> None:
        self.site.journal = self.raise_child(
            JOURNAL, Journal, fresh=True, configured=self.configured, board=self.board, daemon=self.daemon
        )

    def _supervisor(self, *, fresh: bool) -> None:
        self.raise_child(SUPERVISOR, Supervisor, fresh=fresh, topology=self.configured.topology)

    def _child_failed(self, failed: ChildFailed) -> None:
        if not self.is_child(failed):
            return
        del self.children[failed.name]
        log.error("%s", failed.error)
        if not self.within_budget(failed.name):
            self.die(f"{failed.name} failed too often: {failed.error}")
            return
        if failed.name == JOURNAL:
            self._journal()
        else:
            self._supervisor(fresh=False)
            if self.stopping:
                post(self.children.get(SUPERVISOR), self.stopping)
        self.note_restart(failed)

    def on_failure(self, _type: Any, value: Any, _traceback: Any) -> None:
        super().on_failure(_type, value, _traceback)
        self.die(f"root failed: {value}")
