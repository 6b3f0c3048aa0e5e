"""Steps that hang: the operation's error, which is all that most people read, names the step and what it ran."""

import pytest

from tests.system.workspace import MM, tier

HANG = "echo mine; sleep 600"
SHORT = MM.replace("test.sh", 'test.sh", timeout = "2s')


@pytest.mark.parametrize("key", ["before_switch", "restart", "once"])
def test_a_command_of_a_node_that_hangs_is_named_by_its_key_and_told_with_its_own_words(sandod, key):
    sandod.configure(tier("a", 1, f"{key} = '{HANG}'\ntimeout = \"2s\"\n")).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a?wait=60").body["operation"]
    assert operation["status"] == "failed"
    step = {"before_switch": "switch", "restart": "start"}.get(key, key)
    assert operation["error"] == f"a-1: {step}: {key} timed out after 2s; it was killed\nmine"


def test_a_gate_that_hangs_is_named_with_its_command_and_told_with_its_own_words(sandod):
    sandod.configure(tier("a"), mm=SHORT).start()
    sha, _ = sandod.push("1.0", test="sleep 600")
    failed = sandod.wait_event("BuildFailed", sha=sha)
    said = "`sh ./test.sh` timed out after 2s; it and all that it started were killed\ntesting 1.0"
    assert failed["data"]["error"] == f"gate cargo_test: {said}"
    assert sandod.get(f"/operations/{failed['operation']}").body["error"] == f"gate cargo_test: {said}"
    assert sandod.tier("mm")["gates"][0]["message"] == said
