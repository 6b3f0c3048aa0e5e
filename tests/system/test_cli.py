"""A real sandod from the command line alone: the whole way, unknown names, red builds, tokens, a new workspace."""

import hashlib
import json
import re

import pytest

from tests.system.cli import Cli
from tests.system.workspace import tier

CONFIRM = 'gates = [ { kind = "manual_confirm" } ]\n'


@pytest.fixture
def begin(sandod):
    """Configured with these tiers and started."""

    def begun(*tiers: str) -> Cli:
        sandod.configure(*tiers).start()
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
    release = cli.json("releases", "1.1")
    assert [(r["tier"], r["nodes"]) for r in release["runs_on"]] == [("mm", []), ("a", ["a-1", "a-2"])]
    assert cli.json("dora")["tiers"][0]["deploys"]["succeeded"] == 3
    assert re.search(r"(?m)^a +3 ", cli.run("dora").out)
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
