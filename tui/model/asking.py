"""Questions before an act: opened by a key, filled by the daemon's plan, answered by `y` and nothing else. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Event, Plan, Problem, Tier
from tui.model import aborting, replanning, watching
from tui.model.commands import in_keys
from tui.model.effects import AskOperation, AskPlan, Effect, Refresh, Send
from tui.model.messages import Answered, Planned
from tui.model.screen import Act, Question, Screen, Typing, in_flight
from tui.model.steps import Step, noted, numbered, over, replied, stay

OPTIONS = {"h": "hotfix", "f": "force", "o": "override_freeze", "a": "abort_running"}
OF_ACT = {"promote": ("hotfix", "force", "override_freeze"), "rollback": ("force", "abort_running")}
_MATTERS = {
    "GateStart", "GateDone", "DeployStart", "DeployOk", "DeployFailed", "PromoteComplete", "Rollback", "ManualConfirm",
    "Rejected", "BurnInReset", "Locked", "Unlocked", "DriftDetected", "NodeReverted", "ConfigReloaded", "Reset",
}  # fmt: skip


def open_question(screen: Screen, act: Act) -> Step:
    """Nothing is asked of the daemon but what it would do."""
    tier = screen.tier
    if tier is None:
        return stay(screen)
    screen, number = numbered(screen)
    question = Question(number, act, tier.name)
    question = replace(question, about=replanning.about(screen, question))
    match act:
        case "promote" | "rollback":
            return over(screen, question), (AskPlan(number, act, tier.name),)
        case "confirm":
            return _confirm(screen, question, tier)
        case "abort":
            running = in_flight(screen, tier)
            return over(screen, question), (AskOperation(number, running),) if running is not None else ()
        case "lock":
            return replace(over(screen, replace(question, phase="ready")), typing=Typing("reason")), ()
        case _:
            return over(screen, replace(question, phase="ready")), ()


def _confirm(screen: Screen, question: Question, tier: Tier) -> Step:
    """The word opens the way to the next tier: what would go out there is what it is about."""
    version, after = tier.current_version, tier.promotable.to
    if after is None:
        return over(screen, replace(question, version=version, phase="ready")), ()
    asked = AskPlan(question.number, "promote", after, version)
    return over(screen, replace(question, version=version)), (asked,)


# -- while it is open ---------------------------------------------------------------------------------------


def toggle(screen: Screen, key: str) -> Step:
    """Another way to do it is planned anew; until that has come and was seen, nothing can be agreed to."""
    question, name = screen.overlay, OPTIONS[key]
    if not isinstance(question, Question) or name not in offered(question):
        return stay(screen)
    had = question.options
    options = tuple(o for o in had if o != name) if name in had else (*had, name)
    question = replace(question, options=options, phase="asking", seen=False, again=True, problem=None)
    return over(screen, question), (replanning.again(question),)


def offered(question: Question) -> tuple[str, ...]:
    """The options that are on, or that the daemon says would help."""
    plan = question.plan
    if question.phase == "sending" or plan is None or plan.act != question.act:
        return ()
    helps = {
        "hotfix": any("hotfix" in c.clears for c in plan.checks if c.verdict == "blocked"),
        "force": any(c.clears.startswith("`force`") for c in plan.checks if c.verdict == "blocked"),
        "override_freeze": plan.code == "frozen",
        "abort_running": any("abort_running" in c.clears for c in plan.checks if c.verdict == "blocked"),
    }
    return tuple(o for o in OF_ACT[question.act] if o in question.options or (helps[o] and not plan.ready))


def planned(screen: Screen, told: Planned) -> Step:
    question = screen.overlay
    if (
        not isinstance(question, Question)
        or question.number != told.number
        or question.phase in {"sending", "refused"}
    ):
        return stay(screen)
    if told.options != question.options:
        return stay(screen)  # another answer, to what is wished now, is under way
    if question.act == "abort":
        return stay(replace(screen, overlay=aborting.told(question, told.operation, told.problem)))
    if told.problem and question.act == "confirm":
        return stay(replace(screen, overlay=_filled(question, question.plan)))
    if told.problem and (kept := replanning.kept(question, told.problem)):
        return stay(replace(screen, overlay=kept))
    if told.problem:
        question = replace(question, phase="refused", problem=told.problem, again=False)
        return stay(replace(screen, overlay=question))
    return stay(replace(screen, overlay=_filled(question, told.plan)) if told.plan else screen)


def _filled(question: Question, plan: Plan | None) -> Question:
    same = plan == question.plan and question.phase == "ready"
    version = question.version or (plan.to if plan else None)
    return replace(
        question,
        plan=plan,
        version=version,
        phase="ready",
        again=False,
        problem=None,
        seen=question.seen and same,
    )


def shaken(screen: Screen, events: tuple[Event, ...]) -> tuple[Effect, ...]:
    """Something happened that the open question may hang on: it is planned again."""
    question = screen.overlay
    if not isinstance(question, Question) or question.plan is None or not replanning.waits(question):
        return ()
    about = {question.tier, question.plan.tier, question.plan.source, None}
    if any(e.type in _MATTERS and e.tier in about for e in events):
        return (replanning.again(question),)
    return ()


# -- the answer ---------------------------------------------------------------------------------------------


def why_not(screen: Screen, question: Question) -> str:
    """Why a `y` would do nothing; empty where it would."""
    match question.phase:
        case "asking":
            return "sandod has not answered yet what would happen"
        case "sending":
            return "it is being sent"
        case "refused":
            return "sandod has said no; Esc closes this"
    if question.act in {"promote", "rollback"}:
        plan = question.plan
        if plan is None or question.version is None or not plan.ready:
            return "it is blocked"
    if question.act == "abort" and (question.operation is None or question.operation.ended):
        return "nothing runs there any more"
    if question.act == "confirm" and not _current(screen, question):
        return f"{question.version} is not current there any more"
    if question.act == "lock" and not question.reason.strip():
        return "a lock needs a reason: i types one"
    return ""


def silence(screen: Screen) -> str:
    """That there is no state now, in sandod's own words where it has any."""
    trouble = screen.link.trouble
    if trouble is None:
        return ""
    return f"sandod says no: {trouble.detail}" if trouble.answered else "sandod does not answer"


