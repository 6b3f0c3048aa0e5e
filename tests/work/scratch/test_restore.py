"""Real dumps of a real shop, in every form, restored by a role that owns the scratch database and nothing else."""

import gzip
import re
import shutil
import subprocess
import tarfile
import threading
import time

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work.log import tail
from sando.work.scratch import dump, restore, rows
from sando.work.scratch.client import libpq_env
from sando.work.scratch.said import Said
from tests.work.scratch.shops import TABLES
from tests.work.wild import until


def restored(scratch, path, job):
    with dump.opened(path, job) as found:
        return restore.restore(scratch, found, job)


def schema(text):
    """What a dump says, without what the weak role leaves out, in any order."""
    lines = [
        line
        for line in text.decode().splitlines()
        if line and not line.startswith(("--", "\\restrict", "\\unrestrict", "SET "))
    ]
    strange = (
        "EXTENSION",
        "EVENT TRIGGER",
        "FUNCTION shop.noted();",
        "ALL TABLES",
        "SCHEMA geo",
        "SCHEMA public",
    )
    return sorted(_in_order(x) for x in lines if not any(word in x for word in strange))


def _in_order(line):
    """The roles of a policy stand in the order in which a server has made them."""
    return re.sub(r" TO (.*) USING ", lambda m: f" TO {sorted(m[1].split(', '))} USING ", line)


def redump(server, scratch):
    place, env = scratch.client.place, libpq_env(scratch.client.place, str(scratch.client.folder), {})
    argv = [server.programs.path("pg_dump"), "--no-owner", "--no-privileges", place.database]
    return subprocess.run(argv, env=env, check=True, capture_output=True).stdout


FORMS = {
    "plain": (), "inserts": ("--inserts",), "column inserts": ("--column-inserts", "--rows-per-insert=7"), "clean": ("--clean",),
    "clean if exists": ("--clean", "--if-exists"), "session authorization": ("--use-set-session-authorization",), "quoted": ("--quote-all-identifiers",),
    "custom": ("-Fc",), "custom unpacked": ("-Fc", "-Z0"), "tar": ("-Ft",), "no owner": ("--no-owner", "--no-privileges"), "verbose": ("--verbose",),
}  # fmt: skip


@pytest.mark.parametrize("words", FORMS.values(), ids=FORMS)
def test_what_comes_back_is_what_the_shop_holds(server, shop, open_private, job, tmp_path, words):
    (tmp_path / "backup").write_bytes(server.dump(shop, *words))
    with open_private() as scratch:
        done = restored(scratch, tmp_path / "backup", job)
        assert schema(redump(server, scratch)) == schema(server.dump(shop, "--no-owner", "--no-privileges"))
        assert rows.largest(scratch.client) == TABLES
        assert scratch.client.ask("SELECT count(*) FROM pg_largeobject_metadata;") == ["1"]
    assert done.sha256 == dump.hashlib.sha256((tmp_path / "backup").read_bytes()).hexdigest()
    assert "restore: left out: " in job.log.path.read_text()


