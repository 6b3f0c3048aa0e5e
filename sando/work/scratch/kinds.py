"""What a file is, told by its first bytes and never by its name: which dump, and what people fetch in place of one."""

import re
from typing import NamedTuple

HEAD = 64 * 2**10  # bytes that are enough to tell
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
ARCHIVE = b"PGDMP"
_TAR_NAME = b"toc.dat\0"
_PLAIN = re.compile(rb"^-- PostgreSQL database dump\r?$", re.MULTILINE)
_FROM = re.compile(rb"^-- Dumped from database version ([0-9.]+)", re.MULTILINE)
_BY = re.compile(rb"^-- Dumped by pg_dump version ([0-9.]+)", re.MULTILINE)
_AGAIN = "make it with `pg_dump -Fc` and fetch it again"
_OTHERS = (
    (re.compile(rb"^-- PostgreSQL database cluster dump\r?$", re.MULTILINE),
     "a dump of a whole server by pg_dumpall: make one of the database alone with `pg_dump -Fc`"),
    (re.compile(rb"\s*<(?:!doctype|html|\?xml|head)", re.IGNORECASE),
     "a web page, most likely an error of what should have sent the dump: look at the source of [backup]"),
    (re.compile(rb"\s*-- (?:MySQL|MariaDB) dump|\s*/\*!"), "a dump of MySQL: sando restores dumps of PostgreSQL"),
    (re.compile(rb"SQLite format 3\0"), "an SQLite database: sando restores dumps of PostgreSQL"),
    (re.compile(rb"\xfd7zXZ\0|BZh[1-9]|\x04\x22\x4d\x18|PK\x03\x04"),
     "packed in a way that sando does not read: use gzip or zstd, or `pg_dump -Fc`, which packs by itself"),
    (re.compile(rb".{257}ustar", re.DOTALL), f"a tar file, but none of pg_dump (no toc.dat in front): {_AGAIN}"),
    (re.compile(rb"\xff\xfe|\xfe\xff"),
     "text in UTF-16, as PowerShell writes what a program prints: let pg_dump write the file itself, with -f"),
    (re.compile(rb"\s*\Z"), f"nothing but blanks: {_AGAIN}"),
)  # fmt: skip


class Kind(NamedTuple):
    """`form` is plain, custom, tar or directory; `made` and `came_from` are versions as the dump tells them, if it does."""

    form: str
    made: str = ""
    """Of the pg_dump that made it."""
    came_from: str = ""
    """Of the server."""
    by_hand: bool = False
    """SQL that no pg_dump has written, but somebody who knows how a dump ends."""

    @property
    def least(self) -> int:
        """The oldest major version whose programs can be expected to restore it; 0 when unknown."""
        return max(_major(self.made), _major(self.came_from))


class StrangeError(ValueError):
    """Not a dump, and nothing that is known to come in place of one."""


def kind_of(head: bytes, *, marked: bool = False) -> Kind:
    """ValueError says what it is instead of a dump, and what to do. `marked`: it ends with the line with which pg_dump ends."""
    if head.startswith(ARCHIVE):
        return _archive(head, "custom")
    if head.startswith(_TAR_NAME) and head[257:262] == b"ustar":
        return _archive(head[512:], "tar")
    if _PLAIN.search(head) and b"\0" not in head:
        made, came_from = _BY.search(head), _FROM.search(head)
        return Kind("plain", made[1].decode() if made else "", came_from[1].decode() if came_from else "")
    for looks, what in _OTHERS:
        if looks.match(head) if not looks.flags & re.MULTILINE else looks.search(head):
            raise ValueError(what)
    if marked and b"\0" not in head:
        return Kind("plain", by_hand=True)
    raise StrangeError(f"no dump that sando knows (plain SQL or an archive of pg_dump): {_AGAIN}")


def archive_kind(toc: bytes, form: str) -> Kind:
    """Of a folder, from its toc.dat."""
    if not toc.startswith(ARCHIVE):
        raise ValueError("a folder whose toc.dat is none of pg_dump")
    return _archive(toc, form)


def _archive(head: bytes, form: str) -> Kind:
    """The versions stand behind numbers of a size of the file's own; where they cannot be read, pg_restore will say why."""
    try:
        major, minor, _, size = head[5:9]
        at = 11 + (1 if (major, minor) >= (1, 15) else 1 + size) + 7 * (1 + size)
        texts = []
        for _ in range(3):  # the database, the server's version, pg_dump's
            length = int.from_bytes(head[at + 1 : at + 1 + size], "little")
            at += 1 + size
            texts.append(head[at : at + length].decode("ascii", "replace"))
            at += length
    except ValueError:
        return Kind(form)
    return Kind(form, made=_version(texts[2]), came_from=_version(texts[1]))


def _version(text: str) -> str:
    found = re.match(r"[0-9.]+", text[:100])
    return found[0] if found else ""


def _major(version: str) -> int:
    found = re.match("[0-9]{1,3}", version)
    return int(found[0]) if found else 0
