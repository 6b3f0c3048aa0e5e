"""What of a plain dump goes on to psql: as real dumps write it, and as none does."""

import pytest

from sando.work.scratch.judge import Unreadable
from sando.work.scratch.lexer import Lexer
from sando.work.scratch.scouts import Extensions, Roles
from sando.work.scratch.sieve import Sieve

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"


def sieve(text, **options):
    judge = Sieve(**options)
    lexer = Lexer(judge)
    return lexer.feed(text) + lexer.end(), judge


LEFT_OUT = [
    b"ALTER TABLE public.users OWNER TO app;", b'ALTER TABLE public."odd ""name" OWNER TO "the app";', b"ALTER SCHEMA x OWNER TO app;",
    b"ALTER FUNCTION public.f(a integer, b text[]) OWNER TO app;", b"ALTER LARGE OBJECT 123 OWNER TO app;", b"ALTER TYPE public.t\n OWNER TO app;",
    b"ALTER OPERATOR public.=== (integer, integer) OWNER TO app;", b"GRANT ALL ON TABLE public.users TO app;", b"REVOKE ALL ON SCHEMA public FROM PUBLIC;",
    b"GRANT SELECT(id) ON TABLE t TO app WITH GRANT OPTION;", b"ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO x;",
    b"SET SESSION AUTHORIZATION 'app';", b"SET SESSION AUTHORIZATION DEFAULT;", b"RESET SESSION AUTHORIZATION;", b"SET ROLE app;", b"set local role app;",
    b"COMMENT ON EXTENSION hstore IS 'a;b';", b"COMMENT ON SCHEMA public IS 'standard';", b"COMMENT ON DATABASE x IS 'the shop';",
    b"COMMENT ON LANGUAGE plpgsql IS 'x';", b"SECURITY LABEL FOR x ON TABLE t IS 'y';", b"CREATE SCHEMA public;", b'CREATE SCHEMA "public";',
    b"CREATE SUBSCRIPTION s CONNECTION 'host=prod' PUBLICATION p WITH (connect = false);", b"ALTER SUBSCRIPTION s ENABLE;",
    b"CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();", b"ALTER EVENT TRIGGER e OWNER TO app;",
    b"CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');", b"SET default_tablespace = fast;", b"CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql;",
]  # fmt: skip
KEPT = [
    b"SET statement_timeout = 0;", b"SET client_encoding = 'UTF8';", b"SET standard_conforming_strings = on;", b"SET default_tablespace = '';",
    b"SELECT pg_catalog.set_config('search_path', '', false);", b"CREATE SCHEMA shop;", b"CREATE TABLE public.users (id bigint);",
    b"ALTER TABLE ONLY public.users ADD CONSTRAINT c CHECK (owner <> 'OWNER TO x');", b"COMMENT ON TABLE t IS 'GRANT ALL';", b"COMMENT ON SCHEMA shop IS 'x';",
    b"INSERT INTO grants VALUES ('GRANT ALL;');", b"CREATE PUBLICATION p FOR TABLE ONLY public.users;", b"CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
    b"CREATE POLICY p ON public.users USING (true);", b"ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;", b"BEGIN;", b"COMMIT;",
    b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; GRANT ALL ON t TO x; $$;", b"CREATE USER MAPPING FOR x SERVER s;",
]  # fmt: skip


@pytest.mark.parametrize("statement", LEFT_OUT)
def test_what_the_weak_role_may_not_do_is_left_out_and_counted(statement):
    out, judge = sieve(b"CREATE TABLE t ();\n" + statement + b"\nSELECT 1;" + END)
    assert out == b"CREATE TABLE t ();\n" + b"\n" * statement.count(b"\n") + b"\nSELECT 1;" + END
    assert sum(judge.left_out.values()) == 1
    assert judge.missing() == ""


@pytest.mark.parametrize("statement", KEPT)
def test_all_else_goes_on(statement):
    out, judge = sieve(statement + END)
    assert (out, judge.left_out, judge.missing()) == (
        statement + END,
        {},
        "",
    )  # not even before the first CREATE


def test_what_clean_drops_is_not_there_yet():
    text = (
        b"ALTER TABLE ONLY t DROP CONSTRAINT c;\nDROP TABLE t;\nDROP SCHEMA public;\nCREATE SCHEMA public;\nCREATE TABLE t ();\nDROP TABLE t;"
        + END
    )
    out, judge = sieve(text)
    assert out == b"\n\n\n\nCREATE TABLE t ();\nDROP TABLE t;" + END
    assert judge.left_out["what --clean drops"] == 3


