"""Looks at the nodes of a tier that no operation asks for: at start, and every few minutes. On the tier's thread.

They keep the connections warm, and are how a link that was changed by hand, or a node that is away, gets known.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.messages import Do, Look, NodeDone
from sando.model.events import Event
from sando.model.observation import Seen, lost, moved, seen
from sando.model.task import NodeFacts, NodeTask, Step
from sando.work.outcome import Done, Failed

if TYPE_CHECKING:
    from actors.tier import Tier

log = logging.getLogger(__name__)

LOOK_S = 180.0
AWAY_S = 15.0
"""How soon a node is looked at again that could not be reached, or that an operation lost sight of."""


_NO_LOG = "/dev/null"


class Observing:
    """At most one look a node at a time; while the tier is in an operation's hands, that one does the looking."""

    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.moved: set[str] = set()
        """Nodes that have another place since a reload, until that is stored."""
        self._looking: dict[str, str] = {}
        self._next: dict[str, Callable[[], None]] = {}

    def begin(self) -> None:
        """Every node in service is looked at now, if it is not looked after already."""
        for node in self.tier.spec.nodes_in():
            if node.name not in self._next and node.name not in self._looking:
                self.look(node.name)

    def look(self, name: str) -> None:
        if (cancel := self._next.pop(name, None)) is not None:
            cancel()
        spec = self.tier.spec.node(name)
        if spec is None or spec.out or self.tier.draining or name in self._looking:
            return
        if self.tier.deploys.operation or name not in self.tier.children:
            self._later(name, AWAY_S)
            return
        key = self.tier.new_key(self._prefix(name))
        self._looking[name] = key
        task = NodeTask(0, self.tier.name, spec, Step.OBSERVE, "", None, None, store="", log=_NO_LOG)
        self.tier.order(name, Do(key, task))

    def look_at_all(self) -> bool:
        """Every node that is not known to be away is looked at now; False where there is none."""
        for name, node in self.tier.state.nodes.items():
            if node.reachable:
                self.look(name)
        return bool(self._looking)

    def look_at_moved(self) -> None:
        tier = self.tier
        if (state := moved(tier.state, self.moved)) is not tier.state:
            tier.become(state)
            tier.publish()
        for name in self.moved:
            self.look(name)
        self.moved = set()

    def soon(self) -> None:
        """An operation has ended: what it lost sight of is looked for."""
        for name, node in self.tier.state.nodes.items():
            if node.status == "unknown" and name in self._next:
                self._later(name, AWAY_S)

    def is_look(self, done: NodeDone) -> bool:
        return done.key.startswith(self._prefix(done.node))

    def done(self, done: NodeDone) -> None:
        """A look that an operation, a reload or a death has overtaken teaches nothing."""
        if self._looking.get(done.node) == done.key:
            known = self.tier.spec.node(done.node)
            away = self._learn(done) if known and not self.tier.deploys.operation else False
            del self._looking[done.node]
            self._later(done.node, AWAY_S if away else LOOK_S)
        self.tier.site.runner.forget(done.key)
        if not self._looking:
            self.tier.deploys.admissions.looked()
        self.tier.gates.arrivals.settle()

    def reborn(self, name: str) -> None:
        """The actor of a node is another one: a look that it had begun is nobody's any more."""
        self._looking.pop(name, None)
        self.begin()

    def _prefix(self, name: str) -> str:
        return f"{self.tier.jobs_of(name)}look/"

    def _learn(self, done: NodeDone) -> bool:
        """What the look found, stored and told; True when the node is away."""
        state = self.tier.state
        match done.outcome:
            case Done(NodeFacts() as facts):
                there = None if facts.dangling else facts.current
                self._become(done.node, seen(state, done.node, there, facts.detail))
                return False
            case Failed(error):
                self._become(done.node, lost(state, done.node, error.detail))
                return True
            case _:
                return False

    def _become(self, name: str, found: Seen) -> None:
        tier = self.tier
        if found.state is tier.state:
            return
        node, before = found.state.nodes[name], tier.state.nodes.get(name)
        told: list[Any] = []
        if found.drift:
            data: dict[str, object] = {
                "recorded": before and before.version,
                "observed": node.observed,
                "detail": node.detail,
            }
            told.append(Event("DriftDetected", tier.site.clock().at, tier=tier.name, node=name, data=data))
            log.warning(
                "tier %s: %s is on %s, recorded is %s", tier.name, name, node.observed, data["recorded"]
            )
        if found.back:
            told.append(
                Event("NodeReverted", tier.site.clock().at, tier=tier.name, node=name, version=node.version,
                      data={"by": "itself, or by hand: it was found there when it could be reached again"})
            )  # fmt: skip
        if before is None or before.reachable != node.reachable:
            log.info(
                "tier %s: %s %s",
                tier.name,
                name,
                "is reached" if node.reachable else f"is away: {node.detail}",
            )
        tier.become(found.state, *told)
        tier.publish()

    def _later(self, name: str, seconds: float) -> None:
        if (cancel := self._next.pop(name, None)) is not None:
            cancel()
        self._next[name] = self.tier.later(seconds, Look(name))
