"""The gate `migration_dry_run` on real releases, real backups and real PostgreSQL, and boot_smoke behind it."""

import re
import threading

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.model.topology import BackupSpec, GateSpec, Probe
from sando.work.cancel import CancelToken
from sando.work.log import tail
from sando.work.scratch import programs
from tests.work.test_gates import only
from tests.work.wild import until
from tests.work.workshop import Bench

READS = """#!/bin/sh
psql "$DATABASE_URL" -XqAt -v ON_ERROR_STOP=1 -c "SELECT name FROM users LIMIT 1" || exit 3
exec sleep 60
"""
TRUE = Probe(command="true")


@pytest.fixture
def bench(tmp_path, keepers, private):
    bench = Bench.make(tmp_path, keepers)
    bench.scratch = private.folder
    return bench


@pytest.fixture
def backup(server, production, tmp_path):
    (tmp_path / "backup").write_bytes(server.dump("production"))
    return BackupSpec("file:///x", str(tmp_path / "backup"))


def put(bench, files, **more):
    for name, text in {**files, **more}.items():
        bench.clone.put(f"migrations/{name}", text)
    bench.push()
    return bench.build()


PENDING = {f"00{n}_p{n}.sql": f"ALTER TABLE users ADD COLUMN c{n} int;\n" for n in range(51, 61)}


def rehearse(bench, release, backup, **more):
    return bench.gate(release, "migration_dry_run", backup=backup, **more)


# -- green -------------------------------------------------------------------------------------------------------------


def test_ten_pending_on_fifty_applied_are_rehearsed_and_told_step_by_step(bench, production, backup):
    verdict = rehearse(bench, put(bench, production | PENDING), backup)
    assert verdict.passed, verdict
    assert re.fullmatch(
        r"the backup of [0-9]+s ago restored in [0-9.]+s \([0-9.]+ kB\), 10 migrations applied in [0-9.]+s",
        verdict.message,
    )
    facts = verdict.facts
    assert [m["name"] for m in facts["migrations"]] == list(PENDING)
    assert all(m["seconds"] > 0 for m in facts["migrations"])
    assert facts["restore_ok"] is True
    assert set(facts) == {
        "restore_ok",
        "restore_s",
        "backup_sha256",
        "backup_bytes",
        "backup_age_s",
        "rows",
        "migrations",
    }
    assert facts["rows"]["public.users"] == 500
    assert len(facts["rows"]) == 10
    said = bench.log.path.read_text()
    steps = [
        "restore: /",
        "restore: left out: owners",
        "kB restored in",
        "restore: public.users: 500 rows",
        "migrate: 10 pending of 60",
        "migrate: 0060_p60.sql applied",
        "gate migration_dry_run: passed",
    ]
    assert sorted(steps, key=said.index) == steps


def test_nothing_pending_proves_the_backup(bench, production, backup):
    verdict = rehearse(bench, put(bench, production), backup)
    assert verdict.passed
    assert verdict.message.endswith("kB), no migration is pending")
    assert verdict.facts["restore_ok"] is True


def test_a_checkout_without_migrations_still_restores_the_backup(bench, backup):
    verdict = rehearse(bench, put(bench, {}), backup)
    assert verdict.passed
    assert verdict.message.endswith("kB), no migrations in this checkout")
    assert verdict.facts["rows"]["public.users"] == 500


def test_a_dump_by_hand_restores_and_one_without_an_end_holds_up_only_what_has_migrations(bench, tmp_path):
    file = tmp_path / "by-hand.sql"
    backup = BackupSpec("file:///x", str(file))
    file.write_text("CREATE TABLE t (x int);\nINSERT INTO t VALUES (1), (2);\n")
    verdict = rehearse(bench, put(bench, {}, README="no sql"), backup)
    assert verdict.passed
    assert verdict.message.startswith(
        f"no migrations in this checkout; the backup {file} is no dump that sando knows"
    )
    assert "restore_ok" not in verdict.facts
    release = put(bench, {"0001_more.sql": "ALTER TABLE t ADD y int;"})
    with pytest.raises(WorkError, match="is no dump that sando knows"):
        rehearse(bench, release, backup)
    with file.open("a") as out:
        out.write("-- PostgreSQL database dump complete\n")
    verdict = rehearse(bench, release, backup)
    assert verdict.passed
    assert verdict.facts["rows"] == {"public.t": 2}
    assert [m["name"] for m in verdict.facts["migrations"]] == ["0001_more.sql"]


