"""Prometheus: what SPEC 15 names, counted from events and read from the latest state. It never asks an actor.

Labels come from the configuration and from enums only, so that they stay few.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from sando.model import names
from sando.model.clock import Clock
from sando.model.events import Event
from sando.model.gates import Outcome
from sando.model.operation import Status
from sando.model.topology import GATE_KINDS

TIER_STATUSES = ("empty", "steady", "deploying", "gating", "mixed", "degraded")
RESULTS = ("ok", *(status for status in Status if status.ended and status is not Status.SUCCEEDED))
"""How a build or a deploy ended: the statuses of operations, and "ok"."""
_RESULT_OF = {
    "BuildFailed": "failed",
    "BuildAborted": "aborted",
    "DeployFailed": "failed",
    "RollbackFailed": "failed",
}
"""Where an event of an earlier version does not say the status."""
DEPLOY_KINDS = ("promote", "rollback", "repair")
ACTORS = ("supervisor", "build", "tier", "node", "backup", "journal")
OTHER = "other"

_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_LEAD_SECONDS = (300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 4 * 86400, 7 * 86400, 14 * 86400)
_REMEMBERED = 512
"""Operations whose end was counted, and whose builds have begun: more never run at a time."""

State = Mapping[str, Any]


class Metrics:
    """`count` what is past, once, and `observe` each event from then on, at the same time if need be; `expose` at each scrape.

    `state` gives the structure of GET /state (None until there is one); `subscribers` and `inboxes`
    are asked at each scrape and must not block. `lead_from` knows when the version was pushed that an event brought to its
    tier for the first time; None where it was there before.
    """

    def __init__(
        self,
        state: Callable[[], State | None],
        clock: Clock,
        *,
        subscribers: Callable[[], int] = lambda: 0,
        inboxes: Callable[[], Mapping[str, int]] = dict,
        lead_from: Callable[[Event], datetime | None] = lambda _: None,
    ) -> None:
        self._state = state
        self._lead_from = lead_from
        self._scraped = _Scraped(state, clock, subscribers, inboxes)
        self.registry = CollectorRegistry()
        self._make_counters()
        self._counting = False

    def expect(self) -> None:
        """Nothing is exposed from here on until `count` is done: counters that jump would be taken for what happened now."""
        self._counting = True

    def count(self, events: Iterable[Event]) -> None:
        """Everything that the store has kept, on whatever thread."""
        for event in events:
            self.observe(event)
        self._counting = False

    def expose(self) -> tuple[bytes, str] | None:
        """The body of GET /metrics and its content type; None while the past is counted."""
        if self._counting:
            return None
        self._begin_at_zero()
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def observe(self, event: Event) -> None:
        match event.type:
            case "BuildOk" | "BuildFailed" | "BuildAborted":
                self._build(event)
            case "GateDone":
                self._gate(event)
            case "DeployOk" | "DeployFailed" | "Rollback" | "RollbackFailed":
                self._deploy(event)
            case "PromoteComplete":
                self._lead(event)
            case "ActorRestarted":
                self._restarts.labels(_actor(event.data.get("actor"))).inc()

    # -- counters ---------------------------------------------------------------------------------------------

    def _make_counters(self) -> None:
        registry = CollectorRegistry()
        registry.register(self._scraped)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(name, text, labels, registry=registry, buckets=buckets)

        self._builds = counter("sando_builds", "Builds that ended, gates included.", "result")
        self._build_s = histogram("sando_build_duration_seconds", "From the start of a build to its end.")
        self._gates = counter("sando_gates", "Gate runs that ended.", "tier", "kind", "outcome")
        self._gate_s = histogram("sando_gate_duration_seconds", "How long a gate took.", "kind")
        self._deploys = counter("sando_deploys", "Deploys that ended.", "tier", "kind", "result")
        self._deploy_s = histogram("sando_deploy_duration_seconds", "How long a deploy took.", "tier")
        self._lead_s = histogram(
            "sando_lead_time_seconds",
            "From the push to the first time on the tier.",
            "tier",
            buckets=_LEAD_SECONDS,
        )
        self._restarts = counter("sando_actor_restarts", "Actors that died and were restarted.", "actor")
        for result in RESULTS:
            self._builds.labels(result)
        for actor in ACTORS:
            self._restarts.labels(actor)
        self._deployed: deque[int] = deque(maxlen=_REMEMBERED)
        self.registry = registry

    def _begin_at_zero(self) -> None:
        """Of a tier's deploys too: a series that is first seen at 1 has not increased, and no alert would tell of it."""
        for tier in (self._state() or {}).get("tiers", ()):
            for kind, result in product(("promote", "rollback"), RESULTS):
                self._deploys.labels(tier["name"], kind, result)

    def _build(self, event: Event) -> None:
        self._builds.labels(_result(event)).inc()
        if (seconds := _number(event.data, "seconds")) is not None:
            self._build_s.observe(seconds)

    def _gate(self, event: Event) -> None:
        kind = _known(event.data.get("kind"), GATE_KINDS)
        outcome = _known(event.data.get("outcome"), tuple(Outcome))
        self._gates.labels(_tier(event), kind, outcome).inc()
        if (seconds := _number(event.data, "seconds")) is not None:
            self._gate_s.labels(kind).observe(seconds)

    def _deploy(self, event: Event) -> None:
        """A rollback may be told twice, as a deploy and as a rollback: the operation counts once."""
        if event.operation is not None:
            if event.operation in self._deployed:
                return
            self._deployed.append(event.operation)
        default = "promote" if event.type.startswith("Deploy") else "rollback"
        kind = _known(event.data.get("kind", default), DEPLOY_KINDS)
        tier = _tier(event)
        self._deploys.labels(tier, kind, _result(event)).inc()
        if (seconds := _number(event.data, "seconds")) is not None:
            self._deploy_s.labels(tier).observe(seconds)

    def _lead(self, event: Event) -> None:
        pushed = self._lead_from(event)
        if pushed is not None:
            self._lead_s.labels(_tier(event)).observe(max(0.0, (event.at - pushed).total_seconds()))


