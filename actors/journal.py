"""The Journal: after each commit it composes the next snapshot and hands out what is new. It decides nothing."""

from collections.abc import Iterable
from typing import Any

from actors.base import Actor, Site, post
from actors.messages import Begin, Configured, Publish, Ref, Tick
from actors.messages.lives import acting
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.plan import Rollout
from sando.model.safety import asked_of
from sando.model.snapshot import Facts, compose

FRESH_S = 60.0
"""A freeze begins and a lock ends without a commit: so often the snapshot is composed all the same."""
BATCH = 10_000
REST, REST_MOST_S = 9, 0.2
"""After a snapshot that nobody waits for, so many times as long as it took: with hundreds of nodes it takes milliseconds."""
BEHIND_S, BEHIND_MOST = 0.02, 50
"""How long, and how often, the news of a reload waits for its topology, which is posted right after the commit. It may
never come: the Supervisor died in between."""
ANYHOW = Publish()
"""Nobody waits for it."""


class Journal(Actor):
    def __init__(
        self,
        site: Site,
        parent: Ref | None,
        name: str,
        configured: Configured,
        board: Any,
        daemon: dict[str, Any],
    ) -> None:
        super().__init__(site, parent, name)
        self.topology, self.configured = configured.topology, configured.seq
        self.behind = 0
        self.board = board
        self.daemon = daemon
        self.seq: int | None = None
        self.revision = -1
        self.unfinished: frozenset[int] = frozenset()
        self.published_at = self.took = 0.0
        self.waiting = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin():
                self.seq = self.board.latest.seq if self.board.latest else self.site.store.last_seq()
                self._publish()
                self.tick(FRESH_S, "fresh")
            case Publish(reply, _, end):
                if self.revision == self.site.store.revision:
                    _answer(message)
                elif reply or end or not self._waits():
                    self._publish(message)
            case Configured(topology, seq):
                self.topology, self.configured, self.revision = topology, seq, -1
                post(self.actor_ref, ANYHOW)  # tried again later, this message would bring back the old
            case Tick("draining"):
                self.daemon = {**self.daemon, "draining": True}
                self._publish()
            case Tick("together"):
                self.waiting = False
                if self.revision != self.site.store.revision:
                    self._publish()
            case Tick("fresh"):
                self._publish()
                self.tick(FRESH_S, "fresh")
            case _:
                raise TypeError(message)

    def _waits(self) -> bool:
        """Whether this is told with what comes within the next moment: a snapshot costs more than the change it shows."""
        left = (
            self.published_at
            + max(self.site.together_s, min(REST * self.took, REST_MOST_S))
            - self.site.clock().up
        )
        if left > 0 and not self.waiting:
            self.tick(left, "together")
            self.waiting = True
        return left > 0

    def _publish(self, cause: Publish = ANYHOW) -> None:
        store, began = self.site.store, self.site.clock().up
        revision = store.revision
        with store.reading():
            events = tuple(store.events(self.seq or 0, BATCH))
            if any(e.type == "DaemonStopping" for e in events):
                self.daemon = {**self.daemon, "draining": True}
            if self._is_behind(events):
                self.later(BEHIND_S, cause)
                return
            facts = self._facts()
            # Not every end has an event of its own: what is not at work any more has ended too.
            working = frozenset(o.id for o in facts.unfinished)
            told = {e.operation for e in events if e.operation is not None}
            ended = self._ended(told | (self.unfinished - working))
        snapshot = compose(self.topology, facts, self.site.clock())
        self.seq, self.revision, self.unfinished = snapshot.seq, revision, working
        now = self.site.clock().up
        self.published_at, self.took = now, now - began
        with acting():  # /state never goes back to what an earlier life of mine has seen
            self.board.publish(snapshot, events, ended)
        _answer(cause)

    def _is_behind(self, events: Iterable[Event]) -> bool:
        """Who hears of a reload looks into /state next: it must be the one of the new topology."""
        told = max((e.seq for e in events if e.type == "ConfigReloaded"), default=0)
        self.behind = self.behind + 1 if told > self.configured else 0
        if self.behind > BEHIND_MOST:
            self.configured, self.behind = told, 0
        return self.behind > 0

    def _facts(self) -> Facts:
        store, topology = self.site.store, self.topology
        tiers = {t.name: store.tier(t.name, recent=50) for t in topology.tiers}
        unfinished = tuple(store.unfinished())
        return Facts(
            seq=store.last_seq(),
            daemon=self.daemon,
            tiers=tiers,
            unfinished=unfinished,
            locks={lock.tier: lock for lock in store.locks()},
            backup=store.backup(),
            restored=store.restored(),
            safety=store.safety(*{v for state in tiers.values() for v in asked_of(state)}),
            rollouts=self._holding(unfinished),
            newest=store.newest_operation(),
        )

    def _holding(self, unfinished: tuple[Operation, ...]) -> dict[int, Rollout]:
        """The deploys that watch each node for a while; of others a snapshot tells nothing more."""
        holds = {t.name for t in self.topology.tiers if t.canary_hold_s}
        found = (self.site.store.rollout(o.id) for o in unfinished if o.kind == "promote" and o.tier in holds)
        return {rollout.operation: rollout for rollout in found if rollout}

    def _ended(self, operations: set[int]) -> tuple[Operation, ...]:
        found = (self.site.store.operation(i) for i in sorted(operations))
        return tuple(o for o in found if o is not None and o.status.ended)


def _answer(told: Publish) -> None:
    if told.reply is not None and told.answer is not None:
        told.reply.answer(told.answer)
