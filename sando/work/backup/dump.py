"""What arrived, and is it whole: told by its bytes, never by its name. It executes nothing and changes nothing.

Half a dump is refused, so that it takes no good one's place. What sando does not know is taken with a warning: a backup
that somebody else's program restores is a backup too.
"""

import gzip
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

from sando.model.names import visible
from sando.work.backup import archive
from sando.work.backup.reader import PIECE, File, Flow, Look
from sando.work.backup.trouble import NoDump

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TOC = "toc.dat"
_HEAD, _TAIL, _TAR_END = 4096, 2**16, 1024
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHERS = {
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"SQLite format 3\0": "SQLite",
    b"-- MySQL dump": "mysqldump",
    b"-- MariaDB dump": "mysqldump",
    b"age-encryption": "age",
}
_PLAIN = b"-- PostgreSQL database dump", b"-- PostgreSQL database dump complete"
_CLUSTER = b"-- PostgreSQL database cluster dump", b"-- PostgreSQL database cluster dump complete"
_IN_TAR = f"{TOC}\0".encode()
_BEGINNINGS = (b"--\n" + _PLAIN[0], b"--\n" + _CLUSTER[0], archive.MAGIC, _IN_TAR, *_PACKED)
_RESTRICT = re.compile(rb"^\\restrict (\w+)\r?$", re.MULTILINE)
_PAGES = (b"<!doctype html", b"<html")
_SUFFIXES = ("", ".gz", ".lz4", ".zst")
_TABLE = re.compile(r"[0-9]+\.dat")


class Dump(NamedTuple):
    """`kind`: plain, custom, tar, directory, cluster or unknown, and how it is packed; `warning`: what was not checked."""

    kind: str
    warning: str = ""


def examine(path: Path, look: Look) -> Dump:
    """The kind of a whole dump. NoDump (failed) for half of one, and for what is none at all."""
    try:
        return _folder(path, look) if path.is_dir() else _file(path, look)
    except EOFError:
        raise NoDump("it ends too early: this is half a dump; let the one that writes it finish") from None


def form(path: Path) -> str:
    """By its first bytes: two of one form may be compared in size. Empty: there is none."""
    if path.is_dir():
        return TOC
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    known = next((magic for magic in (archive.MAGIC, *_PACKED, *_OTHERS) if head.startswith(magic)), b"text")
    return known.decode("latin-1")


def begins_as_dump(path: Path) -> bool:
    """Whether its first bytes are those of a dump that sando knows, packed or not; it is not looked through."""
    if path.is_dir():
        return (path / TOC).is_file()
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:  # there is none
        return False
    return head.startswith((archive.MAGIC, _IN_TAR, *_PACKED)) or any(
        _begins_a_line(head, begin) for begin, _ in (_PLAIN, _CLUSTER)
    )


# -- a folder ------------------------------------------------------------------------------------------------


def _folder(path: Path, look: Look) -> Dump:
    if not (path / TOC).is_file():
        raise NoDump(
            f"it is a folder without {TOC}: pg_dump -Fd has not finished it, or never wrote it; name the dump itself",
        )
    try:
        with (path / TOC).open("rb") as file:
            known = archive.contents(File(file, lambda: None))
    except archive.Unknown as why:
        return Dump(
            "directory", f"its {TOC} cannot be followed ({why}): look whether pg_restore --list reads it"
        )
    parts = {name: _part(path, name) for name in known.files if "/" not in name}
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise NoDump(f"{_named(missing)} missing in the folder, which its {TOC} lists: this is half a dump")
    unread = {part.suffix for part in parts.values() if part and not _part_is_read(part, look)}
    return Dump(
        "directory", f"its {', '.join(sorted(unread))} files were not looked through" if unread else ""
    )


def _part(folder: Path, name: str) -> Path | None:
    """One file of the folder, packed or not."""
    return next((p for suffix in _SUFFIXES if (p := folder / f"{name}{suffix}").is_file()), None)


def _part_is_read(part: Path, look: Look) -> bool:
    """To its end; False: in a way that sando cannot unpack. NoDump where it has none.

    Whatever pg_dump writes of a table, rows or statements, ends in two empty lines; of an empty one, as statements, there
    is nothing else (pg_dump.c, dumpTableData).
    """
    packing = {".gz": "gzip", ".zst": "zstd"}.get(part.suffix, "")
    if part.suffix == ".lz4":
        return False
    try:
        with _unpacked(part, packing) if packing else part.open("rb") as file:
            end = (Flow(file, look) if packing else File(file, look)).tail(3)
    except EOFError:
        end = b""
    if _TABLE.match(part.name) and end not in {b"\n\n\n", b"\n\n"}:
        raise NoDump(f"{part.name} ends too early: this is half a dump; let the one that writes it finish")
    return True


def _named(names: list[str]) -> str:
    shown = ", ".join(visible(name)[:100] for name in names[:3])
    return f"{shown} is" if len(names) == 1 else f"{shown}{', …' if len(names) > 3 else ''} are"


# -- a file --------------------------------------------------------------------------------------------------


