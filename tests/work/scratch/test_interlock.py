"""Nothing but questions reaches a database that is not sando's to empty, whatever URL, environment and files say.

After every test a canary in a second database of the same server is what it was (the fixture `canary`).
"""

import itertools
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from sando.model.errors import WorkError
from sando.model.scratch import scratch_of
from sando.work.log import tail
from sando.work.scratch import client, opening, questions
from sando.work.scratch.client import Client, libpq_env
from sando.work.scratch.opening import Where
from sando.work.scratch.whereabouts import place_of
from tests.work.scratch.servers import PASSWORD

# The only statements that may reach a database before it is known to be ours: they change nothing.
QUESTION = re.compile(
    r"(--[^\n]*\n|\s)*(SET search_path = pg_catalog|SELECT pg_catalog\.(has_function_privilege|json_build_object)\(|SELECT system_identifier AS system)"
)


def attempt(where, job):
    """Open it as a rehearsal does, and leave a table there."""
    with opening.emptied(where, 0, job) as scratch:
        return scratch.client.ask("CREATE TABLE witness (a int);\nSELECT current_database();\n")


def refused(where, job, server, match):
    """Opening fails, errored, and the server heard nothing but questions."""
    with server.listening() as said, pytest.raises(WorkError, match=match) as caught:
        attempt(where, job)
    assert caught.value.errored
    assert [s for s in said if not QUESTION.match(s.sql)] == []
    assert "sesame" not in str(caught.value) + tail(job.log.path)
    return said


@pytest.fixture
def where(tmp_path, server):
    return lambda database, **who: Where(tmp_path / "scratch", server.url(database, **who))


# -- databases that are not ours ---------------------------------------------------------------------------------------

CONTENT = {
    "a table": "CREATE TABLE t (a int)",
    "a view": "CREATE VIEW v AS SELECT 1 AS a",
    "a sequence": "CREATE SEQUENCE s",
    "a type": "CREATE TYPE y AS ENUM ('a')",
    "a domain": "CREATE DOMAIN d AS int",
    "a function": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "a schema": "CREATE SCHEMA other",
    "a table in a schema": "CREATE SCHEMA other CREATE TABLE t (a int)",
    "a materialized view": "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
    "a composite type": "CREATE TYPE c AS (a int)",
    "an extension": "CREATE EXTENSION hstore",
    "an extension in a schema": "CREATE SCHEMA x CREATE TABLE t (a int); CREATE EXTENSION citext SCHEMA x",
    "a large object": "SELECT lo_create(4711)",
    "a publication": "CREATE PUBLICATION p",
    "a foreign server": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w",
    "an event trigger": "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e(); DROP EVENT TRIGGER e",
    "a collation": "CREATE COLLATION c (locale = 'C')",
    "a text search configuration": "CREATE TEXT SEARCH CONFIGURATION t (COPY = english)",
    "an operator": "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
    "a partitioned table": "CREATE TABLE p (a int) PARTITION BY LIST (a)",
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "owner"),
    list(zip(CONTENT.values(), itertools.cycle(["sando", "postgres"]), strict=False)),
    ids=CONTENT,
)
def test_a_database_with_something_in_it_and_no_mark_is_refused(server, fresh, where, job, content, owner):
    server.sql(content, f"ALTER DATABASE {fresh} OWNER TO {owner}", database=fresh)
    said = refused(
        where(fresh), job, server, r"is not empty \(.*\) and has no mark of sando: .* nothing was done"
    )
    assert [s.database for s in said] == [fresh] * 4


COMMENTS = {
    "a person's": "the database of the shop",
    "another sandod's": questions.mark("0123456789abcdef", "1", "2"),
    "half a mark": "sando scratch ",
}


@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS)
@pytest.mark.parametrize("content", ["SELECT 1", "CREATE TABLE t (a int)"], ids=["empty", "with a table"])
def test_a_database_with_a_comment_that_is_not_our_mark_is_refused(
    server, fresh, where, job, comment, content
):
    server.sql(
        content, f"COMMENT ON DATABASE {fresh} IS '{comment.replace(chr(39), chr(39) * 2)}'", database=fresh
    )
    refused(where(fresh), job, server, "nothing was done")


