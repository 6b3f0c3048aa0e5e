"""What of a plain dump reaches psql: leaves out what needs more than the weak role has, refuses what pg_dump never writes.

It leaves out what `pg_restore --no-owner --no-privileges` leaves out of an archive.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection

from sando.model.names import visible
from sando.work.scratch.judge import Fate, Unreadable

_WANTED = frozenset(b"alter comment copy create drop grant reassign reset revoke security select set".split())
NAME = rb'(?:"(?:[^"]|"")*"|[\w$\x80-\xff]+)'
_NAMES = NAME + rb"(?:\s*\.\s*" + NAME + rb")*"


def _means(pattern: str) -> re.Pattern[bytes]:
    """From a statement's beginning; `N` is a name, and words may stand in several lines."""
    text = pattern.replace(" ", r"\s+").encode().replace(b"N", _NAMES)
    return re.compile(text, re.IGNORECASE | re.DOTALL)


_ALL_TABLES = _means("(?:create publication N for all tables|alter publication N add tables in schema)")
_LEFT_OUT = (
    ("owners and privileges", _means(r"alter .* owner to N\s*;$")),
    ("owners and privileges", _means("(?:grant|revoke|alter default privileges|reassign owned)")),
    ("owners and privileges", _means("(?:set|reset) (?:(?:session|local) )?(?:session authorization|role)")),
    ("comments of what belongs to the server", _means("comment on (?:extension|database|language|role|tablespace)")),
    ("comments of what belongs to the server", _means(r"comment on schema (?:public|\"public\") is")),
    ("security labels", _means("security label")),
    ("the schema public, which is there", _means(r"create schema (?:if not exists )?(?:public|\"public\")\s*;")),
    ("the language plpgsql, which is there", _means(r"create (?:or replace )?(?:procedural )?language (?:if not exists )?\"?plpgsql\"?")),
    ("subscriptions and event triggers", _means("(?:create|alter) (?:subscription|event trigger)")),
    ("publications of all tables", _ALL_TABLES),
    ("tablespaces", _means(r"set default_tablespace (?:=|to) (?!''|\"\"|default)")),
)  # fmt: skip
_CLUSTER = _means("(?:create|alter|drop) (?:database|role|user(?! mapping)|group|tablespace|system)")
_SET = re.compile(rb"\b(standard_conforming_strings|client_encoding)\W+(?:to\W+)?(\w+)", re.IGNORECASE)
_UNSAFE_ENCODINGS = frozenset((b"sjis", b"shift_jis_2004", b"big5", b"gbk", b"uhc", b"gb18030", b"johab"))
_COPY = _means(r"copy N\s*(?:\((?:[^()\"]|\"[^\"]*\")*\)\s*)?from stdin\b(?!.*\bbinary\b)")
EXTENSION = _means(r"create extension (?:if not exists )?(N)")
_SCHEMA = _means("create schema (?:if not exists )?(N)")
_POLICY = re.compile(
    rb"create\s+policy\s.*?\sto\s+(" + NAME + rb"(?:\s*,\s*" + NAME + rb")*)", re.IGNORECASE | re.DOTALL
)
_CLEAN = _means(r"(?:drop|alter .*?\b(?:drop|detach)\b|select pg_catalog\.lo_unlink\()")
_EVERYBODY = frozenset((b"public", b"current_user", b"session_user", b"current_role"))
_RESTRICT = re.compile(rb"\\(restrict|unrestrict)[ \t]+([A-Za-z0-9]+)[ \t]*")
_CONNECT = re.compile(rb"\\c(?:onnect)?\b")
_END = b"-- PostgreSQL database dump complete"


