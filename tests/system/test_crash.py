"""kill -9 at any moment: after the next start nothing is guessed, nothing is left over, and the same request succeeds."""

import random
import threading
import time

import pytest

from tests.system.sandod import ENDED, until
from tests.system.workspace import SICK, tier
from tests.work.pushing import git

STARTS = {
    "BuildStart": {"BuildOk", "BuildFailed", "BuildAborted"},
    "DeployStart": {"DeployOk", "DeployFailed"},
}
STEP = "sleep 0.1"  # what a build, a gate, a restart takes: long enough to be hit
NODES = SICK + f"restart = '{STEP}'\nbefore_switch = '{STEP}'\n"
REST_S = 60.0


def at_rest(sandod):
    """Waits for the end of all operations, in the daemon where one runs; a push that it did not hear is one of them."""
    tip = git("rev-parse", "main", cwd=sandod.root / "mnw.git").strip()

    def rest():
        known = sandod.operations()  # one look: between two of them the build of the tip could begin
        running = [o for o in known if o["status"] not in ENDED]
        if running:
            sandod.get(f"/operations/{running[0]['id']}?wait=5")
        return not running and any(o["sha"] == tip for o in known if o["kind"] == "build")

    until(rest, REST_S, "for all operations to end")


def assert_whole(sandod):
    """What SPEC 11 promises of every start after a crash."""
    at_rest(sandod)
    state = sandod.tier("a")
    links = {n["name"]: sandod.link(n["name"]) for n in state["nodes"]}
    assert {n["name"]: n["version"] for n in state["nodes"]} == links
    assert set(links.values()) == {state["current_version"]}, state
    assert state["status"] in {"steady", "empty"}
    for begin, ends in STARTS.items():
        events = sandod.hear()
        for start in (e for e in events if e["type"] == begin):
            mine = [e["type"] for e in events if e["operation"] == start["operation"] and e["type"] in ends]
            assert len(mine) == 1, f"operation {start['operation']}: {begin} and {mine}"
    gates = [
        (e["operation"], e["tier"], e["data"]["gate"], e["type"])
        for e in sandod.hear()
        if "Gate" in e["type"]
    ]
    for operation, of_tier, gate, _ in gates:
        begun = gates.count((operation, of_tier, gate, "GateStart"))
        assert begun == gates.count((operation, of_tier, gate, "GateDone")), (
            f"gate {gate} of operation {operation}"
        )
    for operation in sandod.operations():
        assert operation["finished_at"], operation


class Life:
    """One round: something is asked for, and sandod dies under it."""

    def __init__(self, sandod, chance):
        self.sandod = sandod
        self.chance = chance
        self.round = 0
        self.want = ""

    def push(self):
        self.want = f"2.{self.round}"
        self.sandod.push(self.want, build=STEP, test=STEP)

    def promote(self):
        self.sandod.post("/promote/a", {"force": True})

    def rollback(self):
        self.sandod.post("/rollback/a", {"force": True})

    def push_and_promote(self):
        self.promote()
        self.push()

    def live(self):
        self.round += 1
        act = self.chance.choice([self.push, self.promote, self.rollback, self.push_and_promote])
        after = self.chance.uniform(0, 0.9)
        print(f"round {self.round}: {act.__name__}, killed {after:.3f} s after it")  # noqa: T201
        worker = threading.Thread(target=self._quietly, args=(act,))
        worker.start()
        worker.join(after)
        self.sandod.kill()
        worker.join(60)

    def _quietly(self, act):
        try:
            act()
        except (OSError, ValueError, AssertionError) as error:  # it died under the request
            print(f"  {error!r}")  # noqa: T201


