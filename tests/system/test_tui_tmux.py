"""The whole way in a real tmux, in a small window and a large one, by keys alone: push, promote, confirm, abort, back, lock."""

import pytest

from tests.system.tmux import Tmux
from tests.system.workspace import tier

GATES = (
    "gates = [ { kind = 'command', command = 'test ! -e {root}/red/gate' }, { kind = 'manual_confirm' } ]\n"
)
SUBJECT = "修正: 注文の合計を丸める 🚀"


@pytest.mark.parametrize("columns, lines", [(80, 24), (200, 60)])
@pytest.mark.parametrize("more", [{}, {"NO_COLOR": "1"}], ids=["colours", "none"])
def test_the_whole_way_by_keys_alone(sandod, columns, lines, more):
    sandod.configure(tier("a", 2, GATES), tier("b", 3, sandod.waiting("before_switch"))).start()
    with Tmux(sandod.url, columns=columns, lines=lines, **more) as screen:
        screen.see("● live", r"▌ mm +— +— +empty")
        sandod.push("1.0", build=sandod.stop_at("build"))
        sandod.reached("build")
        screen.see(r"mm .* building")
        screen.press("l").see("Log of build 1", "building 1.0", "following")
        sandod.go("build")
        screen.see("testing 1.0", "the end")
        screen.press("escape").see(r"mm +1\.0 +— +steady", "BuildOk")

        screen.press("j").see("▌ a")
        screen.press("p").see(r"Promote into tier a\?", "— → 1.0   from tier mm", "y promote 1.0")
        screen.press("y").see(r"a +1\.0 +— +steady")
        screen.press("c").see(r"Confirm on tier a\?", "y confirm 1.0")
        screen.press("y").see("✓manual_confirm|✓✓", "it may go on to tier b|lines more")

        screen.press("j").see("▌ b")
        screen.press("p").see(r"Promote into tier b\?", "y promote 1.0")
        screen.press("y").see(r"b +— +— +deploying")
        sandod.reached("before_switch")
        screen.press("x").see(r"Abort what runs on tier b\?", "y abort it")
        screen.press("y").see("told to stop")
        sandod.go("before_switch")
        screen.see(r"b +— +— +(?:empty|steady)", "DeployFailed")
        assert sandod.operation(4)["status"] == "aborted"
        screen.press("h").see("History of tier b", r"promote +1\.0 +aborted")
        screen.press("escape").see("▌ b")

        sandod.commit("1.1")
        sandod.clone.git("commit", "-q", "--amend", "-m", SUBJECT)
        sandod.clone.push()
        screen.press("k").see(r"mm +1\.1 +1\.0", "▌ a")
        screen.press("p").see("1.0 → 1.1", "修正", "y promote 1.1")
        screen.press("y").see(r"a +1\.1 +1\.0 +steady")
        screen.press("R").see(r"Roll back tier a\?", "1.1 → 1.0", "taken back .*修正", "y roll back to 1.0")
        screen.press("y").see(r"a +1\.0 +— +steady")
        assert sandod.links("a", 2) == ["1.0", "1.0"]

        screen.press("L").see(r"Lock tier a\?", "reason +▏")
        screen.press("監査中", "enter").see("reason +監査中", "y lock it")
        screen.press("y").see(r"a +1\.0 +— +locked", "locked by anonymous since .*: 監査中")
        screen.press("p").see("blocked +lock: .*監査中", "it is blocked")
        screen.press("escape").see("▌ a", "q quit")
        screen.press("q").end()
    assert [o["kind"] for o in reversed(sandod.operations()) if o["kind"] != "gate"] == [
        "build", "promote", "promote", "build", "promote", "rollback",
    ]  # fmt: skip
