"""A real sandod rehearses migrations on a fetched backup with a PostgreSQL of its own, and survives what comes in between."""

import pytest

from sando.work.tree import remove_tree
from tests.system.sandod import alive, until
from tests.system.workspace import HEAD

DUMP = """--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.users (id integer NOT NULL, name text);
ALTER TABLE public.users OWNER TO somebody;
COPY public.users (id, name) FROM stdin;
1\tAda
2\tBob
\\.
ALTER TABLE ONLY public.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
--
-- PostgreSQL database dump complete
--

"""
MM = """
[[tier]]
name = "mm"
provisioned = true
gates = [ { kind = "migration_dry_run" }, { kind = "boot_smoke", probe = { command = "test -e asked" } } ]
"""
READS = "#!/bin/sh\npsql \"$DATABASE_URL\" -XAtc \"SELECT 'age of ' || name || ' is ' || age FROM users\" || exit 3\ntouch asked\nexec sleep 600\n"
ADDS = "ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 7;\n"
SLOW = "SELECT pg_sleep(600);\n"


@pytest.fixture
def rehearsing(sandod):
    """With a backup that was fetched, and a first green version that adds a column."""
    backup = '[backup]\nsource = "file://{root}/dump.sql"\nlocal_path = "{root}/backup.sql"\n'
    sandod.configure(head=HEAD + backup.replace("{root}", str(sandod.root)), mm=MM).start()
    (sandod.root / "dump.sql").write_text(DUMP)
    assert sandod.post("/backup/fetch?wait=30").status == 200
    migrate(sandod, "1_age.sql", ADDS)
    sandod.green("1.0", server=READS)
    yield sandod
    sandod.finish()
    remove_tree(sandod.root / "work" / "scratch")


def migrate(sandod, name, text=None):
    """Write or remove a migration; the next push brings it along."""
    if sandod.clone is None:
        sandod.commit("0.0")
    path = sandod.clone.folder / "server" / "migrations" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text) if text else path.unlink()


def log(sandod, operation):
    return (sandod.root / "work" / "logs" / f"{operation}.log").read_text()


def until_slow(sandod):
    """Until the slow migration of the second push has its turn."""
    path = sandod.root / "work" / "logs" / "3.log"
    until(lambda: path.exists() and "migrate: 1_age.sql applied" in path.read_text())


def servers(sandod):
    """PostgreSQL's processes: they work in their data."""
    return [
        name
        for _, name in alive(str(sandod.root / "work" / "scratch" / "cluster" / "data"))
        if "postgres" in name
    ]


def test_a_push_is_rehearsed_on_the_backup_and_booted_on_what_came_of_it(rehearsing):
    said = log(rehearsing, 2)
    steps = [
        "restore: left out: owners and privileges (1)",
        "restore: public.users: 2 rows",
        "migrate: 1_age.sql applied",
        "age of Ada is 7",
        "boot_smoke: served",
    ]
    assert sorted(steps, key=said.index) == steps
    gates = {g["kind"]: g for g in rehearsing.tier("mm")["gates"]}
    assert gates["migration_dry_run"]["outcome"] == "passed"
    assert "1 migration applied" in gates["migration_dry_run"]["message"]
    assert servers(rehearsing) == []


def test_a_migration_that_fails_on_the_data_is_red_and_says_where(rehearsing):
    migrate(rehearsing, "2_short.sql", "ALTER TABLE users\n  ALTER name TYPE varchar(2);\n")
    sha, _ = rehearsing.push("1.1", server=READS)
    failed = rehearsing.wait_event("BuildFailed", sha=sha)
    assert "2_short.sql line 1: 22001: value too long" in rehearsing.operation(failed["operation"])["error"]
    assert rehearsing.tier("mm")["current_version"] == "1.0"


def test_a_newer_push_ends_a_rehearsal_and_its_server(rehearsing):
    migrate(rehearsing, "2_slow.sql", SLOW)
    rehearsing.push("1.1", server=READS)
    until_slow(rehearsing)
    migrate(rehearsing, "2_slow.sql")
    last, _ = rehearsing.push("1.2", server=READS)
    rehearsing.wait_event("BuildOk", sha=last)
    assert rehearsing.operation(3)["status"] == "superseded"
    assert servers(rehearsing) == []


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_daemon_that_ends_during_a_rehearsal_leaves_no_server_and_begins_again_clean(rehearsing, how):
    migrate(rehearsing, "2_slow.sql", SLOW)
    rehearsing.push("1.1", server=READS)
    until_slow(rehearsing)
    assert servers(rehearsing)
    if how == "killed":
        rehearsing.kill()
    else:
        assert rehearsing.stop() == 0
    until(lambda: not servers(rehearsing))
    rehearsing.start()
    migrate(rehearsing, "2_slow.sql")
    last, _ = rehearsing.push("1.2", server=READS)
    rehearsing.wait_event("BuildOk", sha=last)
    assert rehearsing.tier("mm")["current_version"] == "1.2"
    assert servers(rehearsing) == []