def test_without_a_backup_and_without_migrations_there_is_nothing_to_do(bench):
    bench.push()
    assert (
        rehearse(bench, bench.build(), None, running=("0.8.1",)).message == "no migrations in this checkout"
    )


def test_the_first_release_is_rehearsed_on_an_empty_database_and_says_so(bench, production, tmp_path):
    release = put(bench, production)
    for backup in (None, BackupSpec("file:///x", str(tmp_path / "not-yet"))):
        verdict = rehearse(bench, release, backup)
        assert verdict.passed
        assert re.fullmatch(
            r"rehearsed on an empty database, since there is no backup yet, 50 migrations applied in [0-9.]+s",
            verdict.message,
        )
        assert "restore_ok" not in verdict.facts
    assert "sando: no backup yet, and no later tier has run a version" in bench.log.path.read_text()


def test_a_server_of_one_s_own_serves_as_well(bench, production, backup, server, fresh):
    verdict = rehearse(bench, put(bench, production | PENDING), backup, url=server.url(fresh))
    assert verdict.passed, verdict
    assert server.sql("SELECT count(*) FROM _sqlx_migrations", database=fresh) == ["60"]
    assert (
        f"scratch: database sando_scratch of PostgreSQL {server.programs.major} at 127.0.0.1:{server.port}, as sando"
        in bench.log.path.read_text()
    )


def test_migrations_that_the_release_does_not_carry_are_those_of_the_checkout(bench, production, backup):
    bench.spec(extra=())
    assert "10 migrations applied" in rehearse(bench, put(bench, production | PENDING), backup).message


def test_the_folder_may_be_named_otherwise(bench, production, backup):
    for name, text in (production | PENDING).items():
        bench.clone.put(f"db/sql/{name}", text)
    bench.push()
    assert "10 migrations applied" in rehearse(bench, bench.build(), backup, dir="db/sql").message


# -- red and errored ---------------------------------------------------------------------------------------------------


def test_a_migration_that_fails_on_the_data_is_red_and_the_backup_proven_all_the_same(
    bench, production, backup
):
    bad = "ALTER TABLE users\n  ADD CONSTRAINT no CHECK (name <> 'name 7');\n"
    verdict = rehearse(bench, put(bench, production, **{"0051_bad.sql": bad}), backup)
    assert not verdict.passed
    assert (
        verdict.message
        == '0051_bad.sql line 1: 23514: check constraint "no" of relation "users" is violated by some row'
    )
    assert verdict.facts["restore_ok"] is True
    assert "backup_sha256" in verdict.facts


def test_an_applied_file_that_changed_is_red(bench, production, backup):
    verdict = rehearse(bench, put(bench, production | {"0007_m7.sql": "CREATE TABLE other ();\n"}), backup)
    assert not verdict.passed
    assert verdict.message == "migration 7 was previously applied but has been modified (0007_m7.sql)"


def test_names_that_sqlx_does_not_read_are_red(bench, production, backup):
    verdict = rehearse(bench, put(bench, production, **{"fix_it.sql": ""}), backup)
    assert not verdict.passed
    assert "as sqlx wants it (01_foo.sql)" in verdict.message


def errored(bench, release, backup, match, **more):
    with pytest.raises(WorkError, match=match) as caught:
        rehearse(bench, release, backup, **more)
    assert caught.value.errored


