"""Screens and answers for the tests of the screen: a flow of four tiers at noon, and what keys and answers make of it."""

from datetime import UTC, datetime, timedelta

from sando.client.shapes import (
    Backup,
    Build,
    Change,
    Check,
    Event,
    Gate,
    Lock,
    Node,
    Operation,
    Plan,
    PlannedNode,
    Promotable,
    State,
    Tier,
)  # fmt: skip
from tui.model.effects import Effect
from tui.model.messages import Arrived, Feed, Heard, Key, Message, Painted, Planned, Resized, Tick
from tui.model.reduce import reduce
from tui.model.screen import Screen
from tui.panels.picture import draw

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SHA = "1a2b3c4" + "0" * 33
URL = "http://127.0.0.1:7766"


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def gate(kind: str, outcome: str = "passed", **more) -> Gate:
    return Gate(kind, more.pop("name", kind), outcome, at=NOON, **({"seconds": 3.2} | more))


BURNING = Gate(
    "burn_in", "burn_in", "pending", required_s=86400, elapsed_s=75600, ready_at=NOON + timedelta(hours=3)
)
WAITING = Gate("manual_confirm", "manual_confirm", "pending")

REHEARSED = {"migrations": [{"name": "0042_drop_legacy.sql", "seconds": 0.1}]}
MM = Tier(
    "mm", status="steady", current_version="0.8.4", previous_version="0.8.3", sha=SHA, since=ago(hours=1),
    gates=(gate("cargo_test", seconds=41.0), gate("migration_dry_run", seconds=12.5, facts=REHEARSED), gate("boot_smoke")),
    promotable=Promotable(True, "a"),
)  # fmt: skip
A = Tier(
    "a", predecessor="mm", status="steady", current_version="0.8.3", previous_version="0.8.2", sha=SHA, since=ago(hours=21),
    gates=(gate("boot_smoke"), BURNING, WAITING), nodes=(Node("a-1", "0.8.3", "0.8.3", True, "ok"),),
    promotable=Promotable(False, "b", ("burn_in", "manual_confirm")), rollback_safe={"0.8.2": "yes"},
)  # fmt: skip
B = Tier(
    "b", predecessor="a", status="degraded", current_version="0.8.2", previous_version="0.8.1", sha=SHA, since=ago(days=2),
    gates=(gate("boot_smoke", "failed", message="b-2 answered 503"),), marked_bad=("0.8.0",),
    nodes=(Node("b-1", "0.8.2", "0.8.2", True, "ok"), Node("b-2", "0.8.2", "0.8.1", False, "ok", "ssh: timed out")),
    promotable=Promotable(False, "c", ("boot_smoke",)), lock=Lock("max", "audit", ago(hours=2)),
)  # fmt: skip
C = Tier("c", provisioned=False, predecessor="b", status="empty")
STATE = State(
    seq=40, now=NOON, tiers=(MM, A, B, C), backup=Backup(ago(hours=5), 13_000_000, "f" * 64, ago(hours=1))
)
BUILDING = State(seq=41, now=NOON, tiers=(MM, A), build=Build(42, SHA, "build", ago(seconds=20)))


def event(seq: int, kind: str = "GateDone", **more) -> Event:
    data = {"gate": "boot_smoke", "outcome": "passed", "seconds": 3.2}
    return Event(kind, seq, NOON, **({"operation": 44, "tier": "a", "version": "0.8.3", "data": data} | more))


EVENTS = (
    event(36, "RebuildRequested", tier="mm", version=None, sha=SHA, actor="max", data={"subject": "fix: 日本語 🚀"}),
    event(37, "BuildOk", tier="mm", version="0.8.4", data={"seconds": 61.0}),
    event(38, "DeployFailed", tier="b", actor="max", data={"from": "0.8.2", "to": "0.8.3", "status": "failed",
                                                           "rolled_back": True, "error": "b-2: ssh: timed out"}),
    event(39, "Locked", tier="b", operation=None, version=None, actor="max", data={"reason": "audit", "expires": None}),
    event(40),
)  # fmt: skip

