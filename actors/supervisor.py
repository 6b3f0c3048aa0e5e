"""The Supervisor: it owns the tiers, Build and Backup, the config they stand on, and the hand-taken locks.

It knows the order of the tiers, so it routes; what may move is decided by the tiers themselves.
"""

import logging
from typing import Any

from msgspec.structs import replace

from actors.backup import Backup
from actors.base import Actor, Site, post
from actors.build import Build
from actors.locking import Locks
from actors.messages import (
    AbortGates,
    AbortOperation,
    AskAgain,
    Begin,
    ChildFailed,
    Confirm,
    Drained,
    EnterBuildTier,
    FetchBackup,
    GateAgain,
    GatesDone,
    GiveUp,
    JobDone,
    LockTier,
    Note,
    Plan,
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
)
from actors.pruning import FORGET, PRUNE, Pruning
from actors.reloading import RELOAD, Reloads
from actors.routing import BACKUP, BUILD, Routes
from actors.tier import Tier
from sando.model import wire
from sando.model.answers import Told, draining
from sando.model.events import Event
from sando.model.orphan import orphaned
from sando.model.topology import Topology

log = logging.getLogger(__name__)

PARK = "park/"


class Supervisor(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, topology: Topology) -> None:
        super().__init__(site, parent, name)
        self.topology = topology
        self.routes = Routes(self)
        self.locks = Locks(self)
        self.reloads = Reloads(self)
        self.pruning = Pruning(self)
        self.leaving: set[str] = set()
        """Tiers that sando.toml no longer names, and that have not put down yet what they hold."""
        self.stopping: Reply | None = None
        self.still: set[str] = set()
        self.parked: dict[str, str] = {}

    def handle(self, message: Any) -> None:
        match message:
            case (
                Rebuild() | FetchBackup() | Promote() | Rollback() | Plan() | Confirm() | Reject() | RunGate()
            ) if self.stopping:
                self.publish(message.reply, draining())
            case LockTier() | UnlockTier() | AbortOperation() | Reload() if self.stopping:
                self.publish(message.reply, draining())
            case Begin(fresh):
                self._take_up(fresh=fresh)
            case Rebuild():
                post(self.children.get(BUILD), message)
            case FetchBackup() if BACKUP not in self.children:
                self.publish(message.reply, self.routes.parked(BACKUP))
            case FetchBackup():
                post(self.children[BACKUP], message)
            case Promote():
                self.routes.promote(message)
            case Rollback() | Confirm() | Reject():
                self.routes.to_tier(message)
            case Plan():
                self.routes.plan(message)
            case RunGate():
                self.routes.run_gate(message)
            case LockTier():
                self.locks.lock(message)
            case UnlockTier():
                self.locks.unlock(message)
            case AbortOperation():
                self.routes.abort(message)
            case EnterBuildTier() | GateAgain() | AbortGates() | ReturnTo():
                self._to_build_tier(message)
            case GatesDone():
                post(self.children.get(BUILD), message)
            case AskAgain():
                self.routes.ask_again(message)
            case Promoted():
                self.routes.promoted(message)
            case Reload():
                self.reloads.begin(message)
            case JobDone(key, outcome) if key == self.reloads.job:
                self.reloads.done(outcome)
            case JobDone(key, outcome) if key.startswith(PRUNE):
                self.pruning.done(key, outcome)
            case JobDone(key):
                self.site.runner.forget(key)
            case Tick(what) if what.startswith(PARK):
                self._park(what.removeprefix(PARK))
            case Tick("unlock"):
                self.locks.expire()
            case Tick("settle"):
                self.pruning.prune()
            case Tick("prune"):
                self.pruning.hourly()
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
        if fresh:
            self.end_orphans()
        for tier in self.topology.tiers:
            if tier.name not in self.children:
                self.raise_child(tier.name, Tier, fresh=fresh, topology=self.topology)
        if BACKUP not in self.children:
            self.raise_child(BACKUP, Backup, fresh=fresh, spec=self.topology.backup)
        if BUILD not in self.children:
            self.raise_child(BUILD, Build, fresh=fresh, topology=self.topology)
        self.locks.take_up()
        self.pruning.take_up(fresh=fresh)
        self.sweep_all()

    def end_orphans(self) -> None:
        """The file wins: what runs on a tier that it no longer names has nobody who could go on with it."""
        store, now = self.site.store, self.site.clock().at
        for operation in store.unfinished():
            named = operation.kind in {"build", "backup"} or self.topology.tier(operation.tier)
            if not named:
                rows = orphaned(operation, store.tier(operation.tier), store.gate_runs(operation.id), now)
                store.save(*rows)

    def sweep_all(self) -> None:
        """Jobs of my own earlier life, and of tiers that are gone."""
        self.sweep(RELOAD)
        self.sweep(PRUNE)
        self.sweep(FORGET)
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
            return self.reloads.left(failed.name)
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
                message.reply.answer(self.routes.parked(tier))

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
            self.reloads.left(name)
        self.still.discard(name)
        self._all_drained()

    def _all_drained(self) -> None:
        if self.stopping and not self.still:
            self.publish(self.stopping, Told(wire.Drained()))
