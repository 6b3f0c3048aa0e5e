"""The walk of `Pulse` through the tree: it ends when every actor has come round, and says who has not."""

from pathlib import Path

from actors.base import post
from actors.messages import Beat, Pulse
from tests.harness import Stage

ALL = {"root/journal", "root/supervisor"} | {
    f"root/supervisor/{n}" for n in ("mm", "a", "b", "build", "backup", "a/a-1", "b/b-1", "b/b-2", "b/b-3")
}


def begin(stage: Stage) -> Beat:
    beat = Beat()
    beat.sent("root")
    post(stage.root, Pulse(beat))
    return beat


def test_it_ends_once_everybody_has_handled_it(stage: Stage) -> None:
    beat, seen = begin(stage), set()
    while not beat.wait(0):
        assert stage.step()
        seen |= set(beat.late)
    assert (beat.late, beat.unready) == ((), ())
    assert seen == ALL


def test_who_does_not_handle_it_is_named(stage: Stage) -> None:
    beat = begin(stage)
    while "root/supervisor/b" not in beat.late:
        stage.step()
    stuck = stage.actor("b")
    while other := next((a for a in stage.actors if a is not stuck and not a.actor_inbox.empty()), None):
        stage.handle(other)
    assert beat.late == ("root/supervisor/b",)
    stage.drain()
    assert beat.wait(0)


def test_an_actor_that_dies_with_it_does_not_hold_it_up(stage: Stage) -> None:
    beat = begin(stage)
    while "root/supervisor/b" not in beat.late:
        stage.step()
    stage.crash(stage.actor("b"), instead=True)
    stage.drain()
    assert beat.wait(0)


def test_who_could_not_read_its_state_is_not_ready_and_still_turns(folder: Path, stage_of) -> None:
    stage = stage_of()
    stage.actor("b").begun = False
    beat = begin(stage)
    stage.drain()
    assert beat.wait(0)
    assert beat.unready == ("root/supervisor/b",)
