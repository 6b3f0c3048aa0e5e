"""Values that the tests of the model share; it asserts nothing of its own but the shape of a refusal."""

from datetime import UTC, datetime

from sando.model.answers import Refusal
from sando.model.clock import Instant
from sando.model.policy import Vouched
from sando.model.release import Release
from sando.model.tier import NodeState

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
T0 = Instant(NOON, "one", 1000.0)


def release(version: str, *, present: bool = True) -> Release:
    return Release(version, version, "a" * 40, f"digest of {version}", 7, NOON, NOON, present=present)


def refused(answer: object) -> tuple[int, str]:
    """Status and code of a refusal, which always says why and what to do next."""
    if isinstance(answer, Vouched):
        answer = answer.refusal
    assert isinstance(answer, Refusal), answer
    assert answer.detail
    assert answer.hint
    return answer.status, answer.code


def node_on(name, version, **more):
    """A node that is, as far as was seen, on what is recorded."""
    return NodeState(name, version, version, **more)
