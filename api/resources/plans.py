"""GET /plan: what an act would do and answer. The act's own door is asked, and nothing is done."""

import falcon

from actors import messages as m
from api import query, shown
from api.auth import actor
from api.collaborators import Collaborators
from api.errors import problem, refuse
from api.resources import names
from sando.model.answers import Refusal, Told

MOST_REASON = 1000


def promote(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier = names.tier(tier)
    query.only(req, "version", "hotfix", "reset_burn_in", "force", "override_freeze", "reason")
    wish = m.Promote(
        tier,
        query.version(req),
        hotfix=query.flag(req, "hotfix"),
        reset_burn_in=query.flag(req, "reset_burn_in"),
        force=query.flag(req, "force"),
        override_freeze=query.flag(req, "override_freeze"),
        actor=actor(req),
        reason=_reason(req),
    )
    _plan(given, resp, wish)


def rollback(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier = names.tier(tier)
    query.only(req, "version", "force", "abort_running", "reason")
    wish = m.Rollback(
        tier,
        query.version(req),
        force=query.flag(req, "force"),
        abort_running=query.flag(req, "abort_running"),
        actor=actor(req),
        reason=_reason(req),
    )
    _plan(given, resp, wish)


def _reason(req: falcon.Request) -> str:
    """A freeze is passed only with a reason; what it says changes nothing here."""
    said = query.text(req, "reason") or ""
    if len(said) > MOST_REASON:
        raise query.bad_field("reason", f"must have at most {MOST_REASON} characters")
    return said


def _plan(given: Collaborators, resp: falcon.Response, wish: m.Promote | m.Rollback) -> None:
    given.tell(m.Plan(wish))
    try:
        answer = wish.reply.wait(given.answer_within)
    except TimeoutError:
        detail = f"no answer came within {given.answer_within:g} s; a plan changes nothing"
        raise problem(503, "outcome_unknown", detail, "ask again") from None
    match answer:
        case Refusal():
            refuse(resp, answer)
        case Told(body):
            resp.content_type = falcon.MEDIA_JSON
            resp.data = shown.encode(body)
