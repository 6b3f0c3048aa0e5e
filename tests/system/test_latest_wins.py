"""A newer push replaces the build in flight, and nothing of the old one lives on."""

import pytest

from tests.system.sandod import alive
from tests.system.workspace import tier

# What a build may leave running: forked twice, in sessions of their own, deaf to SIGTERM and SIGHUP.
WILD = """
trap '' TERM HUP
(trap '' TERM; sh -c 'sleep 300' &)
setsid sh -c "trap '' TERM HUP; sleep 300 & sleep 300" &
nohup setsid sh -c '(sleep 300 &); sleep 300' >/dev/null 2>&1 &
setsid sh -c 'setsid sleep 300 & exit' &
"""


def wild(sandod, place):
    """Leaves its word in the environment of everything it starts."""
    return f"export MARK=mark-of-{place}-{sandod.port}\n{WILD}\n{sandod.stop_at(place)}"


def marked(sandod, place):
    return alive(f"mark-of-{place}-{sandod.port}")


@pytest.mark.parametrize("program", ["build", "test"])
def test_three_pushes_in_a_row_build_the_last_one_and_nothing_of_the_others_lives(sandod, program):
    sandod.configure().start()
    first, _ = sandod.push("1.0", **{program: wild(sandod, "first")})
    sandod.reached("first")
    assert marked(sandod, "first")
    second, told_second = sandod.push("1.1", **{program: wild(sandod, "second")})
    last, told_last = sandod.push("1.2")
    assert f"build 2 of {second[:7]} is queued; the build before it is being stopped" in told_second
    assert f"build 3 of {last[:7]} is queued" in told_last

    begun = sandod.wait_event("BuildStart", sha=last)
    assert not marked(sandod, "first"), "the old build was told gone while parts of it lived"
    sandod.wait_event("BuildOk", sha=last)
    assert not marked(sandod, "second")
    one, two, three = (sandod.operation(n) for n in (1, 2, 3))
    assert [(o["status"], o["sha"], o["superseded_by"]) for o in (one, two, three)] == [
        ("superseded", first, 2),
        ("superseded", second, 3),
        ("succeeded", last, None),
    ]
    assert sandod.tier("mm")["current_version"] == "1.2"
    assert sandod.tier("mm")["sha"] == last
    assert sandod.wait_event("BuildAborted", sha=first)["seq"] < begun["seq"]
    assert not any(e["type"] == "BuildStart" and e["sha"] == second for e in sandod.hear())
    if program == "test":
        gate = sandod.wait_event("GateDone", operation=1)
        assert gate["data"]["outcome"] == "aborted"
        assert gate["seq"] < begun["seq"]
    staging = sandod.root / "releases" / ".staging"
    assert not staging.exists() or not list(staging.iterdir())


def test_a_push_of_the_same_sha_while_it_builds_is_the_same_operation(sandod):
    sandod.configure().start()
    sha, _ = sandod.push("1.0", build=sandod.stop_at("build"))
    sandod.reached("build")
    again = sandod.post("/rebuild", {"sha": sha[:9]})
    assert (again.status, again.body["id"], again.body["code"]) == (200, 1, "already_building")
    assert sandod.post("/rebuild", {"sha": "0" * 40}).code == (404, "unknown_sha")
    sandod.go("build")
    sandod.wait_event("BuildOk", sha=sha)
    done = sandod.post("/rebuild", {"sha": sha})
    assert (done.status, done.body["code"]) == (200, "already_built")


def test_a_newer_push_leaves_a_deploy_alone(sandod):
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    deploy = sandod.post("/promote/a").body
    sandod.reached("restart")
    sandod.push("1.1", build=sandod.stop_at("build"))
    sandod.reached("build")
    newest = sandod.green("1.2")
    assert sandod.operation(deploy["id"])["status"] == "running"
    sandod.go("restart")
    assert sandod.ended(deploy["id"])["status"] == "succeeded"
    assert sandod.tier("mm")["sha"] == newest
    assert sandod.tier("a")["current_version"] == "1.0"
