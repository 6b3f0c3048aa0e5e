"""`sando status`: what runs where, what keeps it there, and what is under way."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

import click

from sando.cli import options, underway
from sando.cli.errors import Command
from sando.cli.output import document, say
from sando.cli.session import Session, session
from sando.cli.table import Column, show
from sando.cli.wording import first_line, in_commands, seconds, when
from sando.client.caller import Refused
from sando.client.shapes import Gate, Node, NodeReport, Operation, Problem, State, Tier
from sando.model.clock import span
from sando.model.freeze import FOREVER
from sando.model.names import nearest
from tui.glyphs import ARROW, AWAY, FAILED, NONE, PASSED, PENDING, RUNNING, UP, WAITING
from tui.model import nodes
from tui.model.way_on import in_the_way, waits_for_a_person
from tui.rows import Segment, Style

_STATUS: dict[str, Style] = {
    "steady": "ok", "empty": "dim", "deploying": "busy", "gating": "busy", "mixed": "bad", "degraded": "bad",
    "locked": "warn", "frozen": "warn", "not in use": "dim",
}  # fmt: skip
_SIGN: dict[str, tuple[str, Style]] = {
    "passed": (PASSED, "ok"), "failed": (FAILED, "bad"), "errored": (FAILED, "bad"), "running": (RUNNING, "busy"),
    "aborted": (FAILED, "warn"), "skipped": (PENDING, "warn"), "pending": (PENDING, "dim"),
}  # fmt: skip
Running: TypeAlias = Mapping[str, Operation | None]
"""By tier, what has it in hand, where that could be had."""
WELL = frozenset({"ok", "empty", "pending", "checked", "uploaded", "switched", "started"})
"""What a node is while nothing is wrong with it, also in the hands of an operation."""


@click.command(cls=Command)
@options.a_tier
@options.as_json
def status(tier: str | None, as_json: bool) -> None:
    """Show what runs on each tier, its gates, its nodes, and what is under way. With TIER, that tier in full.

    Gates: ✓ passed, ✗ failed, » running, · pending, ? waits for a person. --json is the whole GET /state.
    """
    with session() as sandod:
        answer = sandod.get("/state")
        state = sandod.decode(State, answer)
        if tier:
            known(tier, state)
        if as_json:
            return document(answer.body)
        say(*_head(sandod, state))
        wanted = [t for t in state.tiers if t.name == (tier or t.name)]
        running = {t.name: underway.running(sandod, state, t) for t in wanted}
    say()
    if tier and (found := state.tier(tier)):
        return _one(state, found, running[tier])
    _every(state, running)
    return None


def known(tier: str, state: State) -> Tier:
    """Raises Refused where no tier has that name."""
    if found := state.tier(tier):
        return found
    names = [t.name for t in state.tiers]
    hint = nearest(tier, names) or f"there are {', '.join(names)}"
    raise Refused(Problem(404, "unknown_tier", f"no tier is called {ascii(tier)[:80]}", hint))


def _head(sandod: Session, state: State) -> Iterator[Segment]:
    yield Segment(f"sandod {state.daemon.version} at {sandod.caller.address.url}", "strong")
    if state.daemon.started_at:
        yield Segment(f", up {span((state.now - state.daemon.started_at).total_seconds())}")
    if state.daemon.draining:
        yield Segment(", stopping", "warn")


# -- all tiers ----------------------------------------------------------------------------------------------


def _every(state: State, running: Running) -> None:
    columns = (Column("TIER", 4), Column("VERSION", 7), Column("PREVIOUS", 5), Column("STATUS", 9), Column("SINCE", 5),
               Column("GATES", 8, gives=True))  # fmt: skip
    show(columns, [_row(state, tier) for tier in state.tiers])
    notes = [
        line for tier in state.tiers for line in (*_notes(tier, named=True), *_odd(tier, running[tier.name]))
    ]
    notes += [line for tier in state.tiers for line in underway.lines(state, tier, running[tier.name])]
    if notes:
        say()
    for line in notes:
        say(*line)


def _row(state: State, tier: Tier) -> list[Segment | list[Segment]]:
    word = _word(tier)
    return [
        Segment(tier.name, "strong" if tier.provisioned else "dim"),
        Segment(tier.current_version or NONE, "plain" if tier.current_version else "dim"),
        Segment(tier.previous_version or NONE, "dim"),
        Segment(word, _STATUS.get(word, "plain")),
        Segment(span((state.now - tier.since).total_seconds()) if tier.since else "", "dim"),
        [piece for gate in tier.gates for piece in (*_badge(state, tier, gate), Segment(" "))],
    ]


def _word(tier: Tier) -> str:
    if not tier.provisioned:
        return "not in use"
    if tier.status in {"steady", "empty"}:
        return "locked" if tier.lock else "frozen" if tier.freeze else tier.status
    return tier.status


def _badge(state: State, tier: Tier, gate: Gate) -> Iterator[Segment]:
    sign, style = _sign(gate)
    if waits_for_a_person(tier, gate):
        sign, style = WAITING, "warn"
    yield Segment(f"{sign}{gate.name or gate.kind}", style)
    if gate.outcome == "pending" and gate.ready_at:
        yield Segment(f" {span((gate.ready_at - state.now).total_seconds())}", "dim")


def _sign(gate: Gate) -> tuple[str, Style]:
    return _SIGN.get(gate.outcome, (PENDING, "dim"))


def _until(end: datetime | None) -> str:
    return "without end" if end == FOREVER else f"until {when(end)}"


def _notes(tier: Tier, *, named: bool) -> Iterator[tuple[Segment, ...]]:
    """What is not as it should be, or not as usual."""
    head = f"tier {tier.name}: " if named else ""
    if tier.detail:
        yield (Segment(f"{head}{in_commands(tier.detail)}", "bad"),)
    if tier.lock:
        until = f" until {when(tier.lock.expires)}" if tier.lock.expires else ""
        yield (Segment(f"{head}locked by {tier.lock.actor}{until}: {tier.lock.reason}", "warn"),)
    if tier.freeze:
        yield (Segment(f"{head}frozen {_until(tier.freeze.until)}", "warn"),)
    if tier.marked_bad:
        yield (Segment(f"{head}marked bad: {', '.join(tier.marked_bad)}", "dim"),)
    if why := _amiss(tier):
        yield (Segment(f"{head}{why}", "bad"),)


def _odd(tier: Tier, running: Operation | None) -> Iterator[tuple[Segment, ...]]:
    """The nodes of which there is more to tell than the line of their tier does."""
    reports = nodes.reports(running)
    told = {n.name for n in nodes.off(tier) if _amiss(tier) and not n.detail}
    for node in tier.nodes:
        word = nodes.word(tier, node, reports.get(node.name))
        if word not in WELL and node.name not in told:
            detail = f": {in_commands(first_line(node.detail))}" if node.detail else ""
            yield (
                Segment(f"tier {tier.name}: {node.name} "),
                Segment(word, nodes.style(word)),
                Segment(detail),
            )


def _amiss(tier: Tier) -> str:
    return nodes.amiss(
        tier, lambda version: f"sando promote {tier.name} {version}", f"sando rollback {tier.name}"
    )


# -- one tier -----------------------------------------------------------------------------------------------


def _one(state: State, tier: Tier, running: Operation | None) -> None:
    word = _word(tier)
    say(Segment(f"tier {tier.name}", "strong"), f": {tier.current_version or 'nothing'}, ",
        Segment(word, _STATUS.get(word, "plain")),
        f", since {when(tier.since)}" if tier.since else "",
        f", before it {tier.previous_version}" if tier.previous_version else "")  # fmt: skip
    if tier.sha:
        say(f"commit {tier.sha}")
    say(*_next(state, tier))
    for line in (*underway.lines(state, tier, running), *_notes(tier, named=False)):
        say(*line)
    if tier.gates:
        say()
        show((Column("GATE", 8), Column("OUTCOME", 7), Column("VERSION", 7), Column("TOOK", 4), Column("", gives=True)),
             [_gate_row(state, gate) for gate in tier.gates])  # fmt: skip
    if tier.nodes:
        reports = nodes.reports(running)
        say()
        show((Column("NODE", 6), Column("RECORDED", 8), Column("OBSERVED", 8), Column("STATUS", 6), Column("", gives=True)),
             [_node_row(tier, node, reports.get(node.name)) for node in tier.nodes])  # fmt: skip


def _next(state: State, tier: Tier) -> Iterator[Segment | str]:
    after = tier.promotable
    if after.to is None:
        yield Segment("no tier comes after it", "dim")
    elif why := in_the_way(state, tier, when):
        yield Segment(f"{ARROW} {after.to}: gates green; {why}", "warn")
    elif after.ready:
        yield Segment(f"{ARROW} {after.to}: ready", "ok")
        yield in_commands(f"; sando promote {after.to}")
    else:
        waits = ", ".join(after.blocking)
        yield Segment(
            f"{ARROW} {after.to}: " + (f"waits for {waits}" if waits else "nothing to promote"), "warn"
        )


def _gate_row(state: State, gate: Gate) -> list[Segment | str]:
    sign, style = _sign(gate)
    said = in_commands(gate.message)
    if gate.kind == "burn_in" and gate.ready_at and gate.outcome == "pending":
        said = f"{span(gate.elapsed_s or 0)} of {span(gate.required_s or 0)}, over at {when(gate.ready_at, state.now)}"
    return [gate.name or gate.kind, Segment(f"{sign} {gate.outcome}", style), gate.version or "",
            seconds(gate.seconds) if gate.seconds is not None else "", said]  # fmt: skip


def _node_row(tier: Tier, node: Node, report: NodeReport | None) -> list[Segment | str]:
    sign, word = UP if node.reachable else AWAY, nodes.word(tier, node, report)
    detail = (report and report.detail) or node.detail
    return [node.name, node.version or NONE, node.observed or NONE,
            Segment(f"{sign} {word}", nodes.style(word)), in_commands(first_line(detail))]  # fmt: skip
