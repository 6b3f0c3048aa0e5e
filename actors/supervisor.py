"""The Supervisor: it owns the tiers, Build and Backup, the config they stand on, and the hand-taken locks.

It knows the order of the tiers, so it routes; what may move is decided by the tiers themselves.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.backup import Backup
from actors.base import Actor, Site, post
from actors.build import Build
from actors.messages import (
    AbortGates,
    AbortOperation,
    AskAgain,
    Begin,
    BurnWasReset,
    ChildFailed,
    Configured,
    Confirm,
    Drained,
    EnterBuildTier,
    FetchBackup,
    GateAgain,
    GatesDone,
    GiveUp,
    JobDone,
    LiftMark,
    LockTier,
    Note,
    Promote,
    Promoted,
    Rebuild,
    Ref,
    Reject,
    Reload,
    Reply,
    ReturnTo,
    Rollback,
    RunGate,
    Shutdown,
    Tick,
    UnlockTier,
    Vouch,
    VouchAgain,
    VouchedAgain,
)
from actors.tier import Tier
from sando.model.answers import Refusal, Told, draining, unavailable
from sando.model.clock import stamp
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.freeze import frozen_until
from sando.model.gates import GateRun, Outcome
from sando.model.names import EVERY_TIER, nearest
from sando.model.operation import Operation, Status
from sando.model.policy import Lock
from sando.model.record import Unset
from sando.model.reload import Change, compare
from sando.model.retention import removable
from sando.model.rollout import Rollout
from sando.model.tier import TierState
from sando.model.topology import DaemonSpec, TierSpec, Topology
from sando.work.outcome import Done, Failed
from sando.work.outcome import Outcome as JobOutcome

log = logging.getLogger(__name__)

BUILD, BACKUP = "build", "backup"
RELOAD, PRUNE, PARK = "reload/", "prune/", "park/"
PRUNE_S = 3600.0
MANY = 100_000


def _nothing() -> None:
    """No timer runs yet."""


class Supervisor(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, topology: Topology) -> None:
        super().__init__(site, parent, name)
        self.topology = topology
        self.locks: dict[str, Lock] = {}
        self.reloading: Reload | None = None
        self.reload_job = ""
        self.reloads: list[Reload] = []
        self.leaving: set[str] = set()
        """Tiers that sando.toml no longer names, and that have not put down yet what they hold."""
        self.stopping: Reply | None = None
        self.still: set[str] = set()
        self.parked: dict[str, str] = {}
        self.stop_prune: Callable[[], None] = _nothing

    def handle(self, message: Any) -> None:
        match message:
            case Rebuild() | FetchBackup() | Promote() | Rollback() | Confirm() | Reject() | RunGate() if (
                self.stopping
            ):
                self.publish(message.reply, draining())
            case LockTier() | UnlockTier() | AbortOperation() | Reload() if self.stopping:
                self.publish(message.reply, draining())
            case Begin(fresh):
                self._take_up(fresh=fresh)
            case Rebuild():
                post(self.children.get(BUILD), message)
            case FetchBackup() if BACKUP not in self.children:
                self.publish(message.reply, self._parked(BACKUP))
            case FetchBackup():
                post(self.children[BACKUP], message)
            case Promote():
                self._promote(message)
            case Rollback() | Confirm() | Reject():
                self._to_tier(message)
            case RunGate():
                self._run_gate(message)
            case LockTier():
                self._lock(message)
            case UnlockTier():
                self._unlock(message)
            case AbortOperation():
                self._abort(message)
            case EnterBuildTier() | GateAgain() | AbortGates() | ReturnTo():
                self._to_build_tier(message)
            case GatesDone():
                post(self.children.get(BUILD), message)
            case AskAgain():
                self._ask_again(message)
            case Promoted():
                self._promoted(message)
            case Reload():
                self._reload(message)
            case JobDone(key, outcome) if key == self.reload_job:
                self._reloaded(outcome)
            case JobDone(key, outcome) if key.startswith(PRUNE):
                self._pruned(key, outcome)
            case JobDone(key):
                self.site.runner.forget(key)
            case Tick(what) if what.startswith(PARK):
                self._park(what.removeprefix(PARK))
            case Tick("unlock"):
                self._expire()
            case Tick("prune"):
                self._prune()
            case ChildFailed():
                self._child_failed(message)
            case Shutdown(reply):
                self._drain(reply)
            case Drained(name):
                self._drained(name)
            case _:
                raise TypeError(message)

    # -- children ----------------------------------------------------------------------------------------------

    def _take_up(self, *, fresh: bool) -> None:
        self.locks = {lock.tier: lock for lock in self.site.store.locks()}
        if fresh:
            self._end_orphans()
        for tier in self.topology.tiers:
            if tier.name not in self.children:
                self.raise_child(tier.name, Tier, fresh=fresh, topology=self.topology)
        if BACKUP not in self.children:
            self.raise_child(BACKUP, Backup, fresh=fresh, spec=self.topology.backup)
        if BUILD not in self.children:
            self.raise_child(BUILD, Build, fresh=fresh, topology=self.topology)
        self._expire()
        self.stop_prune = self.tick(PRUNE_S, "prune")
        self._sweep_all()

    def _end_orphans(self) -> None:
        """The file wins: what runs on a tier that it no longer names has nobody who could go on with it."""
        store, now = self.site.store, self.site.clock().at
        for operation in store.unfinished():
            named = operation.kind in {"build", "backup"} or self.topology.tier(operation.tier)
            if not named:
                rows = orphaned(operation, store.tier(operation.tier), store.gate_runs(operation.id), now)
                store.save(*rows)

    def _sweep_all(self) -> None:
        """Jobs of my own earlier life, and of tiers that are gone."""
        self.sweep(RELOAD)
        self.sweep(PRUNE)
        for kind in ("tier/", "node/"):
            for name in {key.split("/")[1] for key in self.site.runner.held(kind)}:
                if self.topology.tier(name) is None:
                    self.sweep(f"{kind}{name}/")

    def _child_failed(self, failed: ChildFailed) -> None:
        if not self.is_child(failed):
            return None
        tier = self._tier_or_none(failed.name)
        self.note_restart(failed, actor="tier" if tier else failed.name, tier=tier)
        del self.children[failed.name]
        if failed.name in self.leaving:
            return self._left(failed.name)
        if not self.within_budget(failed.name):
            return self._give_up(failed)
        if failed.name == BUILD:
            self.raise_child(BUILD, Build, fresh=False, topology=self.topology)
        elif failed.name == BACKUP:
            self.raise_child(BACKUP, Backup, fresh=False, spec=self.topology.backup)
        else:
            self.raise_child(failed.name, Tier, fresh=False, topology=self.topology)
            self._repeat()
        if self.stopping:
            post(self.children.get(failed.name), Shutdown())

    def _repeat(self) -> None:
        """What a dead tier had in its inbox is gone: those who wait for its word ask again."""
        post(self.children.get(BUILD), Tick("again"))
        for tier in self.topology.tiers:
            post(self.children.get(tier.name), Tick("drive"))

    def _tier_or_none(self, name: str) -> str | None:
        return name if self.topology.tier(name) else None

    def _give_up(self, failed: ChildFailed) -> None:
        """Over its budget a tier or Backup is parked; without Build there is no daemon (SPEC 11)."""
        if failed.name == BUILD:
            post(self.parent, GiveUp(f"build failed too often: {failed.error}"))
            return
        log.error("%s failed too often and is parked: %s", failed.name, failed.error)
        self.parked[failed.name] = failed.error
        if self.topology.tier(failed.name):
            post(self.actor_ref, Tick(f"{PARK}{failed.name}"))
            self._repeat()
        self._drained(failed.name)

    def _park(self, name: str) -> None:
        """Kept in the store, so that /state shows it; a message of its own, since the store may be away."""
        if name in self.parked:
            self.site.store.save(replace(self.site.store.tier(name), parked=self.parked[name]))
            self.publish()

    def _to_build_tier(self, message: EnterBuildTier | GateAgain | AbortGates | ReturnTo) -> None:
        """A build tier that is parked runs no gates; Build must not wait for it."""
        tier = self.topology.build_tier.name
        if tier in self.children:
            post(self.children[tier], message)
            return
        match message:
            case EnterBuildTier(operation) | GateAgain(operation):
                post(self.children.get(BUILD), GatesDone(operation.id, "errored", f"tier {tier} is parked"))
            case AbortGates(number):
                post(self.children.get(BUILD), GatesDone(number, "aborted", f"tier {tier} is parked"))
            case ReturnTo():
                message.reply.answer(self._parked(tier))

    # -- routing -----------------------------------------------------------------------------------------------

    def _tier_of(self, name: str, reply: Reply) -> TierSpec | None:
        spec = self.topology.tier(name)
        if spec is None:
            names = [t.name for t in self.topology.tiers]
            hint = nearest(name, names) or f"there are {', '.join(names)}"
            self.publish(reply, Refusal(404, "unknown_tier", f"no tier is called {name}", hint))
        elif spec.name not in self.children:
            self.publish(reply, self._parked(name))
            return None
        return spec

    def _parked(self, name: str) -> Refusal:
        why = self.parked.get(name) or self.site.store.tier(name, recent=1).parked
        hint = "see the log of sandod; restarting it tries again"
        return Refusal(503, "degraded", f"{name} is parked: {why}", hint)

    def _to_tier(self, message: Any) -> None:
        spec = self._tier_of(message.tier, message.reply)
        if spec is None:
            return None
        if not spec.provisioned:
            return self.publish(message.reply, _not_provisioned(spec.name))
        post(self.children[spec.name], message)

    def _promote(self, wish: Promote) -> None:
        spec = self._tier_of(wish.tier, wish.reply)
        if spec is None:
            return None
        if spec is self.topology.build_tier:
            detail = f"{spec.name} is the build tier: versions come to it by git push"
            return self.publish(
                wish.reply, Refusal(409, "not_promotable", detail, "POST /rebuild builds one")
            )
        if not spec.provisioned:
            return self.publish(wish.reply, _not_provisioned(spec.name))
        if wish.reset_burn_in and not wish.hotfix:
            detail = "`reset_burn_in` goes with `hotfix`: true"
            return self.publish(wish.reply, Refusal(400, "bad_request", detail, "send both, or neither"))
        source = self.topology.predecessor(spec.name)
        if source is None or source.name not in self.children:
            return self.publish(wish.reply, self._parked(source.name if source else spec.name))
        now = self.site.clock().at
        lock = self.locks.get(spec.name)
        marks = {
            t.name: tuple(self.site.store.tier(t.name, recent=1).marks.values())
            for t in self.topology.earlier(spec.name)
        }
        frozen = frozen_until(self.topology.freezes, spec.name, now)
        post(
            self.children[source.name],
            Vouch(wish, self.children[spec.name], marks, lock if lock and lock.holds(now) else None, frozen),
        )

    def _ask_again(self, ask: AskAgain) -> None:
        """The source's word right before the first switch; a mark set meanwhile counts too."""
        target = self.children.get(ask.tier)
        source = self.topology.predecessor(ask.tier)
        if target is None or source is None:
            return
        marks = [
            t.name
            for t in self.topology.earlier(ask.tier)
            if ask.version in self.site.store.tier(t.name, recent=1).marks
        ]
        refusal = f"{ask.version} was marked bad on {marks[0]}" if marks and not ask.force else None
        ref = self.children.get(source.name)
        if ref is None:
            post(target, VouchedAgain(ask.operation, refusal or f"tier {source.name} is parked"))
            return
        post(ref, VouchAgain(ask.operation, target, ask.version, ask.hotfix, refusal))

    def _run_gate(self, wish: RunGate) -> None:
        spec = self._tier_of(wish.tier, wish.reply)
        if spec is None:
            return None
        gate = spec.gate(wish.gate)
        if gate is None:
            names = [g.name for g in spec.gates]
            hint = nearest(wish.gate, names) or f"it declares {', '.join(names) or 'none'}"
            return self.publish(
                wish.reply,
                Refusal(404, "unknown_gate", f"tier {spec.name} declares no gate {wish.gate}", hint),
            )
        if not gate.active:
            hint = (
                f"POST /confirm/{spec.name}"
                if gate.kind == "manual_confirm"
                else "it turns green by itself when its time is over"
            )
            return self.publish(
                wish.reply, Refusal(409, "gate_not_active", f"{gate.name} is not a gate that is run", hint)
            )
        owner = BUILD if spec is self.topology.build_tier else spec.name
        post(self.children.get(owner), wish)

    def _promoted(self, done: Promoted) -> None:
        if done.lift:
            for tier in self.topology.earlier(done.tier):
                post(self.children.get(tier.name), LiftMark(done.version))
        if done.reset:
            post(self.children.get(done.reset), BurnWasReset())
        self._prune()

    def _abort(self, wish: AbortOperation) -> None:
        operation = self.site.store.operation(wish.operation)
        if operation is None:
            return self.publish(
                wish.reply,
                Refusal(404, "not_found", f"there is no operation {wish.operation}", "GET /operations"),
            )
        if operation.status.ended:
            detail = f"operation {operation.id} has ended: {operation.status}"
            return self.publish(wish.reply, Refusal(409, "not_running", detail, operation=operation))
        of_build = operation.kind == "build" or (
            operation.kind == "gate" and operation.tier == self.topology.build_tier.name
        )
        owner = BUILD if of_build else BACKUP if operation.kind == "backup" else operation.tier
        post(self.children.get(owner), wish)

    # -- locks ---------------------------------------------------------------------------------------------------

    def _lock(self, wish: LockTier) -> None:
        names = self._names(wish.tier, wish.reply)
        if names is None:
            return None
        now = self.site.clock().at
        if wish.expires and wish.expires <= now:
            refusal = Refusal(
                422, "bad_field", f"expires: {stamp(wish.expires)} lies in the past", "give a later time"
            )
            return self.publish(wish.reply, refusal)
        for name in names:
            held = self.locks.get(name)
            if held and held.holds(now) and held.actor != wish.actor:
                detail = f"tier {name} is locked by {held.actor} since {stamp(held.at)}: {held.reason}"
                return self.publish(
                    wish.reply, Refusal(423, "locked", detail, f"DELETE /lock/{name} lifts it first")
                )
        locks = [Lock(name, wish.actor, wish.reason, now, wish.expires) for name in names]
        data: dict[str, object] = {"reason": wish.reason, "expires": wish.expires and stamp(wish.expires)}
        told = [Event("Locked", now, tier=k.tier, actor=wish.actor, data=data) for k in locks]
        self.site.store.save(*locks, *told)
        self.locks |= {k.tier: k for k in locks}
        self._expire_later()
        body: dict[str, object] = {"locked": names, "actor": wish.actor, "at": stamp(now), **data}
        self.publish(wish.reply, Told(body))

    def _unlock(self, wish: UnlockTier) -> None:
        names = self._names(wish.tier, wish.reply)
        if names is not None:
            held = [n for n in names if n in self.locks]
            self._lift(held, wish.actor, "lifted")
            self.publish(wish.reply, Told({"unlocked": held}))

    def _names(self, tier: str, reply: Reply) -> list[str] | None:
        if tier == EVERY_TIER:
            return [t.name for t in self.topology.tiers]
        spec = self._tier_of(tier, reply)
        return [spec.name] if spec else None

    def _lift(self, names: list[str], actor: str, why: str) -> None:
        if names:
            now = self.site.clock().at
            told = [Event("Unlocked", now, tier=n, actor=actor, data={"reason": why}) for n in names]
            self.site.store.save(*(Unset(Lock, n) for n in names), *told)
            self.locks = {n: k for n, k in self.locks.items() if n not in names}

    def _expire(self) -> None:
        now = self.site.clock().at
        over = [n for n, k in self.locks.items() if not k.holds(now)]
        self._lift(over, "sandod", "its time is over")
        if over:
            self.publish()
        self._expire_later()

    def _expire_later(self) -> None:
        ends = [k.expires for k in self.locks.values() if k.expires]
        if ends:
            self.tick(max(0.0, (min(ends) - self.site.clock().at).total_seconds()) + 0.01, "unlock")

    # -- reload ----------------------------------------------------------------------------------------------------

    def _reload(self, wish: Reload) -> None:
        self.hold(wish.reply)
        if self.reloading:
            self.reloads.append(wish)
            return
        self.reloading, self.reload_job = wish, self.new_key(RELOAD)
        self.start_job(self.reload_job, self.site.work.load)

    def _reloaded(self, outcome: JobOutcome) -> None:
        wish = self.reloading
        if wish is None:
            return
        try:
            self._judge_file(wish, outcome)
        except StoreUnavailable as error:
            log.error("reload: the store is away: %s", error)
            wish.reply.answer(unavailable())
        self.site.runner.forget(self.reload_job)
        self.reloading, self.reload_job = None, ""
        if self.reloads:
            post(self.actor_ref, self.reloads.pop(0))

    def _judge_file(self, wish: Reload, outcome: JobOutcome) -> None:
        match outcome:
            case _ if self.stopping:
                self.publish(wish.reply, draining())
            case Done((topology, daemon, needs_restart)):
                self._apply(wish, topology, daemon, needs_restart)
            case Failed(error):
                hint = "the old configuration stays; mend the file, then reload"
                self._reject(wish, Refusal(422, "config_rejected", error.detail, hint))
            case _:
                self.publish(wish.reply, draining())

    def _apply(self, wish: Reload, topology: Topology, daemon: DaemonSpec, needs_restart: list[str]) -> None:
        store = self.site.store
        states = {t.name: store.tier(t.name, recent=1) for t in self.topology.tiers}
        busy = {o.tier: o for o in store.unfinished() if o.kind in {"promote", "rollback"}}
        change = compare(self.topology, topology, states, busy, force=wish.force)
        if isinstance(change, Change) and (still := [n for n in change.added if n in self.leaving]):
            detail = f"tier {still[0]} is still putting down what it held when it was removed"
            change = Refusal(409, "tier_busy", detail, "reload again in a moment")
        if isinstance(change, Refusal):
            return self._reject(wish, change)
        body: dict[str, object] = {
            "changed": list(change.changed), "removed": list(change.removed), "added": list(change.added),
            "needs_restart": [*needs_restart, *change.needs_restart],
        }  # fmt: skip
        store.save(Event("ConfigReloaded", self.site.clock().at, actor=wish.actor, data=body))
        self._take_over(topology, change)
        self.site.work.adopt(daemon)
        self.publish(wish.reply, Told(body))

    def _take_over(self, topology: Topology, change: Change) -> None:
        self.topology = topology
        for name in change.removed:
            self.leaving.add(name)
            if not post(self.children.get(name), Shutdown()):
                self._left(name)
        for name in change.added:
            self.raise_child(name, Tier, fresh=False, topology=topology)
        told = Configured(topology)
        for name, ref in self.children.items():
            if name not in self.leaving:
                post(ref, told)
        post(self.site.journal, told)
        post(self.parent, told)

    def _left(self, name: str) -> None:
        """A removed tier has put down what it held, or is dead: what is left of its jobs is heard to its end here."""
        self.stop_child(name)
        self._end_orphans()  # a deploy may have begun while the file was read
        self.leaving.discard(name)
        self._sweep_all()
        self.publish()

    def _reject(self, wish: Reload, refusal: Refusal) -> None:
        data: dict[str, object] = {"error": refusal.detail}
        self.site.store.save(Event("ConfigRejected", self.site.clock().at, actor=wish.actor, data=data))
        log.error("reload refused: %s", refusal.detail)
        self.publish(wish.reply, refusal)

    # -- retention ---------------------------------------------------------------------------------------------------

    def _prune(self) -> None:
        """The store keeps what any tier may still need; the folders of the rest are removed by a job."""
        self.stop_prune()
        self.stop_prune = self.tick(PRUNE_S, "prune")
        if self.stopping or self.site.runner.held(PRUNE):
            return
        store = self.site.store
        states = [store.tier(name) for name in store.tier_names()]
        gone = removable(
            store.releases(limit=MANY), self.topology, states, store.unfinished(), self.site.clock().at
        )
        if gone:
            self.start_job(self.new_key(PRUNE), partial(self.site.work.remove, gone))

    def _pruned(self, key: str, outcome: JobOutcome) -> None:
        """A release of the same name that was built meanwhile is another one, and is there."""
        match outcome:
            case Done(removed) if removed:
                gone = [r for r in removed if self.site.store.release(r.version) == r]
                data: dict[str, object] = {"versions": [r.version for r in gone], "where": "store"}
                rows = [replace(r, present=False) for r in gone]
                self.site.store.save(*rows, Event("Pruned", self.site.clock().at, data=data))
                self.publish()
            case Failed(error):
                log.warning("prune: %s", error)
        self.site.runner.forget(key)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _drain(self, reply: Reply) -> None:
        self.stopping = reply
        self.still = set(self.children)
        post(self.actor_ref, Note(Event("DaemonStopping", self.site.clock().at)))
        for ref in self.children.values():
            post(ref, Shutdown())
        self._all_drained()

    def _drained(self, name: str) -> None:
        if name in self.leaving:
            self._left(name)
        self.still.discard(name)
        self._all_drained()

    def _all_drained(self) -> None:
        if self.stopping and not self.still:
            self.publish(self.stopping, Told({"drained": True}))


