"""GET /plan: what an act would do and answer. The act's own door is asked, and nothing is done."""

from actors import messages as m
from api.bodies import NoBody
from api.call import Answer, Call, told
from api.errors import Problem, problem
from api.query import PromotePlan, RollbackPlan
from sando.model.answers import Refusal, Told


def promote(call: Call[PromotePlan, NoBody], tier: str) -> Answer:
    asked = call.query
    wish = m.Promote(
        tier,
        asked.version,
        hotfix=asked.hotfix,
        reset_burn_in=asked.reset_burn_in,
        force=asked.force,
        override_freeze=asked.override_freeze,
        actor=call.actor,
        reason=asked.reason,
    )
    return _plan(call, wish)


def rollback(call: Call[RollbackPlan, NoBody], tier: str) -> Answer:
    asked = call.query
    wish = m.Rollback(
        tier,
        asked.version,
        force=asked.force,
        abort_running=asked.abort_running,
        actor=call.actor,
        reason=asked.reason,
    )
    return _plan(call, wish)


def _plan(
    call: Call[PromotePlan, NoBody] | Call[RollbackPlan, NoBody], wish: m.Promote | m.Rollback
) -> Answer:
    given = call.given
    given.tell(m.Plan(wish))
    try:
        answer = wish.reply.wait(given.answer_within)
    except TimeoutError:
        detail = f"no answer came within {given.answer_within:g} s; a plan changes nothing"
        raise problem(503, "outcome_unknown", detail, "ask again") from None
    match answer:
        case Refusal():
            raise Problem(answer)
        case Told(body):
            return told(body)
    raise TypeError(answer)
