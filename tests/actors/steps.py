"""What many scenarios begin with: versions that are built and promoted, in as few words as they need."""

from typing import Any

from actors.messages import Promote, Rebuild, Tick
from sando.model.errors import WorkError
from sando.model.operation import Operation, Status
from sando.work.outcome import Failed
from tests.factories import sha
from tests.harness import Stage

RED = Failed(WorkError("start", "the probe stayed red", tail="last words"))
LOST = Failed(WorkError("connect", "connection lost", errored=True))


def built(stage: Stage, *versions: str) -> None:
    """Each version is pushed, built and green on mm."""
    for version in versions:
        stage.world.push(sha(len(stage.world.commits) + 1), version)
        operation = stage.accepted(Rebuild())
        stage.finish_all()
        assert stage.operation(operation.id).status is Status.SUCCEEDED


def promoted(stage: Stage, tier: str, version: str | None = None, **more: Any) -> Operation:
    operation = stage.accepted(Promote(tier, version, **more))
    stage.finish_all()
    stage.actor(tier).actor_ref.tell(Tick("prune"))  # of its own it would come two seconds later
    stage.finish_all()
    ended = stage.operation(operation.id)
    assert ended.status is Status.SUCCEEDED, ended
    return ended


def up_to(stage: Stage, tier: str, *versions: str, **more: Any) -> None:
    """Each version goes, one after the other, through every tier up to this one."""
    for version in versions:
        built(stage, version)
        for spec in stage.world.running.tiers[1:]:
            promoted(stage, spec.name, version, **more)
            if spec.name == tier:
                break


def step(stage: Stage, node: str, kind: str, outcome: Any = None) -> None:
    """The step that runs on this node now ends; it must be of this kind."""
    stage.drain()
    job = stage.runner.one(f"/{node}/")
    assert job.key.endswith(f"/{kind}"), job.key
    stage.runner.finish(job, outcome)
    stage.drain()


def steps(stage: Stage, node: str, *kinds: str) -> None:
    for kind in kinds:
        step(stage, node, kind)


def running(stage: Stage) -> list[str]:
    """The steps at work, as `a-1/switch`."""
    return sorted(f"{j.key.split('/')[2]}/{j.key.split('/')[-1]}" for j in stage.runner.running("node/"))
