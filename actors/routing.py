"""Commands to those who decide, for the Supervisor, on its thread: it knows the order of the tiers, and only that."""

from typing import TYPE_CHECKING, Any

from actors.base import post
from actors.messages import (
    AbortOperation,
    AskAgain,
    BurnWasReset,
    LiftMark,
    Plan,
    Promote,
    Promoted,
    Ref,
    Reply,
    RunGate,
    Vouch,
    VouchAgain,
    VouchedAgain,
)
from sando.model.answers import Refusal, Told, bars, first_refusal
from sando.model.forecast import Act, bare
from sando.model.freeze import frozen_until
from sando.model.judge import not_run
from sando.model.names import nearest
from sando.model.topology import TierSpec

if TYPE_CHECKING:
    from actors.supervisor import Supervisor

BUILD, BACKUP = "build", "backup"
NO_PLAN = frozenset({"unknown_tier", "bad_request"})
"""Refusals of what cannot be planned at all."""


class Routes:
    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor

    def tier_of(self, name: str, reply: Reply) -> TierSpec | None:
        spec = self.find(name)
        if isinstance(spec, Refusal):
            self.supervisor.publish(reply, spec)
            return None
        return spec

    def find(self, name: str) -> TierSpec | Refusal:
        """The tier, if it is declared and can be asked."""
        spec = self.supervisor.topology.tier(name)
        if spec is None:
            names = [t.name for t in self.supervisor.topology.tiers]
            hint = nearest(name, names) or f"there are {', '.join(names)}"
            return Refusal(404, "unknown_tier", f"no tier is called {name}", hint)
        return spec if spec.name in self.supervisor.children else self.parked(name)

    def parked(self, name: str) -> Refusal:
        why = self.supervisor.parked.get(name) or self.supervisor.site.store.tier(name, recent=1).parked
        hint = "see the log of sandod; restarting it tries again"
        return Refusal(503, "degraded", f"{name} is parked: {why}", hint)

    def to_tier(self, message: Any) -> None:
        ref = self._owner(message.tier)
        if isinstance(ref, Refusal):
            return self.supervisor.publish(message.reply, _barred(ref))
        post(ref, message)

    def _owner(self, name: str) -> Ref | Refusal:
        spec = self.find(name)
        if isinstance(spec, Refusal):
            return spec
        return self.supervisor.children[name] if spec.provisioned else _not_provisioned(name)

    def promote(self, wish: Promote) -> None:
        way = self._way(wish)
        if isinstance(way, Refusal):
            return self.supervisor.publish(wish.reply, _barred(way))
        post(*way)

    def plan(self, ask: Plan) -> None:
        """The same doors. What is refused here already is a plan too, unless it cannot be planned at all."""
        wish = ask.wish
        act: Act = "promote" if isinstance(wish, Promote) else "rollback"
        way = self._way(wish, dry=True) if isinstance(wish, Promote) else self._owner(wish.tier)
        if isinstance(way, tuple):
            post(*way)
        elif not isinstance(way, Refusal):
            post(way, ask)
        elif way.code in NO_PLAN:
            self.supervisor.publish(ask.reply, way)
        else:
            told = bare(act, wish.tier, bars("tier", way), wish.version)
            self.supervisor.publish(ask.reply, Told(told))

    def _way(self, wish: Promote, *, dry: bool = False) -> tuple[Ref, Vouch] | Refusal:
        """Whom to ask for its word, and with what; or why nobody is asked."""
        spec = self.find(wish.tier)
        if isinstance(spec, Refusal):
            return spec
        if spec is self.supervisor.topology.build_tier:
            detail = f"{spec.name} is the build tier: versions come to it by git push"
            return Refusal(409, "not_promotable", detail, "POST /rebuild builds one")
        if not spec.provisioned:
            return _not_provisioned(spec.name)
        if wish.reset_burn_in and not wish.hotfix:
            detail = "`reset_burn_in` goes with `hotfix`: true"
            return Refusal(400, "bad_request", detail, "send both, or neither")
        source = self.supervisor.topology.predecessor(spec.name)
        if source is None or source.name not in self.supervisor.children:
            return self.parked(source.name if source else spec.name)
        lock = self.supervisor.locks.of(spec.name)
        marks = {
            t.name: tuple(self.supervisor.site.store.tier(t.name, recent=1).marks.values())
            for t in self.supervisor.topology.earlier(spec.name)
        }
        frozen = frozen_until(self.supervisor.topology.freezes, spec.name, self.supervisor.site.clock().at)
        target = self.supervisor.children[spec.name]
        return self.supervisor.children[source.name], Vouch(wish, target, marks, lock, frozen, dry)

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
        if refusal := not_run(spec, wish.gate):
            return self.supervisor.publish(wish.reply, refusal)
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


def _barred(refusal: Refusal) -> Refusal | None:
    """With what stands in the way, as the plan would list it."""
    return refusal if refusal.code in NO_PLAN else first_refusal([bars("tier", refusal)])


def _not_provisioned(name: str) -> Refusal:
    hint = "set `provisioned = true` in sando.toml when its nodes are there, then POST /reload"
    return Refusal(409, "not_provisioned", f"tier {name} is listed but not provisioned", hint)
