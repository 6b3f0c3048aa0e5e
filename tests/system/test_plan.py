"""/plan over real HTTP on a real daemon (SPEC 12): what would go out, what blocks it, and that the act then says the same."""

import pytest

from tests.system.workspace import SICK, tier

CONFIRM = 'gates = [ { kind = "burn_in", duration = "24h" }, { kind = "manual_confirm" } ]\n'


@pytest.fixture
def flow(sandod):
    """mm -> a (a day, and a person) -> b; 1.0 runs on both, 1.1 on a."""
    flow = sandod.configure(tier("a", 1, CONFIRM), tier("b", 3, SICK)).start()
    green(flow, "1.0", "1_init")
    assert flow.post("/promote/a?wait=60").status == 200
    assert flow.post("/confirm/a", {"version": "1.0"}).status == 200
    assert flow.post("/promote/b?wait=60", {"hotfix": True}).status == 200
    green(flow, "1.1", "1_init", "2_more")
    assert flow.post("/promote/a?wait=60").status == 200
    return flow


def green(flow, version, *migrations):
    """A version with these migrations beside its program."""
    copy = "; ".join(f"mkdir -p migrations; echo 'SELECT 1;' > migrations/{m}.sql" for m in migrations)
    flow.green(version, build=f"rm -rf migrations; {copy}")


def blocked(plan):
    return [c["check"] for c in plan["checks"] if c["verdict"] == "blocked"]


def changes(flow):
    return len(flow.operations()), [e["type"] for e in flow.hear() if e["type"] != "Pruned"]


def test_a_plan_says_what_would_go_out_and_what_blocks_it_and_the_act_says_the_same(flow):
    before = changes(flow)
    answer = flow.get("/plan/promote/b")
    assert answer.status == 200
    plan = answer.body
    assert (plan["ready"], plan["status"], plan["code"]) == (False, 409, "gates_not_passed")
    assert (plan["source"], plan["from"], plan["to"]) == ("a", "1.0", "1.1")
    assert blocked(plan) == ["gate:burn_in", "gate:manual_confirm"]
    assert [(c["author"], c["subject"]) for c in plan["commits"]] == [("Max", "version 1.1")]
    assert (plan["commits_back"], plan["migrations"], plan["migrations_back"]) == ([], ["2_more.sql"], [])
    assert [(n["name"], n["version"], n["does"], n["uploads"]) for n in plan["nodes"]] == [
        (f"b-{n}", "1.0", "switch", True) for n in (1, 2, 3)
    ]
    assert changes(flow) == before
    refused = flow.post("/promote/b")
    assert (refused.body["status"], refused.body["code"], refused.body["detail"]) == (
        plan["status"], plan["code"], plan["detail"],
    )  # fmt: skip
    assert [c["check"] for c in refused.body["blocking"]] == blocked(plan)


def test_what_is_ready_is_done_as_it_was_planned_and_so_is_the_way_back(flow):
    flow.post("/confirm/a", {"version": "1.1"})
    plan = flow.get("/plan/promote/b?hotfix=1&version=1.1").body
    assert (plan["ready"], plan["status"], plan["kind"]) == (True, 202, "promote")
    done = flow.post("/promote/b?wait=60", {"hotfix": True, "version": "1.1"}).body
    assert (done["version"], done["sha"]) == (plan["to"], plan["sha"])
    assert [n["name"] for n in done["nodes"]] == [n["name"] for n in plan["nodes"]]

    back = flow.get("/plan/rollback/b").body
    assert (back["ready"], back["from"], back["to"], back["whole"], back["marks_bad"]) == (
        True, "1.1", "1.0", False, "1.1",
    )  # fmt: skip
    assert [c["subject"] for c in back["commits_back"]] == ["version 1.1"]
    assert (back["migrations"], back["migrations_back"]) == ([], ["2_more.sql"])
    assert flow.post("/rollback/b?wait=60").body["version"] == "1.0"
    assert flow.tier("b")["marked_bad"] == ["1.1"]
    again = flow.get("/plan/promote/b?hotfix=1").body
    assert (again["code"], blocked(again)) == ("version_marked_bad", ["marks"])


def test_a_release_that_somebody_changed_in_the_store_is_found_by_the_plan(flow):
    flow.post("/confirm/a")
    (flow.root / "releases" / "1.1" / "server").write_text("not what was built")
    plan = flow.get("/plan/promote/b?hotfix=1").body
    assert (plan["code"], blocked(plan)) == ("release_corrupt", ["release"])
    refused = flow.post("/promote/b", {"hotfix": True}).body
    assert (refused["code"], refused["detail"]) == (plan["code"], plan["detail"])


def test_a_busy_tier_is_planned_with_what_holds_it_and_with_what_would_stop_that(sandod):
    flow = sandod.configure(tier("b", 2, sandod.waiting("once"))).start()
    flow.green("1.0")
    first = flow.post("/promote/b").body["id"]
    flow.reached("once")
    stop = flow.get("/plan/rollback/b?abort_running=1").body
    assert (stop["code"], stop["hint"]) == (
        "no_previous_version", f"POST /operations/{first}/abort stops promote {first}",
    )  # fmt: skip
    flow.go("once")
    flow.ended(first)
    for folder in ("at", "go"):
        (flow.root / folder / "once").unlink()
    flow.green("1.1")
    number = flow.post("/promote/b").body["id"]
    flow.reached("once")
    promote, rollback = flow.get("/plan/promote/b").body, flow.get("/plan/rollback/b").body
    assert (promote["code"], promote["operation"], blocked(promote)) == ("tier_busy", number, ["busy"])
    assert (rollback["code"], rollback["to"], blocked(rollback)) == ("tier_busy", "1.0", ["busy"])
    stop = flow.get("/plan/rollback/b?abort_running=1").body
    assert (stop["ready"], stop["status"], stop["code"], stop["operation"]) == (True, 202, "aborting", number)
    assert (stop["from"], stop["to"], stop["whole"]) == ("1.1", "1.0", True)
    flow.go("once")
    assert flow.ended(number)["status"] == "succeeded", "a plan stops nothing"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/plan/promote/nowhere", (404, "unknown_tier")),
        ("/plan/rollback/nowhere", (404, "unknown_tier")),
        ("/plan/promote/b?hotfx=1", (422, "bad_field")),
        ("/plan/promote/b?reset_burn_in=1", (400, "bad_request")),
        ("/plan/promote/b?version=../x", (422, "bad_field")),
    ],
)
def test_what_cannot_be_planned_at_all_is_an_error(sandod, path, code):
    flow = sandod.configure(tier("a"), tier("b")).start()
    assert flow.get(path).code == code
