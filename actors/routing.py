"""Commands to those who decide, for the Supervisor, on its thread: it knows the order of the tiers, and only that."""

from typing import TYPE_CHECKING, Any

from actors.base import post
from actors.messages import (
    AbortOperation,
    AskAgain,
    BurnWasReset,
    LiftMark,
    Promote,
    Promoted,
    Reply,
    RunGate,
    Vouch,
    VouchAgain,
    VouchedAgain,
)
from sando.model.answers import Refusal
from sando.model.freeze import frozen_until
from sando.model.names import nearest
from sando.model.topology import TierSpec

if TYPE_CHECKING:
    from actors.supervisor import Supervisor

BUILD, BACKUP = "build", "backup"


class Routes:
    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor

    def tier_of(self, name: str, reply: Reply) -> TierSpec | None:
        spec = self.supervisor.topology.tier(name)
        if spec is None:
            names = [t.name for t in self.supervisor.topology.tiers]
            hint = nearest(name, names) or f"there are {', '.join(names)}"
            self.supervisor.publish(reply, Refusal(404, "unknown_tier", f"no tier is called {name}", hint))
        elif spec.name not in self.supervisor.children:
            self.supervisor.publish(reply, self.parked(name))
            return None
        return spec

    def parked(self, name: str) -> Refusal:
        why = self.supervisor.parked.get(name) or self.supervisor.site.store.tier(name, recent=1).parked
        hint = "see the log of sandod; restarting it tries again"
        return Refusal(503, "degraded", f"{name} is parked: {why}", hint)

    def to_tier(self, message: Any) -> None:
        spec = self.tier_of(message.tier, message.reply)
        if spec is None:
            return None
        if not spec.provisioned:
            return self.supervisor.publish(message.reply, _not_provisioned(spec.name))
        post(self.supervisor.children[spec.name], message)

    def promote(self, wish: Promote) -> None:
        spec = self.tier_of(wish.tier, wish.reply)
        if spec is None:
            return None
        if spec is self.supervisor.topology.build_tier:
            detail = f"{spec.name} is the build tier: versions come to it by git push"
            return self.supervisor.publish(
                wish.reply, Refusal(409, "not_promotable", detail, "POST /rebuild builds one")
            )
        if not spec.provisioned:
            return self.supervisor.publish(wish.reply, _not_provisioned(spec.name))
        if wish.reset_burn_in and not wish.hotfix:
            detail = "`reset_burn_in` goes with `hotfix`: true"
            return self.supervisor.publish(
                wish.reply, Refusal(400, "bad_request", detail, "send both, or neither")
            )
        source = self.supervisor.topology.predecessor(spec.name)
        if source is None or source.name not in self.supervisor.children:
            return self.supervisor.publish(wish.reply, self.parked(source.name if source else spec.name))
        now = self.supervisor.site.clock().at
        lock = self.supervisor.locks.of(spec.name)
        marks = {
            t.name: tuple(self.supervisor.site.store.tier(t.name, recent=1).marks.values())
            for t in self.supervisor.topology.earlier(spec.name)
        }
        frozen = frozen_until(self.supervisor.topology.freezes, spec.name, now)
        post(
            self.supervisor.children[source.name],
            Vouch(wish, self.supervisor.children[spec.name], marks, lock, frozen),
        )

    def ask_again(self, ask: AskAgain) -> None:
        """The source's word right before the first switch; a mark set meanwhile counts too."""
        target = self.supervisor.children.get(ask.tier)
        source = self.supervisor.topology.predecessor(ask.tier)
        if target is None or source is None:
            return
        marks = [
            t.name
            for t in self.supervisor.topology.earlier(ask.tier)
            if ask.version in self.supervisor.site.store.tier(t.name, recent=1).marks
        ]
        refusal = f"{ask.version} was marked bad on {marks[0]}" if marks and not ask.force else None
        ref = self.supervisor.children.get(source.name)
        if ref is None:
            post(target, VouchedAgain(ask.operation, refusal or f"tier {source.name} is parked"))
            return
        post(ref, VouchAgain(ask.operation, target, ask.version, ask.hotfix, refusal))

    def run_gate(self, wish: RunGate) -> None:
        spec = self.tier_of(wish.tier, wish.reply)
        if spec is None:
            return None
        gate = spec.gate(wish.gate)
        if gate is None:
            names = [g.name for g in spec.gates]
            hint = nearest(wish.gate, names) or f"it declares {', '.join(names) or 'none'}"
            return self.supervisor.publish(
                wish.reply,
                Refusal(404, "unknown_gate", f"tier {spec.name} declares no gate {wish.gate}", hint),
            )
        if not gate.active:
            hint = (
                f"POST /confirm/{spec.name}"
                if gate.kind == "manual_confirm"
                else "it turns green by itself when its time is over"
            )
            return self.supervisor.publish(
                wish.reply, Refusal(409, "gate_not_active", f"{gate.name} is not a gate that is run", hint)
            )
        owner = BUILD if spec is self.supervisor.topology.build_tier else spec.name
        post(self.supervisor.children.get(owner), wish)

    def promoted(self, done: Promoted) -> None:
        if done.lift:
            for tier in self.supervisor.topology.earlier(done.tier):
                post(self.supervisor.children.get(tier.name), LiftMark(done.version))
        if done.reset:
            post(self.supervisor.children.get(done.reset), BurnWasReset())
        self.supervisor.pruning.prune()

    def abort(self, wish: AbortOperation) -> None:
        operation = self.supervisor.site.store.operation(wish.operation)
        if operation is None:
            return self.supervisor.publish(
                wish.reply,
                Refusal(404, "not_found", f"there is no operation {wish.operation}", "GET /operations"),
            )
        if operation.status.ended:
            detail = f"operation {operation.id} has ended: {operation.status}"
            return self.supervisor.publish(
                wish.reply, Refusal(409, "not_running", detail, operation=operation)
            )
        of_build = operation.kind == "build" or (
            operation.kind == "gate" and operation.tier == self.supervisor.topology.build_tier.name
        )
        owner = BUILD if of_build else BACKUP if operation.kind == "backup" else operation.tier
        post(self.supervisor.children.get(owner), wish)


def _not_provisioned(name: str) -> Refusal:
    hint = "set `provisioned = true` in sando.toml when its nodes are there, then POST /reload"
    return Refusal(409, "not_provisioned", f"tier {name} is listed but not provisioned", hint)
