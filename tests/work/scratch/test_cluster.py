"""The private cluster: made once, found again, made anew when it is damaged; nothing of it runs on, and few can reach it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.work.account import account_of
from sando.work.cancel import CancelToken
from sando.work.log import tail
from sando.work.scratch import opening, programs
from sando.work.scratch.job import Job
from sando.work.scratch.opening import Where
from sando.work.tree import remove_tree
from tests.work.scratch.servers import Server
from tests.work.wild import until

ROOT = Path(__file__).resolve().parents[3]
MADE = "scratch: make a private cluster"


@pytest.fixture
def where(memory):
    yield Where(memory / "work" / "scratch")
    remove_tree(memory / "work")  # forty megabytes each


def use(where, job, text="SELECT 1;"):
    with opening.emptied(where, 0, job) as scratch:
        return scratch.client.ask(text)


def made(job):
    """How often the cluster was made."""
    return job.log.path.read_text().count(MADE)


def alive(folder):
    """The processes that work in a folder: PostgreSQL's do so in their data."""
    return [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and _works_in(p, folder)]


def _works_in(process, folder):
    try:
        return (process / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def busy(folder, word):
    """Whether a server that works there runs such a statement."""
    return any(b"sando_scratch" in title and word in title for title in map(_title, alive(folder)))


def _title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_it_is_made_once_and_found_again_empty(where, job):
    assert use(where, job, "CREATE TABLE left_over (a int); SELECT 1;") == ["1"]
    assert use(where, job, "SELECT to_regclass('left_over') IS NULL;") == ["t"]
    assert made(job) == 1
    assert alive(where.folder) == []


DAMAGE = {
    "its data are gone": lambda c: (c / "data" / "PG_VERSION").unlink(),
    "it is of another version": lambda c: (c / "data" / "PG_VERSION").write_text("9\n"),
    "it was not stopped well": lambda c: (c / "whole").unlink(),
    "its control file is damaged": lambda c: (c / "data" / "global" / "pg_control").write_bytes(bytes(8192)),
    "its settings are damaged": lambda c: (c / "data" / "postgresql.conf").write_text("nonsense ="),
    "its passwords are gone": lambda c: (c / "passwords").unlink(),
    "its passwords are nonsense": lambda c: (c / "passwords").write_text("[1"),
    "the pid of another lies there": lambda c: (c / "data" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{c}\n"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_it_is_made_anew_when(where, job, damage):
    use(where, job)
    damage(where.folder / "cluster")
    assert use(where, job) == ["1"]
    assert made(job) in {1, 2}  # what PostgreSQL itself gets over is no damage
    assert use(where, job) == ["1"]
    assert alive(where.folder) == []


def test_a_server_that_outlived_its_keeper_is_ended(where, job, keepers):
    use(where, job)
    stray = Server(where.folder / "cluster", keepers)
    data = where.folder / "cluster" / "data"
    running = keepers.spawn(
        [stray.programs.path("postgres"), "-D", "{folder}/data", "-c", "listen_addresses=", "-c", "unix_socket_directories={folder}/run"],
        cwd="/", env={"PATH": "/usr/bin"}, log=job.log, step="stray", folder=where.folder / "cluster", account=stray._account,
    )  # fmt: skip
    until(
        lambda: (
            "ready" in (data / "postmaster.pid").read_text() if (data / "postmaster.pid").exists() else False
        )
    )
    (where.folder / "cluster" / "whole").unlink()
    assert use(where, job) == ["1"]
    assert running.wait(10).signal == signal.SIGKILL
    assert made(job) == 2


def test_a_server_that_is_killed_leaves_no_memory_behind(where, job):
    """Not the machine's: the folder of the next one is another to PostgreSQL, which so never looks for it."""
    seen: dict[str, str] = {}
    with pytest.raises(WorkError):
        use_and_kill(where, job, seen)
    assert "/dev/shm/PostgreSQL" not in seen["maps"]
    assert memory_of(seen["segment"]), "the server has none, so nothing is shown here"
    use(where, job)
    assert made(job) == 2
    assert not memory_of(seen["segment"])


def use_and_kill(where, job, seen):
    with opening.emptied(where, 0, job) as scratch:
        said = (where.folder / "cluster" / "data" / "postmaster.pid").read_text().splitlines()
        seen |= {"maps": Path(f"/proc/{said[0]}/maps").read_text(), "segment": said[6]}
        os.kill(int(said[0]), signal.SIGKILL)
        until(lambda: not alive(where.folder))
        scratch.client.ask("SELECT 1;")


def memory_of(words):
    """The System V segment of this key and id, as the kernel tells of it."""
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [row for row in rows if row.split()[:2] == words.split()]


def test_a_folder_whose_name_is_too_long_for_a_socket_is_no_hindrance(where, job):
    where = Where(where.folder / ("long" * 20) / ("name" * 20) / "scratch")
    with opening.emptied(where, 0, job) as scratch:
        assert scratch.client.ask("SELECT 1;") == ["1"]
        socket = Path(scratch.client.place.host)
        assert socket.is_relative_to("/tmp")
        assert (socket.parent.stat().st_mode & 0o777, socket.is_symlink()) == (0o711, True)
        assert (
            subprocess.run(["psql", scratch.url, "-Atc", "SELECT 2"], capture_output=True, check=True).stdout
            == b"2\n"
        )
    assert not socket.parent.exists()


def test_an_alias_that_a_killed_run_left_is_removed(where, job):
    where = Where(where.folder / ("long" * 20) / ("name" * 20) / "scratch")
    use(where, job)
    left = Path(
        subprocess.run(
            ["mktemp", "-d", "/tmp/sando-XXXXXX"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    (left / "s").symlink_to("/nowhere")
    (where.folder / "cluster" / "alias").write_text(str(left))
    use(where, job)
    assert not left.exists()


# -- who can reach it --------------------------------------------------------------------------------------------------


def test_it_listens_on_its_socket_alone_and_wants_a_password(where, job):
    with opening.emptied(where, 0, job) as scratch:
        ask = scratch.admin.ask
        assert ask("SELECT current_setting('listen_addresses') = '', inet_server_addr() IS NULL;") == ["t|t"]
        assert ask("SELECT DISTINCT auth_method FROM pg_hba_file_rules;") == ["scram-sha-256"]
        for role in ("sando", "sando_admin", "postgres"):
            url = f"postgres://{role}@{scratch.url.partition('@')[2]}"
            done = subprocess.run(
                ["psql", "-w", url, "-c", "SELECT 1"], capture_output=True, text=True, check=False
            )
            assert "no password supplied" in done.stderr
        rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = 'sando';"
        assert ask(rights) == ["f|f|f|f|f"]
        places = "SELECT datname FROM pg_database WHERE has_database_privilege('sando', datname, 'CONNECT') AND datallowconn;"
        assert ask(places) == ["sando_scratch"]


def test_no_password_stands_in_a_file_that_others_can_read_or_in_an_argv(where, job):
    with opening.emptied(where, 0, job) as scratch:
        secrets = {scratch.client.place.password, scratch.admin.place.password}
        for path in (
            p
            for p in where.folder.rglob("*")
            if p.is_file() and not p.is_relative_to(where.folder / "cluster" / "data")
        ):
            if path.stat().st_mode & 0o077:
                assert not [s for s in secrets if s in path.read_text(errors="replace")], path
        lines = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if _readable(p))
        assert not [s for s in secrets if s.encode() in lines]


def _readable(path):
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_postgresql_runs_as_its_own_user_where_sandod_is_root(where, job):
    with opening.emptied(where, 0, job):
        server = alive(where.folder)[0]
        wanted = account_of("postgres").user if os.geteuid() == 0 else os.geteuid()
        assert Path(f"/proc/{server}").stat().st_uid == wanted


# -- two at once, cancels, kills ---------------------------------------------------------------------------------------


def test_two_never_hold_it_at_once(where, job):
    order = []

    def second():
        with opening.emptied(where, 0, job):
            order.append("second")

    with opening.emptied(where, 0, job):
        thread = threading.Thread(target=second)
        thread.start()
        until(lambda: "another job holds the scratch database" in job.log.path.read_text())
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_who_waits_for_it_can_be_stopped(where, job, keepers):
    waiting = Job.begin("rehearsal", keepers, job.log, CancelToken(), 60.0)
    thread = threading.Thread(
        target=lambda: (until(lambda: "another job" in tail(job.log.path)), waiting.cancel.cancel())
    )
    with opening.emptied(where, 0, job):
        thread.start()
        with pytest.raises(Cancelled):
            use(where, waiting)
    thread.join()


def test_a_cancel_ends_the_server_well(where, job, keepers):
    use(where, job)
    stopped = Job.begin("rehearsal", keepers, job.log, CancelToken(), 60.0)
    threading.Thread(
        target=lambda: (until(lambda: busy(where.folder, b"SELECT")), stopped.cancel.cancel())
    ).start()
    with pytest.raises(Cancelled):
        use(where, stopped, "SELECT pg_sleep(600);")
    assert alive(where.folder) == []
    use(where, job)
    assert made(job) == 1


KILLED = """
import sys
from pathlib import Path
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers
from sando.work.scratch import dump, opening, restore
from sando.work.scratch.job import Job
keepers = Keepers.start()
where = opening.Where(Path(sys.argv[1]), sys.argv[3] if len(sys.argv) > 3 else None)
job = Job.begin("rehearsal", keepers, OpLog(where.folder / "log"), CancelToken(), 300.0)
with opening.emptied(where, 0, job) as scratch, dump.opened(Path(sys.argv[2]), job) as backup:
    restore.restore(scratch, backup, job)
"""


@pytest.mark.parametrize("kind", ["private", "server"])
@pytest.mark.parametrize("words", [(), ("-Fc",)], ids=["plain", "custom"])
def test_killed_during_a_restore_it_leaves_nothing_and_the_next_starts_clean(
    where, job, server, fresh, tmp_path, kind, words
):
    where = Where(where.folder, server.url(fresh) if kind == "server" else None)
    backup = tmp_path / "backup"
    _slow_database(server)
    backup.write_bytes(server.dump("slow", *words))
    argv = [sys.executable, "-c", KILLED, str(where.folder), str(backup), *([where.url] if where.url else [])]
    daemon = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    home = server.folder if kind == "server" else where.folder
    until(lambda: daemon.poll() is not None or busy(home, b"COPY"), 60)
    assert daemon.poll() is None
    family = _family(daemon.pid)
    assert len(family) >= 3
    daemon.kill()
    daemon.wait(10)
    until(lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])
    assert alive(where.folder) == []
    began = time.monotonic()
    assert use(where, job, "SELECT count(*) FROM pg_class WHERE relname = 'half';") == ["0"]
    assert time.monotonic() - began < 60
    if kind == "server":
        until(lambda: server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'sando'") == ["0"])


def _slow_database(server):
    """Its restore says so, and then takes for ever."""
    server.sql("DROP DATABASE IF EXISTS slow", "CREATE DATABASE slow")
    server.sql(
        "CREATE FUNCTION wait(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'", "CREATE TABLE half (a int CHECK (wait(a)))",
        "INSERT INTO half VALUES (1)",
        "CREATE OR REPLACE FUNCTION wait(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN true; END'",
        database="slow",
    )  # fmt: skip


def _family(pid):
    """It, its children, and theirs."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            todo += [int(child) for child in task.read_text().split()]
    return found


# -- programs ----------------------------------------------------------------------------------------------------------


def test_programs_are_found_on_the_path_first_and_then_the_newest(tmp_path, monkeypatch):
    real = Path(programs.find(programs.SERVER, 0, CancelToken()).path("psql"))

    def install(folder, version):
        folder.mkdir(parents=True)
        for name in programs.SERVER:
            (folder / name).write_text(f"#!/bin/sh\necho 'psql (PostgreSQL) {version} (here)'\n")
            (folder / name).chmod(0o755)

    for version in ("9.6.24", "14.2", "16.9", "17.6", "100.1"):
        install(tmp_path / "lib" / version.partition(".")[0] / "bin", version)
    folders = (f"{tmp_path}/lib/*/bin",)
    monkeypatch.setenv("PATH", "/nowhere")

    def find(least=0):
        return programs.find(programs.SERVER, least, CancelToken(), folders)

    assert (find().major, str(find()), find().restricts) == (100, "PostgreSQL 100.1", True)
    install(tmp_path / "bin", "16.9")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert (find().folder, find().restricts) == (tmp_path / "bin", False)
    assert find(17).major == 100
    with pytest.raises(
        WorkError,
        match=r"PostgreSQL 101 or newer is needed, here is PostgreSQL 100.1: .*apt-get install postgresql-101",
    ) as caught:
        find(101)
    assert caught.value.errored
    assert real.exists()


def test_without_programs_there_is_none_and_with_a_url_psql_is_missing(tmp_path, monkeypatch, job):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "FOLDERS", ())
    assert programs.find(programs.SERVER, 0, CancelToken(), ()) is None


def test_debian_s_wrapper_is_not_taken_for_psql(monkeypatch):
    """It reads files of its own to choose a server."""
    found = programs.find(programs.SERVER, 0, CancelToken())
    assert Path(found.path("psql")).read_bytes()[:4] == b"\x7fELF"
