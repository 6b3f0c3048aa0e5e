"""What sandod says, in the words of the command line: operations, checks and times as lines for people. Pure."""

import re
from datetime import datetime

from sando.client.shapes import Check, Operation
from sando.model.clock import span
from tui.glyphs import ARROW
from tui.model import commands
from tui.rows import Segment, Style

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
_VERDICT: dict[str, Style] = {"blocked": "bad", "warning": "warn", "ok": "ok"}
STATUS: dict[str, Style] = {
    "succeeded": "ok", "failed": "bad", "errored": "bad", "aborted": "warn", "superseded": "dim", "interrupted": "warn",
    "running": "busy", "queued": "busy",
}  # fmt: skip


def in_commands(text: str) -> str:
    """Requests of the API that a sentence names, as the commands that make them; times as clocks here show them."""
    return _STAMP.sub(lambda found: when(datetime.fromisoformat(found[0])), commands.in_commands(text))


def check_line(check: Check) -> tuple[Segment, Segment]:
    name = check.check.removeprefix("gate:").removeprefix("node:")
    said = (
        check.detail if check.detail.startswith(name) else f"{name}: {check.detail}" if check.detail else name
    )
    until = f"; to clear it: {in_commands(check.clears)}" if check.clears and check.verdict != "ok" else ""
    return Segment(f"{check.verdict:<9}", _VERDICT.get(check.verdict, "plain")), Segment(
        f"{in_commands(said)}{until}"
    )


def when(at: datetime | None, now: datetime | None = None) -> str:
    """By the clock here; with the day, where it is another one."""
    if at is None:
        return ""
    there, today = at.astimezone(), (now or datetime.now().astimezone()).astimezone().date()
    return f"{there:%H:%M:%S}" if there.date() == today else f"{there:%Y-%m-%d %H:%M}"


def took(operation: Operation) -> str:
    """How long it ran, where both ends are known."""
    if operation.started_at is None or operation.finished_at is None:
        return ""
    return seconds((operation.finished_at - operation.started_at).total_seconds())


def seconds(count: float) -> str:
    return f"{count:.1f}s" if count < 10 else span(count)


def subject(operation: Operation) -> str:
    """`promote 44 of 0.8.2 to a`."""
    of = operation.version or (operation.sha or "")[:7]
    where = {"promote": " to ", "rollback": " on ", "gate": " on "}.get(operation.kind)
    gate = operation.details.get("gate")
    kind = f"gate {gate}," if operation.kind == "gate" and gate else operation.kind
    kind = f"{kind} operation" if operation.kind == "gate" and gate else kind
    return f"{kind} {operation.id}{f' of {of}' if of else ''}{f'{where}{operation.tier}' if where else ''}"


def ended(operation: Operation) -> tuple[Segment, ...]:
    """How it ended, in a line; a deploy that went back says so."""
    line = [
        Segment(f"{subject(operation)}: "),
        Segment(operation.status, STATUS.get(operation.status, "plain")),
    ]
    if operation.rolled_back:
        line.append(Segment(", rolled back", "bad"))
    if operation.recovered:
        line.append(Segment(", finished after a restart of sandod"))
    if spent := took(operation):
        line.append(Segment(f" in {spent}"))
    if operation.superseded_by:
        line.append(Segment(f", superseded by {operation.superseded_by}"))
    return tuple(line)


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def way(before: str | None, after: str | None) -> str:
    return f"{before or 'nothing'} {ARROW} {after or 'nothing'}"
