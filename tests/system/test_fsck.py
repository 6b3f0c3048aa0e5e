"""`sandod fsck` and `sandod backup`: what they say of a real state, running and not, and that they change nothing."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.sandod import until
from tests.system.workspace import HEAD, tier
from tests.work import sshds
from tests.work.fetching import plain

sshd = sshds.sshd


@pytest.fixture
def flow(sandod):
    """1.1 over 1.0 on two tiers of a running daemon."""
    sandod.configure(tier("a", 2), tier("b")).start()
    sandod.bring("1.0", "a", "b")
    sandod.bring("1.1", "a", "b")
    return sandod


def found(sandod, *words):
    """(exit status, [(check, subject)]) of fsck."""
    done = sandod.run("fsck", "--json", *words)
    assert "Traceback" not in done.stderr
    return done.returncode, [(f["check"], f["subject"]) for f in json.loads(done.stdout)["findings"]]


def snapshot(root):
    """What is on the disk below a folder, the write-ahead log and the locks apart."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in root.rglob("*")
        if path.suffix != ".lock" and not path.name.startswith("sando.db") and path.name != ".sandod.lock"
    }


def test_a_state_that_is_whole_is_clean_while_sandod_runs_and_after_its_end(flow):
    assert found(flow, "--online") == (0, [])
    assert flow.stop() == 0
    before = snapshot(flow.root)
    assert found(flow) == (0, [])
    assert found(flow, "--online") == (0, []), "with nobody there it looks all the same"
    plain = flow.run("fsck")
    assert (plain.returncode, plain.stdout, plain.stderr.strip()) == (0, "", "clean")
    assert snapshot(flow.root) == before


def test_beside_a_running_sandod_it_says_how_to_look(flow):
    done = flow.run("fsck")
    assert done.returncode == 1
    assert f"pid {flow.pid}" in done.stderr
    assert "--online" in done.stderr
    refused = flow.run("fsck", "--online", "--repair")
    assert refused.returncode == 1
    assert "stop it" in refused.stderr


def test_a_link_that_was_changed_by_hand_is_found_running_and_stopped(flow):
    current = flow.root / "nodes" / "a-2" / "current"
    current.unlink()
    current.symlink_to("releases/1.0")
    assert found(flow, "--online") == (1, [("link", "tier a: a-2")])
    flow.stop()
    said = flow.run("fsck")
    assert said.stdout == (
        "tier a: a-2: current names 1.0, recorded is 1.1; sando promote a 1.1 puts it right\n"
    )
    assert said.stderr == "1 finding\n"
    current.unlink()
    current.mkdir()
    assert "no link into releases/" in flow.run("fsck").stdout


@pytest.mark.parametrize("kind", ["local", "ssh"])
def test_a_current_release_whose_folder_is_gone_is_found_told_and_brought_again(sandod, sshd, kind):
    """Its service runs on, and does not come up again: nothing may call that node well."""
    if kind == "ssh":
        sandod.sshd = sshd()
    sandod.configure(tier("a", 2)).start()
    sandod.bring("1.0", "a")
    shutil.rmtree(sandod.root / "nodes" / "a-2" / "releases" / "1.0")
    said = sandod.run("fsck", "--online")
    assert (said.returncode, said.stdout) == (
        1,
        "tier a: a-2: current names 1.0, whose folder is not there; sando promote a 1.0 puts it right\n",
    )
    answer = sandod.post("/promote/a?wait=60", {"version": "1.0"})
    assert (answer.status, [n["name"] for n in answer.body["nodes"]]) == (200, ["a-2"])
    assert (sandod.tier("a")["status"], found(sandod, "--online")) == ("steady", (0, []))
    (drift,) = [e for e in sandod.hear() if e["type"] == "DriftDetected"]
    assert (drift["node"], drift["data"]["observed"]) == ("a-2", None)
    assert drift["data"]["detail"] == "current names 1.0, whose folder is not there"


def test_a_release_that_is_gone_changed_or_unknown_is_found(flow):
    flow.stop()
    store = flow.root / "releases"
    (store / "1.0" / "server").write_text("something else")
    shutil.copytree(store / "1.1", store / "9.9")
    shutil.rmtree(store / "1.1")
    status, findings = found(flow)
    assert status == 1
    assert findings == [("release", "release 1.1"), ("release", "release 1.0"), ("folder", "release 9.9")]
    assert (store / "9.9").is_dir(), "nothing is removed unasked"
    assert found(flow, "--repair")[0] == 1
    assert (store / "9.9").is_dir(), "nor is what somebody may miss"


def test_a_release_that_is_gone_and_that_nobody_may_go_back_to_is_no_finding(flow):
    """Nothing would clear it: what is built again has a name of its own."""
    flow.bring("1.2", "a", "b")
    flow.bring("1.3", "a", "b")
    store = flow.root / "releases"
    for version in ("1.0", "1.1"):
        shutil.rmtree(store / version)
    assert found(flow, "--online") == (0, [])
    assert flow.post("/promote/a", {"version": "1.1", "force": True}).code == (409, "release_missing")
    shutil.rmtree(store / "1.2")
    assert found(flow, "--online") == (1, [("release", "release 1.2")])


