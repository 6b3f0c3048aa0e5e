"""The table of tiers: what runs on each, its gates as badges, how far its burn-in is. Pure."""

from datetime import datetime

from sando.client.shapes import Gate, Tier
from sando.model.clock import span
from tui import text as t
from tui.glyphs import EMPTY, FAILED, FULL, MARK, NONE, PASSED, PENDING, RUNNING, WAITING
from tui.model.screen import Screen, status
from tui.model.way_on import waits_for_a_person
from tui.panels.frame import Cell, Column, Flex, cell, framed, table
from tui.rows import Row, Segment, Style, dimmed, fitted, lit, width

BAR = 20
WHOLE = 99
COLUMNS = (
    Column("", 1, 1), Column("TIER", 4, 16), Column("VERSION", 9, 24), Column("PREVIOUS", 8, 24), Column("STATUS", 9, 10),
    Column("GATES", 16, 100), Column("BURN-IN", 9, 20),
)  # fmt: skip
_STATUS: dict[str, Style] = {
    "steady": "ok", "empty": "dim", "deploying": "busy", "building": "busy", "gating": "busy", "mixed": "bad",
    "degraded": "bad", "locked": "warn", "frozen": "warn", "not in use": "dim",
}  # fmt: skip


def panel(screen: Screen, size: tuple[int, int]) -> list[Row]:
    """As many tiers as there is room for, the selected one among them."""
    tiers, room = screen.tiers, max(1, size[1] - 3)
    at = next((i for i, tier in enumerate(tiers) if tier.name == screen.selected), 0)
    first = min(max(0, at - room + 1), max(0, len(tiers) - room))
    rows = table(COLUMNS, [_row(screen, tier) for tier in tiers], size[0] - 4)
    heading, *rows = rows if tiers else _nothing(screen)
    shown = [
        lit(row) if tier.name == screen.selected else row
        for row, tier in zip(rows[first : first + room], tiers[first : first + room], strict=True)
    ]
    if screen.stale:
        shown = [dimmed(row) for row in shown]
    total = len(screen.state.tiers) if screen.state else 0
    hidden = len(tiers) - len(shown)
    right = f"{len(tiers)} of {total}" if len(tiers) < total else f"{hidden} more" if hidden else ""
    return framed("Tiers", [heading, *shown], size, right=right, focused=screen.focus == "tiers")


def _nothing(screen: Screen) -> list[Row]:
    return [
        cell("no tier has that text; Esc lifts the filter" if screen.filter else "there is no tier", "dim")
    ]


def _row(screen: Screen, tier: Tier) -> list[Cell]:
    word = status(screen, tier)
    burning = any(g.kind == "burn_in" for g in tier.gates)
    return [
        cell(MARK if tier.name == screen.selected else "", "accent"),
        cell(tier.name, "strong" if tier.provisioned else "dim"),
        cell(tier.current_version or NONE, "plain" if tier.current_version else "dim"),
        cell(tier.previous_version or NONE, "dim"),
        cell(word, _STATUS.get(word, "plain")),
        Flex(width(_joined(_badges(tier))), lambda room: badges(tier, room)),
        Flex(BAR, lambda room: _burn_in(tier, screen.daemon_now, room)) if burning else (),
    ]


# -- gates --------------------------------------------------------------------------------------------------

_SIGN: dict[str, tuple[str, Style]] = {
    "passed": (PASSED, "ok"), "failed": (FAILED, "bad"), "errored": (FAILED, "bad"), "running": (RUNNING, "busy"),
    "aborted": (FAILED, "warn"), "skipped": (PENDING, "warn"), "pending": (PENDING, "dim"),
}  # fmt: skip


def sign(tier: Tier, gate: Gate) -> tuple[str, Style]:
    if waits_for_a_person(tier, gate):
        return WAITING, "warn"
    return _SIGN.get(gate.outcome, (PENDING, "dim"))


def badges(tier: Tier, room: int) -> Row:
    """With names where they fit; then the names of those that are not green, whole or cut; then signs alone."""
    for green, other in ((WHOLE, WHOLE), (0, WHOLE), (0, 9)):
        row = _joined(_badges(tier, green, other))
        if width(row) <= room:
            return row
    return fitted(_joined(_badges(tier, 0, 0)), room)


def _badges(tier: Tier, green: int = WHOLE, other: int = WHOLE) -> list[Segment]:
    """So much of the names of green gates, and of others; the burn-in has a column of its own."""
    shown = (g for g in tier.gates if g.kind != "burn_in")
    return [_badge(tier, g, green if g.outcome == "passed" else other) for g in shown]


def _badge(tier: Tier, gate: Gate, most: int) -> Segment:
    glyph, style = sign(tier, gate)
    return Segment(glyph + t.cut(gate.name or gate.kind, most), style)


def _joined(badges: list[Segment]) -> Row:
    """A space between two, but none between bare signs."""
    row: list[Segment] = []
    for badge in badges:
        if row and (len(badge.text) > 1 or len(row[-1].text) > 1):
            row.append(Segment(" "))
        row.append(badge)
    return tuple(row)


# -- burn-in ------------------------------------------------------------------------------------------------


def _burn_in(tier: Tier, now: datetime, room: int) -> Row:
    gate = next(g for g in tier.gates if g.kind == "burn_in")
    total = gate.required_s or 0.0
    if gate.outcome == "passed":
        return (Segment(f"{PASSED} {span(total)}" if total else PASSED, "ok"),)
    if (
        gate.ready_at is None or not total
    ):  # its clock stands at zero: an active gate is not green, or nothing runs
        return (Segment(span(total) if total else NONE, "dim"),)
    left = min(max(0.0, (gate.ready_at - now).total_seconds()), total)
    words = f" {span(left)}"
    size = max(3, room - 8)
    full = min(size, int(size * (total - left) / total))
    return (Segment(FULL * full, "busy"), Segment(EMPTY * (size - full), "dim"), Segment(words, "plain"))
