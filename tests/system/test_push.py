"""What the pusher sees and waits for: a push is never lost, never hurt, and short; and `-o follow` shows the build."""

import json
import signal
import subprocess
import time

from tests.system.sandod import until
from tests.work.pushing import PERSON


def test_a_push_while_the_daemon_is_down_is_kept_and_built_at_the_next_start(sandod):
    sandod.configure().start()
    sandod.green("1.0")
    assert sandod.stop() == 0
    sha, printed = sandod.push("1.1")
    assert f"sando: sandod does not answer at {sandod.url}; the push is safe" in printed
    sandod.start()
    assert sandod.wait_event("BuildOk", sha=sha)["version"] == "1.1"
    assert len(sandod.operations("kind=build")) == 2


def test_only_the_tip_is_built_of_what_was_pushed_while_the_daemon_was_down(sandod):
    sandod.configure().start()
    sandod.green("1.0")
    sandod.stop()
    for version in ("1.1", "1.2"):
        sha, _ = sandod.push(version)
    sandod.start()
    sandod.wait_event("BuildOk", sha=sha)
    sandod.stop()
    sandod.start()
    sandod.post("/promote/nowhere")  # a round through the actors
    assert [o["sha"] for o in sandod.operations("kind=build")][:1] == [sha]
    assert len(sandod.operations("kind=build")) == 2


def test_a_push_while_the_daemon_hangs_takes_two_seconds_at_most_and_is_built_when_it_is_back(sandod):
    sandod.configure().start()
    sandod.green("1.0")
    sha = sandod.commit("1.1")
    sandod.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        printed = sandod.clone.push()
        took = time.monotonic() - begun
    finally:
        sandod.signal(signal.SIGCONT)
    assert "the push is safe" in printed
    assert took < 2 + 3, f"the push took {took:.1f} s"
    sandod.wait_event("BuildOk", sha=sha)
    assert len(sandod.operations("kind=build")) == 2, "once, however often it is told"


def following(sandod):
    """`git push -o follow` as a process, its output as it comes."""
    return subprocess.Popen(
        ["git", "push", "-o", "follow", "origin", "main"],
        cwd=sandod.clone.folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **PERSON},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_push_that_follows_sees_the_build_while_it_runs_and_its_end(sandod):
    sandod.configure().start()
    sha = sandod.commit("1.0", build=f"echo half way\n{sandod.stop_at('build')}", test="echo gates too")
    push = following(sandod)
    assert push.stdout
    seen = []
    for line in push.stdout:
        seen.append(line)
        if "half way" in line:
            assert push.poll() is None
            sandod.go("build")
    assert push.wait(60) == 0
    text = "".join(seen)
    assert text.index("half way") < text.index("gates too")
    assert f"build 1 of {sha[:7]} succeeded: 1.0" in text


def test_a_push_that_follows_a_red_build_says_so_and_still_succeeds(sandod):
    sandod.configure().start()
    sha = sandod.commit("1.0", test="echo this is wrong\nexit 7")
    push = following(sandod)
    text, _ = push.communicate(timeout=60)
    assert push.returncode == 0
    assert "this is wrong" in text
    assert f"build 1 of {sha[:7]} failed: " in text
    assert sandod.clone.git("ls-remote", "origin", "main").startswith(sha)


def test_what_a_red_build_says_last_has_its_quotes_and_backslashes(sandod):
    command = r"""printf "%s\n" 'it is "no"'; exit 7"""
    gates = f'[ {{ kind = "command", command = {json.dumps(command)} }} ]'
    sandod.configure(mm=f'[[tier]]\nname = "mm"\nprovisioned = true\ngates = {gates}\n').start()
    sha = sandod.commit("1.0")
    text, _ = following(sandod).communicate(timeout=60)
    assert f"build 1 of {sha[:7]} failed: gate command: `{command}` ended with exit status 7" in text


def test_other_branches_tags_and_deletions_build_nothing(sandod):
    sandod.configure().start()
    sandod.green("1.0")
    sandod.clone.git("push", "origin", "main:feature", "main:refs/tags/v1")
    sandod.clone.git("push", "origin", ":feature", ":refs/tags/v1")
    assert len(sandod.operations("kind=build")) == 1


def test_a_force_push_back_makes_the_older_version_current_without_a_build(sandod):
    sandod.configure().start()
    old = sandod.green("1.0")
    sandod.green("1.1")
    printed = sandod.clone.push("-f", f"{old}:main")
    assert f"{old[:7]} is built already (1.0)" in printed
    until(lambda: sandod.tier("mm")["current_version"] == "1.0")
    assert len(sandod.operations("kind=build")) == 2
