"""Reload (SPEC 2): compared and applied as a whole, or refused with the old configuration kept."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.journal import BEHIND_MOST, BEHIND_S
from actors.messages import Configured, Promote, Publish, Reload, Reply, Rollback, RunGate
from actors.node_pruning import PRUNE_S
from actors.observing import LOOK_S
from sando.model.answers import Refusal, Told
from sando.model.events import Event
from sando.model.operation import Status
from sando.model.topology import BuildSpec, FreezeSpec, RepoSpec, TierSpec
from tests.actors.calm import check_rest
from tests.actors.steps import built, promoted, running, steps, up_to
from tests.factories import CONFIRM, SMOKE, gate, tier, topology
from tests.harness import Stage

AGE = gate("backup_fresh", max_age_s=3600.0)


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    return stage_of(topology(tier("a", 1, SMOKE), tier("b", 2)))


def declare(stage: Stage, *tiers: TierSpec) -> None:
    """What sando.toml says from now on, after the build tier."""
    base = stage.world.running
    stage.world.declared = replace(base, tiers=(base.tiers[0], *tiers))


def names(stage: Stage) -> list[str]:
    assert stage.board.latest is not None
    return _tiers(stage.board.latest)


def test_a_file_that_cannot_be_used_changes_nothing_and_says_why(stage: Stage) -> None:
    stage.world.broken = "sando.toml: line 3: no such key"
    answer = stage.answer(Reload())
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.code) == (422, "config_rejected")
    assert "line 3" in answer.detail
    assert [e.type for e in stage.events("ConfigReloaded", "ConfigRejected")] == ["ConfigRejected"]
    assert names(stage) == ["mm", "a", "b"]


def test_a_new_tier_and_a_new_node_are_there_at_once(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    declare(stage, tier("a", 1, SMOKE), tier("b", 3), tier("c", 1))
    body = stage.told(Reload())
    assert (body["added"], body["changed"]) == (["c"], ["b"])
    assert names(stage) == ["mm", "a", "b", "c"]
    assert stage.tier("b")["status"] == "degraded", "a node lacks the current version"
    promoted(stage, "b")
    promoted(stage, "c")
    assert stage.world.links("c") == {"c-1": "1.0"}
    assert stage.world.adopted == 1


def test_tiers_that_change_places_are_told(stage: Stage) -> None:
    declare(stage, tier("b", 2), tier("a", 1, SMOKE))
    assert stage.told(Reload())["changed"] == ["a", "b"]
    assert names(stage) == ["mm", "b", "a"]
    assert stage.told(Reload())["changed"] == []


def test_a_tier_between_two_others_is_their_new_predecessor(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    declare(stage, tier("a", 1, SMOKE), tier("x", 1), tier("b", 2))
    stage.told(Reload())
    built(stage, "2.0")
    promoted(stage, "a")
    assert stage.refused(Promote("b", "2.0")) == (409, "gates_not_passed")
    promoted(stage, "x")
    promoted(stage, "b")


def test_a_tier_that_holds_a_version_is_removed_by_force_only_and_comes_back_as_it_was(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    declare(stage, tier("a", 1, SMOKE))
    assert stage.refused(Reload()) == (409, "still_running")
    assert names(stage) == ["mm", "a", "b"]
    stage.told(Reload(force=True))
    assert names(stage) == ["mm", "a"]
    assert stage.refused(Promote("b")) == (404, "unknown_tier")
    declare(stage, tier("a", 1, SMOKE), tier("b", 2))
    stage.told(Reload())
    assert stage.tier("b")["current_version"] == "1.0"


@pytest.mark.parametrize("there", ["1.0", None, "0.9"])
def test_a_node_that_has_another_place_is_what_is_found_there(stage: Stage, there: str | None) -> None:
    up_to(stage, "b", "1.0")
    b = tier("b", 2)
    other = replace(b, nodes=(b.nodes[0], replace(b.nodes[1], release_root="/srv/other")))
    declare(stage, tier("a", 1, SMOKE), other)
    refused = stage.answer(Reload())
    assert isinstance(refused, Refusal)
    assert (refused.code, "another ssh_target or release_root" in refused.detail) == ("still_running", True)
    stage.world.node("b", "b-2").current = there
    stage.runner.slow_looks = True
    stage.told(Reload(force=True))
    stage.drain()
    shown = stage.tier("b")["nodes"][1]
    assert (shown["version"], shown["observed"], shown["reachable"], shown["status"]) == (
        None,
        None,
        False,
        "unknown",
    )
    assert stage.tier("b")["status"] == "degraded"
    stage.finish_all("look")
    shown = stage.tier("b")["nodes"][1]
    assert (shown["version"], shown["observed"], shown["reachable"]) == (there, there, True)
    assert stage.tier("b")["status"] == ("steady" if there == "1.0" else "degraded")
    assert stage.events("NodeReverted") == []
    if there != "1.0":
        stage.runner.slow_looks = False
        promoted(stage, "b")
        assert stage.tier("b")["status"] == "steady"


def test_a_tier_at_work_is_not_removed_nor_its_nodes_also_by_force(stage: Stage) -> None:
    built(stage, "1.0")
    operation = stage.accepted(Promote("a"))
    for tiers in ((tier("b", 2),), (tier("a", 0, SMOKE), tier("b", 2))):
        declare(stage, *tiers)
        answer = stage.answer(Reload(force=True))
        assert isinstance(answer, Refusal)
        assert (answer.code, answer.operation and answer.operation.id) == ("tier_busy", operation.id)
    stage.finish_all()
    assert stage.tier("a")["current_version"] == "1.0"


def test_a_deploy_goes_on_when_how_its_node_is_restarted_changes(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    promoted(stage, "a")
    operation = stage.accepted(Promote("b")).id
    stage.finish_all("preflight", "upload")
    assert running(stage) == ["b-1/switch"]
    declare(
        stage,
        tier("a", 1, SMOKE),
        tier("b", 2, nodes=tuple(replace(n, restart="x") for n in tier("b", 2).nodes)),
    )
    stage.told(Reload())
    steps(stage, "b-1", "switch", "start")
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    stage.advance(PRUNE_S)
    stage.finish_all()
    done = [s for s, v in stage.world.node("b", "b-1").did if v == "2.0"]
    assert done == ["preflight", "upload", "switch", "start", "prune"]


def test_gates_under_way_end_with_the_tier_that_is_removed(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    operation = stage.accepted(RunGate("a", "boot_smoke")).id
    declare(stage, tier("b", 2))
    stage.told(Reload(force=True))
    assert stage.runner.one("boot_smoke").token.cancelled
    assert stage.refused(Promote("a")) == (404, "unknown_tier")
    stage.finish_all()
    assert stage.operation(operation).status is Status.INTERRUPTED
    check_rest(stage, [])


def test_a_tier_comes_back_only_when_it_has_put_down_what_it_held(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.accepted(RunGate("a", "boot_smoke"))
    base = stage.world.declared
    declare(stage, tier("b", 2))
    stage.told(Reload(force=True))
    stage.world.declared = base
    assert stage.refused(Reload()) == (409, "tier_busy")
    stage.finish_all()
    stage.told(Reload())
    assert stage.tier("a")["current_version"] == "1.0"


def test_a_deploy_that_begins_in_the_instant_of_its_tiers_removal_gets_its_end(stage: Stage) -> None:
    up_to(stage, "b", "1.0", "2.0")
    declare(stage, tier("a", 1, SMOKE))
    stage.tell(Reload(force=True))
    stage.drain()
    reply = stage.tell(Rollback("b"))
    for name in ("root", "supervisor"):
        actor = stage.actor(name)
        stage.handle(actor)
    stage.runner.finish("reload/")
    supervisor = stage.actor("supervisor")
    stage.handle(supervisor)
    stage.finish_all()
    assert reply.given is not None
    assert stage.store.unfinished() == []
    check_rest(stage, [])


def test_a_node_gate_ends_when_the_node_it_waits_for_is_removed(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 2, SMOKE)))
    up_to(stage, "a", "1.0")
    operation = stage.accepted(RunGate("a", "boot_smoke")).id
    stage.finish("/a-1/")
    declare(stage, tier("a", 1, SMOKE))
    stage.told(Reload(force=True))
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    check_rest(stage, [])


def test_an_added_gate_is_pending_and_a_removed_one_blocks_no_more(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    declare(stage, tier("a", 1, SMOKE, CONFIRM, AGE), tier("b", 2))
    stage.told(Reload())
    assert [g["outcome"] for g in stage.tier("a")["gates"]] == ["passed", "pending", "pending"]
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    declare(stage, tier("a", 1), tier("b", 2))
    stage.told(Reload())
    promoted(stage, "b")


def test_another_build_tier_and_another_repository_need_a_restart(stage: Stage) -> None:
    base = stage.world.running
    stage.world.declared = replace(base, repo=RepoSpec("/srv/git/y.git"))
    assert stage.told(Reload())["needs_restart"] == ["repo"]
    stage.world.declared = replace(base, tiers=base.tiers[1:])
    assert stage.refused(Reload())[1] == "needs_restart"


def test_every_other_section_that_changed_is_named(stage: Stage) -> None:
    base = stage.world.running
    freeze = FreezeSpec(("a",), (4,))
    stage.world.declared = replace(base, build=BuildSpec(dir="app"), backup=None, freezes=(freeze,))
    told = stage.told(Reload())
    assert (told["changed"], told["sections"]) == ([], ["build", "backup", "freeze"])
    assert stage.told(Reload())["sections"] == []


def test_a_gate_that_a_reload_took_away_before_its_run_began_is_refused(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    declare(stage, tier("a", 1), tier("b", 2))
    reply, before = Reply(), len(stage.store.operations())
    stage.actor("a").actor_ref.tell(Configured(stage.world.declared, 0))
    stage.actor("a").actor_ref.tell(RunGate("a", "boot_smoke", reply=reply))
    stage.drain()
    assert (reply.given.status, reply.given.code) == (404, "unknown_gate")
    assert len(stage.store.operations()) == before


def test_who_hears_of_a_reload_finds_its_tiers_in_the_state(stage: Stage) -> None:
    """Another commit may be published between the reload's own and its topology, which is a message of its own."""
    heard: list[tuple[list[str], list[str]]] = []
    stage.board.sinks.append(
        lambda snapshot, events: heard.append(([e.type for e in events], _tiers(snapshot)))
    )
    declare(stage, tier("a", 1, SMOKE), tier("b", 2), tier("c", 1))
    (event,) = stage.store.save(Event("ConfigReloaded", stage.clock().at))
    reply = Reply()
    stage.site.journal.tell(Publish(reply, Told(None)))
    stage.drain()
    assert (heard, reply.given) == ([], None)
    stage.site.journal.tell(Configured(stage.world.declared, event.seq))
    stage.drain()
    assert heard == [(["ConfigReloaded"], ["mm", "a", "b", "c"])]
    stage.advance(BEHIND_S)
    assert reply.given == Told(None)