def test_our_mark_says_nothing_in_another_database_of_the_same_server(server, fresh, where, job):
    """As when the comment was copied, or the database restored under another name."""
    assert attempt(where(fresh), job) == [fresh]
    mark = server.sql(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'sando_scratch'"
    )[0]
    server.sql("CREATE DATABASE copied OWNER sando")
    try:
        server.sql("CREATE TABLE t (a int)", f"COMMENT ON DATABASE copied IS '{mark}'", database="copied")
        refused(where("copied"), job, server, "has the mark of another sandod")
        assert server.sql("SELECT count(*) FROM t", database="copied") == ["0"]
    finally:
        server.sql("DROP DATABASE copied")


def test_two_daemons_cannot_share_a_database(server, fresh, where, job, tmp_path):
    assert attempt(where(fresh), job) == [fresh]
    other = Where(tmp_path / "another", where(fresh).url)
    refused(other, job, server, "has the mark of another sandod")
    assert attempt(where(fresh), job) == [fresh]


def test_production_itself_is_refused(server, canary, where, job):
    refused(where("prod"), job, server, "is not empty")
    refused(where("prod", role="app", password="app"), job, server, "is not empty")


# -- roles that could do more ------------------------------------------------------------------------------------------

POWERS = {
    "a superuser": ("SUPERUSER", "has SUPERUSER"),
    "one that makes roles": ("CREATEROLE", "has CREATEROLE"),
    "one that reads the whole server": ("REPLICATION", "has REPLICATION"),
    "a member of a superuser": ("IN ROLE postgres", "has .*SUPERUSER"),
    "one that runs programs": ("IN ROLE pg_execute_server_program", "has pg_execute_server_program"),
    "one that reads files": ("IN ROLE pg_read_server_files", "has pg_read_server_files"),
    "one that writes files": ("IN ROLE pg_write_server_files", "has pg_write_server_files"),
    "one that makes databases": ("CREATEDB", "has CREATEDB"),
    "one that writes everywhere": ("IN ROLE pg_write_all_data", "has pg_write_all_data"),
    "one that reads everywhere": ("IN ROLE pg_read_all_data", "has pg_read_all_data"),
    "one that ends sessions": ("IN ROLE pg_signal_backend", "has pg_signal_backend"),
}  # fmt: skip


@pytest.mark.parametrize(("power", "match"), POWERS.values(), ids=POWERS)
def test_a_role_that_reaches_beyond_its_database_is_refused(server, fresh, where, job, power, match):
    server.sql(
        f"CREATE ROLE strong LOGIN PASSWORD 'sesame' {power}", f"ALTER DATABASE {fresh} OWNER TO strong"
    )
    try:
        refused(where(fresh, role="strong"), job, server, match)
    finally:
        server.sql(f"ALTER DATABASE {fresh} OWNER TO sando", "DROP ROLE strong")


REACHES = {
    "it owns another database": (["ALTER DATABASE other OWNER TO strong"], "owns the database other"),
    "a member of its owner": (
        ["CREATE ROLE between", "GRANT between TO strong", "ALTER DATABASE other OWNER TO between"],
        "owns the database other",
    ),
    "it was let in by name": (["GRANT CONNECT ON DATABASE other TO strong"], "was granted rights on the database other"),
    "it owns a table there": (["CREATE TABLE t (a int)", "ALTER TABLE t OWNER TO strong"], "owns or may use what is in the database other"),
    "it may write a table there": (["CREATE TABLE t (a int)", "GRANT INSERT ON t TO strong"], "owns or may use what is in the database other"),
}  # fmt: skip


