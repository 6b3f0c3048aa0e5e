"""Every row of the contract's table of promotions (SPEC 6), over real HTTP: status, code, and what would clear it."""

import pytest

from tests.system.workspace import SICK, tier

CONFIRM = 'gates = [ { kind = "manual_confirm" } ]\n'
LATER = '\n[[tier]]\nname = "z"\nprovisioned = false\n'
ALWAYS = '\n[[freeze]]\ntiers = ["c"]\nhours = "00:00-24:00"\n'


@pytest.fixture
def flow(sandod):
    """mm -> a (a person confirms) -> b (halts) -> z (not provisioned) -> c (frozen); 1.0 runs on a."""
    tiers = tier("a", 1, CONFIRM), tier("b", 3, SICK + 'on_failure = "halt"\n'), LATER, tier("c"), ALWAYS
    return sandod.configure(*tiers).start()


def refused(flow, path, body=None):
    """A refusal changes nothing: no operation, no event, and its problem names itself."""
    before = changes(flow)
    answer = flow.post(path, body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == answer.status
    assert answer.body["detail"]
    assert changes(flow) == before
    return answer


def changes(flow):
    """Operations and events, those of the sweeping behind a deploy apart: it comes when it comes."""
    return len(flow.operations()), [e["type"] for e in flow.hear() if e["type"] != "Pruned"]


def test_before_there_is_a_version_each_tier_says_why_nothing_can_go_there(flow):
    assert refused(flow, "/promote/nowhere").code == (404, "unknown_tier")
    assert refused(flow, "/promote/mm").code == (409, "not_promotable")
    assert refused(flow, "/promote/z").code == (409, "not_provisioned")
    assert refused(flow, "/promote/a").code == (409, "nothing_to_promote")
    assert refused(flow, "/promote/a", {"version": "9.9"}).code == (404, "unknown_version")
    assert refused(flow, "/promote/a", {"version": "../x"}).code == (422, "bad_field")
    assert refused(flow, "/promote/A").code == (404, "unknown_tier")
    assert refused(flow, "/promote/a", {"reset_burn_in": True}).status == 400
    assert refused(flow, "/rebuild").code == (409, "empty_repository")
    assert refused(flow, "/rollback/a").code == (409, "no_previous_version")
    assert refused(flow, "/confirm/a").code == (409, "tier_empty")
    assert refused(flow, "/confirm/b").status == 409


def test_gates_say_which_of_them_block_and_what_would_clear_them(flow):
    flow.bring("1.0", "a")
    flow.green("1.1")
    answer = refused(flow, "/promote/b")
    assert answer.code == (409, "gates_not_passed")
    (check,) = answer.body["blocking"]
    assert (check["gate"], check["outcome"], check["verdict"]) == ("manual_confirm", "pending", "blocked")
    assert "confirm" in check["clears"]
    never = refused(flow, "/promote/b", {"version": "1.1"})
    assert never.code == (409, "gates_not_passed")
    assert "never on tier a" in never.body["detail"]
    assert flow.post("/confirm/a", {"version": "1.1"}).code == (412, "not_current")
    flow.post("/confirm/a", {"version": "1.0"})
    assert flow.post("/promote/b?wait=60").status == 200
    assert flow.post("/confirm/b").code == (409, "no_such_gate")


def test_a_red_build_is_not_let_out_of_the_build_tier(flow):
    sha, _ = flow.push("1.0", test="exit 3")
    flow.wait_event("BuildFailed", sha=sha)
    answer = refused(flow, "/promote/a", {"version": "1.0"})
    assert answer.code == (409, "gates_not_passed")
    assert flow.operation(1)["status"] == "failed"
    assert flow.tier("mm")["current_version"] is None
    assert flow.tier("mm")["gates"][0]["outcome"] == "failed"


def test_a_release_that_is_gone_or_was_changed_is_not_deployed(flow):
    flow.green("1.0")
    file = flow.root / "releases" / "1.0" / "server"
    good = file.read_bytes()
    mode = file.stat().st_mode
    file.chmod(0o755)
    file.write_bytes(good.replace(b"600", b"601"))
    file.chmod(mode)
    assert refused(flow, "/promote/a").code == (409, "release_corrupt")
    file.chmod(0o755)
    file.write_bytes(good)
    file.chmod(mode)
    (flow.root / "releases" / "1.0").rename(flow.root / "elsewhere")
    assert refused(flow, "/promote/a").code == (409, "release_missing")
    (flow.root / "elsewhere").rename(flow.root / "releases" / "1.0")
    assert flow.post("/promote/a?wait=60").status == 200


def test_what_is_current_already_needs_force(flow):
    flow.bring("1.0", "a")
    assert refused(flow, "/promote/a").code == (409, "already_current")
    assert flow.post("/promote/a?wait=60", {"force": True}).status == 200


def test_a_version_marked_bad_by_a_rollback_needs_force_also_further_on(flow):
    flow.bring("1.0", "a")
    flow.bring("1.1", "a")
    assert flow.post("/rollback/a?wait=60", {"reason": "500s"}).body["version"] == "1.0"
    marked = refused(flow, "/promote/a", {"version": "1.1"})
    assert marked.code == (409, "version_marked_bad")
    assert "500s" in marked.body["detail"]
    assert flow.post("/promote/a?wait=60", {"version": "1.1", "force": True}).status == 200
    assert flow.tier("a")["marked_bad"] == []


def test_a_tier_that_a_halt_left_mixed_takes_no_third_version(flow):
    flow.bring("1.0", "a")
    flow.post("/confirm/a")
    assert flow.post("/promote/b?wait=60").status == 200
    flow.bring("1.1", "a")
    flow.post("/confirm/a")
    flow.spoil("b-2", "1.1")
    assert flow.post("/promote/b?wait=60").code == (409, "operation_failed")
    assert flow.tier("b")["status"] == "mixed"
    flow.bring("1.2", "a")
    flow.post("/confirm/a")
    assert refused(flow, "/promote/b").code == (409, "tier_mixed")


def test_a_busy_tier_names_the_operation_that_holds_it(sandod):
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    sandod.green("1.1")
    running = sandod.post("/promote/a", {"version": "1.0"}).body
    sandod.reached("restart")
    busy = sandod.post("/promote/a")
    assert busy.code == (409, "tier_busy")
    assert busy.body["operation"]["id"] == running["id"]
    assert sandod.post("/rollback/a").code == (409, "tier_busy")
    sandod.go("restart")
    assert sandod.ended(running["id"])["status"] == "succeeded"


def test_a_lock_says_who_and_why_and_leaves_rollbacks_and_builds_alone(flow):
    flow.bring("1.0", "a")
    flow.bring("1.1", "a")
    flow.green("1.2")
    assert flow.post("/lock/a", {"reason": "black friday"}).status == 200
    locked = refused(flow, "/promote/a")
    assert locked.code == (423, "locked")
    assert "black friday" in locked.body["detail"]
    assert "anonymous" in locked.body["detail"]
    assert flow.tier("a")["lock"]["reason"] == "black friday"
    assert flow.post("/rollback/a?wait=60").status == 200
    flow.green("1.3")
    assert flow.ask("DELETE", "/lock/a").status == 200
    assert flow.post("/promote/a?wait=60").status == 200
    flow.hear()
    assert flow.told("Locked", "Unlocked") == ["Locked", "Unlocked"]


def test_a_freeze_is_passed_by_an_override_with_a_reason_only(flow):
    flow.bring("1.0", "a")
    flow.post("/confirm/a")
    assert flow.post("/promote/b?wait=60").status == 200
    frozen = refused(flow, "/promote/c")
    assert frozen.code == (423, "frozen")
    assert flow.tier("c")["freeze"]["until"]
    assert refused(flow, "/promote/c", {"override_freeze": True}).code == (423, "frozen")
    assert flow.post("/promote/c?wait=60", {"override_freeze": True, "reason": "a fire"}).status == 200


def test_a_node_that_is_new_gets_the_current_version_without_a_new_stay(sandod):
    sandod.configure(tier("a", 2, CONFIRM)).start()
    sandod.bring("1.0", "a")
    sandod.post("/confirm/a")
    since = sandod.tier("a")["since"]
    sandod.configure(tier("a", 3, CONFIRM))
    assert sandod.post("/reload").status == 200
    repaired = sandod.post("/promote/a?wait=60")
    assert repaired.status == 200
    assert [n["name"] for n in repaired.body["nodes"]] == ["a-3"]
    assert sandod.links("a") == ["1.0"] * 3
    assert sandod.tier("a")["since"] == since
    assert sandod.tier("a")["gates"][0]["outcome"] == "passed"


def test_the_latest_outcome_of_a_gate_wins_also_a_red_one(sandod):
    sandod.configure(tier("a")).start()
    sandod.green("1.0", test="test ! -e $ROOT/red/now")
    (sandod.root / "red" / "now").touch()
    again = sandod.post("/gates/mm/cargo_test/run?wait=60")
    assert again.code == (409, "operation_failed")
    answer = refused(sandod, "/promote/a")
    assert answer.code == (409, "gates_not_passed")
    assert answer.body["blocking"][0]["outcome"] == "failed"
    (sandod.root / "red" / "now").unlink()
    assert sandod.post("/gates/mm/cargo_test/run?wait=60").status == 200
    assert sandod.post("/promote/a?wait=60").status == 200
    assert sandod.get("/state").body["tiers"][0]["gates"][0]["outcome"] == "passed"
