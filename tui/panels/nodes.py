"""The selected tier in full: what runs on it now, its nodes, its gates, what is known of the version there. Pure."""

from sando.client.shapes import Gate, Node, NodeReport, Operation, Tier
from sando.model.clock import span
from sando.model.freeze import FOREVER
from tui.glyphs import AWAY, NONE, UP
from tui.model import nodes
from tui.model.commands import in_keys
from tui.model.outcome import doing, stopping
from tui.model.screen import Screen, in_flight
from tui.model.told import seconds_of, size_of
from tui.model.way_on import in_the_way, waits_for_a_person
from tui.panels.frame import Cell, Column, cell, framed, table
from tui.panels.header import moment
from tui.panels.tiers import sign
from tui.rows import Row, Segment, Style, dimmed
from tui.text import counted, wrap

NODES = (
    Column("", 1, 1), Column("NODE", 4, 24), Column("VERSION", 7, 24), Column("OBSERVED", 8, 24), Column("STATE", 5, 24),
    Column("DETAIL", 8, 200, takes_rest=True),
)  # fmt: skip
GATES = (
    Column("", 1, 1), Column("GATE", 4, 24), Column("OUTCOME", 7, 8), Column("TOOK", 4, 8), Column("AT", 8, 12),
    Column("MESSAGE", 8, 200, takes_rest=True),
)  # fmt: skip


def lines(screen: Screen, width: int) -> list[Row]:
    """Everything, the most urgent first; the panel shows what there is room for."""
    tier = screen.tier
    if tier is None:
        return []
    parts = [
        _notices(screen, tier, width),
        _nodes(screen, tier, width),
        _gates(screen, tier, width),
        _facts(screen, tier),
    ]
    made: list[Row] = []
    for part in parts:
        made += [*([()] if made and part else []), *part]
    return [dimmed(row) for row in made] if screen.stale else made


def panel(screen: Screen, size: tuple[int, int]) -> tuple[list[Row], int]:
    """The frame, and how far down it can be scrolled."""
    every, room = lines(screen, size[0] - 4), max(0, size[1] - 2)
    bottom = max(0, len(every) - room)
    top = min(screen.nodes_top, bottom)
    tier = screen.tier
    title = f"Tier {tier.name}" if tier else "Tier"
    below = len(every) - top - room
    words = [_reached(tier)] if tier and tier.nodes else []
    words += [f"{counted(below, 'line')} more"] if below > 0 else []
    return framed(
        title, every[top : top + room], size, right=", ".join(words), focused=screen.focus == "nodes"
    ), bottom


def _reached(tier: Tier) -> str:
    """Of those that are not left out."""
    wanted = [n for n in tier.nodes if n.status != "out"]
    out = len(tier.nodes) - len(wanted)
    reached = f"{sum(n.reachable for n in wanted)} of {counted(len(wanted), 'node')} reached"
    return f"{reached}, {out} left out" if out else reached


# -- what goes on -------------------------------------------------------------------------------------------


def _notices(screen: Screen, tier: Tier, width: int) -> list[Row]:
    made: list[Row] = []
    running = in_flight(screen, tier)
    if running is not None:
        made.append(cell(_running(screen, running), "busy"))
        told = screen.operations.get(running)
        stops = wrap(stopping(told), width) if told and stopping(told) else []
        made += [cell(line, "warn") for line in stops]
    if lock := tier.lock:
        until = f" until {moment(screen, lock.expires)}" if lock.expires else ""
        made.append(
            cell(f"locked by {lock.actor} since {moment(screen, lock.at)}{until}: {lock.reason}", "warn")
        )
    if tier.freeze:
        end = tier.freeze.until
        frozen = "without end" if end == FOREVER else f"until {moment(screen, end)}"
        made.append(cell(f"frozen {frozen}", "warn"))
    if tier.detail:
        made.append(cell(in_keys(tier.detail), "bad"))
    return made + [cell(line, "bad") for why in [_amiss(screen, tier)] if why for line in wrap(why, width)]


def _amiss(screen: Screen, tier: Tier) -> str:
    """`p` promotes what the tier before is on: where that is another version, there is no key for it."""
    before = screen.state.tier(tier.predecessor) if screen.state else None
    there = before.current_version if before else None
    return nodes.amiss(
        tier,
        lambda version: "p (promote)" if version == there else f"sando promote {tier.name} {version}",
        "R (roll back)",
    )


def _running(screen: Screen, number: int) -> str:
    known = screen.operations.get(number)
    if known is None:
        return f"operation {number} runs"
    return f"{doing(known)}{lasted(screen, known)}{f' ({known.reason})' if known.reason else ''}"


def lasted(screen: Screen, operation: Operation) -> str:
    began = operation.started_at
    return f", for {span(max(0.0, (screen.daemon_now - began).total_seconds()))}" if began else ""


# -- tables -------------------------------------------------------------------------------------------------


