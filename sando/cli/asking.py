"""The question before an act: what would happen, as sandod plans it, and a yes that a person has to type."""

import sys

from sando.cli.errors import LISTED
from sando.cli.output import aside, rows, width
from sando.cli.session import Session
from sando.cli.wording import check_line, in_commands, way
from sando.client.caller import Query, Refused
from sando.client.shapes import Plan, Problem
from tui.model.screen import Act, Question
from tui.panels import planned
from tui.panels.planned import paragraph
from tui.rows import Row, Segment
from tui.text import wrap

WIDEST = 110
YES = frozenset({"y", "yes"})


def on_terminal() -> bool:
    """Somebody reads and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def plan(sandod: Session, act: str, tier: str, query: Query) -> Plan:
    return sandod.read(Plan, f"/plan/{act}/{tier}", query)


def drawn(found: Plan, size: int) -> list[Row]:
    """From what to what, what stands in the way, what goes out where, and the way back."""
    blank: Row = ()
    parts = [
        _way(found, size),
        _checks(found, size),
        planned.goes_out(Question(0, _act(found), found.tier), found, size),
    ]
    return [row for part in parts if part for row in (*part, blank)][:-1]


def _way(found: Plan, size: int) -> list[Row]:
    source = f"   from tier {found.source}" if found.source else ""
    made: list[Row] = [(Segment(way(found.from_, found.to), "strong"), Segment(source, "dim"))]
    if found.kind == "repair" and found.ready:
        made += paragraph("only the nodes that lack it are brought to it", size, "warn")
    if found.kind == "pointer":
        made += paragraph("no node is touched: only what counts as built goes back", size)
    if found.whole:
        made += paragraph("this makes the tier whole; it does not step back yet", size, "warn")
        if found.ready and found.operation is not None:  # the promotion that it is to stop may be quicker
            text = f"if promote {found.operation} succeeds before it is stopped, this steps back from it and marks it bad"
            made += paragraph(text, size, "warn")
    if found.marks_bad:
        text = f"{found.marks_bad} is marked bad here, and is not promoted again without --force"
        made += paragraph(text, size, "warn")
    return made


def _act(found: Plan) -> Act:
    return "promote" if found.act == "promote" else "rollback"


def _checks(found: Plan, size: int) -> list[Row]:
    """What blocks comes first."""
    made = [] if found.ready else paragraph(in_commands(found.detail), size, "bad")
    if found.hint and not found.ready and not found.hint.startswith(LISTED):
        made += paragraph(in_commands(found.hint), size)
    for verdict in ("blocked", "warning"):
        for check in (c for c in found.checks if c.verdict == verdict):
            if check.detail != found.detail:
                made += _labelled(*check_line(check), size)
    return made or [(Segment("nothing stands in the way", "ok"),)]


def _labelled(label: Segment, text: Segment, size: int) -> list[Row]:
    first, *rest = wrap(text.text, size - planned.LABEL)
    made: list[Row] = [(label._replace(text=f"{label.text:<{planned.LABEL}}"), Segment(first))]
    return [*made, *((Segment(" " * planned.LABEL), Segment(line)) for line in rest)]


def agreed(found: Plan, options: list[str]) -> bool:
    """Asks on stderr; an empty line, Ctrl-D and anything but a yes are a no."""
    verb = "Promote" if found.act == "promote" else "Roll back"
    where = (
        f"tier {found.tier} to {found.to}"
        if found.act == "rollback"
        else f"{found.to} into tier {found.tier}"
    )
    rows([*drawn(found, min(width(sys.stderr) or WIDEST, WIDEST)), ()], beside=True)
    extra = f" (with {', '.join(options)})" if options else ""
    return yes(f"{verb} {where}{extra}?")


def yes(question: str) -> bool:
    aside(Segment(question, "strong"), " [y/N] ", end="")
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        aside()
        raise
    if not answer.endswith("\n"):
        aside()
    if answer.strip().lower() in YES:
        return True
    aside("nothing was done")
    return False


def refusal(found: Plan) -> Refused:
    """What the act would be answered."""
    blocking = tuple(c for c in found.checks if c.verdict == "blocked")
    return Refused(Problem(found.status, found.code or "refused", found.detail, found.hint, None, blocking))


def ready_or_refused(found: Plan) -> None:
    if not found.ready:
        raise refusal(found)
