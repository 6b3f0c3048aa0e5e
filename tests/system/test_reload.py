"""sando.toml read anew: as a whole or not at all, by SIGHUP and by POST /reload."""

import signal

from tests.system.workspace import tier

MORE = tier("b")


def test_sighup_takes_a_new_tier_over(sandod):
    sandod.configure(tier("a")).start()
    sandod.configure(tier("a"), MORE)
    sandod.signal(signal.SIGHUP)
    assert sandod.wait_event("ConfigReloaded")["data"]["added"] == ["b"]
    assert [t["name"] for t in sandod.state()["tiers"]] == ["mm", "a", "b"]
    sandod.bring("1.0", "a", "b")


def test_a_bad_file_keeps_the_old_configuration_and_says_where_it_is_wrong(sandod):
    sandod.configure(tier("a")).start()
    sandod.topology.write_text(sandod.topology.read_text() + "\nprovisoned = true\n")
    answer = sandod.post("/reload")
    assert answer.code == (422, "config_rejected")
    assert "provisoned" in answer.body["detail"]
    assert "sando.toml" in answer.body["detail"]
    sandod.signal(signal.SIGHUP)
    first = sandod.wait_event("ConfigRejected")
    sandod.wait_event("ConfigRejected", after=first["seq"])
    sandod.bring("1.0", "a")
    sandod.topology.unlink()
    assert sandod.post("/reload").code == (422, "config_rejected")


def test_a_node_that_runs_a_version_is_taken_away_only_by_force(sandod):
    sandod.configure(tier("a", 2)).start()
    sandod.bring("1.0", "a")
    sandod.configure(tier("a", 1))
    refused = sandod.post("/reload")
    assert refused.status == 409
    assert "a-2" in refused.body["detail"]
    assert [n["name"] for n in sandod.tier("a")["nodes"]] == ["a-1", "a-2"]
    assert sandod.post("/reload", {"force": True}).status == 200
    assert [n["name"] for n in sandod.tier("a")["nodes"]] == ["a-1"]
    assert sandod.link("a-2") == "1.0", "what runs there is left alone"
    assert sandod.tier("a")["status"] == "steady"


def test_a_node_is_not_taken_from_under_an_operation_not_even_by_force(sandod):
    sandod.configure(tier("a", 2, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body
    sandod.reached("restart")
    sandod.configure(tier("a", 1))
    for body in ({}, {"force": True}):
        busy = sandod.post("/reload", body)
        assert busy.code == (409, "tier_busy")
        assert busy.body["operation"]["id"] == operation["id"]
    sandod.go("restart")
    assert sandod.ended(operation["id"])["status"] == "succeeded"
    assert sandod.links("a", 2) == ["1.0", "1.0"]


def test_what_only_a_restart_can_change_is_named(sandod):
    sandod.configure(tier("a")).start()
    sandod.configure(tier("a"), daemon='log_format = "json"\nallowed_hosts = ["sando.example"]')
    answer = sandod.post("/reload")
    assert (answer.status, answer.body["needs_restart"]) == (200, ["log_format"])
    assert answer.body["sections"] == ["allowed_hosts"]
    assert sandod.ask("GET", "/state", headers={"Host": "sando.example"}).status == 200
    assert sandod.ask("GET", "/state", headers={"Host": "evil.example"}).status == 403


def test_an_operation_goes_on_with_the_configuration_that_it_began_with(sandod):
    sandod.configure(tier("a", 1, sandod.waiting("once") + "before_switch = 'touch {root}/old'\n")).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body
    sandod.reached("once")
    sandod.configure(tier("a", 1, "before_switch = 'touch {root}/new'\n"))
    assert sandod.post("/reload").status == 200
    sandod.go("once")
    assert sandod.ended(operation["id"])["status"] == "succeeded"
    assert (sandod.root / "old").exists()
    assert not (sandod.root / "new").exists()