def test_a_release_that_was_missed_and_put_back_is_not_taken_for_one_that_was_pruned(flow):
    folder, away = flow.root / "releases" / "1.1", flow.root / "away"
    folder.rename(away)
    assert flow.post("/promote/a", {"version": "1.1", "force": True}).code == (409, "release_missing")
    assert flow.get("/releases/1.1").body["present"] is False
    flow.stop()
    assert found(flow) == (1, [("release", "release 1.1")]), "it is still missed"
    away.rename(folder)
    assert found(flow, "--repair") == (0, [])
    assert (folder / "server").is_file()
    flow.start()
    assert flow.post("/promote/a?wait=30", {"version": "1.1", "force": True}).status == 200
    assert flow.get("/releases/1.1").body["present"] is True


def test_what_a_tier_stands_on_is_never_repaired_away(flow):
    flow.stop()
    with closing(sqlite3.connect(flow.root / "sando.db")) as store, store:
        store.execute(
            "UPDATE release SET body = json_set(body, '$.present', json('false')) WHERE version = '1.1'"
        )
    assert found(flow, "--repair") == (1, [("folder", "release 1.1")])
    assert (flow.root / "releases" / "1.1" / "server").is_file()


def test_leftovers_are_found_and_repaired_on_request(flow):
    flow.stop()
    root = flow.root
    made = [root / "releases/.staging/77", root / "work/logs/4711.log", root / "work/logs/1.log.shard-3"]
    made[0].mkdir(parents=True)
    for path in made[1:]:
        path.write_text("x")
    status, findings = found(flow)
    assert (status, {f[0] for f in findings}, len(findings)) == (1, {"leftover"}, 3)
    assert all(path.exists() for path in made)
    done = flow.run("fsck", "--repair")
    assert done.returncode == 0
    assert done.stdout.count("removed ") == 3
    assert not any(path.exists() for path in made)
    assert found(flow) == (0, [])


def an_upload_from_yesterday(node):
    path = node / ".sando" / "incoming" / "7-1"
    (path / "tree").mkdir(parents=True, exist_ok=True)
    yesterday = time.time() - 90_000
    os.utime(path, (yesterday, yesterday))
    (node / ".sando" / "incoming" / "8-1").mkdir(exist_ok=True)
    return path


def test_an_upload_that_nobody_finished_is_found_on_a_local_node_and_repaired(flow):
    left = an_upload_from_yesterday(flow.root / "nodes" / "a-2")
    assert found(flow, "--online") == (1, [("leftover", "tier a: a-2")])
    flow.stop()
    assert f"{left} is an upload that nobody finished" in flow.run("fsck").stdout
    assert flow.run("fsck", "--repair").returncode == 0
    assert [p.name for p in left.parent.iterdir()] == ["8-1"], "what may be somebody's is left alone"


def test_an_upload_that_nobody_finished_is_found_on_an_ssh_node_and_swept_by_the_next_one(sandod, sshd):
    sandod.sshd = sshd()
    sandod.configure(tier("a")).start()
    sandod.bring("1.0", "a")
    node = sandod.root / "nodes" / "a-1"

    def seen():
        """The upload that has just ended may still sweep."""
        an_upload_from_yesterday(node)
        return found(sandod, "--online") == (1, [("leftover", "tier a: a-1")])

    until(seen)
    left = an_upload_from_yesterday(node)
    said = sandod.run("fsck", "--online").stdout
    assert said == (
        f"tier a: a-1: {left} is an upload that nobody finished; the next upload to it sweeps it\n"
    )
    sandod.bring("1.1", "a")
    until(lambda: not left.exists())
    assert found(sandod, "--online") == (0, [])


def test_a_backup_that_is_gone_or_another_than_was_fetched_is_found(sandod):
    kept = sandod.root / "kept" / "backup.sql"
    (sandod.root / "source.sql").write_bytes(plain(1000))
    backup = f'[backup]\nsource = "file://{sandod.root}/source.sql"\nlocal_path = "{kept}"\n'
    sandod.configure(tier("a"), head=HEAD + backup).start()
    assert found(sandod, "--online") == (0, []), "none was fetched yet"
    operation = sandod.post("/backup/fetch?wait=60").body["id"]
    assert found(sandod, "--online") == (0, [])
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"?")
    assert found(sandod, "--online") == (1, [("backup", "the backup")])
    said = sandod.run("fsck", "--online").stdout
    assert f"{kept} is not what operation {operation} fetched" in said
    assert "POST /backup/fetch brings it again" in said
    kept.unlink()
    assert (
        f"{kept}: No such file or directory; operation {operation} fetched it"
        in sandod.run("fsck", "--online").stdout
    )
    assert sandod.post("/backup/fetch?wait=60").status == 200
    assert found(sandod, "--online") == (0, [])


