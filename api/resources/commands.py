"""What changes something: a typed body becomes a message of `actors.messages`, and its Reply the answer."""

from collections.abc import Callable

import falcon

from actors import messages as m
from api import bodies, followers, query, shown
from api.auth import actor
from api.bodies import read
from api.collaborators import Collaborators
from api.errors import problem, refuse
from api.resources import names
from api.waiting import wait_here
from sando.model.answers import Accepted, Refusal, Told
from sando.model.operation import Operation

Respond = Callable[..., None]


def rebuild(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    body = read(req, bodies.RebuildBody)
    _act(given, req, resp, m.Rebuild(body.sha, body.force, body.moved, actor(req), body.reason))


def promote(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier, body = names.tier(tier), read(req, bodies.PromoteBody)
    message = m.Promote(
        tier,
        body.version,
        hotfix=body.hotfix,
        reset_burn_in=body.reset_burn_in,
        force=body.force,
        override_freeze=body.override_freeze,
        actor=actor(req),
        reason=body.reason,
    )
    _act(given, req, resp, message)


def rollback(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier, body = names.tier(tier), read(req, bodies.RollbackBody)
    message = m.Rollback(
        tier,
        body.version,
        force=body.force,
        abort_running=body.abort_running,
        actor=actor(req),
        reason=body.reason,
    )
    _act(given, req, resp, message)


def confirm(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier, body = names.tier(tier), read(req, bodies.VerdictBody)
    _act(given, req, resp, m.Confirm(tier, body.version, actor(req), body.reason))


def reject(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier, body = names.tier(tier), read(req, bodies.VerdictBody)
    _act(given, req, resp, m.Reject(tier, body.version, actor(req), body.reason))


def run_gate(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str, gate: str) -> None:
    tier, gate, body = names.tier(tier), names.gate(gate), read(req, bodies.ReasonBody)
    _act(given, req, resp, m.RunGate(tier, gate, actor(req), body.reason))


def fetch_backup(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    body = read(req, bodies.ReasonBody)
    _act(given, req, resp, m.FetchBackup(actor(req), body.reason))


def lock(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier, body = names.tier(tier, or_all=True), read(req, bodies.LockBody)
    if body.expires is not None and body.expires <= given.clock().at:
        raise query.bad_field("expires", "lies in the past")
    _act(given, req, resp, m.LockTier(tier, body.reason, body.expires, actor(req)))


def unlock(given: Collaborators, req: falcon.Request, resp: falcon.Response, tier: str) -> None:
    tier = names.tier(tier, or_all=True)
    read(req, bodies.NoBody)
    _act(given, req, resp, m.UnlockTier(tier, actor(req)))


def reload(given: Collaborators, req: falcon.Request, resp: falcon.Response) -> None:
    body = read(req, bodies.ReloadBody)
    _act(given, req, resp, m.Reload(body.force, actor(req)))


def abort(given: Collaborators, req: falcon.Request, resp: falcon.Response, operation: str) -> None:
    wanted, body = names.operation(operation), read(req, bodies.ReasonBody)
    _act(given, req, resp, m.AbortOperation(wanted, actor(req), body.reason))


def _act(given: Collaborators, req: falcon.Request, resp: falcon.Response, message: m.Command) -> None:
    seconds = query.wait(req)  # a bad one is refused before anything is done
    given.tell(message)
    try:
        answer = message.reply.wait(given.answer_within)
    except TimeoutError:
        raise problem(
            503,
            "outcome_unknown",
            f"no answer came within {given.answer_within:g} s; it may still be done",
            "look at /state and /operations before trying again",
        ) from None
    match answer:
        case Refusal():
            refuse(resp, answer)
        case Told(body, status):
            _json(resp, status, shown.encode(body))
        case Accepted(operation) if seconds > 0:
            _when_ended(given, req, resp, operation, seconds)
        case Accepted(operation, status, code):
            extra = {"code": code} if code else {}
            _json(resp, status, shown.encode(shown.operation(operation) | extra))


def _when_ended(
    given: Collaborators, req: falcon.Request, resp: falcon.Response, operation: Operation, seconds: float
) -> None:
    if operation.status.ended:
        return _plain(resp, followers.judged(operation))
    if followers.can_leave(req):
        return followers.leave(
            req, lambda line: followers.OperationWait(line, seconds, given.store, operation, followers.judged)
        )

    def look(last: bool) -> Operation | None:
        found = given.store.operation(operation.id) or operation
        return found if last or found.status.ended else None

    _plain(resp, followers.judged(wait_here(given.board, seconds, look) or operation))


def _plain(resp: falcon.Response, answer: followers.Answer) -> None:
    resp.status, resp.content_type, resp.data = answer


def _json(resp: falcon.Response, status: int, body: bytes) -> None:
    _plain(resp, (status, falcon.MEDIA_JSON, body))