def _file(path: Path, look: Look) -> Dump:
    with path.open("rb") as file:
        head = file.read(_HEAD)
        packing = next((name for magic, name in _PACKED.items() if head.startswith(magic)), "")
        if not packing:
            return _judge(head, File(file, look))
        with _unpacked(path, packing) as inner:
            known = _judge(inner.read(_HEAD), Flow(inner, look))
            return Dump(f"{known.kind} {packing}", known.warning)


@contextmanager
def _unpacked(path: Path, packing: str) -> Iterator[IO[bytes]]:
    """What it holds; read to its end, its checksum has been compared."""
    with gzip.GzipFile(path) if packing == "gzip" else zstd.ZstdFile(path) as opened:
        inner = cast("IO[bytes]", opened)
        try:
            yield inner
            while inner.read(PIECE):
                """To the end, where the checksum is."""
        except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
            raise NoDump(f"its {packing} packing is damaged ({error}): this is no whole dump") from error


def _judge(head: bytes, source: Flow) -> Dump:
    if not head:
        raise NoDump("it is empty: look at what writes it")
    if any(known.startswith(head) for known in _BEGINNINGS):
        raise EOFError
    if head.lstrip().lower().startswith(_PAGES):
        raise NoDump("it is an HTML page and no dump: look at what writes it")
    if head.startswith(b"pg_dump: error:"):
        said = visible(head.splitlines()[0].decode("utf-8", "replace"))
        raise NoDump(f"it is what pg_dump said when it failed ({said[:200]}): look at what writes it")
    if head.startswith(archive.MAGIC):
        return _custom(source)
    if head[257:262] == b"ustar" or head.startswith(_IN_TAR):
        return _tar(source)
    for kind, (begin, _) in (("cluster", _CLUSTER), ("plain", _PLAIN)):
        if _begins_a_line(head, begin):
            return _text(kind, head, source)
    if not _lacking(head, source, *_PLAIN):
        return Dump("plain")
    other = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "")
    what = f"it is of {other}" if other else "it begins as no dump of pg_dump"
    return Dump("unknown", f"{what}: whether it is whole was not checked")


def _custom(source: Flow) -> Dump:
    source.rewind()
    try:
        archive.follow(source)
    except archive.Unknown as why:
        return Dump(
            "custom", f"it cannot be followed to its end ({why}): look whether pg_restore --list reads it"
        )
    return Dump("custom")


def _text(kind: str, head: bytes, source: Flow) -> Dump:
    begin, end = _CLUSTER if kind == "cluster" else _PLAIN
    if lacks := _lacking(head, source, begin, end):
        raise NoDump(f"{lacks}: this is half a dump; let the one that writes it finish")
    warning = "it is of pg_dumpall, and a rehearsal restores one database: pg_dump writes one"
    return Dump(kind, warning if kind == "cluster" else "")


def _lacking(head: bytes, source: Flow, begin: bytes, end: bytes) -> str:
    """What is missing of its end as pg_dump writes it, also where another dump begins behind it; empty: it is whole.

    The line of the end alone could be a row of a table; the `--` below it, with nothing behind, is none.
    """
    source.rewind()
    lines = [line.rstrip() for line in source.tail(_TAIL).splitlines()]
    if end not in lines:
        return f"its end is missing (`{end.decode()}`)"
    behind = lines[len(lines) - lines[::-1].index(end) :]
    if behind[:1] != [b"--"]:
        return f"its end is missing (the line `--` that pg_dump writes below `{end.decode()}`)"
    if begin in behind:
        return f"behind its end another dump begins, whose end is missing (`{end.decode()}`)"
    if begin == _PLAIN[0] and (word := _RESTRICT.search(head)) and b"\\unrestrict " + word[1] not in behind:
        return f"its last line is missing (`\\unrestrict {word[1].decode()}`)"
    return ""


def _begins_a_line(text: bytes, mark: bytes) -> bool:
    return any(line.rstrip() == mark for line in text.splitlines())


def _opened(source: Flow) -> tarfile.TarFile:
    """In what cannot be jumped through, every member is read."""
    if source.jumps:
        return tarfile.open(fileobj=cast("IO[bytes]", source), mode="r:")
    return tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", bufsize=PIECE)


def _tar(source: Flow) -> Dump:
    """pg_dump -Ft has its table of contents in front; of another tar nobody knows what it should hold."""
    source.rewind()
    names: set[str] = set()
    known: archive.Contents | None = None
    try:
        with _opened(source) as tar:
            for member in tar:
                if not names and member.name == TOC and (content := tar.extractfile(member)):
                    with suppress(archive.Unknown):
                        known = archive.contents(Flow(content, lambda: None))
                names.add(member.name)
            end = tar.offset + _TAR_END
    except tarfile.TarError as error:
        raise EOFError from error
    if source.size() < end:
        raise EOFError
    if known is None:
        return Dump("unknown", "it is a tar, and not one of pg_dump -Ft: whether it is whole was not checked")
    missing = [name for name in known.files if name not in names]
    if missing:
        raise NoDump(f"{_named(missing)} missing in the tar, which its {TOC} lists: this is half a dump")
    return Dump("tar")