def orphaned(operation: Operation, state: TierState, runs: list[GateRun], now: datetime) -> list[Any]:
    """The end of an operation whose tier is gone: each of its starts gets its end."""
    error = f"sando.toml names no tier {operation.tier} any more"
    about: dict[str, Any] = {"version": operation.version, "sha": operation.sha, "actor": operation.actor}
    ended = replace(operation, status=Status.INTERRUPTED, step="", error=error, finished_at=now)
    rows: list[Any] = [ended, Unset(Rollout, operation.id), replace(state, gating=None)]
    data: dict[str, Any] = {"error": error, "status": ended.status, "to": operation.version}
    if operation.kind != "gate":
        rows.append(Event("DeployFailed", now, operation.id, operation.tier, **about, data=data))
    if operation.kind == "rollback":
        rows.append(Event("RollbackFailed", now, operation.id, operation.tier, **about, data=data))
    for run in (r for r in runs if r.outcome is Outcome.RUNNING):
        stopped = replace(run, outcome=Outcome.ABORTED, message=error)
        data = {
            "gate": run.gate,
            "kind": run.kind,
            "outcome": "aborted",
            "message": error,
            "attempt": run.attempt,
        }
        rows += [stopped, Event("GateDone", now, operation.id, operation.tier, **about, data=data)]
        rows += [stay.record(stopped) for stay in state.stays if stay.gate(run.gate) == run]
    return rows


def _not_provisioned(name: str) -> Refusal:
    hint = "set `provisioned = true` in sando.toml when its nodes are there, then POST /reload"
    return Refusal(409, "not_provisioned", f"tier {name} is listed but not provisioned", hint)
