"""What the scenarios of a rollback that stops a promotion begin with, and how they end."""

from collections.abc import Callable

from actors.messages import Promote, Rollback
from sando.model.answers import Accepted
from sando.model.operation import Operation, Status
from tests.actors.steps import built, steps, up_to
from tests.factories import tier, topology
from tests.harness import Stage

ON_FAILURE = ("rollback", "halt")
WHOLE = {"b-1": "2.0", "b-2": "2.0", "b-3": "2.0"}


def halfway(stage_of: Callable[..., Stage], on_failure: str) -> Stage:
    """Tier b is on 2.0, 1.0 before; 3.0 has come to one of its three nodes and is being switched on the second."""
    stage = stage_of(topology(tier("b", 3, on_failure=on_failure)))
    up_to(stage, "b", "1.0", "2.0")
    on_its_way(stage, "3.0")
    return stage


def on_its_way(stage: Stage, version: str) -> int:
    built(stage, version)
    number = stage.accepted(Promote("b")).id
    stage.finish_all("preflight", "upload")
    steps(stage, "b-1", "switch", "start")
    return number


def stopped(stage: Stage, version: str | None = None, **more: bool) -> Operation:
    """The rollback as it was answered."""
    answer = stage.answer(Rollback("b", version, abort_running=True, actor="max", reason="it smells", **more))
    assert isinstance(answer, Accepted), answer
    assert (answer.status, answer.code) == (202, "aborting")
    return answer.operation


def ended(stage: Stage, rollback: Operation) -> tuple[Status, Status]:
    """How the promotion ended, and how the rollback."""
    stage.finish_all()
    promotion = stage.operation(int(str(rollback.details["after"])))
    return promotion.status, stage.operation(rollback.id).status


def types(stage: Stage, operation: int) -> list[str]:
    return [e.type for e in stage.events() if e.operation == operation and not e.type.startswith("Node")]


def up_to_the_end_of_the_promotion(stage: Stage, rollback: Operation) -> None:
    """One message after the other, so that what comes of it still lies in the inboxes."""
    while not stage.operation(int(str(rollback.details["after"]))).status.ended:
        if not stage.step():
            stage.runner.finish(stage.runner.running()[0])