def test_no_backup_is_errored_once_a_later_tier_runs_a_version(bench, production, tmp_path):
    release = put(bench, production)
    gone = BackupSpec("file:///x", str(tmp_path / "gone"))
    errored(
        bench, release, gone, r"no backup at .*/gone yet: fetch one \(`sando backup`\)", running=("0.8.1",)
    )
    errored(bench, release, None, r"no backup declared: add \[backup\] to sando.toml", running=("0.8.1",))


def test_a_backup_that_cannot_be_used_is_errored_also_without_migrations(bench, production, backup, tmp_path):
    text = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(text[: len(text) // 2])
    errored(bench, put(bench, {}), backup, "is not whole")
    errored(bench, put(bench, production), backup, "is not whole")


def test_without_postgresql_migrations_are_errored_and_none_are_green(
    bench, production, backup, monkeypatch, tmp_path
):
    some = put(bench, production)
    monkeypatch.setattr(programs, "FOLDERS", ())
    monkeypatch.setenv("PATH", only(tmp_path / "bin", "git", "sh"))
    errored(
        bench,
        some,
        backup,
        r"nowhere to rehearse them: install PostgreSQL \(Debian: apt-get install postgresql\), or set scratch_db_url",
    )
    errored(bench, some, backup, "psql is not installed here", url="postgres://h/x")
    monkeypatch.undo()
    (bench.clone.folder / "migrations").rename(bench.clone.folder / "gone")
    release = put(bench, {})
    monkeypatch.setattr(programs, "FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert rehearse(bench, release, backup).message == "no migrations in this checkout"


def test_another_tool_s_folders_are_errored_with_the_way_out(bench, backup):
    errored(
        bench,
        put(bench, {"2026_init/up.sql": "SELECT 1;"}),
        backup,
        "2026_init/up.sql lies in a folder below migrations, .* set `command` on this gate",
    )


def test_a_cancel_ends_it(bench, production, backup):
    told = CancelToken()
    release = put(bench, production, **{"0051_slow.sql": "SELECT pg_sleep(600);"})
    thread = threading.Thread(
        target=lambda: (until(lambda: "migrate: 1 pending" in tail(bench.log.path)), told.cancel())
    )
    thread.start()
    with pytest.raises(Cancelled):
        rehearse(bench, release, backup, cancel=told)
    thread.join()
    (bench.clone.folder / "migrations" / "0051_slow.sql").unlink()
    assert rehearse(bench, put(bench, {}), backup).passed


def test_it_ends_at_its_deadline(bench, production, backup):
    release = put(bench, production, **{"0051_slow.sql": "SELECT pg_sleep(600);"})
    with pytest.raises(
        WorkError, match=r"migration 0051_slow\.sql timed out after 6s; all that it started was ended"
    ):
        rehearse(bench, release, backup, timeout_s=6.0)


# -- a command of one's own --------------------------------------------------------------------------------------------


def test_a_command_gets_the_restored_database(bench, backup):
    bench.spec(runner=("env", "RUN=runner"))
    release = put(bench, {"x.sql": "not for us"})
    ask = 'test "$RUN" = runner && psql "$DATABASE_URL" -XAtc "SELECT count(*) FROM users" && psql "$DATABASE_URL" -c "CREATE TABLE made ()"'
    verdict = rehearse(bench, release, backup, command=ask)
    assert verdict.passed, verdict
    assert "500\n" in bench.log.path.read_text()
    assert verdict.message.endswith('made ()"` passed')
    assert verdict.facts["restore_ok"] is True


def test_a_command_that_fails_is_red(bench, backup):
    verdict = rehearse(bench, put(bench, {}), backup, command="exit 4")
    assert (verdict.passed, verdict.message) == (False, "`exit 4` ended with exit status 4")
    assert verdict.facts["restore_ok"] is True
    assert verdict.facts["exit_status"] == 4


# -- going back --------------------------------------------------------------------------------------------------------

BOOT = GateSpec(kind="boot_smoke", name="boot_smoke", probe=TRUE, settle_s=0.1, timeout_s=10.0)


def with_former(bench, production, src=READS, **pending):
    """0.8.1 runs on a later tier and reads users.name; 0.8.2 brings the pending migrations."""
    bench.clone.write(src=src, VERSION="0.8.1\n")
    put(bench, production)
    bench.clone.write(src="#!/bin/sh\nexec sleep 60\n", VERSION="0.8.2\n")
    return put(bench, production, **pending)


def safe(bench, release, backup, boot=BOOT, running=("0.8.1",), **more):
    verdict = rehearse(bench, release, backup, boot=boot, running=running, **more)
    assert verdict.passed, verdict
    return verdict


DROPS = {"0051_drop.sql": "ALTER TABLE users DROP COLUMN name;"}
ADDS = {"0051_add.sql": "ALTER TABLE users ADD COLUMN age int;"}


def test_dropping_a_column_that_the_old_program_reads_closes_the_way_back(bench, production, backup):
    verdict = safe(bench, with_former(bench, production, **DROPS), backup)
    assert verdict.facts["rollback_safe"] == {"0.8.1": "no"}
    assert verdict.message.endswith(", 0.8.1 does not start any more")
    said = bench.log.path.read_text()
    assert 'column "name" does not exist' in said
    assert "migration_dry_run: 0.8.1 does not start on the new schema: one cannot go back to it" in said


def test_adding_one_leaves_it_open(bench, production, backup):
    verdict = safe(bench, with_former(bench, production, **ADDS), backup)
    assert verdict.facts["rollback_safe"] == {"0.8.1": "yes"}
    assert verdict.message.endswith(", 0.8.1 still starts")


@pytest.mark.parametrize(("pending", "word"), [(DROPS, "no"), (ADDS, "yes")])
def test_without_a_probe_a_program_that_stays_up_is_taken_for_well(bench, production, backup, pending, word):
    boot = GateSpec(kind="boot_smoke", name="b", settle_s=1.0)
    verdict = safe(bench, with_former(bench, production, **pending), backup, boot=boot)
    assert verdict.facts["rollback_safe"] == {"0.8.1": word}
    assert ("boot_smoke has no probe, so all that is known" in bench.log.path.read_text()) == (word == "yes")


def test_a_server_of_one_s_own_tells_it_too(bench, production, backup, server, fresh):
    verdict = safe(bench, with_former(bench, production, **DROPS), backup, url=server.url(fresh))
    assert verdict.facts["rollback_safe"] == {"0.8.1": "no"}


UNKNOWN = {
    "it did not start before either": ({"src": "#!/bin/sh\nexit 3\n"}, {}, "does not start on the restored backup either"),
    "there is no boot_smoke": ({}, {"boot": None}, "the tier has no boot_smoke gate"),
    "boot_smoke names another database": ({}, {"boot": GateSpec(kind="boot_smoke", name="b", probe=TRUE, env={"DATABASE_URL": "x"})}, "a DATABASE_URL of its own"),
    "it is not in the store": ({}, {"running": ("0.7.0",)}, "is not in the release store"),
    "its name is none": ({}, {"running": ("../x",)}, "is not in the release store"),
}  # fmt: skip


@pytest.mark.parametrize(("former", "more", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_could_not_be_tried_is_unknown_and_says_why(bench, production, backup, former, more, why):
    verdict = safe(bench, with_former(bench, production, **ADDS, **former), backup, **more)
    assert list(verdict.facts["rollback_safe"].values()) == ["unknown"]
    assert verdict.message.endswith("could not be tried")
    assert re.search(f"unknown whether one can go back to it: .*{why}", bench.log.path.read_text())


def test_without_pending_migrations_one_boot_is_enough(bench, production, backup):
    verdict = safe(bench, with_former(bench, production), backup)
    assert verdict.facts["rollback_safe"] == {"0.8.1": "yes"}
    assert bench.log.path.read_text().count("boot_smoke: start ") == 1
    verdict = safe(bench, with_former(bench, production, src="#!/bin/sh\nexit 3\n"), backup)
    assert verdict.facts["rollback_safe"] == {"0.8.1": "unknown"}


def test_a_command_may_have_changed_the_schema(bench, production, backup):
    release = with_former(bench, production)
    verdict = safe(
        bench, release, backup, command='psql "$DATABASE_URL" -c "ALTER TABLE users DROP COLUMN name"'
    )
    assert verdict.facts["rollback_safe"] == {"0.8.1": "no"}


def test_each_running_version_is_tried_once_and_the_new_one_not_at_all(bench, production, backup):
    verdict = safe(
        bench, with_former(bench, production, **ADDS), backup, running=("0.8.1", "0.8.2", "0.8.1", "0.7.0")
    )
    assert verdict.facts["rollback_safe"] == {"0.8.1": "yes", "0.7.0": "unknown"}


# -- boot_smoke behind it ----------------------------------------------------------------------------------------------

SHOWS = """#!/bin/sh
psql "$DATABASE_URL" -XqAt -v ON_ERROR_STOP=1 -c "SELECT 'columns: ' || count(*) FROM information_schema.columns WHERE table_name = 'users'" || exit 3
exec sleep 60
"""


@pytest.mark.parametrize("kind", ["private", "server"])
def test_boot_smoke_gets_the_database_of_the_very_version_that_was_rehearsed(
    bench, production, backup, request, server, kind
):
    url = server.url(request.getfixturevalue("fresh")) if kind == "server" else None
    bench.clone.write(src=SHOWS)
    release = put(bench, production | PENDING)
    assert rehearse(bench, release, backup, url=url).passed
    for _ in range(2):
        verdict = bench.gate(release, "boot_smoke", settle_s=0.1, probe=TRUE, url=url)
        assert verdict.passed, verdict
    assert bench.log.path.read_text().count("columns: 12") == 2
    assert "boot_smoke: DATABASE_URL is the scratch database, as rehearsed" in bench.log.path.read_text()


SAYS = '#!/bin/sh\necho "url: ${DATABASE_URL-none}"\nexec sleep 60\n'


def test_a_version_that_was_not_rehearsed_gets_none(bench, production, backup):
    bench.clone.write(src=SAYS)
    release = put(bench, production)
    assert bench.gate(release, "boot_smoke", settle_s=0.1).passed
    assert rehearse(bench, release, backup).passed
    bench.clone.write(VERSION="0.8.3\n")
    other = put(bench, production)
    assert bench.gate(other, "boot_smoke", settle_s=0.1).passed
    assert bench.log.path.read_text().count("url: none") == 1
    assert "as rehearsed" not in bench.log.path.read_text()


def test_after_a_rehearsal_that_failed_there_is_none(bench, production, backup):
    bench.clone.write(src=SAYS)
    assert rehearse(bench, put(bench, production), backup).passed
    release = put(bench, production, **{"0051_bad.sql": "nonsense"})
    assert not rehearse(bench, release, backup).passed
    assert bench.gate(release, "boot_smoke", settle_s=0.1).passed
    assert "url: none" in bench.log.path.read_text()


def test_a_database_of_the_gate_s_own_comes_first(bench, production, backup):
    bench.clone.write(src=SAYS)
    bench.spec(env={"DATABASE_URL": "of the build"})
    release = put(bench, production)
    assert rehearse(bench, release, backup).passed
    assert bench.gate(release, "boot_smoke", settle_s=0.1).passed
    assert "url: postgres://sando:" in bench.log.path.read_text()
    assert bench.gate(release, "boot_smoke", settle_s=0.1, env={"DATABASE_URL": "of the gate"}).passed
    assert "url: of the gate" in bench.log.path.read_text()


def test_a_cluster_that_is_gone_is_no_reason_for_boot_smoke_to_fail(bench, production, backup, tmp_path):
    bench.scratch = tmp_path / "own"
    bench.clone.write(src=SAYS)
    release = put(bench, production)
    assert rehearse(bench, release, backup).passed
    (tmp_path / "own" / "cluster" / "whole").unlink()
    assert bench.gate(release, "boot_smoke", settle_s=0.1).passed
    assert "url: none" in bench.log.path.read_text()