PLAN = Plan(
    "promote", "a", True, 202, kind="promote", source="mm", from_="0.8.3", to="0.8.4", sha=SHA, on_failure="rollback",
    nodes=(PlannedNode("a-1", "0.8.3", "0.8.3", uploads=True),),
    commits=(Change(SHA, "Max", "fix: the leak"), Change("f" * 40, "Eva", "notes: how it is measured")),
    migrations=("0042_drop_legacy.sql",), rollback_safe={"0.8.3": "no"},
    checks=(Check("busy", "ok", "nothing holds tier a"), Check("node:a-1", "warning", "a-1 is on 0.8.1, recorded is 0.8.3")),
)  # fmt: skip
BLOCKED = Plan(
    "promote", "b", False, 409, "gates_not_passed", "0.8.3 may not leave tier a: burn_in pending, manual_confirm pending",
    "clears by …", kind="promote", source="a", from_="0.8.2", to="0.8.3", sha=SHA, on_failure="halt",
    nodes=(PlannedNode("b-1", "0.8.2", "0.8.2", uploads=True), PlannedNode("b-2", "0.8.2", "0.8.1", reachable=False)),
    checks=(
        Check("gate:burn_in", "blocked", "21h of 24h", "burn_in", "pending", "2026-11-23T15:00:00.000Z or hotfix"),
        Check("gate:manual_confirm", "blocked", "pending on tier a", "manual_confirm", "pending", "POST /confirm/a"),
    ),
)  # fmt: skip
BACK = Plan(
    "rollback", "a", True, 202, kind="rollback", from_="0.8.3", to="0.8.2", sha=SHA, marks_bad="0.8.3",
    nodes=(PlannedNode("a-1", "0.8.3", "0.8.3"),), commits_back=(Change(SHA, "Max", "fix: the leak"),),
    migrations_back=("0041_more.sql",), rollback_safe={"0.8.2": "yes"}, checks=(Check("schema", "warning", "not rehearsed"),),
)  # fmt: skip
RUNNING = Operation(
    44, "promote", "a", "running", "0.8.4", SHA, "max", "the fix", step="upload", created_at=NOON,
    started_at=ago(seconds=12),
)  # fmt: skip
DONE = Operation(
    43, "promote", "a", "succeeded", "0.8.3", SHA, "max", "", created_at=ago(hours=21), started_at=ago(hours=21),
    finished_at=ago(hours=20.9),
)  # fmt: skip
FAILED = Operation(
    42, "promote", "a", "failed", "0.8.2", SHA, "eva", "again", created_at=ago(days=3), started_at=ago(days=3),
    finished_at=ago(days=2.99), error="a-1: probe: 503\nlast lines", rolled_back=True,
)  # fmt: skip


def after(screen: Screen, *messages: Message | str) -> Screen:
    """What these make of it; a text is a key."""
    return played(screen, *messages)[0]


def played(screen: Screen, *messages: Message | str) -> tuple[Screen, list[Effect]]:
    """The same with everything that was wanted on the way."""
    wanted: list[Effect] = []
    for message in messages:
        screen, effects = reduce(screen, Key(message) if isinstance(message, str) else message)
        wanted += effects
    return screen, wanted


def opened(width: int = 80, height: int = 24, state: State = STATE) -> Screen:
    """As it stands a moment after the start, the events following."""
    return after(
        Screen(URL), Tick(NOON), Resized(width, height), Arrived(state), Feed(up=True), Heard(EVENTS)
    )


def seen(screen: Screen) -> Screen:
    """It has been on the terminal."""
    return after(screen, Painted(draw(screen).extents))


def asked(screen: Screen, key: str, plan: Plan | None = None, operation: Operation | None = None) -> Screen:
    """A question that has its answer and was seen."""
    screen = after(screen, key)
    if plan or operation:
        screen = after(screen, Planned(screen.serial, (), plan, operation))
    return seen(screen)


def on(tier: str, **more) -> Screen:
    """With that tier selected."""
    screen = opened(**more)
    while screen.selected != tier:
        screen = after(screen, "j")
    return screen


def text_of(screen: Screen, **more) -> str:
    return "\n".join("".join(s.text for s in row).rstrip() for row in draw(screen, **more).rows)
