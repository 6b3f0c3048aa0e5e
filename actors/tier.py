"""A tier: it owns the truth about its versions, and its nodes. Vouching, admitting, confirming are decided here.

Deploys and rollbacks are driven by `deploys`, active gates by `gating`: plain classes on this actor's thread.
"""

import logging
from typing import Any

from msgspec.structs import replace

from actors.base import Actor, Site, post
from actors.deploys import Deploys
from actors.gating import Gates
from actors.messages import (
    AbortGates,
    AbortOperation,
    Admit,
    Begin,
    BurnWasReset,
    CancelJob,
    ChildFailed,
    Configured,
    Confirm,
    Do,
    Drained,
    EnterBuildTier,
    GateAgain,
    JobDone,
    LiftMark,
    Look,
    NodeDone,
    Plan,
    Ref,
    Reject,
    ReturnTo,
    Rollback,
    RunGate,
    Shutdown,
    Tick,
    Vouch,
    VouchAgain,
    VouchedAgain,
)
from actors.node import Node
from actors.node_pruning import NodePruning
from actors.observing import Observing
from actors.words import Words
from sando.model.errors import WorkError
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.reload import elsewhere
from sando.model.tier import TierState
from sando.model.topology import NodeSpec, TierSpec, Topology
from sando.work.outcome import Failed

log = logging.getLogger(__name__)


