"""The backup (SPEC 9): one fetch at a time, and what is known of the last good one."""

from collections.abc import Callable

import pytest

from actors.messages import AbortOperation, FetchBackup
from sando.model.errors import WorkError
from sando.model.operation import Status
from sando.work.outcome import Failed
from tests.factories import topology
from tests.harness import Stage


def test_a_fetch_is_an_operation_and_the_state_shows_what_came(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup(actor="max"), 202)
    assert stage.accepted(FetchBackup(), 200).id == operation.id
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert stage.board.latest is not None
    assert stage.board.latest.state["backup"]["bytes"] == 7
    assert [e.type for e in stage.events("BackupFetched", "BackupFailed")] == ["BackupFetched"]


@pytest.mark.parametrize("errored", [False, True])
def test_a_fetch_that_fails_leaves_what_is_known_as_it_was(stage: Stage, *, errored: bool) -> None:
    stage.accepted(FetchBackup())
    stage.finish_all()
    operation = stage.accepted(FetchBackup())
    stage.finish("backup/", Failed(WorkError("fetch", "no such file", errored=errored)))
    row = stage.operation(operation.id)
    assert row.status is (Status.ERRORED if errored else Status.FAILED)
    assert "no such file" in str(row.error)
    assert stage.store.fact("backup")["bytes"] == 7
    assert stage.events("BackupFailed")[0].operation == operation.id


def test_without_a_backup_section_there_is_nothing_to_fetch(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(backup=False))
    assert stage.refused(FetchBackup()) == (409, "no_backup_configured")


def test_a_fetch_can_be_aborted(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.accepted(AbortOperation(operation.id))
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.ABORTED


@pytest.mark.parametrize("who", ["backup", "supervisor"])
def test_a_fetch_survives_the_death_of_its_actor(stage: Stage, who: str) -> None:
    operation = stage.accepted(FetchBackup())
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert stage.runner.held() == ()


def test_a_fetch_under_a_killed_sandod_is_interrupted(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup())
    stage.restart()
    stage.drain()
    assert stage.operation(operation.id).status is Status.INTERRUPTED
    assert len(stage.events("BackupFailed")) == 1
