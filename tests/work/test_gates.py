import os
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from sando.model.backup import Fetched, LastGood
from sando.model.errors import Cancelled, WorkError
from sando.model.topology import GATE_KINDS, PASSIVE, BackupSpec
from sando.work.cancel import CancelToken
from sando.work.gates.table import GATES
from sando.work.log import OpLog
from sando.work.now import read_clock
from sando.work.scratch import programs
from tests.work.workshop import Bench


@pytest.fixture
def bench(tmp_path, keepers):
    return Bench.make(tmp_path, keepers)


@pytest.fixture
def release(bench):
    bench.push()
    return bench.build()


def test_every_active_kind_that_a_config_may_name_is_in_the_table():
    assert set(GATES) == set(GATE_KINDS) - PASSIVE


def test_an_unknown_kind_is_a_bug(bench, release):
    with pytest.raises(KeyError):
        bench.gate(release, "unheard_of")


def test_a_command_is_green_or_red_by_its_exit_status(bench, release):
    assert bench.gate(release, "command", command="test -f src").message == "`test -f src` passed"
    verdict = bench.gate(release, "command", command=("sh", "-c", "exit 3"))
    assert not verdict.passed
    assert verdict.message == "`sh -c 'exit 3'` ended with exit status 3"
    assert verdict.facts == {"exit_status": 3}
    assert "sando: gate command: failed: " in bench.log.path.read_text()


def test_a_command_without_a_command_is_errored(bench, release):
    with pytest.raises(WorkError, match="has no `command`"):
        bench.gate(release, "command")


def test_cargo_test_runs_its_own_command_when_it_has_one(bench, release):
    assert bench.gate(release, "cargo_test", command="echo tested").passed
    assert "tested" in bench.log.path.read_text()


def test_a_gate_gets_the_builds_environment_and_its_own_and_the_runner(bench):
    bench.spec(env={"A": "build", "B": "build"}, runner=("env", "C=runner"))
    sha = bench.push()
    release = bench.build()
    assert bench.gate(release, "command", command='test "$A$B$C" = buildgaterunner', env={"B": "gate"}).passed
    assert bench.gate(release, "command", command=f'test "$SANDO_SHA$CI" = {sha}true').passed


def test_a_gate_runs_in_the_checkout_of_its_own_sha(bench, release):
    Path(bench.shop.checkout, "out/made-by-the-build").touch()
    assert bench.gate(release, "command", command="test -e out/made-by-the-build && test ! -e later").passed
    bench.push(later="1")
    bench.build({"0.8.2": release.sha})
    assert bench.gate(release, "command", command="test ! -e later").passed
    assert bench.gate(release, "command", command="test -e later").passed is False


def test_a_gate_that_takes_too_long_says_so(bench, release):
    with pytest.raises(WorkError) as caught:
        bench.gate(release, "command", name="slow", command="exec sleep 60", timeout_s=0.7)
    assert (caught.value.step, caught.value.errored) == ("slow", False)
    assert caught.value.detail == "`exec sleep 60` timed out after 1s; it and all that it started were killed"
    assert caught.value.tail == "", "what the build said, and sando itself, is not the gate's"


def test_a_gate_that_falls_silent_is_named_with_its_own_last_words(bench, release):
    with pytest.raises(WorkError) as caught:
        bench.gate(release, "cargo_test", command=("sh", "-c", "echo mine; sleep 60"), idle_timeout_s=0.7)
    assert caught.value.detail == (
        "`sh -c 'echo mine; sleep 60'` gave no output for 1s; it and all that it started were killed"
    )
    assert caught.value.tail == "mine"


def test_a_command_that_does_not_exist_is_errored(bench, release):
    with pytest.raises(WorkError, match="command not found: nothing-like-it") as caught:
        bench.gate(release, "command", command=("nothing-like-it",))
    assert caught.value.errored


def test_shards_share_the_work_and_their_output_follows_in_order(bench, release):
    verdict = bench.gate(release, "command", command="echo I am $SHARD_INDEX of $SHARD_COUNT", shards=3)
    assert verdict.passed
    assert verdict.message == "all 3 shards passed"
    lines = [line for line in bench.log.path.read_text().splitlines() if line.startswith("I am")]
    assert lines == ["I am 0 of 3", "I am 1 of 3", "I am 2 of 3"]
    assert [p.name for p in Path(bench.shop.logs).iterdir()] == [bench.log.path.name]


