"""Migrations in sqlx's manner: read, compared with what the backup says is applied, and applied, one by one."""

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.errors import Cancelled, WorkError
from sando.work.log import tail
from sando.work.scratch import apply, migrations
from sando.work.scratch.judge import Unreadable
from sando.work.scratch.migrations import Migration, Unfit
from sando.work.scratch.script import Script
from tests.work.wild import until

STEP = "migration_dry_run"


@pytest.fixture
def folder(tmp_path):
    """Writes files of `migrations`, and reads the folder."""

    def read(**texts):
        (tmp_path / "root" / "migrations").mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = tmp_path / "root" / "migrations" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return migrations.read(tmp_path / "root", "migrations", STEP)

    return read


# -- reading -----------------------------------------------------------------------------------------------------------


def test_versions_are_numbers_and_their_order_is_theirs(folder):
    found = folder(
        **{
            "10_ten.sql": "10",
            "9_nine.sql": "9",
            "0002_two_and_more.sql": "2",
            "20260101120000_later.sql": "x",
            "readme.md": "",
            "seed.sql": "",
        }
    )
    assert found.versioned
    assert [(f.version, f.name, f.description) for f in found.files] == [
        (2, "0002_two_and_more.sql", "two and more"), (9, "9_nine.sql", "nine"), (10, "10_ten.sql", "ten"), (20260101120000, "20260101120000_later.sql", "later"),
    ]  # fmt: skip
    assert found.files[0].checksum == hashlib.sha384(b"2").hexdigest()


def test_pairs_go_up_and_never_down(folder):
    found = folder(**{"1_a.up.sql": "up", "1_a.down.sql": "DROP DATABASE x", "2_b.up.sql": "up"})
    assert [(f.name, f.description, f.text) for f in found.files] == [
        ("1_a.up.sql", "a", b"up"),
        ("2_b.up.sql", "b", b"up"),
    ]


def test_files_without_a_version_come_in_the_order_of_their_names(folder):
    found = folder(**{"b.sql": "b", "a.up.sql": "a", "a.down.sql": "-", "c_d.sql": "c"})
    assert not found.versioned
    assert [f.name for f in found.files] == ["a.up.sql", "b.sql", "c_d.sql"]


def test_only_a_first_line_says_no_transaction(folder):
    found = folder(
        **{"1_a.sql": "-- no-transaction\nx", "2_b.sql": "\n-- no-transaction", "3_c.sql": "--no-transaction"}
    )
    assert [f.in_transaction for f in found.files] == [False, True, True]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["1_a.sql", "x_b.sql"], r"x_b.sql: its name does not begin with a number and `_`, as sqlx wants it"),
        (["1_a.sql", "01_b.sql"], "(01_b.sql|1_a.sql) and (01_b.sql|1_a.sql) have the same version"),
        (["1_a.sql", "9223372036854775808_b.sql"], "its version is too large a number"),
    ],
)  # fmt: skip
def test_what_sqlx_would_not_read_is_unfit(folder, names, match):
    with pytest.raises(Unfit, match=match):
        folder(**dict.fromkeys(names, ""))


def test_folders_of_another_tool_are_noticed_and_nothing_is_nothing(folder, tmp_path):
    found = folder(**{"2026_init/up.sql": "x", "2026_init/down.sql": "y"})
    assert (found.files, found.below) == ((), ("2026_init/down.sql", "2026_init/up.sql"))
    assert migrations.read(tmp_path, "gone", STEP) == migrations.Migrations((), versioned=False)


def test_a_link_that_leads_out_is_refused(folder, tmp_path):
    (tmp_path / "secret.sql").write_text("secret")
    folder()
    (tmp_path / "root" / "migrations" / "1_a.sql").symlink_to(tmp_path / "secret.sql")
    with pytest.raises(WorkError, match="leads out of the checkout"):
        folder()


# -- scripts -----------------------------------------------------------------------------------------------------------

TEXT = b"-- no-transaction\n\nselect 1;\n/* x */ select\n\n  2;select $$\n\n$$;\nselect 4"


