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
    NodeDone,
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
from sando.model.answers import Refusal, Told
from sando.model.clock import stamp
from sando.model.errors import WorkError
from sando.model.events import Event
from sando.model.gates import Approval
from sando.model.operation import Operation
from sando.model.policy import confirmable, vouch
from sando.model.record import Fact
from sando.model.stay import Stay
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
                self._vouch(message)
            case VouchAgain():
                self._vouch_again(message)
            case Admit():
                self.deploys.admit(message)
            case VouchedAgain():
                self.deploys.vouched(message)
            case NodeDone() if self.gates.nodes.waits_for(message):
                self.gates.nodes.done(message)
            case NodeDone():
                self.deploys.node_done(message)
            case JobDone(key, outcome) if key.startswith("node/"):
                self.handle(NodeDone(key.split("/")[2], key, outcome))
            case JobDone() if self.deploys.waits_for(message.key):
                self.deploys.checked(message)
            case JobDone():
                self.gates.job_done(message)
            case Rollback():
                self.deploys.rollback(message)
            case Confirm() | Reject():
                self._word(message)
            case RunGate():
                self.gates.arrivals.run_again(message)
            case EnterBuildTier():
                self.gates.arrivals.enter_build_tier(message)
            case GateAgain():
                self.gates.arrivals.gate_again(message)
            case AbortGates(operation):
                self.gates.abort(operation)
            case ReturnTo():
                self._return_to(message)
            case AbortOperation():
                self._abort(message)
            case LiftMark(version):
                self._lift(version)
            case BurnWasReset():
                self._burn_was_reset()
            case Tick("burn", number):
                self.gates.burning.tick(number)
            case Tick("drive"):
                self.deploys.drive_on()
            case Tick("gates"):
                self.gates.arrivals.drive_on()
            case Tick("configured"):
                self.gates.nodes.configured()
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
        self.state = state

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
                self.site.runner.cancel(key)

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
                self.site.runner.cancel(key)
                if name not in self.children:
                    self.adopt_job(key)
        if self.draining:
            post(self.children.get(name), Shutdown())

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

    # -- vouching: my word on a version that wants to leave ------------------------------------------------------

    def _vouch(self, ask: Vouch) -> None:
        wish = ask.wish
        release = self.site.store.release(wish.version) if wish.version else None
        word = vouch(self.spec, self.state, wish.version, release, self.site.clock(), hotfix=wish.hotfix)
        if isinstance(word, Refusal):
            return self.publish(wish.reply, word)
        post(ask.target, Admit(wish, word, ask.marks, ask.lock, ask.frozen_until))

    def _vouch_again(self, ask: VouchAgain) -> None:
        release = self.site.store.release(ask.version)
        word = vouch(self.spec, self.state, ask.version, release, self.site.clock(), hotfix=ask.hotfix)
        refusal = word if isinstance(word, Refusal) else word.refusal
        told = ask.refusal or (refusal.detail if refusal else None)
        post(ask.target, VouchedAgain(ask.operation, told))

    # -- a person's word -----------------------------------------------------------------------------------------

    def _word(self, word: Confirm | Reject) -> None:
        gate = confirmable(self.spec, self.state, word.version)
        if isinstance(gate, Refusal):
            busy = self.deploys.operation
            hint = busy and f"{busy.kind} {busy.id} of {busy.version} runs there: try again when it has ended"
            return self.publish(word.reply, replace(gate, hint=hint or gate.hint, operation=busy))
        stay, now = self._current(), self.site.clock().at
        yes = isinstance(word, Confirm)
        approval = Approval(gate.name, word.actor, word.reason, now, yes=yes)
        told = Event(
            "ManualConfirm" if yes else "Rejected", now, tier=self.name, version=stay.version, sha=stay.sha,
            actor=word.actor, data={"gate": gate.name, "reason": word.reason},
        )  # fmt: skip
        self.become(self.state.update(stay.approve(approval)), told)
        body: dict[str, object] = {
            "tier": self.name, "version": stay.version, "gate": gate.name, "outcome": "passed" if yes else "failed",
            "actor": word.actor, "reason": word.reason, "at": stamp(now),
        }  # fmt: skip
        self.publish(word.reply, Told(body))

    def _current(self) -> Stay:
        current = self.state.current
        if current is None:
            raise LookupError(f"tier {self.name} is empty")
        return current

    # -- small changes told by others --------------------------------------------------------------------------

    def _return_to(self, back: ReturnTo) -> None:
        """The build tier only: a green sha was pushed again, its version is current with the gates it had."""
        if self.site.store.fact(back.fact) == back.release.version:
            state, done = self.state, Fact(back.fact, None)
            if state.current_version != back.release.version:
                last, now = state.judged(back.release.version), self.site.clock()
                gates = tuple(g for g in last.gates if g.kind != "burn_in") if last else ()
                state = state.enter(back.release, back.release.operation, now, gates)
            self.become(state, done)
            self.gates.burning.schedule()
        self.publish(back.reply, back.answer)

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
        for node in self.spec.nodes:
            if node.name not in self.children and before.get(node.name) != node:
                self._raise_node(node, fresh=False)
        for name in changed:
            self._node_reborn(name)
        self.gates.burning.schedule()
        post(
            self.actor_ref, Tick("configured")
        )  # of its own: tried again later, this one would bring back the old

    def _abort(self, wish: AbortOperation) -> None:
        if self.deploys.operation and self.deploys.operation.id == wish.operation:
            self.deploys.abort(wish)
        else:
            self.gates.abort_by(wish)

    # -- the end -----------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        self.draining = True
        self.deploys.drain()
        self.gates.drain()
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