def test_a_reload_whose_topology_never_comes_keeps_no_news_back(stage: Stage) -> None:
    stage.store.save(Event("ConfigReloaded", stage.clock().at))
    reply = Reply()
    stage.site.journal.tell(Publish(reply, Told(None)))
    stage.advance(BEHIND_S * (BEHIND_MOST + 1))
    assert (stage.board.events[-1].type, reply.given) == ("ConfigReloaded", Told(None))


def _tiers(snapshot: Any) -> list[str]:
    return [t["name"] for t in snapshot.state["tiers"]]


def test_two_reloads_are_done_one_after_the_other(stage: Stage) -> None:
    replies = [stage.tell(Reload()) for _ in range(3)]
    stage.finish_all("reload/")
    assert all(r.given is not None and not isinstance(r.given, Refusal) for r in replies)
    assert len(stage.events("ConfigReloaded")) == 3


def test_a_reload_whose_supervisor_died_does_not_keep_the_next_one(stage: Stage) -> None:
    reply = stage.tell(Reload())
    stage.drain()
    stage.crash(stage.actor("supervisor"))
    stage.drain()
    assert isinstance(reply.given, Refusal)
    assert reply.given.code == "restarting"
    stage.told(Reload())
    stage.finish_all()
    assert stage.runner.held() == ()