def _nodes(screen: Screen, tier: Tier, width: int) -> list[Row]:
    if not tier.nodes:
        first = screen.build_tier()
        builds = first is not None and first.name == tier.name
        return [cell("no nodes: releases are built and tested here" if builds else "no nodes", "dim")]
    running = in_flight(screen, tier)
    operation = screen.operations.get(running) if running is not None else None
    reports = nodes.reports(operation)
    needle = screen.needle
    wanted = [n for n in tier.nodes if needle in n.name] or tier.nodes
    return table(NODES, [_node(n, tier, reports.get(n.name)) for n in wanted], width)


def _node(node: Node, tier: Tier, report: NodeReport | None) -> list[Cell]:
    word = nodes.word(tier, node, report)
    style = nodes.style(word)
    off = node.observed != node.version
    on: Style = "plain" if node.version == tier.current_version else "warn"
    away = not node.reachable and node.status != "out"
    return [
        cell(AWAY if not node.reachable else UP, "bad" if away else style),
        cell(node.name, "strong"),
        cell(node.version or NONE, on if node.version else "dim"),
        cell(node.observed or NONE, "warn" if off else "dim"),
        cell(word, style),
        cell(
            in_keys((report.detail if report and report.detail else node.detail) or ""),
            "bad" if away else "dim",
        ),
    ]


def _gates(screen: Screen, tier: Tier, width: int) -> list[Row]:
    if not tier.gates:
        return [cell("no gates", "dim")] if tier.provisioned else []
    return table(GATES, [_gate(screen, g, tier) for g in tier.gates], width)


def _gate(screen: Screen, gate: Gate, tier: Tier) -> list[Cell]:
    glyph, style = sign(tier, gate)
    other = f"{gate.version}: " if gate.version and gate.version != tier.current_version else ""
    return [
        cell(glyph, style), cell(gate.name or gate.kind, "strong"), cell(gate.outcome, style),
        cell(seconds_of(gate.seconds) if gate.seconds is not None else "", "dim"),
        cell(moment(screen, gate.at), "dim"), cell(f"{other}{_message(screen, tier, gate)}", "dim"),
    ]  # fmt: skip


def _message(screen: Screen, tier: Tier, gate: Gate) -> str:
    if gate.kind == "burn_in" and gate.ready_at and gate.outcome == "pending":
        return f"over at {moment(screen, gate.ready_at)}, of {span(gate.required_s or 0)}"
    if gate.kind == "manual_confirm" and gate.outcome == "pending" and not gate.message:
        return "waits for a person: c" if waits_for_a_person(tier, gate) else "nothing runs here"
    return in_keys(gate.message)


# -- facts --------------------------------------------------------------------------------------------------


def _facts(screen: Screen, tier: Tier) -> list[Row]:
    made = []
    if tier.current_version and tier.since:
        here = span(max(0.0, (screen.daemon_now - tier.since).total_seconds()))
        made.append(
            cell(
                f"{tier.current_version} ({(tier.sha or '')[:7]}) is here since {moment(screen, tier.since)}, for {here}",
                "dim",
            )
        )
    if tier.promotable.to and tier.current_version:
        made.append(_way_on(screen, tier))
    for version, safe in tier.rollback_safe.items():
        if safe not in {"yes", "no"} and not _migrates(screen):
            continue
        words, style = way_back(version, safe)
        made.append(cell(f"way back: {words}", "dim" if style == "plain" else style))
    if tier.marked_bad:
        made.append(cell(f"marked bad here: {', '.join(tier.marked_bad)}", "warn"))
    first = screen.build_tier()
    if first and first.name == tier.name and (told := _backup(screen)):
        made.append(told)
    return made


def _migrates(screen: Screen) -> bool:
    """Some tier rehearses migrations, and its latest rehearsal was of some, as far as it says."""
    gates = (g for tier in (screen.state.tiers if screen.state else ()) for g in tier.gates)
    rehearsals = [g for g in gates if g.kind == "migration_dry_run"]
    return any(
        g.outcome in {"failed", "errored"} or (g.facts and g.facts.get("migrations") != [])
        for g in rehearsals
    )


def way_back(version: str, safe: str) -> tuple[str, Style]:
    """What the rehearsal of the migrations has found out about an older version."""
    match safe:
        case "yes":
            return f"{version} runs on the newer schema", "ok"
        case "no":
            return f"{version} does not run on the newer schema", "bad"
        case _:
            return f"it was not tried whether {version} runs on the newer schema", "plain"


def _way_on(screen: Screen, tier: Tier) -> Row:
    go, state = tier.promotable, screen.state
    if state and (why := in_the_way(state, tier, lambda at: moment(screen, at))):
        return cell(f"its gates are green; {why}", "warn")
    if go.ready:
        return cell(f"it may go on to tier {go.to}", "ok")
    return cell(f"before it goes on to tier {go.to}: {', '.join(go.blocking) or 'nothing is built'}", "dim")


def _backup(screen: Screen) -> Row | None:
    backup = screen.state.backup if screen.state else None
    if backup is None or backup.fetched_at is None:
        return None
    old = span(max(0.0, (screen.daemon_now - backup.fetched_at).total_seconds()))
    size = f", {size_of(backup.bytes)}" if backup.bytes is not None else ""
    good = backup.last_restore_ok_at
    proof = f", restored well at {moment(screen, good)}" if good else ", never restored here"
    return (Segment(f"the backup is {old} old{size}{proof}", "dim"),)
