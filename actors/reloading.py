"""POST /reload and SIGHUP, for the Supervisor, on its thread: read, compared and applied as a whole, or refused."""

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from actors.base import post
from actors.messages import Configured, Reload, Shutdown
from actors.tier import Tier
from sando.model import wire
from sando.model.answers import Refusal, Told, draining, unavailable
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.reload import Change, Parts, compare, sections
from sando.model.topology import DaemonSpec, Topology
from sando.work.outcome import Done, Failed
from sando.work.outcome import Outcome as JobOutcome

if TYPE_CHECKING:
    from actors.supervisor import Supervisor

log = logging.getLogger(__name__)

RELOAD = "reload/"


class Reloads:
    """One at a time. A tier that was removed is `leaving` until it has put down what it holds."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor
        self.wish: Reload | None = None
        self.job = ""
        self.queue: list[Reload] = []

    def begin(self, wish: Reload) -> None:
        self.supervisor.hold(wish.reply)
        if self.wish:
            self.queue.append(wish)
            return
        self.wish, self.job = wish, self.supervisor.new_key(RELOAD)
        self.supervisor.start_job(self.job, self.supervisor.site.work.load)

    def done(self, outcome: JobOutcome) -> None:
        wish = self.wish
        if wish is None:
            return
        try:
            self._judge_file(wish, outcome)
        except StoreUnavailable as error:
            log.error("reload: the store is away: %s", error)
            wish.reply.answer(unavailable())
        self.supervisor.site.runner.forget(self.job)
        self.wish, self.job = None, ""
        if self.queue:
            post(self.supervisor.actor_ref, self.queue.pop(0))

    def _judge_file(self, wish: Reload, outcome: JobOutcome) -> None:
        match outcome:
            case _ if self.supervisor.stopping:
                self.supervisor.publish(wish.reply, draining())
            case Done((topology, daemon, changed)):
                self._apply(wish, topology, daemon, changed)
            case Failed(error):
                hint = "the old configuration stays; mend the file, then reload"
                self._reject(wish, Refusal(422, "config_rejected", error.detail, hint))
            case _:
                self.supervisor.publish(wish.reply, draining())

    def _apply(self, wish: Reload, topology: Topology, daemon: DaemonSpec, changed: Parts) -> None:
        store, old = self.supervisor.site.store, self.supervisor.topology
        stale = [*changed.needs_restart, *(["repo"] if topology.repo != old.repo else [])]
        topology = replace(topology, repo=old.repo)  # hook and watch are of the old one until the restart
        states = {t.name: store.tier(t.name, recent=1) for t in self.supervisor.topology.tiers}
        busy = {o.tier: o for o in store.unfinished() if o.kind in {"promote", "rollback"}}
        change = compare(self.supervisor.topology, topology, states, busy, force=wish.force)
        if isinstance(change, Change) and (
            still := [n for n in change.added if n in self.supervisor.leaving]
        ):
            detail = f"tier {still[0]} is still putting down what it held when it was removed"
            change = Refusal(409, "tier_busy", detail, "reload again in a moment")
        if isinstance(change, Refusal):
            return self._reject(wish, change)
        told = wire.Reloaded(
            change.changed,
            change.removed,
            change.added,
            tuple(stale),
            (*sections(old, topology), *changed.at_once),
        )
        data: dict[str, object] = {name: list(value) for name, value in msgspec.structs.asdict(told).items()}
        event = Event("ConfigReloaded", self.supervisor.site.clock().at, actor=wish.actor, data=data)
        (event,) = store.save(event, *wish.reply.keep(Told(told)))
        # Before anybody hears of it, all of it holds: the event goes out when the Journal is Configured.
        self.supervisor.site.work.adopt(daemon)
        self._take_over(Configured(topology, event.seq), change)
        log.info("configuration read again by %s: %s", wish.actor, _in_words(data))
        self.supervisor.publish(wish.reply, Told(told))

    def _take_over(self, told: Configured, change: Change) -> None:
        self.supervisor.topology = told.topology
        for name in change.removed:
            self.supervisor.leaving.add(name)
            if not post(self.supervisor.children.get(name), Shutdown()):
                self.left(name)
        for name in change.added:
            self.supervisor.raise_child(name, Tier, fresh=False, topology=told.topology)
        for name, ref in self.supervisor.children.items():
            if name not in self.supervisor.leaving:
                post(ref, told)
        post(self.supervisor.site.journal, told)
        post(self.supervisor.parent, told)

    def left(self, name: str) -> None:
        """A removed tier has put down what it held, or is dead: what is left of its jobs is heard to its end here."""
        self.supervisor.stop_child(name)
        self.supervisor.end_orphans()  # a deploy may have begun while the file was read
        self.supervisor.leaving.discard(name)
        self.supervisor.sweep_all()
        self.supervisor.publish()

    def _reject(self, wish: Reload, refusal: Refusal) -> None:
        data: dict[str, object] = {"error": refusal.detail}
        self.supervisor.site.store.save(
            Event("ConfigRejected", self.supervisor.site.clock().at, actor=wish.actor, data=data)
        )
        log.error("reload refused: %s", refusal.detail)
        self.supervisor.publish(wish.reply, refusal)


def _in_words(told: dict[str, object]) -> str:
    words = (
        f"{name} {', '.join(value)}" for name, value in told.items() if isinstance(value, list) and value
    )
    return "; ".join(words).replace("_", " ") or "nothing has changed"
