"""The scripts of our own, from the .sql files beside this: with their values, and what comes back. Nothing is run here."""

from functools import cache
from importlib.resources import files

import msgspec

MARK = "sando scratch "
"""How the comment of every scratch database of a sandod begins."""
SETTINGS = (
    "things",
    "content",
    "database",
    "system",
    "wanted",
    "mark",
    "role",
    "password",
    "mine",
    "may",
    "here",
)
"""The variables that the scripts use."""


class Sight(msgspec.Struct, frozen=True):
    """What a server says of itself and of the database, before anything is changed there."""

    database: str
    role: str
    system: str
    oid: str
    version: int
    owns: bool
    powers: list[str]
    """What the role may do on the whole server."""
    reaches: list[str]
    """What it has in other databases, as the end of a sentence."""
    content: list[str]
    """The first things in it; none: it is empty."""
    comment: str | None = None
    address: str | None = None
    port: int | None = None


read_sight = msgspec.json.Decoder(Sight).decode


def mark(owner: str, system: str, oid: str) -> str:
    """The comment of a database that may be wiped by the sandod whose state is named `owner`.

    Server and database stand in it: a mark that was restored elsewhere says nothing there.
    """
    return f"{MARK}{owner}, server {system}, database {oid}: each rehearsal drops everything in it"


def look() -> str:
    return _script("server", "look", things=_sql("things"), content=_sql("content"))


def guard(database: str, system: str, text: str) -> str:
    return _script("server", "guard", database=database, wanted=system, mark=text)


def wipe(database: str) -> str:
    return _script("wipe", database=database, things=_sql("things"), content=_sql("content"))


def make(role: str, database: str) -> str:
    return _script("make", role=role, database=database)


def set_password(role: str, password: str) -> str:
    return _set(role=role, password=password) + "ALTER ROLE :\"role\" PASSWORD :'password';\n"


def set_mark(database: str, system: str, text: str) -> str:
    parts = {"things": _sql("things"), "content": _sql("content")}
    return _script("server", "mark", database=database, wanted=system, mark=text, **parts)


def rows() -> str:
    return _script("rows")


def extensions() -> str:
    return _script("extensions")


def _script(*names: str, **values: str) -> str:
    return _set(**values) + "".join(_text(name) for name in names)


def _set(**values: str) -> str:
    """The quoting is done by psql, where a value is used."""
    return "".join(f"\\set {name} {_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _sql(name: str) -> str:
    """A part of a statement, in one line."""
    lines = (line for line in _text(name).splitlines() if not line.startswith("--"))
    return " ".join(" ".join(lines).split())


@cache
def _text(name: str) -> str:
    return files("sando.work.scratch").joinpath(f"{name}.sql").read_text("utf-8")


def name(text: str) -> str:
    """An identifier, for a line that a person pastes."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string that means itself, however the server reads backslashes."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