def test_statements_stay_on_their_lines_and_no_line_of_one_is_empty():
    out = Script(TEXT).one_by_one()
    assert out == b"\n\n select 1;\n select\n \n  2; select $$\n\n$$;\n select 4\n"
    assert out.replace(b" ", b"").replace(b"\n", b"") == TEXT.split(b"\n", 2)[2].replace(
        b"/* x */", b""
    ).replace(b" ", b"").replace(b"\n", b"")


def test_all_at_once_is_one_message():
    assert (
        Script(TEXT).at_once() == b"\n\n select 1\\; \n select\n \n  2\\; select $$\n\n$$\\; \n select 4;\n"
    )
    assert Script(b"-- nothing\n").at_once() == b";\n"


@given(
    st.lists(
        st.sampled_from(
            [
                b"select 1;",
                b"\n",
                b"'\n\n'",
                b"$$\n;\n\n$$",
                b"-- ;\n",
                b"/*\n\n;*/",
                b" ",
                b"x",
                b"(;\n\n)",
                b" E'\\'\n;'",
            ]
        ),
        max_size=12,
    )
)
def test_a_script_keeps_every_statement_and_every_line(parts):
    text = b" , ".join(parts)
    script = Script(text)
    again = Script(script.one_by_one())
    assert [s.first for s in again.statements] == [s.first for s in script.statements]
    assert [s.text for s in again.statements][:-1] == [s.text for s in script.statements][:-1]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"select 1;\n\\d t\n", r"line 2: `\\d t` is a command to psql"), (b"select 1 \\gexec", r"line 1: `\\gexec` is a command to psql"),
        (b"\ncopy t from stdin;\n1\n\\.\n", "line 2: COPY FROM stdin brings rows with it"), (b"select 'a", "line 1: it ends inside a quoted string"),
        (b"set standard_conforming_strings = off;", "line 1: `standard_conforming_strings = off`"), (b"\0", "line 1: has a NUL byte"),
    ],
)  # fmt: skip
def test_what_sqlx_could_not_send_is_unreadable(text, match):
    with pytest.raises(Unreadable, match=match):
        Script(text)


# -- applying ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def scratch(open_private):
    with open_private() as scratch:
        yield scratch


def versioned(*texts, first=1):
    files = tuple(Migration(f"{n}_m.sql", text.encode(), n, "m") for n, text in enumerate(texts, first))
    return migrations.Migrations(files, versioned=True)


def run(scratch, found, job):
    return [done.name for done in apply.apply(scratch.client, apply.pending(scratch.client, found), job)]


def test_pending_ones_are_applied_and_recorded_as_sqlx_records_them(scratch, job):
    found = versioned(
        "CREATE TABLE a (i int);",
        "INSERT INTO a\nVALUES (1);\n\nINSERT INTO a VALUES (2)",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY x ON a (i);",
    )
    assert run(scratch, found, job) == ["1_m.sql", "2_m.sql", "3_m.sql"]
    assert run(scratch, found, job) == []
    rows = scratch.client.ask(
        "SELECT version, description, success, encode(checksum, 'hex'), execution_time >= 0, installed_on <= now() FROM _sqlx_migrations ORDER BY 1;"
    )
    assert rows == [f"{f.version}|m|t|{f.checksum}|t|t" for f in found.files]
    columns = scratch.client.ask(
        "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_name = '_sqlx_migrations' ORDER BY ordinal_position;"
    )
    assert columns == [
        "version|bigint|NO|", "description|text|NO|", "installed_on|timestamp with time zone|NO|now()", "success|boolean|NO|", "checksum|bytea|NO|", "execution_time|bigint|NO|",
    ]  # fmt: skip
    assert scratch.client.ask("SELECT count(*) FROM a;") == ["2"]
    assert "migrate: 3_m.sql applied in " in job.log.path.read_text()