def test_the_first_red_shard_stops_the_others_and_is_named(bench, release):
    start = time.monotonic()
    verdict = bench.gate(
        release, "command", command='[ "$SHARD_INDEX" = 1 ] && echo broken && exit 7; exec sleep 60', shards=3
    )
    assert not verdict.passed
    assert verdict.message.startswith("shard 1 of 3: `")
    assert verdict.message.endswith("ended with exit status 7")
    assert time.monotonic() - start < 30
    assert "broken" in bench.log.path.read_text()


def test_a_shard_that_runs_out_of_time_is_named(bench, release):
    with pytest.raises(WorkError, match=r"shard 0 of 2: `.*` timed out"):
        bench.gate(
            release, "command", command='[ "$SHARD_INDEX" = 1 ] || exec sleep 60', shards=2, timeout_s=0.2
        )


def test_cancelled_shards_all_end(bench, release, tmp_path):
    told = CancelToken()

    def when_begun():
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("begun.*"))) < 2 and time.monotonic() < until:
            told.wait(0.01)
        told.cancel()

    watcher = threading.Thread(target=when_begun)
    watcher.start()
    with pytest.raises(Cancelled):
        bench.gate(
            release, "command", told, command=f"touch {tmp_path}/begun.$SHARD_INDEX; exec sleep 60", shards=2
        )
    watcher.join()


def test_boot_smoke_starts_the_release_where_it_lies(bench):
    bench.push(src='#!/bin/sh\necho "in $PWD on $PORT with $*"\nexec sleep 60\n')
    release = bench.build()
    verdict = bench.gate(release, "boot_smoke", settle_s=0.1, args=("--port", "{port}"), env={"X": "1"})
    assert verdict.passed, verdict
    port = verdict.facts["port"]
    assert f"in {bench.store / release.version} on {port} with --port {port}" in bench.log.path.read_text()


def test_boot_smoke_starts_as_the_release_was_built_to_be_started(bench, release):
    bench.spec(artifact="out/renamed")
    assert bench.gate(release, "boot_smoke", settle_s=0.1).passed


def test_boot_smoke_is_red_when_the_artifact_ends(bench):
    bench.push(src="#!/bin/sh\necho no database >&2\nexit 3\n")
    verdict = bench.gate(bench.build(), "boot_smoke")
    assert not verdict.passed
    assert "no database" in verdict.message


def test_boot_smoke_of_a_release_that_is_gone_is_errored(bench, release):
    (bench.store / release.version / "manifest.json").unlink()
    with pytest.raises(WorkError, match="build it again") as caught:
        bench.gate(release, "boot_smoke")
    assert caught.value.errored


def test_without_migrations_the_rehearsal_is_green(bench, release):
    assert bench.gate(release, "migration_dry_run").message == "no migrations in this checkout"


@pytest.mark.parametrize("path", ["migrations/1.sql", "migrations/2026_init/up.sql"])
def test_migrations_that_nobody_rehearsed_are_not_called_green(bench, path, monkeypatch):
    monkeypatch.setenv("PATH", only(bench.folder / "bin", "git"))  # no PostgreSQL on this machine
    monkeypatch.setattr(programs, "FOLDERS", ())
    bench.clone.put(path, "create table t();")
    bench.push()
    bench.spec(
        command=("/bin/sh", "-c", "/bin/mkdir -p out && /bin/cp src out/server && /bin/chmod +x out/server")
    )
    release = bench.build()
    with pytest.raises(
        WorkError, match=r"install PostgreSQL .*or set scratch_db_url|set `command` on this gate"
    ) as caught:
        bench.gate(release, "migration_dry_run")
    assert caught.value.errored


