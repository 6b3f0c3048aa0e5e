"""The hand-taken locks, for the Supervisor, on its thread: taken, lifted, and over by themselves."""

from typing import TYPE_CHECKING

from actors.messages import LockTier, Reply, UnlockTier
from sando.model import wire
from sando.model.answers import Refusal, Told
from sando.model.claim import Claim
from sando.model.clock import stamp, stamp_of
from sando.model.events import Event
from sando.model.names import EVERY_TIER, visible
from sando.model.policy import Lock
from sando.model.record import Unset

if TYPE_CHECKING:
    from actors.supervisor import Supervisor


class Locks:
    """`held` are the locks by tier, also those whose time is over until a timer has lifted them."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor
        self.held: dict[str, Lock] = {}

    def take_up(self) -> None:
        self.held = {lock.tier: lock for lock in self.supervisor.site.store.locks()}
        self.expire()

    def of(self, tier: str) -> Lock | None:
        """The lock that holds now."""
        lock = self.held.get(tier)
        return lock if lock and lock.holds(self.supervisor.site.clock().at) else None

    def lock(self, wish: LockTier) -> None:
        names = self._names(wish.tier, wish.reply)
        if names is None:
            return None
        now = self.supervisor.site.clock().at
        if wish.expires and wish.expires <= now:
            refusal = Refusal(
                422, "bad_field", f"expires: {stamp(wish.expires)} lies in the past", "give a later time"
            )
            return self.supervisor.publish(wish.reply, refusal)
        for name in names:
            held = self.held.get(name)
            if held and held.holds(now) and not held.renewed_by(wish.actor, wish.reason):
                detail = (
                    f"tier {name} is locked by {held.actor} since {stamp(held.at)}: {visible(held.reason)}"
                )
                return self.supervisor.publish(
                    wish.reply, Refusal(423, "locked", detail, f"DELETE /lock/{name} lifts it first")
                )
        locks = [Lock(name, wish.actor, wish.reason, now, wish.expires) for name in names]
        data: dict[str, object] = {"reason": wish.reason, "expires": stamp_of(wish.expires)}
        events = [Event("Locked", now, tier=k.tier, actor=wish.actor, data=data) for k in locks]
        told = Told(wire.Locked(tuple(names), wish.actor, stamp(now), wish.reason, stamp_of(wish.expires)))
        self.supervisor.site.store.save(*locks, *events, *wish.reply.keep(told))
        self.held |= {k.tier: k for k in locks}
        self._expire_later()
        self.supervisor.publish(wish.reply, told)

    def unlock(self, wish: UnlockTier) -> None:
        names = self._names(wish.tier, wish.reply)
        if names is not None:
            held = [n for n in names if n in self.held]
            told = Told(wire.Unlocked(tuple(held)))
            self._lift(held, wish.actor, "lifted", wish.reply.keep(told) if held else ())
            self.supervisor.publish(wish.reply, told)

    def _names(self, tier: str, reply: Reply) -> list[str] | None:
        if tier == EVERY_TIER:
            return [t.name for t in self.supervisor.topology.tiers]
        spec = self.supervisor.routes.tier_of(tier, reply)
        return [spec.name] if spec else None

    def _lift(self, names: list[str], actor: str, why: str, kept: tuple[Claim, ...] = ()) -> None:
        if names:
            now = self.supervisor.site.clock().at
            told = [Event("Unlocked", now, tier=n, actor=actor, data={"reason": why}) for n in names]
            self.supervisor.site.store.save(*(Unset(Lock, n) for n in names), *told, *kept)
            self.held = {n: k for n, k in self.held.items() if n not in names}

    def expire(self) -> None:
        now = self.supervisor.site.clock().at
        over = [n for n, k in self.held.items() if not k.holds(now)]
        self._lift(over, "sandod", "its time is over")
        if over:
            self.supervisor.publish()
        self._expire_later()

    def _expire_later(self) -> None:
        ends = [k.expires for k in self.held.values() if k.expires]
        if ends:
            self.supervisor.tick(
                max(0.0, (min(ends) - self.supervisor.site.clock().at).total_seconds()) + 0.01, "unlock"
            )
