"""What changes something: a typed body becomes a message of `actors.messages`, and its Reply the answer."""

from collections.abc import Callable
from typing import Any

from actors import messages as m
from api import bodies, followers, query, shown
from api.call import JSON, Answer, Call, told
from api.claims import REPLAYED
from api.errors import Problem, problem
from api.query import Wait
from api.waiting import wait_here
from sando.model.answers import Accepted, Refusal, Told
from sando.model.answers import Answer as Word
from sando.model.claim import Claim
from sando.model.operation import Operation

Act = Call[Wait, Any]
Respond = Callable[..., Answer | None]


def rebuild(call: Call[Wait, bodies.RebuildBody]) -> Answer | None:
    body = call.body
    return _act(call, m.Rebuild(body.sha, body.force, body.moved, call.actor, body.reason))


def promote(call: Call[Wait, bodies.PromoteBody], tier: str) -> Answer | None:
    body = call.body
    message = m.Promote(
        tier,
        body.version,
        hotfix=body.hotfix,
        reset_burn_in=body.reset_burn_in,
        force=body.force,
        override_freeze=body.override_freeze,
        actor=call.actor,
        reason=body.reason,
    )
    return _act(call, message)


def rollback(call: Call[Wait, bodies.RollbackBody], tier: str) -> Answer | None:
    body = call.body
    message = m.Rollback(
        tier,
        body.version,
        force=body.force,
        abort_running=body.abort_running,
        actor=call.actor,
        reason=body.reason,
    )
    return _act(call, message)


def confirm(call: Call[Wait, bodies.VerdictBody], tier: str) -> Answer | None:
    return _act(call, m.Confirm(tier, call.body.version, call.actor, call.body.reason))


def reject(call: Call[Wait, bodies.VerdictBody], tier: str) -> Answer | None:
    return _act(call, m.Reject(tier, call.body.version, call.actor, call.body.reason))


def run_gate(call: Call[Wait, bodies.ReasonBody], tier: str, gate: str) -> Answer | None:
    return _act(call, m.RunGate(tier, gate, call.actor, call.body.reason))


def fetch_backup(call: Call[Wait, bodies.ReasonBody]) -> Answer | None:
    return _act(call, m.FetchBackup(call.actor, call.body.reason))


def lock(call: Call[Wait, bodies.LockBody], tier: str) -> Answer | None:
    body = call.body
    if body.expires is not None and body.expires <= call.given.clock().at:
        raise query.bad_field("expires", "lies in the past")
    return _act(call, m.LockTier(tier, body.reason, body.expires, call.actor))


def unlock(call: Call[Wait, bodies.NoBody], tier: str) -> Answer | None:
    return _act(call, m.UnlockTier(tier, call.actor))


def reload(call: Call[Wait, bodies.ReloadBody]) -> Answer | None:
    return _act(call, m.Reload(call.body.force, call.actor))


def abort(call: Call[Wait, bodies.ReasonBody], operation: int) -> Answer | None:
    return _act(call, m.AbortOperation(operation, call.actor, call.body.reason))


def _act(call: Act, message: m.Command) -> Answer | None:
    before = call.claims.enter(call.req, call.body, message.reply)
    if before is not None:
        return _again(call, before)
    call.given.tell(message)
    try:
        answer = message.reply.wait(call.given.answer_within)
    except TimeoutError:
        raise problem(
            503,
            "outcome_unknown",
            f"no answer came within {call.given.answer_within:g} s; it may still be done",
            "look at /state and /operations before trying again; with an Idempotency-Key the same request can be sent again",
        ) from None
    call.claims.settle(message.reply)
    return _say(call, answer)


def _say(call: Act, answer: Word) -> Answer | None:
    match answer:
        case Refusal():
            raise Problem(answer)
        case Told(body, status):
            return told(body, status)
        case Accepted(operation) if call.query.wait > 0:
            return _when_ended(call, operation)
        case Accepted(operation, status, code):
            return told(shown.operation(operation, code), status)


def _again(call: Act, before: Claim) -> Answer | None:
    """The answer of the first time; an operation as it stands now."""
    call.resp.set_header(REPLAYED, "true")
    if before.operation is None:
        return before.status, JSON, shown.encode(before.told)
    operation = call.given.store.operation(before.operation)
    if operation is None:
        raise LookupError(f"operation {before.operation} of a kept answer is gone")
    return _say(call, Accepted(operation, before.status, before.code))


def _when_ended(call: Act, operation: Operation) -> Answer | None:
    given, seconds = call.given, call.query.wait
    if given.board.tells_end(operation):
        return followers.judged(operation)
    if followers.can_leave(call.req):
        again = {REPLAYED: replayed} if (replayed := call.resp.get_header(REPLAYED)) else {}
        return followers.leave(
            call,
            lambda line: followers.OperationWait(
                line, seconds, given.store, given.board, operation, followers.judged, again
            ),
        )

    def look(last: bool) -> Operation | None:
        found = given.store.operation(operation.id) or operation
        return found if last or given.board.tells_end(found) else None

    return followers.judged(wait_here(given.board, seconds, look) or operation)