def test_a_look_at_a_node_that_is_removed_is_forgotten_though_its_tier_dies_before_it_hears_of_that(
    stage: Stage,
) -> None:
    up_to(stage, "b", "1.0")
    stage.runner.slow_looks = True
    stage.advance(LOOK_S)
    look = stage.runner.one("node/b/b-2/look/")
    declare(stage, tier("a", 1, SMOKE), tier("b", 1))
    stage.tell(Reload())
    stage.drain()
    stage.runner.finish("reload/")
    stage.handle(stage.actor("supervisor"))
    stage.crash(stage.actor("b"))
    stage.drain()
    assert look.token.cancelled
    stage.finish_all()
    check_rest(stage, [])


def test_a_journal_that_died_meanwhile_shows_the_new_topology(stage: Stage) -> None:
    declare(stage, tier("a", 1, SMOKE), tier("b", 2), tier("c", 1))
    stage.tell(Reload())
    stage.drain()
    stage.crash(stage.actor("journal"))
    stage.runner.finish("reload/")
    supervisor = stage.actor("supervisor")
    stage.handle(supervisor)
    stage.drain()
    assert names(stage) == ["mm", "a", "b", "c"]


def test_at_start_the_file_wins_and_what_ran_on_a_tier_that_is_gone_gets_its_end(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    promoted(stage, "a")
    deploy = stage.accepted(Promote("b")).id
    gates = stage.accepted(RunGate("a", "boot_smoke")).id
    declare(stage, tier("c", 1))
    stage.restart()
    stage.finish_all()
    assert [stage.operation(n).status for n in (deploy, gates)] == [Status.INTERRUPTED] * 2
    check_rest(stage, [])


def test_a_deploy_whose_nodes_are_all_gone_at_start_is_interrupted(stage: Stage) -> None:
    built(stage, "1.0")
    deploy = stage.accepted(Promote("a")).id
    other = tier("a", 1, SMOKE, nodes=tuple(replace(n, name="other") for n in tier("a", 1).nodes))
    declare(stage, other, tier("b", 2))
    stage.restart()
    stage.finish_all()
    assert stage.operation(deploy).status is Status.INTERRUPTED
    check_rest(stage, [])
