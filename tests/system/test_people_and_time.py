"""What people say and what time says: confirmations, locks that end, burn-in, hotfixes."""

from datetime import UTC, datetime, timedelta

from tests.system.workspace import tier

BURN = 'gates = [ { kind = "burn_in", duration = "4s" } ]\n'
BOTH = 'gates = [ { kind = "burn_in", duration = "1h" }, { kind = "manual_confirm" } ]\n'


def gate(sandod, name, kind):
    return next(g for g in sandod.tier(name)["gates"] if g["kind"] == kind)


def test_a_burn_in_ends_by_its_timer_without_anybody_asking(sandod):
    sandod.configure(tier("a", 1, BURN), tier("b")).start()
    sandod.bring("1.0", "a")
    early = sandod.post("/promote/b")
    assert early.code == (409, "gates_not_passed")
    assert early.body["blocking"][0]["gate"] == "burn_in"
    promoted = sandod.wait_event("PromoteComplete", tier="a")
    done = sandod.wait_event("GateDone", tier="a", gate="burn_in")
    assert done["data"]["outcome"] == "passed"
    took = datetime.fromisoformat(done["at"]) - datetime.fromisoformat(promoted["at"])
    assert took >= timedelta(seconds=3.99)
    assert sandod.post("/promote/b?wait=60").status == 200


def test_a_burn_in_goes_on_over_a_restart(sandod):
    sandod.configure(tier("a", 1, BURN), tier("b")).start()
    sandod.bring("1.0", "a")
    started = sandod.tier("a")["burn_in_started_at"]
    sandod.kill()
    sandod.start()
    assert sandod.tier("a")["burn_in_started_at"] == started
    sandod.wait_event("GateDone", tier="a", gate="burn_in")
    assert sandod.told("GateDone").count("GateDone") == 2  # cargo_test, burn_in


def test_a_hotfix_skips_the_burn_in_only_and_can_start_its_clock_anew(sandod):
    sandod.configure(tier("a", 1, BOTH), tier("b")).start()
    sandod.bring("1.0", "a")
    refused = sandod.post("/promote/b", {"hotfix": True})
    assert refused.code == (409, "gates_not_passed")
    assert [c["gate"] for c in refused.body["blocking"]] == ["manual_confirm"]
    sandod.post("/confirm/a")
    before = sandod.tier("a")["burn_in_started_at"]
    plain = sandod.post("/promote/b")
    assert [c["gate"] for c in plain.body["blocking"]] == ["burn_in"]
    done = sandod.post("/promote/b?wait=60", {"hotfix": True, "reset_burn_in": True, "reason": "a leak"})
    assert done.status == 200
    assert sandod.wait_event("HotfixUsed", tier="b")["data"]["reason"] == "a leak"
    sandod.wait_event("BurnInReset", tier="a")
    assert sandod.tier("a")["burn_in_started_at"] > before
    assert gate(sandod, "a", "manual_confirm")["outcome"] == "passed", "a confirmation outlives the clock"


def test_a_rejection_blocks_until_a_new_confirmation_and_ends_with_the_stay(sandod):
    sandod.configure(tier("a", 1, 'gates = [ { kind = "manual_confirm" } ]\n'), tier("b")).start()
    sandod.bring("1.0", "a")
    sandod.post("/confirm/a")
    assert sandod.post("/reject/a", {"reason": "slow"}).body["outcome"] == "failed"
    assert sandod.post("/promote/b").body["blocking"][0]["outcome"] == "failed"
    sandod.post("/confirm/a")
    assert sandod.post("/promote/b?wait=60").status == 200
    sandod.bring("1.1", "a")
    assert gate(sandod, "a", "manual_confirm")["outcome"] == "pending"
    assert sandod.wait_event("Rejected")["data"]["reason"] == "slow"


def test_a_lock_ends_by_itself_at_its_time(sandod):
    sandod.configure(tier("a")).start()
    sandod.green("1.0")
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    assert sandod.post("/lock/a", {"reason": "lunch", "expires": soon}).status == 200
    assert sandod.post("/promote/a").code == (423, "locked")
    sandod.wait_event("Unlocked", tier="a")
    assert sandod.post("/promote/a?wait=60").status == 200


def test_a_lock_outlives_the_daemon_and_all_names_every_tier(sandod):
    sandod.configure(tier("a"), tier("b")).start()
    sandod.green("1.0")
    assert sandod.post("/lock/all", {"reason": "audit"}).body["locked"] == ["mm", "a", "b"]
    sandod.kill()
    sandod.start()
    assert sandod.post("/promote/a").code == (423, "locked")
    assert sandod.ask("DELETE", "/lock/all").body["unlocked"] == ["mm", "a", "b"]
    assert sandod.post("/promote/a?wait=60").status == 200


def test_a_gate_run_is_cut_off_by_a_rollback_and_its_processes_end(sandod):
    gates = f"gates = [ {{ kind = 'command', command = '''{sandod.stop_at('soak')}''' }} ]\n"
    sandod.configure(tier("a", 1, gates)).start()
    sandod.go("soak")
    sandod.bring("1.0", "a")
    sandod.wait_event("GateDone", tier="a", outcome="passed")
    (sandod.root / "go" / "soak").unlink()
    (sandod.root / "at" / "soak").unlink()
    sandod.bring("1.1", "a")
    sandod.reached("soak")
    assert sandod.post("/rollback/a?wait=60").body["version"] == "1.0"
    cut = sandod.wait_event("GateDone", tier="a", outcome="aborted")
    assert cut["version"] == "1.1"
