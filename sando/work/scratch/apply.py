"""Applies pending migrations to the restored backup, each as sqlx would, and leaves the record that sqlx leaves."""

import time
from typing import NamedTuple

from sando.model.names import visible
from sando.work.scratch.client import Client, told
from sando.work.scratch.complaint import Complaint
from sando.work.scratch.job import Job
from sando.work.scratch.judge import Unreadable
from sando.work.scratch.migrations import Migration, Migrations, Unfit
from sando.work.scratch.questions import literal
from sando.work.scratch.said import known_as
from sando.work.scratch.script import Script

_TABLE = """CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
"""
_APPLIED = "SELECT version::bigint, success::boolean, encode(checksum::bytea, 'hex') FROM _sqlx_migrations ORDER BY 1;\n"
_IS_THERE = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL;\n"
_ALREADY = ("42P07", "42710", "42701", "42P06", "42723")  # something of that name exists


class Applied(NamedTuple):
    name: str
    seconds: float


class Pending(NamedTuple):
    """What is to be applied; `unrecorded`: nothing says what of it the backup has already."""

    files: tuple[Migration, ...]
    unrecorded: bool


def pending(client: Client, migrations: Migrations) -> Pending:
    """Without what the database's own record says is applied. Unfit where that record and the files do not agree."""
    if not migrations.versioned:
        return Pending(migrations.files, unrecorded=bool(migrations.files))
    if client.ask(_IS_THERE) != ["t"]:
        return Pending(migrations.files, unrecorded=True)
    rows = [row.split("|") for row in client.ask(_APPLIED)]
    known = {file.version: file for file in migrations.files}
    for version, success, _ in rows:
        if success != "t":
            raise Unfit(
                f"migration {version} is partially applied; fix and remove row from `_sqlx_migrations` table"
            )
    for version, _, _ in rows:
        if int(version) not in known:
            raise Unfit(
                f"migration {version} was previously applied but is missing in the resolved migrations"
            )
    for version, _, checksum in rows:
        file = known[int(version)]
        if file.checksum != checksum:
            raise Unfit(
                f"migration {version} was previously applied but has been modified ({visible(file.name)})"
            )
    done = {int(version) for version, _, _ in rows}
    return Pending(tuple(f for f in migrations.files if f.version not in done), unrecorded=False)


def apply(client: Client, todo: Pending, job: Job) -> list[Applied]:
    """Unfit tells of the one that does not apply: file, line, SQLSTATE and the server's words."""
    if any(file.version is not None for file in todo.files):
        client.ask(_TABLE)
    done = []
    for file in todo.files:
        begun = time.monotonic()
        with job.at(f"migration {visible(file.name)}"):
            _apply(client, file, todo, job)
        done.append(Applied(file.name, round(time.monotonic() - begun, 3)))
        job.say(f"migrate: {visible(file.name)} applied in {done[-1].seconds:.2f}s")
    return done


def _apply(client: Client, file: Migration, todo: Pending, job: Job) -> None:
    try:
        script = Script(file.text)
    except Unreadable as error:
        raise Unfit(f"{visible(file.name)} line {error.line}: {error.why}") from error
    at_once = not file.in_transaction
    text = script.at_once() if at_once else script.one_by_one()
    shown = known_as(file.name)
    path = client.file(shown, text.decode("utf-8", "surrogateescape"))
    words = ["-f", path, *_record(client, file)]
    if file.in_transaction:
        words = ["-c", "BEGIN", *words, "-c", "COMMIT"]
    offset = job.log.size()
    running = client.psql(words, restricted=client.programs.restricts)
    ended, said = client.wait(running, job.log, offset)
    if ended.ok:
        return
    why = told(said)
    if not isinstance(why, Complaint) or why.says_nothing_of_the_sql:
        raise job.cannot(f"{visible(file.name)} could not be tried: {why or ended}")
    line = script.place(why.line, why.place, at_once=at_once) if why.file == shown else 0
    raise Unfit(f"{visible(file.name)}{f' line {line}' if line else ''}: {why}{_hint(why, todo)}")


def _record(client: Client, file: Migration) -> list[str]:
    """The words that write the row that sqlx writes, in the migration's own transaction where it has one."""
    if file.version is None:
        return []
    took = "(extract(epoch FROM clock_timestamp() - now()) * 1e9)::bigint"
    row = f"{file.version}, {literal(file.description)}, TRUE, '\\x{file.checksum}'::bytea, {took}"
    sql = f"INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ({row});\n"  # noqa: S608
    return ["-f", client.file("record.sql", sql)]


def _hint(why: Complaint, todo: Pending) -> str:
    if todo.unrecorded and why.state in _ALREADY:
        return (
            "; nothing in the backup says which are applied (`_sqlx_migrations`), so all were tried: where another tool "
            "applies them, set `command` on this gate"
        )
    return ""