@pytest.mark.parametrize("half", [1, 2])
@pytest.mark.long
def test_sandod_killed_at_random_moments_is_whole_again_after_each_start(sandod, half):
    seed = time.time_ns() % 1_000_000
    print("seed", seed)  # noqa: T201
    sandod.configure(tier("a", 3, NODES)).start()
    sandod.bring("1.0", "a")
    sandod.bring("1.1", "a")
    life = Life(sandod, random.Random(seed))
    for _ in range(5):
        life.live()
        begun = time.monotonic()
        until(
            lambda: not sandod.left() or only_node_commands(sandod),
            10,
            "for processes of the old life to end",
        )
        sandod.start()
        assert_whole(sandod)
        assert time.monotonic() - begun < REST_S
        if life.want:
            tip = sandod.clone.git("ls-remote", "origin", "main").split()[0]
            assert sandod.tier("mm")["sha"] == tip, "no push is lost"
        again = sandod.post("/promote/a?wait=60", {"force": True})
        assert again.status == 200, again.body
        assert sandod.tier("a")["current_version"] == sandod.tier("mm")["current_version"]


def only_node_commands(sandod):
    """Commands on nodes are the node's own (SPEC 6): they may outlive the daemon, builds and gates may not."""
    return all(words.startswith(("sh -c sleep", "sleep")) for _, words in sandod.left())


def test_a_rollback_that_a_crash_cut_off_goes_on_to_its_target(sandod):
    place = f"[ $SANDO_VERSION$SANDO_NODE != 1.0a-2 ] || [ ! -e {{root}}/red/wait ] || {{ {sandod.stop_at('back')}; }}"
    sandod.configure(tier("a", 3, f"restart = '''{place}'''\n")).start()
    sandod.bring("1.0", "a")
    sandod.bring("1.1", "a")
    (sandod.root / "red" / "wait").touch()
    operation = sandod.post("/rollback/a").body["id"]
    sandod.reached("back")
    sandod.kill()
    sandod.go("back")
    sandod.start()
    ended = sandod.ended(operation)
    assert (ended["status"], ended["recovered"]) == ("succeeded", True)
    assert sandod.links("a") == ["1.0"] * 3
    assert sandod.tier("a")["current_version"] == "1.0"
    assert_whole(sandod)


def test_a_promotion_that_is_on_its_target_everywhere_is_finished_after_a_crash(sandod):
    last = f"[ $SANDO_VERSION$SANDO_NODE != 1.1a-3 ] || {{ {sandod.stop_at('last')}; }}"
    sandod.configure(tier("a", 3, SICK + f"restart = '''{last}'''\n".replace("{root}", str(sandod.root))))
    sandod.start()
    sandod.bring("1.0", "a")
    sandod.green("1.1")
    text = sandod.topology.read_text().replace('timeout = "2s"', 'timeout = "60s"')
    sandod.topology.write_text(text)
    assert sandod.post("/reload").status == 200
    operation = sandod.post("/promote/a").body["id"]
    sandod.reached("last")
    sandod.kill()
    sandod.go("last")
    sandod.start()
    ended = sandod.ended(operation)
    assert (ended["status"], ended["recovered"]) == ("succeeded", True)
    assert sandod.links("a") == ["1.1"] * 3
    sandod.wait_event("PromoteComplete", operation=operation)
    assert_whole(sandod)


def test_a_build_that_was_cut_off_is_built_again_once_and_its_processes_are_gone(sandod):
    sandod.configure().start()
    wild = "trap '' TERM HUP\n(setsid sh -c \"trap '' TERM; sleep 300\" &)\n"
    sha, _ = sandod.push("1.0", build=wild + sandod.stop_at("build"))
    sandod.reached("build")
    sandod.kill()
    until(lambda: not sandod.left(), 60, "for the build's processes to end with the daemon")
    sandod.start()
    sandod.wait_event("BuildAborted", sha=sha)
    sandod.wait_event("BuildStart", sha=sha, after=sandod.wait_event("BuildAborted", sha=sha)["seq"])
    sandod.kill()
    sandod.start()
    failed = sandod.wait_event("BuildFailed", sha=sha)
    assert "twice" in failed["data"]["error"]
    assert [o["status"] for o in sandod.operations("kind=build")] == ["errored", "interrupted"]
    sandod.go("build")
    assert sandod.post("/rebuild?wait=60").status == 200