def test_an_operation_without_an_owner_is_found_and_the_next_start_settles_it(sandod):
    sandod.configure(tier("a", 1, sandod.waiting("restart"))).start()
    sandod.green("1.0")
    operation = sandod.post("/promote/a").body["id"]
    sandod.reached("restart")
    assert found(sandod, "--online") == (0, []), "what runs has an owner"
    sandod.kill()
    assert found(sandod)[1] == [("operation", f"operation {operation}")]
    sandod.go("restart")
    sandod.start()
    sandod.ended(operation)
    assert found(sandod, "--online") == (0, [])


def test_a_process_of_a_build_that_nobody_owns_is_found(flow):
    environment = {"SANDO_SHA": "0" * 40, "PATH": os.environ["PATH"]}
    checkout = flow.root / "work" / "checkout"
    with subprocess.Popen(["sleep", "300"], env=environment, cwd=checkout) as lost:
        try:
            assert found(flow, "--online") == (1, [("process", f"process {lost.pid}")])
        finally:
            lost.kill()
    assert found(flow, "--online") == (0, [])


def test_a_version_that_came_past_a_red_gate_is_found(flow):
    flow.stop()
    with sqlite3.connect(flow.root / "sando.db") as store:
        for n, body in store.execute("SELECT n, body FROM stay WHERE tier = 'mm'").fetchall():
            text = body.decode().replace('"outcome":"passed"', '"outcome":"failed"')
            store.execute("UPDATE stay SET body = ? WHERE tier = 'mm' AND n = ?", (text.encode(), n))
    store.close()
    assert found(flow) == (1, [("gate", "tier a")])


def test_a_damaged_store_is_found_and_refused_at_the_start_with_its_path_and_the_way_back(flow):
    flow.stop()
    path = flow.root / "sando.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    done = flow.run("fsck")
    assert done.returncode == 1
    assert str(path) in done.stdout + done.stderr
    start = flow.run()
    assert start.returncode == 1
    assert str(path) in start.stderr
    assert "sandod backup" in start.stderr
    assert "Traceback" not in start.stderr
    assert path.read_bytes()[:4096] == whole[:4096], "it was left as it is"


@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_store_that_is_gone_while_releases_are_there_is_never_made_anew_silently(flow, how):
    flow.stop()
    path = flow.root / "sando.db"
    saved = path.read_bytes()
    path.unlink()
    if how == "empty":
        path.touch()
    start = flow.run()
    assert start.returncode == 1
    assert str(path) in start.stderr
    assert "1.0" in start.stderr
    assert (path.read_bytes() if path.exists() else b"") == b""
    path.write_bytes(saved)
    flow.start()
    assert flow.tier("b")["current_version"] == "1.1"


def test_a_backup_of_the_state_made_while_it_runs_is_private_whole_and_can_be_put_back(flow):
    copy = flow.root / "kept" / "state.db"
    copy.parent.mkdir()
    done = flow.run("backup", str(copy))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [p.name for p in copy.parent.iterdir()] == ["state.db"]
    flow.post("/lock/a", {"reason": "after the copy"})
    flow.run("backup", str(copy))
    flow.post("/lock/b", {"reason": "lost with the state"})
    flow.kill()
    for path in flow.root.glob("sando.db*"):
        if path.suffix != ".lock":
            path.unlink()
    shutil.copy(copy, flow.root / "sando.db")
    assert found(flow) == (0, [])
    flow.start()
    assert flow.tier("b")["current_version"] == "1.1"
    assert flow.tier("a")["lock"]["reason"] == "after the copy"
    assert flow.tier("b")["lock"] is None
    assert flow.post("/promote/b?wait=60", {"force": True}).status == 200


def test_a_store_that_is_gone_is_told_in_the_same_words_by_whoever_looks_for_it(flow):
    flow.stop()
    (flow.root / "sando.db").unlink()
    gone = f"sandod: {flow.root / 'sando.db'}: is gone, and {flow.root / 'releases'} has releases (1.0, 1.1); put back"
    for words in ([], ["fsck"], ["fsck", "--online"], ["backup", str(flow.root / "copy.db")]):
        done = flow.run(*words)
        assert gone in done.stderr, words
        assert (done.returncode, done.stdout) == (1, ""), words
    shutil.rmtree(flow.root / "releases")
    assert "is not there; sandod makes it at its first start" in flow.run("fsck").stderr


def test_a_backup_never_takes_the_place_of_the_store_and_says_why_it_cannot_be_written(flow):
    same = flow.run("backup", str(flow.root / "sando.db"))
    assert same.returncode == 1
    assert "is the store itself" in same.stderr
    nowhere = flow.run("backup", str(flow.root / "not" / "there" / "x.db"))
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr
    folder = flow.run("backup", str(flow.root))
    assert "is a folder" in folder.stderr
    assert flow.get("/state").status == 200


def test_a_kill_in_the_middle_of_a_backup_leaves_the_last_one(flow):
    copy = Path(flow.root / "state.db")
    assert flow.run("backup", str(copy)).returncode == 0
    before = copy.read_bytes()
    flow.env["SANDO_FAILPOINTS"] = "copy.written=kill"
    assert flow.run("backup", str(copy)).returncode == -9
    del flow.env["SANDO_FAILPOINTS"]
    assert copy.read_bytes() == before
    until(lambda: flow.get("/state").status == 200)