@pytest.mark.parametrize(("how", "match"), REACHES.values(), ids=REACHES)
@pytest.mark.parametrize("marked", [False, True], ids=["at first", "once it is ours"])
def test_a_role_with_something_in_another_database_is_refused(server, fresh, where, job, how, match, marked):
    """A migration that drops or fills that database would be rehearsed on it."""
    server.sql("CREATE ROLE strong LOGIN PASSWORD 'sesame'", f"ALTER DATABASE {fresh} OWNER TO strong")
    server.sql("CREATE DATABASE other")
    try:
        if marked:
            assert attempt(where(fresh, role="strong"), job) == [fresh]
        server.sql(*how, database="other")
        refused(where(fresh, role="strong"), job, server, f"strong {match}: it would let")
    finally:
        server.sql(f"ALTER DATABASE {fresh} OWNER TO sando")
        server.sql("DROP DATABASE other")
        server.sql("DROP OWNED BY strong", database=fresh)
        server.sql("DROP ROLE strong", "DROP ROLE IF EXISTS between")


def test_what_is_not_free_is_told_before_what_the_role_could_do(server, canary, where, job):
    """The way out for a strong role names the database: it must not be somebody's."""
    with pytest.raises(WorkError, match="is not empty") as caught:
        attempt(where("prod", role="postgres", password=quote(PASSWORD)), job)
    assert "ALTER DATABASE" not in str(caught.value)


def test_a_role_that_does_not_own_the_database_is_refused(server, fresh, where, job):
    server.sql(f"ALTER DATABASE {fresh} OWNER TO app")
    refused(
        where(fresh),
        job,
        server,
        r'does not own the database sando_scratch: ALTER DATABASE "sando_scratch" OWNER TO "sando";',
    )


@pytest.mark.parametrize(
    ("who", "match"),
    [
        ({"password": "wrong"}, "password authentication failed"), ({"role": "nobody"}, "password authentication failed"),
        ({"database": "gone"}, 'database "gone" does not exist'), ({"database": "SANDO_SCRATCH"}, "does not exist"),
    ],
)  # fmt: skip
def test_a_login_that_fails_says_why_and_never_with_the_password(server, fresh, where, job, who, match):
    refused(where(**({"database": fresh} | who)), job, server, match)


def test_a_server_that_is_down_is_told(server, fresh, where, job, tmp_path):
    url = where(fresh).url.replace(str(server.port), "1")
    refused(Where(tmp_path / "scratch", url), job, server, "cannot connect: Connection refused")


# -- what libpq would find by itself -----------------------------------------------------------------------------------

ENVIRONMENT = {
    "PGDATABASE": "prod", "PGHOST": "prod.example", "PGHOSTADDR": "203.0.113.9", "PGPORT": "1", "PGUSER": "app", "PGPASSWORD": "app",
    "PGSERVICE": "prod", "PGOPTIONS": "-c search_path=prod -c role=app", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nonexistent",
    "PGTARGETSESSIONATTRS": "standby", "PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGCONNECT_TIMEOUT": "x",
    "PGCLIENTENCODING": "SJIS", "PGAPPNAME": "prod", "PGDATESTYLE": "nonsense", "PGTZ": "nonsense", "PGGEQO": "nonsense",
    "PGKRBSRVNAME": "x", "PGSSLCERT": "/etc/shadow", "PGSSLKEY": "/etc/shadow", "PGPASSFILE": "{home}/.pgpass",
    "PGSERVICEFILE": "{home}/.pg_service.conf", "PGSYSCONFDIR": "{home}", "PGLOCALEDIR": "{home}", "PSQLRC": "{home}/.psqlrc",
    "PSQL_HISTORY": "{home}/history", "PSQL_EDITOR": "{home}/evil", "PAGER": "{home}/evil", "PSQL_PAGER": "{home}/evil", "PG_COLOR": "always",
    "PGCLUSTER": "15/prod", "LD_PRELOAD": "{home}/evil.so", "HOME": "{home}",
}  # fmt: skip