class Tier(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, topology: Topology) -> None:
        super().__init__(site, parent, name)
        self.topology = topology
        self.state = TierState(name)
        self.deploys = Deploys(self)
        self.gates = Gates(self)
        self.words = Words(self)
        self.observing = Observing(self)
        self.pruning = NodePruning(self)
        self.draining = False

    @property
    def spec(self) -> TierSpec:
        spec = self.topology.tier(self.name)
        if spec is None:
            raise LookupError(self.name)
        return spec

    @property
    def is_build_tier(self) -> bool:
        return self.topology.build_tier.name == self.name

    def handle(self, message: Any) -> None:
        match message:
            case Begin(fresh):
                self._take_up(fresh=fresh)
            case Vouch():
                self.words.vouch(message)
            case VouchAgain():
                self.words.vouch_again(message)
            case Admit(dry=True):
                self.deploys.plans.promotion(message)
            case Admit():
                self.deploys.admissions.admit(message)
            case Plan():
                self.deploys.plans.rollback(message)
            case VouchedAgain():
                self.deploys.vouched(message)
            case NodeDone() if self.gates.nodes.waits_for(message):
                self.gates.nodes.done(message)
            case NodeDone() if self.observing.is_look(message):
                self.observing.done(message)
            case NodeDone():
                self.deploys.steps.hear(message)
            case Look(node):
                self.observing.look(node)
            case JobDone(key, outcome) if key.startswith("node/"):
                self.handle(NodeDone(key.split("/")[2], key, outcome))
            case JobDone() if self.deploys.admissions.waits_for(message.key):
                self.deploys.admissions.checked(message)
            case JobDone() if self.deploys.plans.waits_for(message.key):
                self.deploys.plans.surveyed(message)
            case JobDone():
                self.gates.job_done(message)
            case Rollback():
                self.deploys.rollbacks.begin(message)
            case Confirm() | Reject():
                self.words.word(message)
            case RunGate():
                self.gates.arrivals.run_again(message)
            case EnterBuildTier():
                self.gates.arrivals.enter_build_tier(message)
            case GateAgain():
                self.gates.arrivals.gate_again(message)
            case AbortGates(operation):
                self.gates.stops.abort(operation)
            case ReturnTo():
                self.words.return_to(message)
            case AbortOperation():
                self._abort(message)
            case LiftMark(version):
                self._lift(version)
            case BurnWasReset():
                self._burn_was_reset()
            case Tick("burn", number):
                self.gates.burning.tick(number)
            case Tick("steps"):
                self.deploys.steps.take_up()
            case Tick("looked"):
                self.deploys.admissions.looked()
            case Tick("queued"):
                self.deploys.queued.begin()
            case Tick("drive"):
                self.deploys.drive_on()
            case Tick("gates"):
                self.gates.arrivals.drive_on()
            case Tick("prune"):
                self.pruning.due()
            case Tick("configured"):
                self.observing.look_at_moved()
                self.gates.nodes.configured()
                self.gates.arrivals.settle()
            case Configured(topology):
                self._configure(topology)
            case ChildFailed():
                self._child_failed(message)
            case Shutdown():
                self._drain()
            case Drained():
                self.drained()
            case _:
                raise TypeError(message)

    # -- the door through which every change of state goes -----------------------------------------------------

    def become(self, state: TierState, *rows: Any) -> None:
        """One transaction: the stays that changed, the tier, and the rows and events that tell of it."""
        known = {s.n: s for s in self.state.stays}
        changed = [s for s in state.stays if known.get(s.n) is not s]
        self.site.store.save(*changed, *([state] if state is not self.state else []), *rows)
        self.state = state.condensed() if len(state.stays) > len(known) else state

    # -- birth and children ------------------------------------------------------------------------------------

    def _take_up(self, *, fresh: bool) -> None:
        self.state = self.site.store.tier(self.name)
        if fresh and self.state.parked:
            self.become(replace(self.state, parked=None))
        for node in self.spec.nodes:
            if node.name not in self.children:
                self._raise_node(node, fresh=fresh)
        self.gates.take_up(fresh=fresh)
        self.deploys.take_up(fresh=fresh)
        self.sweep(f"tier/{self.name}/", *self.gates.jobs())
        for key in self.site.runner.held(f"node/{self.name}/"):
            if key not in {*self.deploys.jobs(), *self.gates.jobs()}:
                self._let_go(key)
        self.observing.begin()

    def _raise_node(self, spec: NodeSpec, *, fresh: bool) -> None:
        self.raise_child(spec.name, Node, fresh=fresh, spec=spec, jobs=self.jobs_of(spec.name))

    def jobs_of(self, node: str) -> str:
        """How the key of each job on a node begins."""
        return f"node/{self.name}/{node}/"

    def _child_failed(self, failed: ChildFailed) -> None:
        if not self.is_child(failed):
            return
        del self.children[failed.name]
        spec = self.spec.node(failed.name)
        if spec is None:
            return
        self.note_restart(failed, actor="node", tier=self.name, node=failed.name)
        if self.within_budget(failed.name):
            self._raise_node(spec, fresh=False)
        self._node_reborn(failed.name)

    def _node_reborn(self, name: str) -> None:
        """What is under way on a node goes on with its new actor; what nobody waits for is stopped."""
        mine = {*self.deploys.take_up_node(name), *self.gates.nodes.take_up(name)}
        for key in self.site.runner.held(self.jobs_of(name)):
            if key not in mine:
                self._let_go(key)
        self.observing.reborn(name)
        if self.draining:
            post(self.children.get(name), Shutdown())

    def _let_go(self, key: str) -> None:
        """Of a job on a node that nobody waits for; where the node has no actor any more, its end is heard here."""
        self.site.runner.cancel(key)
        if key.split("/")[2] not in self.children:
            self.adopt_job(key)

    def order(self, node: str, do: Do) -> None:
        """A node that is parked fails each step; one that has died without my knowing is told anew when it is reborn."""
        if node in self.children:
            post(self.children[node], do)
        elif not self.adopt_job(do.key):
            parked = WorkError("node", "its actor died too often and is parked; restart sandod", errored=True)
            post(self.actor_ref, NodeDone(node, do.key, Failed(parked)))

    def cancel(self, node: str, key: str) -> None:
        if not post(self.children.get(node), CancelJob(key)):
            self.site.runner.cancel(key)

    # -- small changes told by others --------------------------------------------------------------------------

    def _lift(self, version: str) -> None:
        if version in self.state.marks:
            self.become(self.state.lifted(version))
            self.publish()

    def _burn_was_reset(self) -> None:
        self.state = self.site.store.tier(self.name)
        self.gates.burning.schedule()

    def _configure(self, topology: Topology) -> None:
        """New nodes are raised, nodes that are gone or changed are let go; what runs keeps its plan."""
        before = {n.name: n for n in self.spec.nodes}
        self.topology = topology
        changed = [n for n, node in before.items() if self.spec.node(n) != node]
        for name in changed:
            self.stop_child(name)
            if (node := self.spec.node(name)) and elsewhere(before[name], node):
                self.observing.moved.add(name)
        for node in self.spec.nodes:
            if node.name not in self.children and before.get(node.name) != node:
                self._raise_node(node, fresh=False)
        for name in changed:
            self._node_reborn(name)
        self.gates.burning.schedule()
        self.observing.begin()
        post(
            self.actor_ref, Tick("configured")
        )  # of its own: tried again later, this one would bring back the old

    def _abort(self, wish: AbortOperation) -> None:
        held = (self.deploys.operation, self.deploys.queued.operation)
        if any(o and o.id == wish.operation for o in held):
            self.deploys.stops.abort(wish)
        else:
            self.gates.stops.abort_by(wish)

    # -- the end -----------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        self.draining = True
        self.deploys.admissions.drain()
        self.gates.stops.drain()
        for ref in self.children.values():
            post(ref, Shutdown())
        self.drained()

    def drained(self) -> None:
        if self.draining and not self.deploys.in_motion and not self.gates.in_motion:
            post(self.parent, Drained(self.name))

    def event(self, kind: Any, operation: Operation, **more: Any) -> Event:
        """An event of an operation on this tier."""
        fields = {"version": operation.version, "sha": operation.sha, "actor": operation.actor, **more}
        return Event(kind, self.site.clock().at, operation.id, self.name, **fields)
