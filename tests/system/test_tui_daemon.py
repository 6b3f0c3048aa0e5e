"""The screen and a real sandod: a version from its push to production and back by keys alone, and what is lost and found."""

import hashlib
import re

import pytest

from tests.system.terminal import Terminal
from tests.system.workspace import Workspace, tier

CONFIRM = "gates = [ { kind = 'manual_confirm' } ]\n"


@pytest.fixture
def flow(tmp_path):
    made = Workspace(tmp_path)
    yield made
    assert not made.finish()


def answers(flow: Workspace) -> bool:
    """With tokens, only this is for everybody."""
    try:
        return flow.get("/healthz", timeout=5).status == 200
    except OSError:
        return False


def short(flow: Workspace) -> Workspace:
    """Two tiers, a version on each."""
    flow.configure(tier("a", 1, CONFIRM)).start()
    flow.bring("1.0", "a")
    return flow


def test_a_version_goes_out_and_back_by_keys_alone(flow):
    flow.configure(tier("a", 1, CONFIRM), tier("b", 2, flow.waiting("before_switch"))).start()
    with Terminal(flow.url, columns=120, lines=40) as screen:
        screen.see("live", r"▌ mm +— +— +empty", "no nodes: releases are built and tested here")

        flow.push("1.0", build=flow.stop_at("build"))
        flow.reached("build")
        screen.see(r"mm .* building", r"BuildStart +#1 [0-9a-f]{7} by git")
        screen.press("l").see("Log of build 1 .*: build, running", "building 1.0", "following")
        flow.go("build")
        screen.see("built", "testing 1.0", "the end")
        screen.press("/", "BUILT", "enter").see("search 'BUILT'")
        screen.press("escape", "escape").see(r"mm +1\.0 +— +steady +✓cargo_test", r"BuildOk +#1 1\.0")

        screen.press("j", "p").see(
            r"Promote into tier a\?", "— → 1.0   from tier mm", "nothing stands in the way"
        )
        screen.see("nodes +a-1: nothing, switches", r"commits +[0-9a-f]{7} .*: version 1\.0")
        screen.press("i", "the first", "enter").see("reason +the first")
        screen.press("y").see(r"a +1\.0 +— +steady +\?manual_confirm", r"PromoteComplete +#2 .*\(the first\)")
        assert flow.link("a-1") == "1.0"
        assert flow.operation(2)["reason"] == "the first"

        screen.press("j", "p").see(
            r"Promote into tier b\?", "blocked +manual_confirm: pending on tier a", "it is blocked"
        )
        screen.press("y").see("(?m)^ it is blocked")
        screen.press("n").miss("Promote into", "it is blocked")
        screen.press("k", "c").see(
            r"Confirm on tier a\?", "you say yes to 1.0", "it may then go on to tier b", "y confirm 1.0"
        )
        screen.press("y").see(r"a +1\.0 +— +steady +✓manual_confirm", "it may go on to tier b")

        screen.press("j", "p").see("y promote 1.0")
        screen.press("y").see("b .* deploying", "promote 3 of 1.0")
        flow.reached("before_switch")
        screen.press("x").see(r"Abort what runs on tier b\?", "promote 3 of 1.0 .*It")
        screen.press("y").see("promote 3 of 1.0: told to stop")
        flow.go("before_switch")
        screen.see("DeployFailed +#3 .*aborted", "(?m)^ promote 3 of 1.0: aborted")
        assert flow.operation(3)["status"] == "aborted"
        screen.press("p").see("y promote 1.0", "nothing stands in the way")
        screen.press("y").see(
            r"b +1\.0 +— +steady", r"PromoteComplete +#4 1\.0", "(?m)^ promote 4 of 1.0: succeeded"
        )
        assert flow.links("b", 2) == ["1.0", "1.0"]

        flow.green("1.1")
        screen.press("k").see(r"mm +1\.1", "▌ a")
        screen.press("p").see("1.0 → 1.1", "y promote 1.1")
        screen.press("y").see(r"a +1\.1 +1\.0 ")
        screen.press("R").see(
            r"Roll back tier a\?",
            "1.1 → 1.0",
            "1.1 is marked bad here",
            "taken back +[0-9a-f]{7}",
            "y roll back to 1.0",
        )
        assert flow.link("a-1") == "1.1"
        screen.press("y").see(r"a +1\.0 +— +steady", "Rollback +#7 1.1 → 1.0", "marked bad here: 1.1|more ─╮")
        assert flow.link("a-1") == "1.0"

        screen.press("p").see(
            "1.0 → 1.1",
            "was marked bad on tier a by",
            "blocked +marks; to clear it: f .force.",
            "f force",
        )
        screen.press("f").see("with force", "y promote 1.1")
        screen.press("n").miss("Promote into")
        screen.press("h").see(
            "History of tier a", r"▌ .* 7 +rollback +1\.0 +succeeded", r"2 +promote .*the first"
        )
        screen.press("G", "enter").see("Log of promote 2 of 1.0", "a-1: switched current -> releases/1.0")
        screen.press("escape", "escape").see("Tiers")
        screen.press("q")
        assert screen.end() == 0
    assert [o["kind"] for o in reversed(flow.operations())] == [
        "build", "promote", "promote", "promote", "build", "promote", "rollback",
    ]  # fmt: skip


