"""Node k of three fails, k = 1, 2, 3, in every way that a machine over SSH can: nobody is left on the new version.

Each node is an sshd of its own behind a wire of its own. What must hold after each: the operation did not succeed,
every node is on its own former release, the tier keeps its version, and the error names the node and the trouble.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tests.system.workspace import SICK, Workspace, ssh
from tests.work.sshds import Farm, Sshd, farm, on_path, tools
from tests.work.wire import Wire

BIG = "head -c 3000000 /dev/urandom > noise; cat server.sh noise > server.new; mv server.new server.sh"
TIER = """
[[tier]]
name = "a"
provisioned = true
restart = '[ ! -e {root}/red/restart.$SANDO_NODE.$SANDO_VERSION ] || { echo "$SANDO_NODE does not start" >&2; exit 3; }'
"""


class Node(NamedTuple):
    sshd: Sshd
    wire: Wire


@dataclass
class Fleet:
    """Three nodes of tier a; `tar` of each can be told to spoil what it unpacks."""

    flow: Workspace
    nodes: list[Node]
    version: int = 0

    def spoiled(self, k: int) -> Any:
        return self.flow.root / "red" / f"tar.{k}"

    def next(self) -> str:
        self.version += 1
        self.flow.green(f"1.{self.version}", build=BIG)
        return f"1.{self.version}"


def spoiling_tar(sshds: Farm, flow: Workspace, k: int) -> str:
    """The node's own tar, and a byte of what it unpacked is another one afterwards, where the test says so."""
    path = tools(sshds.folder / f"tools-{k}", without=("tar",))
    tar = path / "tar"
    flag = shlex.quote(str(flow.root / "red" / f"tar.{k}"))
    tar.write_text(
        f'#!/bin/sh\n/usr/bin/tar "$@" || exit\n[ -e {flag} ] || exit 0\n'
        'for last; do :; done\nprintf X | dd of="$last/tree/server" bs=1 seek=9 conv=notrunc 2>/dev/null\n'
    )
    tar.chmod(0o755)
    return on_path(path)


@pytest.fixture
def fleet(sandod: Workspace, tmp_path: Any) -> Iterator[Fleet]:
    with farm(tmp_path) as sshds:
        nodes: list[Node] = []
        text = TIER + SICK
        for k in (1, 2, 3):
            sshd = sshds(f"127.0.0.{10 + k}", shell=spoiling_tar(sshds, sandod, k))
            wire = Wire(sshd.host, sshd.port)
            nodes.append(Node(sshd, wire))
            text += f'[[tier.node]]\nname = "a-{k}"\nrelease_root = "{{root}}/nodes/a-{k}"\n'
            text += ssh(sshd, sshd.through(wire.port))
        sandod.configure(text).start()
        fleet = Fleet(sandod, nodes)
        version = fleet.next()
        answer = sandod.post("/promote/a?wait=60")
        assert answer.status == 200, str(answer.body)
        assert sandod.links("a") == [version] * 3
        yield fleet
        sandod.stop()
        for node in nodes:
            node.wire.close()


class Trouble(NamedTuple):
    begin: Callable[[Fleet, int, str], None]
    end: Callable[[Fleet, int, str], None]
    said: tuple[str, ...]
    status: str
    touched: bool = False


def away(fleet: Fleet, k: int, _version: str) -> None:
    fleet.nodes[k - 1].sshd.stop()
    fleet.nodes[k - 1].wire.refuse()


def back(fleet: Fleet, k: int, _version: str) -> None:
    fleet.nodes[k - 1].sshd.start()
    fleet.nodes[k - 1].wire.heal()


def lock_out(fleet: Fleet, k: int, _version: str) -> None:
    sshd = fleet.nodes[k - 1].sshd
    (sshd.folder / "authorized_keys").rename(sshd.folder / "kept")
    sshd.kill_sessions()


def let_in(fleet: Fleet, k: int, _version: str) -> None:
    sshd = fleet.nodes[k - 1].sshd
    (sshd.folder / "kept").rename(sshd.folder / "authorized_keys")


def limit(fleet: Fleet, k: int, _version: str) -> None:
    """No file over a megabyte from now on: what a quota does in the middle of an upload."""
    sshd = fleet.nodes[k - 1].sshd
    script = sshd.folder / "shell"
    script.write_text(script.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nulimit -f 2048\n", 1))
    sshd.kill_sessions()


def unlimit(fleet: Fleet, k: int, _version: str) -> None:
    sshd = fleet.nodes[k - 1].sshd
    script = sshd.folder / "shell"
    script.write_text(script.read_text().replace("ulimit -f 2048\n", ""))
    sshd.kill_sessions()


def cut_upload(fleet: Fleet, k: int, _version: str) -> None:
    """The link dies a million bytes into the upload, and stays dead."""
    wire = fleet.nodes[k - 1].wire
    wire.cut_after(1_000_000)
    wire.refuse()


def heal(fleet: Fleet, k: int, _version: str) -> None:
    fleet.nodes[k - 1].wire.heal()


def spoil_upload(fleet: Fleet, k: int, _version: str) -> None:
    fleet.spoiled(k).touch()


def unspoil(fleet: Fleet, k: int, _version: str) -> None:
    fleet.spoiled(k).unlink()


def no_start(fleet: Fleet, k: int, version: str) -> None:
    fleet.flow.spoil(f"restart.a-{k}", version)


def no_probe(fleet: Fleet, k: int, version: str) -> None:
    fleet.flow.spoil(f"a-{k}", version)


def nothing(_fleet: Fleet, _k: int, _version: str) -> None:
    """The trouble belongs to the version."""


TROUBLES = {
    "connect": Trouble(away, back, ("connection refused",), "errored"),
    "auth": Trouble(lock_out, let_in, ("does not let", "authorized_keys"), "errored"),
    "disk full": Trouble(limit, unlimit, ("upload",), "errored"),
    "upload cut": Trouble(cut_upload, heal, ("upload",), "errored"),
    "hash mismatch": Trouble(spoil_upload, unspoil, ("upload", "sha256 differs"), "errored"),
    "restart fails": Trouble(no_start, nothing, ("exit status 3", "does not start"), "failed", touched=True),
    "probe fails": Trouble(no_probe, nothing, ("the probe stayed red", "is sick"), "failed", touched=True),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", TROUBLES)
def test_a_node_that_fails_leaves_every_node_on_its_own_former_release(fleet: Fleet, name: str) -> None:
    trouble, flow = TROUBLES[name], fleet.flow
    former = f"1.{fleet.version}"
    for k in (1, 2, 3):
        version = fleet.next()
        trouble.begin(fleet, k, version)
        answer = flow.post("/promote/a?wait=60", {"version": version})
        trouble.end(fleet, k, version)
        assert answer.code == (409, f"operation_{trouble.status}"), (k, answer.body)
        operation = answer.body["operation"]
        assert f"a-{k}" in operation["error"]
        for word in trouble.said:
            assert word in operation["error"], (k, operation["error"])
        assert flow.links("a") == [former] * 3, (k, operation)
        assert flow.tier("a")["current_version"] == former
        moved = {n["name"] for n in operation["nodes"] if n["status"] == "reverted"}
        assert moved == ({f"a-{n}" for n in range(1, k + 1)} if trouble.touched else set()), operation[
            "nodes"
        ]
        assert operation["rolled_back"] is trouble.touched
    version = fleet.next()
    assert flow.post("/promote/a?wait=60", {"version": version}).status == 200, "all is well again"
    assert flow.links("a") == [version] * 3