REFUSED = {
    b"\\! rm -rf /\n": "line 2: `\\! rm -rf /` is a command to psql, which pg_dump never writes",
    b"\\connect prod\n": "line 2: `\\connect prod` changes the database: make the dump of one database, without --create",
    b"\\c prod\n": "line 2: `\\c prod` changes the database",
    b"\\copy t from program 'id'\n": "line 2: `\\copy t from program",
    b"\\restrict a b\n": "line 2: `\\restrict a b` is a command",
    b"\\unrestrict `id`\n": "line 2: `\\unrestrict `id`` is a command",
    b"\\i /etc/passwd\n": "line 2: `\\i /etc/passwd`", b"\\.\n": "line 2: `\\.` is a command",
    b"SELECT 1 \\gexec\n": "line 2: `\\gexec` is a command", b"SELECT 1\\; SELECT 2;": "line 2: `\\; SELECT 2;` is a command",
    b"COPY t FROM PROGRAM 'id';": "line 2: a COPY that does not bring its rows with it",
    b"COPY t FROM '/etc/passwd';": "line 2: a COPY", b"COPY t TO '/tmp/x';": "line 2: a COPY", b"COPY (SELECT 1) TO PROGRAM 'id';": "line 2: a COPY",
    b"COPY t TO stdout;": "line 2: a COPY", b"COPY BINARY t FROM stdin;\n\\.\n": "line 2: a COPY", b"copy t from stdin (format binary);": "line 2: a COPY",
    b"COPY/**/t FROM PROGRAM 'id';": "line 2: a COPY",
    b"SET standard_conforming_strings = off;": "line 2: `standard_conforming_strings = off` changes how quotes are read",
    b"SET SESSION standard_conforming_strings TO 'off';": "line 2: `standard_conforming_strings = off`",
    b"SELECT set_config('standard_conforming_strings', 'off', false);": "line 2: `standard_conforming_strings = off`",
    b"SET client_encoding = 'SJIS';": "line 2: `client_encoding = SJIS` hides backslashes in letters",
    b"CREATE DATABASE shop;": "line 2: `CREATE DATABASE shop;` reaches beyond one database: make the dump with pg_dump, without --create",
    b"CREATE ROLE app;": "line 2: `CREATE ROLE app;` reaches beyond one database", b"ALTER ROLE sando SUPERUSER;": "line 2: `ALTER ROLE sando`",
    b"ALTER SYSTEM SET x = 1;": "line 2: `ALTER SYSTEM SET`", b"DROP DATABASE shop;": "line 2: `DROP DATABASE shop;`",
    b"ALTER DATABASE shop SET x = 1;": "line 2: `ALTER DATABASE shop`",
}  # fmt: skip


@pytest.mark.parametrize(("statement", "why"), REFUSED.items(), ids=[k.decode() for k in REFUSED])
def test_what_no_dump_of_pg_dump_has_is_refused_with_its_line(statement, why):
    with pytest.raises(Unreadable) as caught:
        sieve(b"-- first line\n" + statement + END)
    assert str(caught.value).startswith(why)


def test_the_lines_that_restrict_psql_are_the_dump_s_own_and_left_out():
    out, judge = sieve(b"\\restrict aB3\n\nSELECT 1;" + END + b"\\unrestrict aB3\n\n")
    assert out == b"\n\nSELECT 1;" + END + b"\n\n"
    assert judge.missing() == ""


@pytest.mark.parametrize(
    "text",
    [
        b"", b"SELECT 1;", b"SELECT 1;" + END[:-3], b"SELECT 1;\n-- PostgreSQL database dump complete", END + b"SELECT 1;", b"SELECT '" + END + b"';",
        b"/*" + END + b"*/", b"copy t from stdin;" + END + b"\\.\n", b"\\restrict a\n" + END, b"\\restrict a\n" + END + b"\\unrestrict b\n",
    ],
)  # fmt: skip
def test_a_dump_is_whole_only_where_its_end_stands_at_its_end(text):
    assert "is missing" in sieve(text)[1].missing()


def test_what_is_missing_of_the_end_is_the_line_that_is_missing():
    line = "`-- PostgreSQL database dump complete`"
    assert sieve(b"SELECT 1;")[1].missing() == f"the line with which pg_dump ends, {line}, is missing"
    alone = sieve(b"SELECT 1;\n-- PostgreSQL database dump complete\n")[1]
    assert alone.missing() == f"the line `--` that pg_dump writes below {line} is missing"


def test_comments_behind_the_end_are_no_harm():
    assert sieve(b"SELECT 1;" + END + b"-- Completed on 2026-11-25\n")[1].missing() == ""


def test_the_table_of_the_last_rows_is_known():
    assert sieve(b'COPY public."odd (name)" (a, "b)") FROM stdin;\n\\.\n' + END)[1].table == 'public."odd'
    assert sieve(b"COPY public.users (id) FROM stdin;\n\\.\n" + END)[1].table == "public.users"


def test_extensions_that_are_there_are_left_out_with_their_schemas():
    text = (
        b"CREATE SCHEMA tools;\nCREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA tools;\nCREATE EXTENSION hstore;"
        + END
    )
    out, _ = sieve(text, made=["postgis"], schemas=["tools"])
    assert out == b"\n\nCREATE EXTENSION hstore;" + END


def test_roles_of_policies_are_asked_for():
    asked = []
    sieve(
        b'CREATE POLICY p ON t AS RESTRICTIVE FOR SELECT TO app, "The ""Other""", PUBLIC, CURRENT_USER USING (a = \'to x\');\n'
        b"CREATE POLICY q ON t FOR ALL USING (true) WITH CHECK (b);" + END,
        need_role=asked.append,
    )
    assert asked == ["app", 'The "Other"']


def test_scouts_find_what_is_needed_first():
    extensions, roles = Extensions(), Roles()
    text = b'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;\nCREATE EXTENSION hstore;\nCREATE POLICY p ON t TO a;\nCREATE TABLE t ();'
    for judge in (extensions, roles):
        Lexer(judge).feed(text)
    assert extensions.found == {"uuid-ossp": "public", "hstore": ""}
    assert extensions.over
    assert roles.found == ["a"]
