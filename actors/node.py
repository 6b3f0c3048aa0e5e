"""A node: one machine or folder of a tier. It owns the connection, and works on one step at a time."""

import logging
from collections import deque
from functools import partial
from typing import Any

from actors.base import Actor, Site, post
from actors.messages import LOST, Begin, CancelJob, Do, Drained, JobDone, NodeDone, Ref, Shutdown
from sando.model.topology import NodeSpec
from sando.work.outcome import Aborted, Failed, Outcome

log = logging.getLogger(__name__)


class Node(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, spec: NodeSpec) -> None:
        super().__init__(site, parent, name)
        self.spec = spec
        self.link: Any = None
        self.doing: Do | None = None
        self.waiting: deque[Do] = deque()
        self.draining = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin():
                self.link = self.site.work.link(self.spec)
            case Do():
                self._queue(message)
            case CancelJob():
                self._cancel(message.key)
            case JobDone():
                self._done(message)
            case Shutdown():
                self.draining = True
                self._drained()
            case _:
                raise TypeError(message)

    def _queue(self, order: Do) -> None:
        self.waiting.append(order)
        self._next()

    def _next(self) -> None:
        while self.doing is None and self.waiting:
            order = self.waiting.popleft()
            if order.adopt and not self.adopt_job(order.key):
                self._tell(order.key, Failed(LOST))
                continue
            self.doing = order
            if not order.adopt:
                self.start_job(order.key, partial(self.site.work.perform, order.task, self.link))

    def _cancel(self, key: str) -> None:
        for order in [o for o in self.waiting if o.key == key]:
            self.waiting.remove(order)
            self._tell(key, Aborted())
        self.site.runner.cancel(key)

    def _done(self, done: JobDone) -> None:
        if self.doing is None or self.doing.key != done.key:
            log.debug("%s: the end of %s is not waited for", self.name, done.key)
            self.site.runner.forget(done.key)
            return
        self.doing = None
        self._tell(done.key, done.outcome)
        self._next()
        self._drained()

    def _tell(self, key: str, outcome: Outcome) -> None:
        post(self.parent, NodeDone(self.name, key, outcome))

    def _drained(self) -> None:
        if self.draining and self.doing is None:
            post(self.parent, Drained(self.name))

    def on_stop(self) -> None:
        super().on_stop()
        if self.link is not None:
            self.link.close()
