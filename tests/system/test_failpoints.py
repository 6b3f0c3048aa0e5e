"""sandod killed at every step boundary: after the next start all agrees, nothing is left, and the same request succeeds."""

import contextlib
from http.client import HTTPException

import pytest

from sando.failpoints import POINTS
from tests.system.cycle import Cycle, Died
from tests.system.sandod import until
from tests.system.workspace import SICK, tier

ELSEWHERE = {
    "copy.written": "test_fsck",
    "node.gate": "below: on nodes that have a gate",
    "node.gate.done": "below: on nodes that have a gate",
    "node.probe": "below: what settles after another death",
    "node.probe.done": "below: what settles after another death",
}
AT_START = {"start.locked", "start.prepared", "commit.DaemonStarted", "committed.DaemonStarted"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A state that goes on from death to death, one for each worker; a test that fails begins another."""
    made = {}

    def cycle():
        if "now" not in made:
            root = tmp_path_factory.mktemp("deaths")
            made["now"] = Cycle(root)
            made["all"] = [*made.get("all", []), made["now"]]
            made["now"].begin()
            made["now"].live()
            made["now"].sandod.kill()
        return made["now"]

    yield cycle, made
    left = [left for c in made.get("all", []) for left in c.sandod.finish()]
    assert left == []


@pytest.fixture
def cycle(kept, request):
    make, made = kept
    now = make()
    yield now
    if not now.gone:
        now.sandod.kill()
    if getattr(request.node, "bad", True):
        print(now.sandod.log.read_text(errors="replace")[-6000:])  # noqa: T201
        made.pop("now", None)


def dies(cycle, point, act="kill"):
    cycle.begin(f"{point}={act}")
    with contextlib.suppress(Died):
        cycle.live()
    until(lambda: cycle.gone, 60, f"for {point} to be reached")


@pytest.mark.parametrize("point", sorted(set(POINTS) - set(ELSEWHERE)))
def test_killed_at_this_point_all_agrees_after_the_next_start(cycle, request, point):
    dies(cycle, point)
    until(lambda: not cycle.sandod.left(), 60, "for the processes of the old life to end")
    cycle.begin()
    cycle.check()
    cycle.again()
    request.node.bad = False


def dies_at(sandod, point, nth=1):
    sandod.env["SANDO_FAILPOINTS"] = f"{point}=kill@{nth}"
    with contextlib.suppress(AssertionError, HTTPException):
        sandod.start()
    with contextlib.suppress(OSError, HTTPException):
        sandod.post("/promote/a?wait=30", {"force": True})
    sandod.wait()
    del sandod.env["SANDO_FAILPOINTS"]


def test_killed_again_and_again_while_it_settles_all_agrees_in_the_end(sandod):
    sandod.configure(tier("a", 2, SICK)).start()
    sandod.green("1.0")
    sandod.kill()
    dies_at(sandod, "link.switched", nth=2)  # on the second node: the first one is only probed again
    dies_at(sandod, "node.probe")
    dies_at(sandod, "node.probe.done")
    sandod.start()
    promote = next(o for o in sandod.operations() if o["kind"] == "promote")
    assert sandod.ended(promote["id"])["recovered"] is True
    assert (sandod.run("fsck", "--online").returncode, sandod.links("a", 2)) == (0, ["1.0", "1.0"])


@pytest.mark.parametrize("point", ["node.gate", "node.gate.done"])
def test_killed_at_a_gate_of_the_nodes_it_is_judged_after_the_next_start(sandod, point):
    gate = "gates = [ { kind = 'command', command = 'true', on = 'nodes' } ]\n"
    sandod.configure(tier("a", 2, gate)).start()
    sandod.green("1.0")
    sandod.kill()
    dies_at(sandod, point)
    sandod.start()
    sandod.wait_event("GateDone", tier="a", outcome="passed")
    assert (sandod.run("fsck", "--online").returncode, sandod.links("a", 2)) == (0, ["1.0", "1.0"])


# -- the same places, with another fault -----------------------------------------------------------------------------

REFUSED = ["build.staged", "build.placed", "gate.ran", "shelf.staged", "link.beside", "backup.arrived"]


@pytest.mark.parametrize("act", ["full", "error"])
@pytest.mark.parametrize("point", REFUSED)
def test_a_full_disk_or_an_io_error_here_ends_the_operation_errored_and_nothing_is_left(
    cycle, request, point, act
):
    cycle.begin(f"{point}={act}")
    until_errored(cycle)
    cycle.check()
    cycle.again()
    request.node.bad = False


def until_errored(cycle):
    """A round until something says that it could not run."""
    before = cycle.sandod.operations("limit=1")[0]["id"]
    with contextlib.suppress(AssertionError):
        cycle.live()
    cycle.rest()
    ended = [o for o in cycle.sandod.operations() if o["id"] > before]
    errored = [o for o in ended if o["status"] == "errored"]
    assert errored, [(o["kind"], o["status"], o["error"]) for o in ended]
    assert any("space" in o["error"] or "Input/output" in o["error"] for o in errored), errored