def test_a_tier_is_locked_and_unlocked_and_what_is_refused_is_said_in_the_daemons_words(flow):
    short(flow)
    with Terminal(flow.url) as screen:
        screen.see("live")
        screen.press("j", "L").see(r"Lock tier a\?", "reason +▏")
        screen.press("enter").see("none; a lock needs one", "a lock needs a reason: i types one")
        screen.press("y", "i", "audit", "enter").see("reason +audit", "y lock it")
        screen.press("y").see(r"a +1\.0 +— +locked", "locked by anonymous since .*: audit")
        assert flow.tier("a")["lock"]["reason"] == "audit"
        screen.press("L").see(
            r"Lift the lock of tier a\?", "locked by anonymous since .*: audit", "y unlock it"
        )
        screen.press("y").see(r"a +1\.0 +— +steady", "unlocked: a")
        screen.press("b").see(r"Fetch the backup\?", "none has been fetched yet", "y fetch it")
        screen.press("y").see("sando.toml has no .backup. section", "Esc")
        screen.press("R").see(r"Fetch the backup\?")
        screen.press("escape").see("q quit")
        screen.press("R").see(r"Roll back tier a\?", "blocked", "n Esc no")
        screen.press("y", "n").miss("Roll back")
    assert {o["kind"] for o in flow.operations()} == {"build", "promote"}


def test_a_daemon_that_dies_is_missed_and_found_again_with_all_that_happened(flow):
    short(flow)
    with Terminal(flow.url) as screen:
        screen.see("live", r"▌ mm +1\.0")
        flow.kill()
        screen.see("✗ away", r"stale since \d\d:", "nothing listens there; asked again", r"mm +1\.0")
        screen.press("j", "p").see("sandod does not answer")
        assert "Promote into" not in screen.text
        screen.press("h", "l", "R", "L", "?").see("Help")
        screen.press("escape").miss("Help", "History of", "Log of", r"tier a\?")
        flow.start()
        flow.post("/lock/a", {"reason": "while nobody looked"})
        screen.press("r").see(
            "● live", r"a +1\.0 +— +locked", "DaemonStarted", "Locked .*while nobody looked"
        )
        screen.miss("stale", "asked again")
        flow.green("1.1")
        screen.see(r"mm +1\.1 +1\.0", r"BuildOk +#\d+ 1\.1")
        screen.resize(120, 60).see("q quit")
        shown = re.findall(
            r"^│ \d\d:\d\d:\d\d +(?:mm|a)? +(\w+) ", screen.see("RebuildRequested"), re.MULTILINE
        )
        told = [e["type"] for e in flow.hear()]
        assert shown == told[-len(shown) :], "none is missing, none is there twice, all are in their order"
        assert len(shown) > 15


def test_what_comes_from_outside_does_nothing_to_the_terminal(flow):
    flow.configure(tier("a", 1, CONFIRM)).start()
    evil = "\x1b]0;owned\x07\x1b[31m日本語 🚀 👍🏽 \u202edrow\u202c e\u0301\u0301\u0301\u0301 \x9b2J end"
    flow.commit("1.0")
    assert flow.clone
    flow.clone.put(
        "server/build.sh",
        "cp server.sh server\nchmod +x server\nprintf '\\033[2J\\033]0;owned\\007 10%%\\r 99%%\\n'\n",
    )
    sha = flow.clone.commit(evil)
    flow.clone.push("main")
    flow.wait_event("BuildOk", sha=sha)
    with Terminal(flow.url, columns=180, TERM="xterm-256color") as screen:
        screen.hear("日本語".encode())
        screen.press("j", "p")
        screen.hear(b"nothing stands in the way")
        screen.press("n", "k", "l")
        screen.hear(b"99%")
        screen.press("q", "q")
        assert screen.end() == 0
        seen = screen.raw.decode()
        assert "owned\x07" not in seen
        assert "\u202e" not in seen
        assert "\x9b" not in seen
        assert "\x1b]" not in seen
        assert seen.count("\x1b[2J") + seen.count("\x1b[J") <= 2, (
            "the terminal is cleared as it begins and ends"
        )
    with Terminal(flow.url, columns=180) as screen:
        screen.see("live", "日", r"\\u202e")
        cut = [line for line in screen.screen.display if line.startswith("│") and line.rstrip()[-1] != "│"]
        assert cut == [], "whatever is in it, a row ends where its frame does"


def test_a_token_that_is_wrong_or_too_small_is_told(flow):
    tokens = "".join(
        f'[[token]]\nname = "{name}"\nscope = "{scope}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n'
        for name, scope in (("reader", "read"), ("max", "operate"))
    )
    flow.configure(tier("a", 1, CONFIRM), daemon=tokens)
    flow._answers = lambda: answers(flow)  # type: ignore[method-assign]
    flow.start()
    with Terminal(flow.url, SANDO_TOKEN="nobody") as screen:
        screen.see("✗ refused", r"\(401\)", "set SANDO_TOKEN to a token of this sandod")
    with Terminal(flow.url, SANDO_TOKEN="reader") as screen:
        screen.see("● live", "▌ mm")
        screen.press("j", "L", "mine", "enter").see("y lock it")
        screen.press("y").see("operate", "Esc")
        screen.press("escape").miss("Lock tier")
    with Terminal(flow.url, SANDO_TOKEN="max") as screen:
        screen.see("● live", "▌ mm")
        screen.press("j", "L", "mine", "enter").see("y lock it")
        screen.press("y").see("locked by max since .*: mine")
