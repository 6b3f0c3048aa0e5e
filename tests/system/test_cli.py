"""A real sandod from the command line alone: the whole way, every exit code, and sandod lost in the middle."""

import hashlib
import json
import tomllib

import pytest

from tests.system.cli import Cli
from tests.system.sandod import Sandod
from tests.system.workspace import SICK, tier

CONFIRM = 'gates = [ { kind = "manual_confirm" } ]\n'


@pytest.fixture
def begin(sandod):
    """Configured with these tiers and started."""

    def begun(*tiers: str, **more: str) -> Cli:
        sandod.configure(*tiers, **more).start()
        return Cli(sandod.url)

    return begun


def build(sandod, cli: Cli, version: str, **programs: str) -> dict:
    """Pushed, and waited for as a script would."""
    sha, _ = sandod.push(version, **programs)
    found = next(o for o in cli.json("history", "mm", "--kind", "build")["operations"] if o["sha"] == sha)
    ended = cli.run("wait", str(found["id"]), "--json")
    return ended.document | {"exit": ended.code}


def test_the_whole_way_with_json_and_wait(sandod, begin):
    cli = begin(tier("a", 2, CONFIRM), tier("b"))
    assert build(sandod, cli, "1.0")["status"] == "succeeded"
    promoted = cli.json("promote", "a", "--wait")
    assert (promoted["version"], promoted["status"]) == ("1.0", "succeeded")
    refused = cli.json("promote", "b", "--wait", code=3)
    assert (refused["code"], refused["blocking"][0]["gate"]) == ("gates_not_passed", "manual_confirm")
    assert cli.json("plan", "promote", "b", code=3)["code"] == "gates_not_passed"
    assert cli.json("confirm", "a", "-m", "looks good")["outcome"] == "passed"
    assert cli.json("plan", "promote", "b")["ready"] is True
    assert cli.json("promote", "b", "--wait")["status"] == "succeeded"
    build(sandod, cli, "1.1")
    assert cli.json("lock", "a", "-m", "audit")["locked"] == ["a"]
    assert cli.json("promote", "a", "--wait", code=4)["code"] == "locked"
    assert cli.json("unlock", "a")["unlocked"] == ["a"]
    assert cli.json("promote", "a", "--wait")["version"] == "1.1"
    assert cli.json("rollback", "a", "--wait")["version"] == "1.0"
    assert cli.json("rollback", "a", "--wait", code=3)["code"] == "no_previous_version"
    assert cli.json("promote", "a", "--wait", code=3)["code"] == "version_marked_bad"
    assert cli.json("promote", "a", "1.1", "--force", "-m", "mended", "--wait")["reason"] == "mended"
    assert sandod.links("a", 2) == ["1.1", "1.1"]
    assert sandod.link("b-1") == "1.0"
    state = cli.json("status")
    assert [t["current_version"] for t in state["tiers"]] == ["1.1", "1.1", "1.0"]
    assert [r["version"] for r in cli.json("releases")["releases"]] == ["1.1", "1.0"]
    events = [json.loads(line) for line in cli.run("events", "--json").out.splitlines()]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


def test_people_see_steps_and_an_end(sandod, begin):
    cli = begin(tier("a", 2))
    build(sandod, cli, "1.0")
    ended = cli.run("promote", "a", "--wait")
    assert ended.out.startswith("promote 2 of 1.0 to a: succeeded in ")
    assert "  promote 2 of 1.0 to a runs\n" in ended.err
    assert "  node a-2 ok (1.0)\n" in ended.err
    assert "building 1.0\nbuilt\n" in cli.run("log", "1").out
    assert "a     1.0" in cli.run("status").out
    assert "\x1b" not in ended.out + ended.err


@pytest.mark.parametrize(
    "words", [["promote", "nowhere"], ["rollback", "nowhere"], ["promote", "a", "9.9"], ["log", "999"], ["wait", "999"],
              ["rebuild", "f" * 40], ["gate", "run", "a", "nothing"], ["releases", "9.9"], ["status", "nowhere"]]
)  # fmt: skip
def test_names_that_nobody_knows_are_2(shared, words):
    ended = Cli(shared.url).run(*words)
    assert ended.code == 2, ended
    assert ended.err.startswith("sando: ")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    from tests.system.workspace import Workspace

    root = tmp_path_factory.mktemp("cli") / "ws"
    root.mkdir()
    made = Workspace(root).configure(tier("a")).start()
    made.bring("1.0", "a")
    yield made
    assert not made.finish()


def test_a_build_that_is_red_is_1_and_one_that_was_built_is_found(sandod, begin):
    cli = begin(tier("a"))
    assert build(sandod, cli, "1.0")["exit"] == 0
    red = build(sandod, cli, "1.1", test="exit 3")
    assert (red["exit"], red["status"]) == (1, "failed")
    ended = cli.run("rebuild", sandod.commit("1.2", test="exit 3")[:8], "--wait")
    assert ended.code == 2  # committed, and not pushed
    assert cli.run("rebuild", "--wait").code == 1
    green = sandod.operation(1)["sha"]
    ended = cli.run("rebuild", green, "--wait")
    assert ended.code == 0
    assert "it was built, and is green, already" in ended.err