@pytest.fixture
def home(tmp_path, server):
    """What a person's home may hold: all of it leads to prod, or breaks."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".pgpass").write_text("*:*:*:*:wrong\n")
    (home / ".pgpass").chmod(0o600)
    for name in (".pg_service.conf", "pg_service.conf"):
        (home / name).write_text(
            f"[prod]\nhost=127.0.0.1\nport={server.port}\ndbname=prod\nuser=app\npassword=app\n"
        )
    for name in (".psqlrc", ".psqlrc-15", "psqlrc", ".postgresqlrc"):
        (home / name).write_text("\\connect prod\nDROP TABLE canary;\n")
    (home / ".postgresql").mkdir()
    for name in ("postgresql.crt", "postgresql.key", "root.crt"):
        (home / ".postgresql" / name).write_text("nonsense")
    return home


@pytest.mark.parametrize("name", [*ENVIRONMENT, "all of it"])
def test_nothing_of_the_daemon_s_environment_and_home_reaches_psql(
    server, fresh, where, job, home, monkeypatch, name
):
    chosen = ENVIRONMENT if name == "all of it" else {"HOME": "{home}", name: ENVIRONMENT[name]}
    for key, value in chosen.items():
        monkeypatch.setenv(key, value.format(home=home))
    with server.listening() as said:
        assert attempt(where(fresh), job) == [fresh]
    assert {(s.database, s.role) for s in said} == {(fresh, "sando")}


def test_a_libpq_of_before_15_which_asks_for_the_home_of_the_user_finds_no_file_either(fresh, where, job):
    place = place_of(scratch_of(where(fresh).url), job)
    env = libpq_env(place, str(where(fresh).folder), {})
    for name in ("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"):
        assert not Path(env[name]).exists()


def test_the_password_stands_in_no_argv(server, fresh, where, job):
    place = place_of(scratch_of(where(fresh).url), job)
    (where(fresh).folder / "session").mkdir(parents=True)
    client = Client(server.programs, place, where(fresh).folder, job)
    answer = client.ask(
        "\\setenv PGPASSWORD\nSELECT pg_sleep(0);\n\\! tr '\\\\0' ' ' < /proc/$PPID/cmdline\n"
    )
    assert "psql" in answer[-1]
    assert "sesame" not in "".join(answer)


# -- what changes while we look ----------------------------------------------------------------------------------------


def test_a_database_that_is_no_longer_empty_when_it_is_marked_is_left_alone(
    server, fresh, where, job, monkeypatch
):
    look = questions.look

    def look_and_lose():
        monkeypatch.setattr(
            questions,
            "set_mark",
            lambda *args: (server.sql("CREATE TABLE late (a int)", database=fresh), real(*args))[1],
        )
        return look()

    real = questions.set_mark
    monkeypatch.setattr(questions, "look", look_and_lose)
    with pytest.raises(
        WorkError, match="SANDO: the database changed while it was looked at: nothing was done"
    ):
        attempt(where(fresh), job)
    assert server.sql("SELECT count(*) FROM late", database=fresh) == ["0"]
    assert server.sql(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'sando_scratch'"
    ) == [""]


@pytest.mark.parametrize(
    "swap", ["COMMENT ON DATABASE sando_scratch IS NULL", "COMMENT ON DATABASE sando_scratch IS 'mine now'",
             "ALTER DATABASE sando_scratch RENAME TO kept; CREATE DATABASE sando_scratch OWNER sando"],
)  # fmt: skip
def test_a_mark_that_goes_before_the_wipe_stops_it(server, fresh, where, job, monkeypatch, swap):
    assert attempt(where(fresh), job) == [fresh]
    real = questions.wipe

    def swapped(database):
        server.sql("CREATE TABLE precious (a int)", database=fresh)
        server.sql(*swap.split("; "))
        return real(database)

    monkeypatch.setattr(questions, "wipe", swapped)
    with (
        server.listening() as said,
        pytest.raises(WorkError, match="SANDO: this is not the scratch database that was looked at"),
    ):
        attempt(where(fresh), job)
    assert not [s for s in said if "DROP" in s.sql]
    kept = "kept" if "RENAME" in swap else fresh
    assert server.sql("SELECT count(*) FROM precious", database=kept) == ["0"]
    server.sql("DROP DATABASE IF EXISTS kept")


def test_a_session_that_is_in_the_wrong_place_stops_before_its_first_statement(server, fresh, where, job):
    with opening.emptied(where(fresh), 0, job) as scratch:
        object.__setattr__(scratch.client.place, "database", "prod")
        with (
            server.listening() as said,
            pytest.raises(WorkError, match="SANDO: this is not the scratch database"),
        ):
            scratch.client.ask("DROP TABLE canary;\n")
    assert not [s for s in said if "canary" in s.sql]


# -- ours --------------------------------------------------------------------------------------------------------------

EVERYTHING = """
CREATE SCHEMA other; CREATE TABLE other.t (a int PRIMARY KEY); CREATE TABLE t (a serial REFERENCES other.t); CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT * FROM v; CREATE TYPE y AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE TYPE c AS (a y);
CREATE FUNCTION f(c) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE g (int) (SFUNC = int4pl, STYPE = int); CREATE FUNCTION same(c, c) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE OPERATOR === (LEFTARG = c, RIGHTARG = c, FUNCTION = same);
CREATE COLLATION l (locale = 'C'); CREATE TEXT SEARCH CONFIGURATION k (COPY = english);
"""


def test_everything_in_a_marked_database_is_dropped(server, fresh, where, job):
    with opening.emptied(where(fresh), 0, job) as scratch:
        scratch.client.ask(EVERYTHING)
        scratch.client.ask(
            "CREATE TABLE w (a int, b int); CREATE STATISTICS s ON a, b FROM w; CREATE EXTENSION hstore; CREATE EXTENSION citext SCHEMA other;"
            "CREATE PUBLICATION p FOR TABLE w; SELECT lo_create(4711); CREATE TABLE r (a int) PARTITION BY LIST (a);"
            "CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1); ALTER DATABASE sando_scratch SET work_mem = '8MB';"
            'CREATE SCHEMA "odd ""name"""; CREATE TABLE "odd ""name"""."a.b;\'" (a int); CREATE TABLE "UPPER" (a int);\n'
        )
    with opening.emptied(where(fresh), 0, job) as scratch:
        assert questions.read_sight(scratch.client.ask(questions.look())[-1]).content == []
    assert server.sql("SELECT count(*) FROM pg_db_role_setting") == ["0"]


