"""A node whose clock is wrong by years: what sando does there, and when it goes back, is the same."""

import struct

import pytest

from tests.system import clocks
from tests.system.sandod import until
from tests.system.workspace import tier
from tests.work import sshds

sshd = sshds.sshd
wall = clocks.wall
YEARS_S = 15 * 365 * 86400.0


@pytest.mark.parametrize("offset", [YEARS_S, -YEARS_S], ids=["ahead", "behind"])
def test_a_node_whose_clock_is_wrong_by_years_is_deployed_to_rolled_back_and_goes_back_in_time(
    sandod, sshd, wall, tmp_path, offset
):
    clock = tmp_path / "wall"
    clock.write_bytes(struct.pack("d", offset))
    sandod.sshd = sshd(shell=f"export LD_PRELOAD={wall} WALL_OFFSET={clock}\n{sshds.RUN}")
    more = f"restart = '''date +%Y >> {sandod.root}/years; {sandod.stop_at('restart')}'''\nconfirm_within = \"2s\"\n"
    sandod.configure(tier("a", 1, more)).start()
    sandod.go("restart")
    sandod.bring("1.0", "a")
    sandod.bring("1.1", "a")
    now = int(sandod.state()["now"][:4])
    years = {int(year) for year in (sandod.root / "years").read_text().split()}
    assert all(abs(year - now) > 10 for year in years), "the node lives in another time"
    assert sandod.link("a-1") == "1.1"
    assert sandod.post("/rollback/a?wait=60").status == 200
    assert sandod.link("a-1") == "1.0"
    incoming = sandod.root / "nodes" / "a-1" / ".sando" / "incoming"
    until(lambda: not [p for p in incoming.iterdir() if p.name[0].isdigit()], what="for nothing to be left")
    (sandod.root / "go" / "restart").unlink()
    (sandod.root / "at" / "restart").unlink()
    operation = sandod.post("/promote/a", {"force": True, "version": "1.1"}).body["id"]
    sandod.reached("restart")
    until(lambda: sandod.link("a-1") == "1.0", what="for the node to go back by itself")
    sandod.go("restart")
    assert sandod.ended(operation)["status"] == "failed"
    assert sandod.link("a-1") == "1.0"