@pytest.mark.parametrize("pack", [gzip.compress, dump.zstd.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("words", [(), ("-Fc", "-Z0")], ids=["plain", "custom"])
def test_a_packed_dump_comes_back_whole(server, shop, open_private, job, tmp_path, pack, words):
    (tmp_path / "backup.sql").write_bytes(pack(server.dump(shop, *words)))
    with open_private() as scratch:
        done = restored(scratch, tmp_path / "backup.sql", job)
        assert rows.largest(scratch.client) == TABLES
    assert done.sha256 == dump.hashlib.sha256((tmp_path / "backup.sql").read_bytes()).hexdigest()


def test_a_folder_comes_back_whole(server, shop, open_private, job, tmp_path):
    server.dump(shop, "-Fd", "-j2", "-f", str(tmp_path / "backup"))
    with open_private() as scratch:
        done = restored(scratch, tmp_path / "backup", job)
        assert rows.largest(scratch.client) == TABLES
    data = next(p for p in (tmp_path / "backup").iterdir() if p.suffix == ".gz")
    data.write_bytes(gzip.compress(b"\\.\n\n\n"))
    with open_private() as scratch:
        assert restored(scratch, tmp_path / "backup", job).sha256 != done.sha256


def test_a_dump_with_lines_of_dos_comes_back(server, open_private, job, tmp_path):
    server.sql("CREATE DATABASE dos")
    server.sql(
        "CREATE TABLE t (a text)", "INSERT INTO t SELECT i FROM generate_series(1, 9) i", database="dos"
    )
    (tmp_path / "backup").write_bytes(server.dump("dos").replace(b"\n", b"\r\n"))
    server.sql("DROP DATABASE dos")
    with open_private() as scratch:
        restored(scratch, tmp_path / "backup", job)
        assert scratch.client.ask("SELECT count(*) FROM t;") == ["9"]


@pytest.mark.parametrize("words", [(), ("-Fc",)], ids=["plain", "custom"])
def test_on_a_server_of_one_s_own_extensions_are_its_administrator_s(
    server, shop, fresh, open_server, job, tmp_path, words
):
    (tmp_path / "backup").write_bytes(server.dump(shop, *words))
    with (
        open_server() as scratch,
        pytest.raises(WorkError, match=r'as a superuser in that database, CREATE EXTENSION "(earth|pg_stat)'),
    ):
        restored(scratch, tmp_path / "backup", job)
    server.sql(
        "CREATE SCHEMA geo",
        "CREATE EXTENSION earthdistance WITH SCHEMA geo CASCADE",
        "CREATE EXTENSION pg_stat_statements",
        database=fresh,
    )
    server.sql("GRANT USAGE ON SCHEMA geo TO sando", database=fresh)
    with open_server() as scratch:
        restored(scratch, tmp_path / "backup", job)
        assert rows.largest(scratch.client) == TABLES


FORBIDDEN = {
    "dblink": "may reach beyond the database",
    "file_fdw": "may reach beyond",
    "adminpack": "may reach beyond",
    "nowhere": "does not have here",
}


@pytest.mark.parametrize(("extension", "match"), FORBIDDEN.items())
def test_an_extension_that_reaches_out_or_is_not_there_is_named(
    server, open_private, job, tmp_path, extension, match
):
    text = server.dump("prod").replace(
        b"SET default_tablespace", f"CREATE EXTENSION {extension};\nSET default_tablespace".encode(), 1
    )
    (tmp_path / "backup").write_bytes(text)
    with (
        open_private() as scratch,
        pytest.raises(WorkError, match=f"the backup needs the extension {extension}, which .*{match}"),
    ):
        restored(scratch, tmp_path / "backup", job)


# -- what does not restore ---------------------------------------------------------------------------------------------


def refused(scratch, path, job, match):
    with pytest.raises(WorkError, match=match) as caught:
        restored(scratch, path, job)
    assert caught.value.errored
    return str(caught.value)


def test_half_a_dump_is_not_committed_however_long_psql_lives_on(
    server, shop, open_private, job, tmp_path, monkeypatch
):
    """The end of its input is the end of the dump to psql."""
    real = Said.end

    def late(self, grace):
        time.sleep(0.5)
        return real(self, grace)

    text = server.dump(shop)
    half = text[: text.index(b"\nBEGIN;\n")]  # before the large objects, which a dump commits by itself
    (tmp_path / "backup").write_bytes(gzip.compress(half, 1))
    with open_private() as scratch:
        monkeypatch.setattr(Said, "end", late)
        refused(scratch, tmp_path / "backup", job, "is not whole: ")
        monkeypatch.undo()
        assert rows.largest(scratch.client) == {}


def points(text, count):
    return [len(text) * i // count for i in range(count)]


@pytest.mark.long
def test_a_plain_dump_cut_at_a_hundred_points_never_passes(server, shop, canary, open_private, job, tmp_path):
    """Packed, so that it is read to its end and not only looked at; nothing of it stays before its own COMMIT."""
    text = server.dump(shop)
    commits = text.index(
        b"\nCOMMIT;\n"
    )  # of its large objects: what is restored until then may be there afterwards
    with open_private() as scratch:
        for point in points(text, 100):
            if point < commits:
                cut(scratch, text[:point], tmp_path / "backup", job)
        assert rows.largest(scratch.client) == {}
    for point in points(text, 100):
        if point >= commits:
            with open_private() as scratch:
                cut(scratch, text[:point], tmp_path / "backup", job)


def cut(scratch, text, path, job):
    path.write_bytes(gzip.compress(text, 1))
    refused(
        scratch, path, job, "is not whole: |is nothing but blanks|no dump that sando knows|cannot be used"
    )
    path.write_bytes(text)
    with pytest.raises(WorkError, match=r"is not whole|is empty|no dump"), dump.opened(path, job):
        pass


@pytest.mark.parametrize(("words", "count"), [(("-Fc",), 100), (("-Ft",), 30)], ids=["custom", "tar"])
@pytest.mark.long
def test_an_archive_cut_at_many_points_never_passes(
    server, canary, open_private, job, tmp_path, words, count
):
    server.sql("CREATE DATABASE small")
    for table in "abc":
        server.sql(
            f"CREATE TABLE {table} (x int, y text)",
            f"INSERT INTO {table} SELECT i, md5(i::text) FROM generate_series(1, 99) i",
            database="small",
        )
    archive = server.dump("small", *words).rstrip(b"\0")
    server.sql("DROP DATABASE small")
    with open_private() as scratch:
        for point in points(archive, count):
            (tmp_path / "backup").write_bytes(archive[:point])
            refused(
                scratch,
                tmp_path / "backup",
                job,
                r"cannot be read|does not restore|is empty|no dump|is not whole",
            )
            scratch.client.ask("DROP TABLE IF EXISTS a, b, c;")


def test_a_folder_with_half_a_file_never_passes(server, shop, open_private, job, tmp_path):
    """pg_restore takes the half that is there."""
    for packing in ("-Z0", "-Z6"):
        folder = tmp_path / packing
        server.dump(shop, "-Fd", packing, "-f", str(folder))
        data = max((p for p in folder.iterdir() if p.name[0].isdigit()), key=lambda p: p.stat().st_size)
        whole = data.read_bytes()
        for part in (1, len(whole) // 2, len(whole) - 9, len(whole) - 1):
            data.write_bytes(whole[:part])
            with open_private() as scratch:
                refused(
                    scratch, folder, job, r"is not whole: [0-9]+.dat ends before its rows do|does not restore"
                )


def test_a_folder_without_one_of_its_files_never_passes(server, shop, open_private, job, tmp_path):
    server.dump(shop, "-Fd", "-f", str(tmp_path / "whole"))
    for number, path in enumerate(sorted((tmp_path / "whole").iterdir())):
        if path.name == "blobs.toc":  # without large objects pg_restore asks for none
            continue
        shutil.copytree(tmp_path / "whole", tmp_path / str(number))
        (tmp_path / str(number) / path.name).unlink()
        with open_private() as scratch:
            refused(scratch, tmp_path / str(number), job, "does not restore|cannot be read|without toc.dat")


HEAD = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (a text);\n"
TAIL = "\n--\n-- PostgreSQL database dump complete\n--\n\n"
HOSTILE = {
    "a shell": "\\! touch {witness}\n",
    "a shell behind a statement": "SELECT 1; \\! touch {witness}\n",
    "another database": "\\connect prod\nDROP TABLE canary;\n",
    "another database by URL": "\\connect postgresql://app:app@127.0.0.1:{port}/prod\nDROP TABLE canary;\n",
    "a program by psql": "\\copy t from program 'touch {witness}'\n",
    "a file by psql": "\\copy t to '{witness}'\n",
    "output into a file": "\\o {witness}\nSELECT 1;\n",
    "output into a program": "\\g |touch {witness}\n",
    "another script": "\\i {witness}\n",
    "a variable": "\\set x `touch {witness}`\n",
    "an unrestrict with a program": "\\unrestrict `touch {witness}`\n",
    "a program of the server": "COPY t FROM PROGRAM 'touch {witness}';\n",
    "a file of the server": "COPY t TO '{witness}';\n",
    "a program hidden from the sieve": "DO $$ BEGIN EXECUTE 'COPY t FROM PROG' || 'RAM ''touch {witness}'''; END $$;\n",
    "a file hidden from the sieve": "SELECT pg_read_file('/etc/passwd');\n",
    "a large object into a file": "SELECT lo_export(lo_create(0), '{witness}');\n",
    "quotes read in another way": "SELECT set_config('standard_con' || 'forming_strings', 'off', false);\nSELECT '\\' '\n\\! touch {witness}\n';\n",
    "letters with backslashes": "SELECT set_config('client_en' || 'coding', 'SJIS', false);\nSELECT E'\\x83\x83\\'';\n\\! touch {witness}\n",
    "rows that are no rows": "COPY nowhere FROM stdin;\n\\! touch {witness}\n\\.\n",
    "a COPY of the other kind": "COPY t FROM stdin (FORMAT binary);\n\\! touch {witness}\n\\.\n",
    "a function that makes it": "CREATE FUNCTION f() RETURNS void LANGUAGE c AS 'libc', 'system';\n",
    "another language": "CREATE EXTENSION plpython3u;\n",
    "a way to another server": "CREATE EXTENSION dblink;\nSELECT dblink_exec('dbname=prod', 'DROP TABLE canary');\n",
    "another role": "SET ROLE app;\nDROP DATABASE prod;\n",
    "more rights": "ALTER ROLE sando SUPERUSER;\n",
    "a setting of the server": "ALTER SYSTEM SET archive_command = 'touch {witness}';\n",
    "a NUL": "SELECT '\0';\n\\! touch {witness}\n",
    "a variable of psql": "SELECT :DBNAME;\n",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", ["private", "server"])
def test_a_hostile_dump_never_passes_and_reaches_nothing_else(
    server, canary, request, job, tmp_path, text, kind
):
    witness = tmp_path / "witness"
    said = HEAD + text.format(witness=witness, port=server.port) + TAIL
    (tmp_path / "backup").write_bytes(said.encode("latin-1"))
    with request.getfixturevalue(f"open_{kind}")() as scratch, server.listening() as heard:
        refused(scratch, tmp_path / "backup", job, "the backup")
    assert not witness.exists()
    assert {s.database for s in heard} <= {"sando_scratch"}
    assert server.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'sando'") == ["f"]


@pytest.mark.parametrize(
    "text", [t for t in HOSTILE.values() if "\\" in t], ids=[n for n, t in HOSTILE.items() if "\\" in t]
)
def test_psql_alone_would_stop_it_too(server, open_server, job, tmp_path, text):
    """Were the sieve not there: psql is restricted, and the role weak."""
    witness = tmp_path / "witness"
    (tmp_path / "evil.sql").write_bytes(
        (HEAD + text.format(witness=witness, port=server.port)).encode("latin-1")
    )
    with open_server() as scratch, server.listening() as heard:
        psql = scratch.client.psql(["-f", str(tmp_path / "evil.sql")], restricted=True)
        ended, _ = scratch.client.wait(psql, job.log, 0)
    assert not ended.ok
    assert not witness.exists()
    assert {s.database for s in heard} <= {"sando_scratch"}


def test_a_dump_of_a_later_version_says_what_to_install(server, open_private, job, tmp_path):
    (tmp_path / "backup").write_bytes(
        server.dump("prod").replace(b"by pg_dump version 1", b"by pg_dump version 9")
    )
    with open_private() as scratch:
        said = refused(scratch, tmp_path / "backup", job, "made by pg_dump 9")
    assert "install PostgreSQL 9" in said
    assert "apt-get install postgresql-9" in said


def test_a_later_format_is_named_by_pg_restore(server, open_private, job, tmp_path):
    archive = server.dump("prod", "-Fc")
    (tmp_path / "backup").write_bytes(archive[:5] + bytes([1, 99, 0]) + archive[8:])
    with open_private() as scratch:
        refused(
            scratch, tmp_path / "backup", job, r"unsupported version \(1.99\) in file header|made by pg_dump"
        )


def test_a_dump_that_the_server_refuses_names_the_line_and_what_it_said(server, open_private, job, tmp_path):
    (tmp_path / "backup").write_text(
        HEAD + "\n\nINSERT INTO t VALUES (1), ('a');\nINSERT INTO gone VALUES (1);\n" + TAIL
    )
    with open_private() as scratch:
        refused(
            scratch,
            tmp_path / "backup",
            job,
            'the backup does not restore: line 9: 42P01: relation "gone" does not exist',
        )
        assert rows.largest(scratch.client) == {}


def test_the_log_calls_the_backup_by_its_name(server, shop, open_private, job, tmp_path):
    text = server.dump(shop).replace(b"CREATE TABLE", b"CREATE TABEL", 1)
    (tmp_path / "shop nightly.sql").write_bytes(text)
    with open_private() as scratch:
        refused(scratch, tmp_path / "shop nightly.sql", job, "does not restore: line [0-9]+: 42601")
    log = job.log.path.read_text()
    assert re.search(r"(?m)^psql:shop nightly\.sql:[0-9]+: ERROR:  42601: ", log)
    assert "/proc/" not in log
    assert "<stdin>" not in log


def test_an_archive_that_cannot_be_read_is_called_by_its_name(server, shop, open_private, job, tmp_path):
    (tmp_path / "shop.dump").write_bytes(server.dump(shop, "-Fc"))
    with open_private() as scratch:
        text = (tmp_path / "shop.dump").read_bytes()
        for keep in (6, 400, 3000, len(text) - 100):
            (tmp_path / "shop.dump").write_bytes(text[:keep])
            said = refused(scratch, tmp_path / "shop.dump", job, "the backup ")
            assert "/proc/" not in said + tail(job.log.path)


def test_a_psql_that_cannot_be_restricted_is_not_used_on_plain_dumps(server, open_private, job, tmp_path):
    (tmp_path / "backup").write_bytes(server.dump("prod"))
    with open_private() as scratch:
        scratch.client.programs = scratch.client.programs._replace(minor=1, major=15)
        refused(
            scratch,
            tmp_path / "backup",
            job,
            r"psql of PostgreSQL 15.1 cannot be kept from .* \(CVE-2025-8714\): update it, or",
        )


def test_a_backup_that_is_larger_than_the_disk_is_told_before_it_is_begun(
    server, open_private, job, tmp_path, monkeypatch
):
    (tmp_path / "backup").write_bytes(server.dump("prod"))
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=99))
    with open_private() as scratch:
        refused(
            scratch,
            tmp_path / "backup",
            job,
            r"the backup has .* kB, and .*/scratch has room for 0.1 kB: free some",
        )


# -- how it goes -------------------------------------------------------------------------------------------------------


def test_it_tells_how_far_it_is(server, shop, open_private, job, tmp_path, monkeypatch):
    monkeypatch.setattr(restore, "_SAY_S", 0.0)
    (tmp_path / "backup").write_bytes(server.dump(shop))
    with open_private() as scratch:
        restored(scratch, tmp_path / "backup", job)
    said = job.log.path.read_text()
    assert re.search(r"sando: restore: [0-9.]+ kB of [0-9.]+ kB, 0s so far\n", said)
    assert re.search(r"sando: restore: [0-9.]+ kB restored in ", said)


def slow(tmp_path):
    """A dump that says so and waits, in the middle."""
    now = "DO $$ BEGIN RAISE WARNING 'asleep'; END $$;\nSELECT pg_sleep(600);\n"
    (tmp_path / "slow").write_text(HEAD + now + "SELECT 1;\n" * 500_000 + TAIL)
    return tmp_path / "slow"


@pytest.mark.parametrize("kind", ["private", "server"])
def test_a_cancel_ends_psql_and_the_backend(server, canary, request, job, tmp_path, kind):
    open_it, path = request.getfixturevalue(f"open_{kind}"), slow(tmp_path)

    def cancel():
        until(lambda: "asleep" in tail(job.log.path))
        job.cancel.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled), open_it() as scratch:
        restored(scratch, path, job)
    thread.join()
    if kind == "server":
        until(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'sando'") == ["0"])


def test_the_deadline_ends_it_and_says_so(server, open_private, job, tmp_path):
    path = slow(tmp_path)
    with open_private() as scratch:
        object.__setattr__(job, "until", restore.time.monotonic() + 0.5)
        with pytest.raises(
            WorkError, match="timed out after 1m 40s; all that it started was ended"
        ) as caught:
            restored(scratch, path, job)
        object.__setattr__(job, "until", restore.time.monotonic() + 60)
    assert not caught.value.errored


def test_a_file_that_is_replaced_meanwhile_changes_nothing(server, shop, open_private, job, tmp_path):
    for words in ((), ("-Fc",), ("-Ft",)):
        path = tmp_path / "backup"
        path.write_bytes(server.dump(shop, *words))
        digest = dump.hashlib.sha256(path.read_bytes()).hexdigest()
        with open_private() as scratch, dump.opened(path, job) as found:
            (tmp_path / "other").write_text("<html>")
            (tmp_path / "other").replace(path)
            assert restore.restore(scratch, found, job).sha256 == digest
            assert rows.largest(scratch.client) == TABLES


def test_a_tar_of_something_else_is_told(open_private, job, tmp_path):
    with tarfile.open(tmp_path / "backup", "w") as tar:
        tar.add(__file__, "toc.dat")
    with open_private() as scratch:
        refused(scratch, tmp_path / "backup", job, "cannot be read|a tar file|no dump")
