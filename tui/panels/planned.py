"""What the daemon says of an act: what stands in the way, what would go out to where, and the way back. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime

from sando.client.shapes import Change, Check, Plan, PlannedNode
from tui import text as t
from tui.model.commands import in_keys
from tui.model.screen import Question, Screen
from tui.panels.header import moment
from tui.panels.nodes import way_back
from tui.rows import Row, Segment, Style

LABEL = 13
MOST_COMMITS = 12
MOST_NODES = 8
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_VERDICT: dict[str, Style] = {"blocked": "bad", "warning": "warn", "ok": "ok"}


def paragraph(text: str, width: int, style: Style = "plain") -> list[Row]:
    return [(Segment(line, style),) for line in t.wrap(text, width)]


def problem(screen: Screen, question: Question, width: int) -> list[Row]:
    problem = question.problem
    if problem is None:
        return []
    made = paragraph(_local(screen, problem.detail) or problem.code, width, "bad")
    made += paragraph(_local(screen, problem.hint), width) if problem.hint else []
    for check in problem.blocking:
        made += _check(screen, check, width)
    return made


def checks(screen: Screen, question: Question, plan: Plan, width: int) -> list[Row]:
    """What blocks comes first."""
    if plan.act != question.act:
        return _of_the_next(screen, plan, width)
    made: list[Row] = []
    if not plan.ready and plan.detail:
        made += paragraph(_local(screen, plan.detail), width, "bad")
    for verdict in ("blocked", "warning"):
        for check in (c for c in plan.checks if c.verdict == verdict):
            made += _check(screen, check, width, known=plan.detail)
    return made or [(Segment("nothing stands in the way", "ok"),)]


def _of_the_next(screen: Screen, plan: Plan, width: int) -> list[Row]:
    """Of a confirmation: what the next tier would say, as a warning; what clears it there is no key of this question."""
    found = [c for c in plan.checks if c.verdict != "ok" and c.gate is None and not has_it(c)]
    words = [_local(screen, _told(c)) for c in found]
    named = [word if f"tier {plan.tier}" in word else f"tier {plan.tier}: {word}" for word in words]
    return [row for word in named for row in _list("warning", word, width, "warn")]


def has_it(check: Check) -> bool:
    """The version is on the whole tier."""
    return check.check == "current" and check.verdict == "blocked"


def _check(screen: Screen, check: Check, width: int, known: str = "") -> list[Row]:
    style = _VERDICT.get(check.verdict, "plain")
    until = f"; to clear it: {check.clears}" if check.clears and check.verdict != "ok" else ""
    return _list(check.verdict, _local(screen, f"{_told(check, known)}{until}"), width, style)


def _told(check: Check, known: str = "") -> str:
    """`known` was said before."""
    name = check.check.removeprefix("gate:").removeprefix("node:")
    detail = check.detail if check.detail != known else ""
    return detail if detail.startswith(name) else f"{name}: {detail}" if detail else name


def _local(screen: Screen, text: str) -> str:
    """Times as the clock on the wall shows them, requests as the keys that make them."""
    return _STAMP.sub(lambda found: moment(screen, datetime.fromisoformat(found[0])), in_keys(text))


def _list(label: str, text: str, width: int, style: Style = "plain") -> list[Row]:
    first, *rest = t.wrap(text, width - LABEL)
    made = [(Segment(t.fit(label, LABEL), style), Segment(first))]
    return [*made, *((Segment(" " * LABEL), Segment(line)) for line in rest)]


def goes_out(question: Question, plan: Plan, width: int) -> list[Row]:
    """Nodes, commits, migrations, and the way back."""
    made: list[Row] = []
    if question.act != "confirm":
        made += _listed("nodes", [_node(n) for n in plan.nodes], MOST_NODES, width, empty="none")
    made += _commits("commits", plan.commits, plan.commits_more, width)
    made += _commits("taken back", plan.commits_back, plan.commits_back_more, width)
    made += _listed("migrations", list(plan.migrations or ()), MOST_NODES, width)
    made += _listed("stay applied", list(plan.migrations_back or ()), MOST_NODES, width)
    made += _way_back(plan, width)
    if plan.on_failure and question.act == "promote":
        made += _list("on failure", _on_failure(plan), width, "dim")
    return made


def _way_back(plan: Plan, width: int) -> list[Row]:
    """What nobody tried is worth a line only where there may be migrations."""
    made: list[Row] = []
    moved = plan.migrations if plan.act == "promote" else plan.migrations_back
    for old, safe in plan.rollback_safe.items():
        if safe not in {"yes", "no"} and moved == ():
            continue
        words, style = way_back(old, safe)
        label = "" if made else "way back" if plan.act == "promote" else "schema"
        made += [
            (Segment(t.fit(label, LABEL), "dim"), Segment(line, style))
            for line in t.wrap(words, width - LABEL)
        ]
    return made


def _on_failure(plan: Plan) -> str:
    halts = (
        "it stops, and the tier stays mixed"
        if plan.on_failure == "halt"
        else "every node goes back to what it had"
    )
    guard = (
        f"; unconfirmed nodes go back by themselves after {plan.confirm_within_s:g}s"
        if plan.confirm_within_s
        else ""
    )
    return halts + guard


def _node(node: PlannedNode) -> str:
    if node.out:
        return f"{node.name}: left out"
    does = "switches" if node.does == "switch" else "stays as it is"
    sent = ", the release is sent first" if node.uploads else ""
    away = ", could not be reached" if not node.reachable else ""
    found = f" (found on {node.observed or 'nothing'})" if node.observed != node.version else ""
    return f"{node.name}: {node.version or 'nothing'}{found}{away}, {does}{sent}"


def _commits(label: str, changes: tuple[Change, ...] | None, more: bool, width: int) -> list[Row]:
    if changes is None or not changes:
        return []
    words = [f"{c.sha[:7]} {c.author}: {c.subject}" for c in changes[:MOST_COMMITS]]
    hidden = len(changes) - len(words)
    if hidden or more:
        words.append(f"and {hidden}{'+' if more else ''} more" if hidden else "and more")
    return [row for n, word in enumerate(words) for row in _cut("" if n else label, word, width)]


def _listed(label: str, words: Sequence[str], most: int, width: int, empty: str = "") -> list[Row]:
    if not words:
        return _list(label, empty, width) if empty else []
    shown = [*words[:most], *([f"and {len(words) - most} more"] if len(words) > most else [])]
    return [row for n, word in enumerate(shown) for row in _cut("" if n else label, word, width)]


def _cut(label: str, text: str, width: int) -> list[Row]:
    return [(Segment(t.fit(label, LABEL), "dim"), Segment(t.cut(text, width - LABEL)))]
