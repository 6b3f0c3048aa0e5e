"""The network is cut right after the switch: each node goes back by itself, and the tier says so (SPEC 6)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.sandod import until
from tests.system.workspace import Workspace, ssh
from tests.work.sshds import farm
from tests.work.wire import Wire

NODES = 20
WITHIN_S = 10
SLACK_S = 15

TIER = f"""
[[tier]]
name = "a"
provisioned = true
canary = "parallel"
confirm_within = "{WITHIN_S}s"
restart = '''echo "$SANDO_NODE $SANDO_VERSION $SANDO_PREVIOUS $(basename "$PWD")" >> {{root}}/restarts
[ $SANDO_VERSION != 2.0 ] || {{ : > {{root}}/at/$SANDO_NODE; until [ -e {{root}}/go/$SANDO_NODE ]; do sleep 0.1; done; }}
'''
"""


@pytest.fixture
def wires(sandod: Workspace, tmp_path: Path) -> Iterator[list[Wire]]:
    """Twenty nodes, each behind a wire of its own, on 1.0; the restart to 2.0 waits until it is told to go on."""
    with farm(tmp_path) as sshds:
        server = sshds("127.0.0.20")
        wires = [Wire(server.host, server.port) for _ in range(NODES)]
        text = TIER.replace("{{", "{").replace("}}", "}")
        for number, wire in enumerate(wires, 1):
            text += f'[[tier.node]]\nname = "a-{number}"\nrelease_root = "{{root}}/nodes/a-{number}"\n'
            text += ssh(server, server.through(wire.port))
        sandod.configure(text).start()
        sandod.bring("1.0", "a")
        sandod.green("2.0")
        yield wires
        sandod.stop()
        for wire in wires:
            wire.close()


@pytest.mark.timeout(180)
@pytest.mark.long
def test_a_node_that_is_cut_off_right_after_its_switch_goes_back_by_itself(
    sandod: Workspace, wires: list[Wire]
) -> None:
    operation = sandod.post("/promote/a", {"version": "2.0"}).body["id"]
    for number in range(1, NODES + 1):
        sandod.reached(f"a-{number}")  # its link is on 2.0, and its restart is at work
    for number, wire in enumerate(wires, 1):
        wire.cut()
        wire.refuse()
        sandod.go(f"a-{number}")
    until(lambda: sandod.links("a", NODES) == ["1.0"] * NODES, WITHIN_S + SLACK_S, "for all nodes to be back")
    until(lambda: restarts(sandod, "1.0 2.0 1.0") == NODES, SLACK_S, "for the restarts of the way back")

    ended = sandod.get(f"/operations/{operation}?wait=60").body
    assert ended["status"] in {"errored", "failed"}
    assert "goes back to 1.0 by itself" in str(ended), "what is known of the nodes"
    for wire in wires:
        wire.heal()
    state = until(lambda: whole(sandod), 60, "for the tier to say so")
    assert state["current_version"] == "1.0"
    assert sandod.post("/promote/a", {"version": "1.0"}).code == (409, "already_current")


def restarts(sandod: Workspace, words: str) -> int:
    lines = (sandod.root / "restarts").read_text().splitlines()
    return sum(line.partition(" ")[2] == words for line in lines)


def whole(sandod: Workspace) -> Any:
    """The tier, once all of its nodes are reached again and known to be on its version."""
    state = sandod.tier("a")
    known = [(n["version"], n["observed"], n["reachable"], n["status"]) for n in state["nodes"]]
    return state if state["status"] == "steady" and known == [("1.0", "1.0", True, "ok")] * NODES else None


@pytest.mark.timeout(120)
def test_a_node_that_is_confirmed_in_time_stays(sandod: Workspace, tmp_path: Path) -> None:
    """Over ssh and on this machine alike, and nothing goes back once the time is over."""
    with farm(tmp_path) as sshds:
        server = sshds("127.0.0.21")
        text = TIER.replace("{{", "{").replace("}}", "}").replace(f"{WITHIN_S}s", "4s")
        text += '[[tier.node]]\nname = "a-1"\nrelease_root = "{root}/nodes/a-1"\n' + ssh(
            server, server.target
        )
        text += '[[tier.node]]\nname = "a-2"\nrelease_root = "{root}/nodes/a-2"\nssh_target = "local"\n'
        sandod.configure(text).start()
        sandod.bring("1.0", "a")
        sandod.bring("1.1", "a")
        armed = [sandod.root / "nodes" / name / ".sando" / "deadman" for name in ("a-1", "a-2")]
        until(lambda: not any(list(folder.glob("*.armed")) for folder in armed))
        over = time.monotonic() + 4.5
        until(lambda: time.monotonic() > over, what="for the time of the switch to be over")
        assert sandod.links("a", 2) == ["1.1", "1.1"]
        assert restarts(sandod, "1.0 1.1 1.0") == 0
        sandod.stop()
