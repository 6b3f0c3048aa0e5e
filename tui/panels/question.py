"""A question before an act: to what, from which version to which, what goes out, what stands in the way. Pure."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from sando.client.shapes import Plan, Tier
from tui import text as t
from tui.glyphs import ARROW, NONE
from tui.model import asking
from tui.model.keys import TABLE, Place
from tui.model.outcome import doing, standing, stopping
from tui.model.screen import Question, Screen
from tui.model.told import size_of
from tui.model.way_on import approvals
from tui.panels import planned
from tui.panels.footer import caret
from tui.panels.frame import framed
from tui.panels.header import moment
from tui.panels.nodes import lasted
from tui.panels.planned import paragraph
from tui.rows import Row, Segment

NARROW = 110
"""Up to here a question takes the whole width: what would be left beside it says nothing."""
WIDEST = 100


def box(screen: Screen, question: Question, size: tuple[int, int]) -> tuple[list[Row], int]:
    """The framed question, no larger than the room that there is, and how far down it can be scrolled."""
    columns = size[0] if size[0] < NARROW else WIDEST
    every = [row for part in _parts(screen, question, columns - 4) if part for row in (*part, ())]
    room = max(1, min(len(every), size[1] - 4))
    bottom = max(0, len(every) - room)
    top = min(question.top, bottom)
    below = len(every) - top - room
    right = f"{t.counted(below, 'line')} more" if below > 0 else ""
    shown = [(), *every[top : top + room], _keys(screen)]
    return framed(title(question), shown, (columns, len(shown) + 2), right=right, focused=True), bottom


def title(question: Question) -> str:
    words = {"promote": f"Promote into tier {question.tier}?", "rollback": f"Roll back tier {question.tier}?",
             "confirm": f"Confirm on tier {question.tier}?", "abort": f"Abort what runs on tier {question.tier}?",
             "lock": f"Lock tier {question.tier}?", "unlock": f"Lift the lock of tier {question.tier}?",
             "backup": "Fetch the backup?"}  # fmt: skip
    return words[question.act]


def _parts(screen: Screen, question: Question, width: int) -> Iterator[list[Row]]:
    """Paragraphs, with an empty row between them."""
    yield _what(screen, question, width)
    if question.problem:
        yield planned.problem(screen, question, width)
    elif question.phase == "asking":
        yield [(Segment("asking sandod what would happen ...", "busy"),)]
    plan = question.plan
    if plan and not question.problem:
        yield planned.checks(screen, question, plan, width)
        yield planned.goes_out(question, plan, width)
    if question.phase != "refused" and question.act != "unlock":
        yield [_labelled("reason", _reason(screen, question, width - planned.LABEL))]
    if question.phase == "sending":
        yield [(Segment("sending ...", "busy"),)]


# -- what it is about ---------------------------------------------------------------------------------------


def _what(screen: Screen, question: Question, width: int) -> list[Row]:
    match question.act:
        case "promote" | "rollback":
            return _way(screen, question, width)
        case "confirm":
            return _word(screen, question, width)
        case "abort":
            return paragraph(_running(screen, question), width)
        case "lock":
            return paragraph(
                "until it is lifted no promotion may go into it; rollbacks and builds go on", width
            )
        case "unlock":
            tier = screen.state.tier(question.tier) if screen.state else None
            lock = tier.lock if tier else None
            held = (
                f"locked by {lock.actor} since {moment(screen, lock.at)}: {lock.reason}"
                if lock
                else "it is not locked any more"
            )
            return paragraph(held, width)
        case "backup":
            return paragraph(_backup(screen), width)


def _way(screen: Screen, question: Question, width: int) -> list[Row]:
    plan = question.plan
    if plan is None:
        return []
    source = f"   from tier {t.clean(plan.source)}" if plan.source else ""
    way = (Segment(t.clean(plan.from_ or NONE)), Segment(f" {ARROW} "), Segment(t.clean(question.version or NONE), "strong"),
           Segment(source, "dim"))  # fmt: skip
    made: list[Row] = [way]
    if plan.kind == "repair" and plan.ready:
        made += paragraph("only the nodes that lack it are brought to it", width, "warn")
    if plan.kind == "pointer":
        made += paragraph("no node is touched: only what counts as built goes back", width)
    if plan.whole:
        made += paragraph("this makes the tier whole; it does not step back yet", width, "warn")
        if late := _too_late(screen, question, plan):
            made += paragraph(late, width, "warn")
    if plan.marks_bad:
        made += paragraph(
            f"{plan.marks_bad} is marked bad here, and is not promoted again without force", width, "warn"
        )
    if question.options:
        made += paragraph(f"with {', '.join(o.replace('_', ' ') for o in question.options)}", width, "warn")
    return made


def _too_late(screen: Screen, question: Question, plan: Plan) -> str:
    """What becomes of it where the promotion that it is to stop is quicker."""
    if plan.operation is None or "abort_running" not in question.options:
        return ""
    promotion = screen.operations.get(plan.operation)
    new = (promotion and promotion.version) or "the new version"
    return f"if promote {plan.operation} succeeds before it is stopped, this steps back from {new} and marks that bad"


def _word(screen: Screen, question: Question, width: int) -> list[Row]:
    tier, version = screen.state.tier(question.tier) if screen.state else None, question.version
    made: list[Row] = [(Segment("you say yes to ", "plain"), Segment(t.clean(version or NONE), "strong"))]
    if tier and tier.current_version != version:
        made += paragraph(
            f"{tier.current_version or 'nothing'} is current there now: sandod will refuse", width, "bad"
        )
    if tier and tier.since:
        made += paragraph(
            f"there since {moment(screen, tier.since)}, commit {(tier.sha or '')[:7]}", width, "dim"
        )
    others = [g for g in tier.gates if g.outcome != "passed" and g.kind != "manual_confirm"] if tier else []
    if others:
        made += paragraph(
            "still not green: " + ", ".join(f"{g.name or g.kind} {g.outcome}" for g in others), width, "warn"
        )
    after = tier.promotable.to if tier else None
    return made + paragraph(_then(question, tier, after), width, "dim")


def _then(question: Question, tier: Tier | None, after: str | None) -> str:
    """No more than the next yes gives: one approval of several, or the way on."""
    checks = question.plan.checks if question.plan else ()
    if after is None:
        way = "no tier comes after this one"
    elif any(planned.has_it(check) for check in checks):
        way = f"tier {after} has it already"
    else:
        way = f"it may then go on to tier {after}"
    have, need = approvals(tier) if tier else (0, 1)
    if need - have > 1:
        return f"{have} of {need} approvals so far: yours is one, and {t.counted(need - have - 1, 'other')} must follow"
    if need > 1:
        return f"{have} of {need} approvals so far: the yes of another person is the last one; {way}"
    return way


def _running(screen: Screen, question: Question) -> str:
    operation = question.operation
    if operation is None:
        return ""
    if question.phase == "refused":  # how it stands is what the refusal tells
        return doing(replace(operation, step=""))
    if operation.ended:
        return f"{doing(operation)} has ended: {standing(operation)}"
    if stops := stopping(operation):
        return f"{doing(operation)}{lasted(screen, operation)}; {stops}."
    stops = (
        " It stops at the next node, and its nodes go back as after a failure."
        if operation.kind == "promote"
        else ""
    )
    return f"{doing(operation)}{lasted(screen, operation)}.{stops}"


def _backup(screen: Screen) -> str:
    backup = screen.state.backup if screen.state else None
    if backup is None or backup.fetched_at is None:
        return "none has been fetched yet"
    size = f", {size_of(backup.bytes)}" if backup.bytes is not None else ""
    return f"the one that is here was fetched at {moment(screen, backup.fetched_at)}{size}; it stays if the new one fails"


# -- the person's part --------------------------------------------------------------------------------------


def _labelled(label: str, rest: Sequence[Segment]) -> Row:
    return (Segment(t.fit(label, planned.LABEL), "dim"), *rest)


def _reason(screen: Screen, question: Question, room: int) -> Sequence[Segment]:
    if screen.typing and screen.typing.what == "reason":
        return caret(screen.typing.text, room)
    if question.reason:
        return (Segment(t.cut(question.reason, room)),)
    return (Segment("none; a lock needs one" if question.act == "lock" else "none", "dim"),)


def _keys(screen: Screen) -> Row:
    """The answers that are possible now; the same as in the footer."""
    where: Place = "typing" if screen.typing else "question"
    made: list[Segment] = []
    for hint in (b for b in TABLE[where] if b.word(screen) and not b.lacks(screen)):
        word = hint.word(screen)
        if hint.keys == ("y",) and isinstance(screen.overlay, Question):
            word = agreement(screen.overlay)
        made += [
            Segment(hint.name, "accent"),
            Segment(f" {word}   ", "strong" if hint.keys == ("y",) else "dim"),
        ]
    return (*made, Segment(_lacking(screen) if where == "question" else "", "warn"))


def _lacking(screen: Screen) -> str:
    """Why there is no `y`, where nothing above says it."""
    question = screen.overlay
    if not isinstance(question, Question) or question.phase != "ready":
        return ""
    return asking.why_not(screen, question)


def agreement(question: Question) -> str:
    """What a `y` would do, with the version that is sent."""
    version = t.clean(question.version or "")
    return {"promote": f"promote {version}", "rollback": f"roll back to {version}", "confirm": f"confirm {version}",
            "abort": "abort it", "lock": "lock it", "unlock": "unlock it", "backup": "fetch it"}[question.act]  # fmt: skip