class _Scraped(Collector):
    """Gauges that nobody keeps: read from the latest state when they are asked for."""

    def __init__(
        self,
        state: Callable[[], State | None],
        clock: Clock,
        subscribers: Callable[[], int],
        inboxes: Callable[[], Mapping[str, int]],
    ) -> None:
        self._state = state
        self._clock = clock
        self._subscribers = subscribers
        self._inboxes = inboxes

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        state = self._state() or {}
        now = self._clock().at
        for name, (text, labels) in _GAUGES.items():
            family = GaugeMetricFamily(f"sando_{name}", text, labels=labels)
            for values, number in self._samples(name, state, now):
                family.add_metric(values, number)
            yield family

    def _samples(self, name: str, state: State, now: datetime) -> Iterator[tuple[list[str], float]]:
        match name:
            case "event_seq":
                yield [], float(state.get("seq", 0))
            case "event_subscribers":
                yield [], float(self._subscribers())
            case "actor_inbox":
                yield from (([actor], float(size)) for actor, size in sorted(self._inboxes().items()))
            case "backup_age_seconds" | "backup_last_restore_ok_timestamp_seconds":
                yield from _backup(name, state.get("backup") or {}, now)
            case _:
                for tier in state.get("tiers", ()):
                    yield from _of_tier(name, tier, now)


_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tier_info": ("1 for the version that is current on a tier.", ("tier", "version", "sha")),
    "tier_status": ("1 for the status that a tier has.", ("tier", "status")),
    "node_up": ("1 when the node was reached last time.", ("tier", "node")),
    "node_version_match": ("1 when the node runs its tier's current version.", ("tier", "node")),
    "burn_in_remaining_seconds": ("How long a tier's burn-in still takes.", ("tier",)),
    "lock_active": ("1 while a tier is locked.", ("tier",)),
    "backup_age_seconds": ("Since the backup was fetched.", ()),
    "backup_last_restore_ok_timestamp_seconds": ("When the fetched backup was last restored.", ()),
    "event_seq": ("The place of the latest event.", ()),
    "event_subscribers": ("WebSocket clients of /events.", ()),
    "actor_inbox": ("Messages that wait for an actor.", ("actor",)),
}


def _of_tier(name: str, tier: State, now: datetime) -> Iterator[tuple[list[str], float]]:
    label, current = tier["name"], tier.get("current_version")
    match name:
        case "tier_info" if current:
            yield [label, current, tier.get("sha") or ""], 1.0
        case "tier_status":
            yield from (([label, status], float(tier["status"] == status)) for status in TIER_STATUSES)
        case "node_up":
            yield from (([label, n["name"]], float(bool(n["reachable"]))) for n in tier["nodes"])
        case "node_version_match":
            yield from (([label, n["name"]], float(n["observed"] == current)) for n in tier["nodes"])
        case "burn_in_remaining_seconds":
            yield from (([label], _remaining(g, now)) for g in tier["gates"] if g["kind"] == "burn_in")
        case "lock_active":
            yield [label], float(tier.get("lock") is not None)


def _remaining(gate: State, now: datetime) -> float:
    if gate["outcome"] == Outcome.PASSED:
        return 0.0
    if ready := gate.get("ready_at"):
        return max(0.0, (datetime.fromisoformat(ready) - now).total_seconds())
    return float(gate.get("required_s") or 0.0)


def _backup(name: str, backup: State, now: datetime) -> Iterator[tuple[list[str], float]]:
    key = "fetched_at" if name == "backup_age_seconds" else "last_restore_ok_at"
    if told := backup.get(key):
        at = datetime.fromisoformat(told)
        yield [], max(0.0, (now - at).total_seconds()) if key == "fetched_at" else at.timestamp()


def _known(value: object, known: Iterable[str]) -> str:
    text = str(value)
    return text if text in set(known) else OTHER


def _result(event: Event) -> str:
    unsaid = _RESULT_OF.get(event.type)
    return _known(event.data.get("status", unsaid), RESULTS) if unsaid else "ok"


def _tier(event: Event) -> str:
    return event.tier if event.tier and names.is_tier(event.tier) else OTHER


def _actor(value: object) -> str:
    """`node b/prod-1` and `tier-b` count as what they are: one label for each kind of actor."""
    text = str(value).lower()
    return next((actor for actor in ACTORS if text.startswith(actor)), OTHER)


def _number(data: Mapping[str, object], key: str) -> float | None:
    value = data.get(key)
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        else None
    )