def test_a_deploy_that_went_back_is_5(sandod, begin):
    cli = begin(tier("a", 2, SICK))
    build(sandod, cli, "1.0")
    assert cli.run("promote", "a", "--wait").code == 0
    build(sandod, cli, "1.1")
    sandod.spoil("a-2", "1.1")
    ended = cli.run("promote", "a", "--wait")
    assert ended.code == 5, ended
    assert "promote 4 of 1.1 to a: failed, rolled back" in ended.out
    assert "node a-1 reverted (1.0)" in ended.err
    assert "a-2 is sick" in ended.err
    assert cli.run("wait", "4").code == 5
    assert sandod.links("a", 2) == ["1.0", "1.0"]


def test_a_promotion_that_runs_is_busy_for_others_and_ends_when_it_is_aborted(sandod, begin, tmp_path):
    cli = begin(tier("a", 2, sandod.waiting("before_switch")))
    build(sandod, cli, "1.0")
    with cli.start(tmp_path, "promote", "a", "--wait", "--json") as running:
        sandod.reached("before_switch")
        assert cli.json("promote", "a", code=4)["code"] == "tier_busy"
        assert cli.json("wait", "2", "--timeout", "0.2", code=1)["status"] == "running"
        assert cli.json("abort", "2", "-m", "wrong one")["id"] == 2
        sandod.go("before_switch")
        ended = running.end()
    assert ended.document["status"] == "aborted"
    assert ended.code == (5 if ended.document["rolled_back"] else 1)
    assert cli.json("abort", "2", code=3)["code"] == "not_running"
    assert sandod.links("a", 2) == [None, None]


def test_a_sandod_that_is_killed_in_the_middle_is_waited_for(sandod, begin, tmp_path):
    cli = begin(tier("a", 2, sandod.waiting("before_switch")))
    build(sandod, cli, "1.0")
    with cli.start(tmp_path, "promote", "a", "--wait", "--json") as running:
        sandod.reached("before_switch")
        sandod.kill()
        running.says("sandod is away")
        sandod.go("before_switch")
        sandod.start()
        ended = running.end()
    operation = sandod.operation(2)
    assert "sandod is back" in ended.err
    assert ended.document == operation
    expected = 5 if operation["rolled_back"] else 0 if operation["status"] == "succeeded" else 1
    assert ended.code == expected


def test_logs_and_events_are_followed_over_a_restart(sandod, begin, tmp_path):
    cli = begin(tier("a"))
    sandod.push("1.0", build=sandod.stop_at("built"))
    (tmp_path / "log").mkdir()
    (tmp_path / "events").mkdir()
    with (
        cli.start(tmp_path / "log", "log", "-f") as log,
        cli.start(tmp_path / "events", "events", "-f", "--since", "0", "--json") as events,
    ):
        log.says("building 1.0")
        events.says('"BuildStart"')
        sandod.go("built")
        assert "built\n" in log.end().out
        events.says('"BuildOk"')
        sandod.kill()
        events.says("sandod is away")
        sandod.start()
        sandod.post("/lock/a", {"reason": "audit"})
        events.says('"Locked"')
        events.interrupt()
        ended = events.end()
    assert ended.code == 130
    seqs = [json.loads(line)["seq"] for line in ended.out.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))


def healthy(sandod) -> bool:
    try:
        return sandod.get("/healthz", timeout=5).status == 200
    except OSError:
        return False


def test_tokens_are_sent_and_those_that_are_missing_wrong_or_small_are_3(sandod):
    tokens = ""
    for name, scope in (("max", "operate"), ("eve", "read")):
        digest = hashlib.sha256(f"secret-{name}".encode()).hexdigest()
        tokens += f'[[token]]\nname = "{name}"\nscope = "{scope}"\nsha256 = "{digest}"\n'
    sandod._answers = lambda: healthy(sandod)  # /state needs a token
    sandod.configure(tier("a"), daemon=tokens).start()
    assert Cli(sandod.url).json("status", code=3)["code"] == "auth_required"
    assert "SANDO_TOKEN is set, and is no token" in Cli(sandod.url, SANDO_TOKEN="wrong").run("status").err
    reader = Cli(sandod.url, SANDO_TOKEN="secret-eve")
    assert reader.run("status").code == 0
    assert reader.json("lock", "a", "-m", "x", code=3)["code"] == "scope_required"
    writer = Cli(sandod.url, SANDO_TOKEN="secret-max")
    assert writer.json("lock", "a", "-m", "x")["actor"] == "max"
    assert all(
        "secret-" not in text for text in (writer.run("status").out, reader.run("lock", "a", "-m", "x").err)
    )


def test_what_init_writes_starts(tmp_path):
    root = tmp_path / "ws"
    made = Sandod(root)
    said = Cli("").run("init", str(root))
    assert said.code == 0, said
    made.port = int(tomllib.loads((root / "daemon.toml").read_text())["listen"].rpartition(":")[2])
    try:
        assert f"SANDO_CONFIG={root}/daemon.toml sandod" in said.out
        assert made.run("--check").returncode == 0
        made.start()
        ended = Cli(made.url).run("status")
        assert [line.split()[0] for line in ended.out.splitlines()[3:6]] == ["mm", "a", "b"]
        assert (root / "repo.git").is_dir()
    finally:
        assert not made.finish()