def test_what_the_backup_has_already_is_left_alone(scratch, job):
    found = versioned("CREATE TABLE a (i int);", "CREATE TABLE b (i int);", "CREATE TABLE c (i int);")
    run(scratch, versioned("CREATE TABLE a (i int);", "CREATE TABLE b (i int);"), job)
    assert run(scratch, found, job) == ["3_m.sql"]
    older = migrations.Migrations(
        tuple(
            f for f in versioned("CREATE TABLE z ();", *(f.text.decode() for f in found.files), first=0).files
        ),
        versioned=True,
    )
    assert run(scratch, older, job) == ["0_m.sql"]  # sqlx applies an older one that is new


def test_a_record_that_does_not_fit_the_files_is_told_as_sqlx_tells_it(scratch, job):
    run(scratch, versioned("SELECT 1;", "SELECT 2;"), job)
    with pytest.raises(Unfit, match="migration 2 was previously applied but has been modified"):
        run(scratch, versioned("SELECT 1;", "SELECT 2; "), job)
    with pytest.raises(
        Unfit, match="migration 2 was previously applied but is missing in the resolved migrations"
    ):
        run(scratch, versioned("SELECT 1;"), job)
    scratch.client.ask("UPDATE _sqlx_migrations SET success = false WHERE version = 1;")
    with pytest.raises(
        Unfit, match="migration 1 is partially applied; fix and remove row from `_sqlx_migrations` table"
    ):
        run(scratch, versioned("SELECT 1;", "SELECT 2;"), job)


FAILING = {
    "a column that is not there": ("CREATE TABLE a (i int);\n\nSELECT 1,\n\n  nope\nFROM a;", r'1_m.sql line 5: 42703: column "nope" does not exist'),
    "a syntax error": ("SELECT 1;\n\n\nCREATE TABLE;", r"1_m.sql line 4: 42601: syntax error"),
    "data that does not fit": ("CREATE TABLE a (i int);\nINSERT INTO a VALUES (NULL);\nALTER TABLE a\n ALTER i SET NOT NULL;", r'1_m.sql line 3: 23502: column "i" of relation "a" contains null values'),
    "two in one line": ("SELECT 1; SELECT 1/0;", r"1_m.sql line 1: 22012: division by zero"),
    "what it may not do": ("COPY (SELECT 1) TO PROGRAM 'id';", r"1_m.sql line 1: 42501: must be superuser .*\(.*\)"),
    "what may not be in a transaction": ("CREATE TABLE a ();\nVACUUM a;", r"1_m.sql line 2: 25001: VACUUM cannot run inside a transaction block"),
    "at once, with a place": ("-- no-transaction\nSELECT 1;\n\nSELECT\n nope;", r"1_m.sql line 5: 42703"),
    "at once, without one": ("-- no-transaction\nSELECT 1;\nSELECT 1/0;", r"1_m.sql: 22012: division by zero"),
    "at once, two that need to be alone": ("-- no-transaction\nCREATE TABLE a (i int);\nCREATE INDEX CONCURRENTLY ON a (i);", r"1_m.sql: 25001: CREATE INDEX CONCURRENTLY cannot"),
    "a hint of the server": ("SELECT lenght('a');", r"1_m.sql line 1: 42883: function lenght\(unknown\) does not exist \(No function matches"),
    "an exception of its own": ("DO $$ BEGIN\n RAISE EXCEPTION 'no' USING ERRCODE = 'ABC12';\nEND $$;", "1_m.sql line 1: ABC12: no"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "match"), FAILING.values(), ids=FAILING)