def _current(screen: Screen, question: Question) -> bool:
    tier = screen.state.tier(question.tier) if screen.state else None
    return tier is not None and tier.current_version == question.version


def agree(screen: Screen) -> Step:
    """The only step of all that makes a Send."""
    question = screen.overlay
    if not isinstance(question, Question) or screen.typing:
        return stay(screen)
    if not screen.reached:
        return stay(replied(screen, f"{silence(screen)}: nothing was sent", "bad"))
    if why := why_not(screen, question):
        return stay(replied(screen, why))
    if not question.seen:
        return stay(replied(screen, "it was not on the screen yet when that was struck: read it, then y"))
    return replace(screen, overlay=replace(question, phase="sending"), note=None), (_send(question),)


def _send(question: Question) -> Send:
    number, tier = question.number, question.tier
    body: dict[str, object] = {"reason": question.reason} if question.reason else {}
    match question.act:
        case "promote" | "rollback":
            body |= {"version": question.version} | dict.fromkeys(question.options, True)
            return Send(number, "POST", f"/{question.act}/{tier}", body)
        case "confirm":
            return Send(number, "POST", f"/confirm/{tier}", body | {"version": question.version})
        case "abort":
            if question.operation is None:
                raise AssertionError("agreed to nothing")
            return Send(number, "POST", f"/operations/{question.operation.id}/abort", body)
        case "lock":
            return Send(number, "POST", f"/lock/{tier}", {"reason": question.reason.strip()})
        case "unlock":
            return Send(number, "DELETE", f"/lock/{tier}")
        case "backup":
            return Send(number, "POST", "/backup/fetch", body)


def answered(screen: Screen, told: Answered) -> Step:
    question = screen.overlay
    mine = isinstance(question, Question) and question.number == told.number
    if told.problem is None:
        screen = over(screen, None) if mine else screen
        if told.operation is None:
            return noted(screen, told.text, "ok"), (Refresh(),)
        return watching.begun(screen, told.operation, told.text), (Refresh(),)
    if mine and isinstance(question, Question):
        question = replace(question, phase="refused", problem=told.problem, top=0)
        return replace(screen, overlay=question), (Refresh(),)
    return noted(screen, in_words(told.problem), "bad"), (Refresh(),)


def in_words(problem: Problem) -> str:
    return in_keys(f"{problem.detail or problem.code}{f' — {problem.hint}' if problem.hint else ''}")


def cancel(screen: Screen) -> Step:
    return stay(over(screen, None))