def test_what_a_dead_rehearsal_left_connected_and_locked_is_no_hindrance(server, fresh, where, job):
    assert attempt(where(fresh), job) == [fresh]
    left = server.session(fresh, "BEGIN; LOCK TABLE witness;")
    assert attempt(where(fresh), job) == [fresh]
    assert left.wait(10) != 0


def test_what_an_administrator_put_there_stays_and_is_no_hindrance(server, fresh, where, job):
    """An extension that the role may not make: made once by a superuser, when the database has its mark."""
    assert attempt(where(fresh), job) == [fresh]
    server.sql(
        "CREATE EXTENSION earthdistance CASCADE",
        "CREATE SCHEMA tools",
        "CREATE EXTENSION bloom SCHEMA tools",
        database=fresh,
    )
    assert attempt(where(fresh), job) == [fresh]
    assert server.sql("SELECT count(*) FROM pg_extension", database=fresh) == ["4"]


def test_a_table_of_somebody_else_is_named_and_not_dropped(server, fresh, where, job):
    assert attempt(where(fresh), job) == [fresh]
    server.sql("CREATE SCHEMA theirs", "CREATE TABLE theirs.t (a int)", database=fresh)
    with pytest.raises(
        WorkError,
        match=r"holds what sando cannot drop: table theirs\.t \(42501: permission denied for schema theirs\); drop it",
    ):
        attempt(where(fresh), job)
    assert server.sql("SELECT count(*) FROM theirs.t", database=fresh) == ["0"]


def test_a_lock_of_somebody_else_is_told(server, fresh, where, job, monkeypatch):
    assert attempt(where(fresh), job) == [fresh]
    monkeypatch.setattr(client, "_SESSION_S", 0.2)
    holder = server.session(fresh, "BEGIN; LOCK TABLE witness", role="postgres", password=PASSWORD)
    with pytest.raises(
        WorkError,
        match=r"cannot drop: table public\.witness \(55P03: canceling statement due to lock timeout\)",
    ):
        attempt(where(fresh), job)
    holder.kill()
    holder.wait()


def test_a_marked_database_is_emptied_again_and_again(server, fresh, where, job):
    for _ in range(3):
        assert attempt(where(fresh), job) == [fresh]