def test_one_that_does_not_apply_is_told_by_file_line_sqlstate_and_words(scratch, job, text, match):
    with pytest.raises(Unfit, match=match):
        run(scratch, versioned(text), job)
    assert scratch.client.ask("SELECT count(*) FROM _sqlx_migrations;") == ["0"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("0042_drop.sql", "0042_drop.sql"),
        ("7_a b:3: é.sql", "7_a b_3_ é.sql"),
        ("-.sql", "_.sql"),
        ("1_\n\x1b[2J.sql", "1___[2J.sql"),
    ],
)
def test_the_log_calls_a_migration_by_its_name(scratch, job, name, shown):
    """psql itself only knows where the folder's descriptor leads."""
    found = migrations.Migrations((Migration(name, b"SELECT 1;\n\nSELECT 1/0;"),), versioned=False)
    with pytest.raises(Unfit, match=r"line 3: 22012: division by zero"):
        run(scratch, found, job)
    log = job.log.path.read_text()
    assert log.startswith(f"psql:{shown}:3: ERROR:  22012: division by zero\n")
    assert "/proc/" not in log


def test_what_a_migration_says_is_in_the_log_while_it_runs(scratch, job):
    """And once, whatever comes after it."""
    text = "DO $$ BEGIN RAISE WARNING 'half way'; END $$; SELECT pg_sleep(600);"
    stopping = threading.Thread(
        target=lambda: (until(lambda: "half way" in tail(job.log.path)), job.cancel.cancel())
    )
    stopping.start()
    with pytest.raises(Cancelled):
        run(scratch, versioned(text), job)
    stopping.join()
    assert tail(job.log.path).count("half way") == 1


def test_one_that_fails_takes_back_what_it_did(scratch, job):
    with pytest.raises(Unfit):
        run(scratch, versioned("CREATE TABLE a (i int);", "DROP TABLE a; SELECT 1/0;"), job)
    assert scratch.client.ask("SELECT count(*) FROM a; SELECT version FROM _sqlx_migrations;") == ["0", "1"]


def test_without_a_record_all_are_tried_and_the_hint_says_why(scratch, job):
    scratch.client.ask("CREATE TABLE a (i int);")
    with pytest.raises(
        Unfit,
        match=r"42P07: .* already exists; nothing in the backup says which are applied .* set `command` on this gate",
    ):
        run(scratch, versioned("CREATE TABLE a (i int);"), job)


def test_files_without_versions_are_all_applied_and_nothing_is_recorded(scratch, job):
    found = migrations.Migrations(
        (Migration("a.sql", b"CREATE TABLE a ();"), Migration("b.sql", b"DROP TABLE a;")), versioned=False
    )
    assert run(scratch, found, job) == ["a.sql", "b.sql"]
    assert scratch.client.ask("SELECT to_regclass('_sqlx_migrations') IS NULL;") == ["t"]


def test_odd_names_and_descriptions_are_recorded_as_they_are(scratch, job):
    description = 'it\'s \\ :x "odd" $$ é'
    found = migrations.Migrations((Migration("1_odd.sql", b"SELECT 1;", 1, description),), versioned=True)
    run(scratch, found, job)
    assert scratch.client.ask("SELECT description FROM _sqlx_migrations;") == [description]


def test_a_record_that_is_none_is_errored(scratch, job):
    scratch.client.ask(
        "CREATE TABLE _sqlx_migrations (version text, success text, checksum text); INSERT INTO _sqlx_migrations VALUES ('a|b', 'x', 'y');"
    )
    with pytest.raises(WorkError, match="22P02: invalid input syntax for type bigint") as caught:
        run(scratch, versioned("SELECT 1;"), job)
    assert caught.value.errored


def test_a_server_that_goes_away_is_no_verdict(scratch, job):
    with pytest.raises(
        WorkError, match=r"1_m.sql could not be tried: 57P01: terminating connection"
    ) as caught:
        run(scratch, versioned("SELECT pg_terminate_backend(pg_backend_pid());"), job)
    assert caught.value.errored


def test_no_migration_runs_a_program_or_leaves_the_database(scratch, job, tmp_path):
    for text in (
        f"COPY (SELECT 1) TO '{tmp_path}/x';",
        f"SELECT lo_export(lo_create(0), '{tmp_path}/x');",
        "SELECT pg_read_file('/etc/passwd');",
        "CREATE EXTENSION dblink;",
    ):
        with pytest.raises(Unfit, match="42501"):
            run(scratch, versioned(text), job)
    assert not (tmp_path / "x").exists()
