"""A node: one machine or folder of a tier. It owns the connection, and works on one step at a time."""

import logging
from collections import deque
from functools import partial
from typing import Any

from actors.base import Actor, Site, post
from actors.messages import Begin, CancelJob, Do, Drained, JobDone, NodeDone, Ref, Shutdown
from sando.model.topology import NodeSpec
from sando.work.outcome import Aborted, Outcome

log = logging.getLogger(__name__)


class Node(Actor):
    """`jobs` begins the key of every job on this node, whichever life of this actor started it."""

    def __init__(self, site: Site, parent: Ref | None, name: str, spec: NodeSpec, jobs: str) -> None:
        super().__init__(site, parent, name)
        self.spec = spec
        self.jobs = jobs
        self.link: Any = None
        self.running: set[str] = set()
        self.looks: set[str] = set()
        """Those of no operation, running or waiting."""
        self.waiting: deque[Do] = deque()
        self.draining = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin():
                self._take_up()
            case Do():
                self._queue(message)
            case CancelJob():
                self._cancel(message.key)
            case JobDone():
                self._done(message)
            case Shutdown():
                self._drain()
            case _:
                raise TypeError(message)

    def _take_up(self) -> None:
        """What an earlier life began here goes on; nothing new begins beside it."""
        self.link = self.site.work.link(self.spec)
        for key in self.site.runner.held(self.jobs):
            self._adopt(key)

    def _adopt(self, key: str) -> bool:
        if self.adopt_job(key):
            self.running.add(key)
            return True
        return False

    def _queue(self, order: Do) -> None:
        if order.adopt and (self._has(order.key) or self._adopt(order.key)):
            return
        self._hurry(order)
        self.waiting.append(order)
        self._next()

    def _has(self, key: str) -> bool:
        return key in self.running or any(o.key == key for o in self.waiting)

    def _hurry(self, order: Do) -> None:
        """A look takes milliseconds where the node answers; where it does not, an operation does not wait for that."""
        for key in self.looks - {order.key} if order.task.operation else ():
            self._cancel(key)
        if not order.task.operation:
            self.looks.add(order.key)

    def _next(self) -> None:
        if self.waiting and not self.running:
            order = self.waiting.popleft()
            self.running.add(order.key)
            self.start_job(order.key, partial(self.site.work.perform, order.task, self.link))

    def _cancel(self, key: str) -> None:
        for order in [o for o in self.waiting if o.key == key]:
            self.waiting.remove(order)
            self.looks.discard(key)
            self._tell(key, Aborted())
        self.site.runner.cancel(key)

    def _done(self, done: JobDone) -> None:
        """Also the end of a job that nobody here waits for goes up: the tier has it forgotten."""
        self.running.discard(done.key)
        self.looks.discard(done.key)
        self._tell(done.key, done.outcome)
        self._next()
        self._drained()

    def _tell(self, key: str, outcome: Outcome) -> None:
        post(self.parent, NodeDone(self.name, key, outcome))

    def _drain(self) -> None:
        """What runs is finished, what waits is not begun."""
        self.draining = True
        for order in self.waiting:
            self._tell(order.key, Aborted())
        self.waiting.clear()
        self._drained()

    def _drained(self) -> None:
        if self.draining and not self.running:
            post(self.parent, Drained(self.name))

    def on_stop(self) -> None:
        super().on_stop()
        self._let_go()

    def on_failure(self, _type: Any, value: Any, _traceback: Any) -> None:
        super().on_failure(_type, value, _traceback)
        self._let_go()

    def _let_go(self) -> None:
        """A job of mine goes on, and in its connection; my successor has one of its own."""
        if self.link is not None:
            self.link.close()