def only(folder, *names):
    """A PATH with these programs alone."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def test_a_backup_that_somebody_put_there_is_judged_by_its_own_time(bench, release, tmp_path):
    file = tmp_path / "backup.sql"
    backup = BackupSpec("file:///x", str(file), max_age_s=172800.0)
    verdict = bench.gate(release, "backup_fresh", backup=backup)
    assert (verdict.passed, "fetch one" in verdict.message) == (False, True)
    file.write_text("x")
    assert bench.gate(release, "backup_fresh", backup=backup).passed
    old = time.time() - 3 * 86400 - 30
    os.utime(file, (old, old))
    verdict = bench.gate(release, "backup_fresh", backup=backup)
    assert verdict.message == "put there 3d ago, not by sando, 2d at most: fetch a new one (`sando backup`)"
    assert not verdict.passed
    assert bench.gate(release, "backup_fresh", backup=backup, max_age_s=4 * 86400.0).passed


@pytest.fixture
def fetched(tmp_path):
    """A backup of ten bytes that was fetched two days ago; answers its spec, and what is known of it."""
    path = tmp_path / "backup.sql"
    path.write_bytes(b"0123456789")
    spec = BackupSpec("file:///x", str(path), max_age_s=86400.0)

    def known(days=2.0, **clocks):
        now = read_clock()
        at = structs.replace(now.plus(-days * 86400), **clocks)
        os.utime(path, (at.at.timestamp(),) * 2)
        return LastGood(Fetched("file:///x", str(path), 10, "00"), at, 1)

    return spec, known


def test_a_backup_that_was_touched_is_no_younger_for_that(bench, release, fetched):
    spec, known = fetched
    two_days = known()
    os.utime(spec.local_path)
    verdict = bench.gate(release, "backup_fresh", backup=spec, fetched=two_days)
    assert (verdict.passed, verdict.message) == (
        False, "fetched 2d ago, 1d at most: fetch a new one (`sando backup`)",
    )  # fmt: skip
    assert bench.gate(release, "backup_fresh", backup=spec, fetched=two_days, max_age_s=3 * 86400.0).passed


def test_an_old_file_that_was_put_back_is_as_old_as_it_says(bench, release, fetched):
    spec, known = fetched
    fresh = known(0.1)
    assert bench.gate(release, "backup_fresh", backup=spec, fetched=fresh).passed
    old = time.time() - 5 * 86400
    os.utime(spec.local_path, (old, old))
    verdict = bench.gate(release, "backup_fresh", backup=spec, fetched=fresh)
    assert verdict.message.startswith("the file is 5d old, though a fetch ended 2h 24m ago")
    assert not verdict.passed


def test_a_backup_of_another_size_is_somebody_elses(bench, release, fetched):
    spec, known = fetched
    two_days = known()
    with open(spec.local_path, "ab") as file:  # noqa: PTH123
        file.write(b"more")
    verdict = bench.gate(release, "backup_fresh", backup=spec, fetched=two_days)
    assert (verdict.passed, "not by sando" in verdict.message) == (True, True)
    moved = BackupSpec("file:///x", f"{spec.local_path}.other", max_age_s=86400.0)
    os.rename(spec.local_path, moved.local_path)  # noqa: PTH104
    assert "not by sando" in bench.gate(release, "backup_fresh", backup=moved, fetched=two_days).message


def test_the_age_of_a_folder_is_that_of_its_fetch(bench, release, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "toc.dat").write_bytes(b"0123456789")
    spec = BackupSpec("file:///x", str(folder), max_age_s=86400.0)
    known = LastGood(Fetched("file:///x", str(folder), 10, "00"), read_clock().plus(-2 * 86400), 1)
    assert bench.gate(release, "backup_fresh", backup=spec, fetched=known).message.startswith(
        "fetched 2d ago"
    )


@pytest.mark.parametrize("wall_days", [-10, 10])
def test_a_clock_that_jumped_within_the_boot_makes_no_backup_young(bench, release, fetched, wall_days):
    """It was fetched when the wall clock showed another day; by the boot clock that is two days ago."""
    spec, known = fetched
    now = read_clock()
    then = known(at=now.at + timedelta(days=wall_days))
    verdict = bench.gate(release, "backup_fresh", backup=spec, fetched=then)
    assert not verdict.passed
    assert bench.gate(release, "backup_fresh", backup=spec, fetched=then, max_age_s=11 * 86400.0).passed


def test_a_time_that_is_yet_to_come_is_never_taken_for_a_young_one(bench, release, fetched):
    spec, known = fetched
    tomorrow = known(at=read_clock().at + timedelta(days=1), boot="another")
    verdict = bench.gate(release, "backup_fresh", backup=spec, fetched=tomorrow)
    assert (verdict.passed, "is yet to come: the clock was set back" in verdict.message) == (False, True)
    verdict = bench.gate(release, "backup_fresh", backup=spec)
    assert (verdict.passed, "its time is yet to come" in verdict.message) == (False, True)
    soon = known(at=read_clock().at + timedelta(seconds=60), boot="another")  # clocks are set right at a boot
    assert bench.gate(release, "backup_fresh", backup=spec, fetched=soon).passed


def test_a_backup_gate_without_a_backup_section_is_errored(bench, release):
    with pytest.raises(WorkError, match=r"no \[backup\]") as caught:
        bench.gate(release, "backup_fresh")
    assert caught.value.errored


def test_a_cancelled_gate_does_not_begin(bench, release):
    told = CancelToken()
    told.cancel()
    with pytest.raises(Cancelled):
        bench.gate(release, "command", told, command="echo ran")
    assert "ran\n" not in OpLog(bench.log.path).path.read_text()
