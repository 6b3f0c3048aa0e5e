"""The plan that a question shows is asked for anew when what it is about stands otherwise, as every new state tells. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Gate, Problem, State, Tier
from tui.model.effects import AskPlan
from tui.model.flight import in_hand
from tui.model.screen import Question, Screen
from tui.model.steps import Step, stay


def about(screen: Screen, question: Question) -> tuple[object, ...]:
    """What its plan hangs on: the tier, the one that versions come from or go on to, and how far what runs there is."""
    state = screen.state
    tier = state.tier(question.tier) if state else None
    if state is None or tier is None:
        return ()
    other = state.tier(tier.promotable.to if question.act == "confirm" else tier.predecessor)
    return tuple(part for t in (tier, other) if t for part in (_still(t), _step(screen, state, t)))


def _still(tier: Tier) -> Tier:
    """Without the clocks that run."""
    return replace(tier, gates=tuple(_stopped(gate) for gate in tier.gates))


def _stopped(gate: Gate) -> Gate:
    return replace(gate, elapsed_s=None, ready_at=None) if gate.kind == "burn_in" else gate


def _step(screen: Screen, state: State, tier: Tier) -> tuple[object, ...]:
    number = in_hand(state, tier)
    running = screen.operations.get(number) if number is not None else None
    return (number, running.status, running.step, running.nodes) if running else (number,)


def again(question: Question) -> AskPlan:
    """Always of the version that is shown: a newer one that came meanwhile is another question."""
    plan = question.plan
    if plan is None:
        raise AssertionError("only a plan is made again")
    if question.act == "rollback":
        return AskPlan(question.number, "rollback", plan.tier, question.version, question.options)
    return AskPlan(question.number, "promote", plan.tier, question.version, question.options)


def waits(question: Question) -> bool:
    """It shows a plan, and no newer one is under way."""
    return question.plan is not None and question.phase == "ready" and not question.again


def looked(screen: Screen) -> Step:
    """There is a new state. While a plan is under way nothing is asked: the state after that is compared all the same."""
    question = screen.overlay
    if not isinstance(question, Question) or not waits(question):
        return stay(screen)
    now = about(screen, question)
    if now == question.about:
        return stay(screen)
    question = replace(question, about=now, again=True)
    return replace(screen, overlay=question), (again(question),)


def kept(question: Question, problem: Problem) -> Question | None:
    """What is shown stays where a newer plan merely cannot be had now; the next state has it asked for once more."""
    if question.phase != "ready" or question.plan is None or 0 < problem.status < 500:
        return None
    return replace(question, again=False, about=())
