"""The formats of pg_dump's own (custom, directory, tar) as far as one must know them to tell a whole one from a half one.

Read like pg_dump writes them (pg_backup_archiver.c, pg_backup_custom.c): a head, a table of contents, and in the custom
format the data behind it in blocks. The data itself is never looked into, only stepped over.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

MAGIC = b"PGDMP"
CUSTOM, TAR, DIRECTORY = 1, 3, 5
OLDEST, NEWEST = (1, 10), (1, 16)
_AT, _NOTHING = 2, 3  # of an entry's place in the custom format: it is known, or there is no data
_LONGEST = 2**28  # of one text: the definition of a large function is far below
_MOST = 10_000_000  # entries


class _Block(IntEnum):
    DATA = 1
    BLOBS = 3


class Source(Protocol):
    """Bytes in their order. Both raise EOFError where there are fewer."""

    def take(self, size: int) -> bytes: ...
    def skip(self, size: int) -> None: ...
    def tell(self) -> int: ...
    def over(self) -> bool:
        """Whether nothing follows."""
        ...


class Unknown(Exception):
    """What is there follows other rules than these: a newer version, or none of pg_dump's."""


class Contents(NamedTuple):
    """A table of contents: the files that belong to it (directory, tar), or the numbers of what has data (custom).

    Each with its place, unless pg_dump wrote to a pipe and could not note it.
    """

    form: int
    files: tuple[str, ...]
    data: dict[int, int | None]


class _Archive:
    def __init__(self, source: Source) -> None:
        self.source = source
        if source.take(5) != MAGIC:
            raise Unknown("it does not begin as an archive of pg_dump")
        major, minor, _ = source.take(3)
        self.version = (major, minor)
        if not OLDEST <= self.version <= NEWEST:
            raise Unknown(
                f"its format is {major}.{minor}, and sando knows {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
            )
        self.int_size, self.offset_size, self.form = source.take(3)
        if not (1 <= self.int_size <= 8 and 1 <= self.offset_size <= 16):
            raise Unknown("its head makes no sense")
        source.take(1) if self.version >= (1, 15) else self.number()  # how it is compressed
        for _ in range(7):  # the time of its making
            self.number()
        for _ in ("database", "server", "dumper"):
            self.text()

    def number(self) -> int:
        sign, *digits = self.source.take(1 + self.int_size)
        value = int.from_bytes(bytes(digits), "little")
        return -value if sign else value

    def text(self) -> bytes | None:
        size = self.number()
        if size > _LONGEST:
            raise Unknown("its table of contents makes no sense")
        return None if size < 0 else self.source.take(size)

    def contents(self) -> Contents:
        count = self.number()
        if not 0 <= count <= _MOST:
            raise Unknown("its table of contents makes no sense")
        files: list[str] = []
        data: dict[int, int | None] = {}
        for _ in range(count):
            number, kind = self._entry()
            if self.form == CUSTOM:
                data |= self._place(number)
            elif (file := self.text()) and not (
                self.form == TAR and kind == b"BLOBS"
            ):  # which is never written
                files.append(file.decode("utf-8", "replace"))
        return Contents(self.form, tuple(files), data)

    def _place(self, number: int) -> dict[int, int | None]:
        flag, offset = self.source.take(1)[0], int.from_bytes(self.source.take(self.offset_size), "little")
        return {} if flag == _NOTHING else {number: offset if flag == _AT else None}

    def _entry(self) -> tuple[int, bytes | None]:
        """Its number and kind; where its data is follows."""
        number = self.number()
        self.number()  # whether it had a dumper
        for _ in ("catalog", "oid", "tag"):
            self.text()
        kind = self.text()
        if self.version >= (1, 11):
            self.number()  # section
        for _ in ("definition", "drop", "copy", "schema", "tablespace"):
            self.text()
        if self.version >= (1, 14):
            self.text()  # access method
        if self.version >= (1, 16):
            self.number()  # kind of relation
        for _ in ("owner", "with oids"):
            self.text()
        while self.text() is not None:
            """One it depends on."""
        return number, kind

    def blocks(self) -> Iterator[int]:
        """The numbers of the entries whose data follows, each stepped over to its end."""
        while not self.source.over():
            kind, number = self.source.take(1)[0], self.number()
            match kind:
                case _Block.DATA:
                    self._chunks()
                case _Block.BLOBS:
                    while self.number():  # the oid of one large object
                        self._chunks()
                case _:
                    raise Unknown("its data makes no sense")
            yield number

    def _chunks(self) -> None:
        while size := self.number():
            if size < 0:
                raise Unknown("its data makes no sense")
            self.source.skip(size)


def contents(source: Source) -> Contents:
    """The table of contents alone. EOFError: it ends too early; Unknown: it cannot be judged."""
    return _Archive(source).contents()


def follow(source: Source) -> None:
    """A custom archive to its end. EOFError: something is missing; Unknown: it cannot be judged."""
    archive = _Archive(source)
    if archive.form != CUSTOM:
        raise Unknown("it is the table of contents of another format")
    places = archive.contents().data
    missing = set(places)
    known = {place: number for number, place in places.items() if place is not None}
    if known and len(known) == len(missing) and max(known) >= source.tell():
        source.skip(max(known) - source.tell())  # what lies before the last of them is there
        missing = {known[max(known)]}
    for number in archive.blocks():
        missing.discard(number)
    if missing:
        raise EOFError