class Sieve:
    """The judge of a plain dump. `made` are extensions, `schemas` their schemas that are there already."""

    def __init__(
        self,
        made: Collection[str] = (),
        schemas: Collection[str] = (),
        need_role: Callable[[str], None] = lambda _: None,
        *,
        by_hand: bool = False,
    ) -> None:
        self.left_out: Counter[str] = Counter()
        self.table = ""
        """Into which rows were copied last."""
        self._made = frozenset(made)
        self._schemas = frozenset(schemas)
        self._need_role = need_role
        self._least = 1 if by_hand else 2
        self._tail = 0  # 1: the line of the end was seen, 2: and the one below it
        self._restricted = b""
        self._cleaning = True

    def missing(self) -> str:
        """What shows that the dump ends too early; empty: it is whole."""
        if self._tail < self._least:
            below = "`--` that pg_dump writes below" if self._tail else "with which pg_dump ends,"
            return f"the line {below} `{_END.decode()}`{'' if self._tail else ','} is missing"
        return "its last line, `\\unrestrict`, is missing" if self._restricted else ""

    def wants(self, word: bytes) -> bool:
        self._tail = 0
        self._cleaning = self._cleaning and word not in {b"create", b"copy", b"insert"}
        return word in _WANTED

    def comment(self, text: bytes) -> None:
        if text.rstrip() == _END:
            self._tail = 1
        elif self._tail == 1:
            self._tail = 2 if text.rstrip() == b"--" else 0

    def command(self, text: bytes, line: int) -> None:
        found = _RESTRICT.fullmatch(text)
        if found:
            self._restricted = (
                found[2] if found[1] == b"restrict" else self._restricted.replace(found[2], b"")
            )
            return
        said = visible(text[:60].decode("utf-8", "backslashreplace"))
        if _CONNECT.match(text):
            raise Unreadable(
                line, f"`{said}` changes the database: make the dump of one database, without --create"
            )
        raise Unreadable(line, f"`{said}` is a command to psql, which pg_dump never writes")

    def statement(self, text: bytes, line: int) -> Fate:
        for what, pattern in _LEFT_OUT:
            if pattern.match(text):
                return self._leave_out(what)
        if _CLUSTER.match(text):
            said = b" ".join(text.split()[:3]).decode("utf-8", "backslashreplace")
            raise Unreadable(
                line,
                f"`{visible(said)}` reaches beyond one database: make the dump with pg_dump, without --create",
            )
        if self._cleaning and _CLEAN.match(text):
            return self._leave_out("what --clean drops")
        if text[:4].lower() == b"copy":
            return self._copy(text, line)
        check_settings(text, line)
        if found := EXTENSION.match(text):
            return (
                self._leave_out("extensions, which are there")
                if name_of(found[1]) in self._made
                else Fate.KEEP
            )
        if (found := _SCHEMA.match(text)) and name_of(found[1]) in self._schemas:
            return self._leave_out("schemas of extensions, which are there")
        for role in roles_of(text):
            self._need_role(role)
        return Fate.KEEP

    def _leave_out(self, what: str) -> Fate:
        self.left_out[what] += 1
        return Fate.LEAVE_OUT

    def _copy(self, text: bytes, line: int) -> Fate:
        if not _COPY.match(text):
            raise Unreadable(
                line,
                "a COPY that does not bring its rows with it: it would read or write files of the server",
            )
        self.table = text.split(None, 2)[1].partition(b"(")[0].decode("utf-8", "replace")
        return Fate.DATA


def check_settings(text: bytes, line: int) -> None:
    """Unreadable where a statement changes how psql reads what follows."""
    for key, value in _SET.findall(text) if text[:3].lower() in {b"set", b"sel"} else ():
        said = f"`{key.decode()} = {value.decode()}`"
        if key.lower() == b"standard_conforming_strings" and value.lower() != b"on":
            raise Unreadable(line, f"{said} changes how quotes are read")
        if key.lower() == b"client_encoding" and value.lower() in _UNSAFE_ENCODINGS:
            raise Unreadable(
                line, f"{said} hides backslashes in letters: write it in UTF8 (pg_dump --encoding=UTF8)"
            )


def is_of_all_tables(statement: bytes) -> bool:
    """Whether it makes a publication that only a superuser may make."""
    return bool(_ALL_TABLES.match(statement))


def roles_of(statement: bytes) -> list[str]:
    """The roles that a policy names, which must exist before it can be made."""
    found = _POLICY.match(statement)
    words = re.findall(NAME, found[1]) if found else []
    return [name_of(word) for word in words if word.lower() not in _EVERYBODY]


def name_of(word: bytes) -> str:
    """An identifier as the server knows it."""
    text = word.decode("utf-8", "replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()
