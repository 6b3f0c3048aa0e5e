"""What a dump is and whether it is whole: real ones of every kind, and each of them cut off at any place."""

import gzip
import io
import random
import shutil
import struct
import sys
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.work.backup import archive
from sando.work.backup.dump import Dump, examine
from sando.work.backup.reader import Flow
from sando.work.backup.trouble import NoDump
from tests.work import dumps as real
from tests.work.fetching import END, HEAD, plain

dumps = real.dumps

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def gz(data):
    return gzip.compress(data, 1, mtime=0)  # a time would be in the names of the tests


def zst(data):
    """With a checksum, as the program zstd packs."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


def look():
    """Nothing ends it."""


def kind(path):
    known = examine(path, look)
    assert not known.warning, known
    return known.kind


@pytest.fixture
def file(tmp_path):
    return tmp_path / "dump"


def told(file, data):
    file.write_bytes(data)
    return examine(file, look)


def refused(file, data=None):
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(NoDump) as caught:
        examine(file, look)
    return str(caught.value)


KINDS = {
    "plain.sql": "plain", "verbose.sql": "plain", "schema.sql": "plain", "inserts.sql": "plain",
    "custom.dump": "custom", "stored.dump": "custom", "piped.dump": "custom", "schema.dump": "custom", "data.dump": "custom",
    "tar.tar": "tar", "folder": "directory", "stored.folder": "directory",
}  # fmt: skip
FILES = [name for name in KINDS if "folder" not in name]


@pytest.mark.parametrize("name", KINDS)
def test_a_dump_of_pg_dump_is_known_by_its_bytes(dumps, name):
    assert kind(dumps / name) == KINDS[name]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("pack", "how"), [(gz, "gzip"), (zst, "zstd")])
def test_a_packed_dump_is_known_by_what_is_in_it(dumps, file, name, pack, how):
    file.write_bytes(pack((dumps / name).read_bytes()))
    assert kind(file) == f"{KINDS[name]} {how}"


@pytest.mark.parametrize("name", FILES)
def test_a_dump_that_is_cut_off_anywhere_is_refused(dumps, file, name):
    data = (dumps / name).read_bytes()
    chance = random.Random(name)
    last = data.rstrip(b"\n") if name.endswith(".sql") else data  # the last line feeds say nothing
    ends = {
        *range(1, 12),
        *range(len(last) - 12, len(last)),
        *(chance.randrange(1, len(last)) for _ in range(100)),
    }
    for end in sorted(ends):
        assert refused(file, data[:end]), end


@pytest.mark.parametrize("name", ["plain.sql", "custom.dump", "tar.tar"])
@pytest.mark.parametrize("pack", [gz, zst])
def test_a_packed_dump_that_is_cut_off_anywhere_is_refused(dumps, file, name, pack):
    data = pack((dumps / name).read_bytes())
    for end in {1, 2, 5, *random.Random(name).sample(range(1, len(data)), 30), len(data) - 1}:
        assert refused(file, data[:end]), end


@pytest.mark.parametrize("pack", [gz, zst])
def test_a_half_dump_that_was_packed_is_refused_and_so_is_a_packing_with_a_wrong_byte(dumps, file, pack):
    data = (dumps / "plain.sql").read_bytes()
    assert "half a dump" in refused(file, pack(data[:-500]))
    packed = bytearray(pack(data))
    packed[len(packed) // 2] ^= 0xFF
    assert refused(file, bytes(packed))


def test_a_gzip_with_a_wrong_checksum_is_refused(file):
    packed = bytearray(gzip.compress(plain(500)))
    packed[-8] ^= 0xFF
    assert "packing is damaged" in refused(file, bytes(packed))


def test_text_in_the_data_that_looks_like_the_end_is_not_the_end(dumps, file):
    """The rows with that text stand in the dump; it is cut right behind them."""
    data = (dumps / "plain.sql").read_bytes()
    at = data.index(b"-- PostgreSQL database dump complete")
    assert at < len(data) - 300
    cut = data[: data.index(b"\n", at) + 1]
    assert "half a dump" in refused(file, cut)


@pytest.mark.parametrize(
    ("end", "lacks"),
    [
        (b"select 1;\n", "its end is missing (`-- PostgreSQL database dump complete`)"),
        (
            b"-- PostgreSQL database dump complete\n",
            "its end is missing (the line `--` that pg_dump writes below `-- PostgreSQL database dump complete`)",
        ),
        (END, "its last line is missing (`\\unrestrict aB1`)"),
        (
            END + b"\\unrestrict aB1\n\n" + HEAD,
            "behind its end another dump begins, whose end is missing (`-- PostgreSQL database dump complete`)",
        ),
    ],
    ids=["no end", "no frame", "no lifted restriction", "another beginning"],
)  # fmt: skip
def test_half_a_dump_is_told_with_the_very_line_that_is_missing(file, end, lacks):
    assert refused(file, HEAD + b"\\restrict aB1\n\nselect 1;\n" + end) == (
        f"{lacks}: this is half a dump; let the one that writes it finish"
    )


def test_two_dumps_one_after_the_other_of_which_the_second_is_half_are_refused(file):
    assert told(file, plain(500) + plain(500)).kind == "plain"
    assert "half a dump" in refused(file, plain(500) + HEAD + b"create table t")


def test_statements_of_ones_own_may_stand_around_a_dump(file):
    assert told(file, b"set role app;\n" + plain(500)) == ("plain", "")
    assert told(file, plain(500) + b"analyze;\n") == ("plain", "")
    assert told(file, plain(500).replace(b"\n", b"\r\n")) == ("plain", "")


def test_a_restricted_dump_is_whole_when_the_restriction_is_lifted(file):
    head, end = HEAD + b"\\restrict aB1\n\n", END + b"\\unrestrict aB1\n\n"
    assert told(file, head + b"select 1;\n" + end).kind == "plain"
    assert "half a dump" in refused(file, head + b"select 1;\n" + END)


def test_a_dump_of_all_databases_is_taken_with_a_warning_and_half_of_one_is_not(dumps, file):
    data = (dumps / "cluster.sql").read_bytes()
    known = told(file, data)
    assert known.kind == "cluster"
    assert "pg_dumpall" in known.warning
    assert "half a dump" in refused(file, data[:-200])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"select 1;\n", "begins as no dump of pg_dump"),
        (b"-- MySQL dump 10.13\n", "mysqldump"),
        (b"PK\x03\x04rest", "zip"),
        (b"\xfd7zXZ\0rest", "xz"),
        (b"SQLite format 3\0rest", "SQLite"),
        (gzip.compress(b"select 1;\n", mtime=0), "begins as no dump of pg_dump"),
    ],
)
def test_what_is_not_known_is_taken_with_a_warning_that_names_it(file, data, word):
    known = told(file, data)
    assert known.kind.partition(" ")[0] == "unknown"
    assert word in known.warning


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html>\n<html>", b"\n\n  <html><body>502 Bad Gateway", b"<HTML>"]
)
def test_a_page_is_refused_packed_or_not(file, page):
    assert "HTML page" in refused(file, page)
    assert "HTML page" in refused(file, gzip.compress(page))


def test_what_pg_dump_says_when_it_fails_is_refused(file):
    said = b'pg_dump: error: connection to server on socket "/x" failed: No such file\n'
    assert f"it is what pg_dump said when it failed ({said.decode().strip()})" in refused(file, said)


@pytest.mark.parametrize("pack", [bytes, gz, zst])
def test_nothing_is_refused_packed_or_not(file, pack):
    assert "empty" in refused(file, pack(b""))


def test_a_tar_of_something_else_is_taken_with_a_warning(file):
    with tarfile.open(file, "w") as tar:
        tar.addfile(tarfile.TarInfo("dump/toc.dat"), io.BytesIO())
    known = examine(file, look)
    assert known.kind == "unknown"
    assert "not one of pg_dump -Ft" in known.warning


@pytest.mark.parametrize("minor", [9, 17])
def test_a_format_of_another_time_is_taken_with_a_warning(dumps, file, minor):
    data = bytearray((dumps / "custom.dump").read_bytes())
    data[6] = minor
    known = told(file, bytes(data))
    assert known.kind == "custom"
    assert f"its format is 1.{minor}" in known.warning


def test_an_archive_that_makes_no_sense_is_taken_with_a_warning_rather_than_called_half(dumps, file):
    data = bytearray((dumps / "stored.dump").read_bytes())
    data[8] = 0  # its numbers have no bytes
    assert "makes no sense" in told(file, bytes(data)).warning


# -- folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(dumps, tmp_path):
    shutil.copytree(dumps / "folder", tmp_path / "folder")
    return tmp_path / "folder"


def test_a_folder_lacks_nothing_that_its_contents_list(folder):
    for path in [p for p in folder.iterdir() if p.name[0].isdigit()]:
        data = path.read_bytes()
        path.unlink()
        assert "missing in the folder" in refused(folder)
        path.write_bytes(data)
    assert kind(folder) == "directory"


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_folder_whose_contents_are_cut_off_is_half(folder, part):
    toc = folder / "toc.dat"
    toc.write_bytes(toc.read_bytes()[: int(toc.stat().st_size * part)])
    assert "half a dump" in refused(folder)


def test_a_folder_without_contents_is_one_that_is_not_finished(folder):
    (folder / "toc.dat").unlink()
    assert "pg_dump -Fd has not finished it" in refused(folder)


def test_files_may_be_packed_afterwards(folder):
    for path in [p for p in folder.iterdir() if p.suffix == ".gz"]:
        path.with_suffix(".zst").write_bytes(zstd.compress(gzip.decompress(path.read_bytes())))
        path.unlink()
    assert examine(folder, look) == Dump("directory")
    for path in [p for p in folder.iterdir() if p.suffix == ".zst"]:
        path.rename(path.with_suffix(".lz4"))
    assert examine(folder, look) == Dump("directory", "its .lz4 files were not looked through")


@pytest.mark.parametrize("name", ["folder", "stored.folder"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_folder_with_half_a_file_is_half(dumps, tmp_path, name, part):
    """As it looks while somebody copies it."""
    for path in [p for p in (dumps / name).iterdir() if p.name[0].isdigit()]:
        folder = shutil.copytree(dumps / name, tmp_path / path.name)
        (folder / path.name).write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
        assert f"{path.name} ends too early: this is half a dump" in refused(folder)


def test_contents_of_another_time_are_taken_with_a_warning(folder):
    toc = folder / "toc.dat"
    data = bytearray(toc.read_bytes())
    data[6] = 17
    toc.write_bytes(bytes(data))
    assert "its format is 1.17" in examine(folder, look).warning


# -- the archive format ------------------------------------------------------------------------------------


class Writer:
    """Archives of any version, as the functions WriteHead, WriteToc and those of the custom format write them."""

    def __init__(self, minor, form=archive.CUSTOM, int_size=4):
        self.minor, self.int_size, self.form = minor, int_size, form
        self.places = {}
        self.data = b"PGDMP" + bytes((1, minor, 0, int_size, 8, form))
        if minor >= 15:
            self.data += b"\x01"
        else:
            self.number(-1)
        for value in (1, 2, 3, 4, 5, 126, 0):
            self.number(value)
        for text in ("app", "15.1", None):
            self.text(text)

    def number(self, value):
        self.data += bytes([value < 0]) + abs(value).to_bytes(self.int_size, "little")

    def text(self, value):
        if value is None:
            return self.number(-1)
        self.number(len(value.encode()))
        self.data += value.encode()
        return None

    def contents(self, entries):
        self.number(len(entries))
        for number, has_data in entries:
            self.entry(number, has_data)

    def entry(self, number, has_data):
        self.number(number)
        self.number(int(has_data))
        for text in ("1259", "16385", "ünïcode", "TABLE DATA"):
            self.text(text)
        if self.minor >= 11:
            self.number(3)
        for text in ("create table t()", "", "COPY t FROM stdin;", "public", None):
            self.text(text)
        if self.minor >= 14:
            self.text("heap")
        if self.minor >= 16:
            self.number(114)
        for text in ("owner", "false", "1", "22", None):
            self.text(text)
        if self.form == archive.CUSTOM:
            self.places[number] = len(self.data)
            self.data += bytes([1 if has_data else 3]) + bytes(8)
        else:
            self.text(f"{number}.dat" if has_data else "")

    def note(self, number):
        """Where its data begins, which pg_dump writes back at the end where it can."""
        at = self.places[number]
        self.data = self.data[:at] + b"\x02" + len(self.data).to_bytes(8, "little") + self.data[at + 9 :]

    def block(self, number, chunks):
        self.data += b"\x01"
        self.number(number)
        self._chunks(chunks)

    def blobs(self, number, objects):
        self.data += b"\x03"
        self.number(number)
        for oid, chunks in objects:
            self.number(oid)
            self._chunks(chunks)
        self.number(0)

    def _chunks(self, chunks):
        for chunk in chunks:
            self.number(len(chunk))
            self.data += chunk
        self.number(0)


CHUNKS = st.lists(st.binary(min_size=1, max_size=30), max_size=4)


@st.composite
def archives(draw):
    """A whole one of any version, with tables, large objects and entries without data."""
    writer = Writer(draw(st.integers(10, 16)), int_size=draw(st.sampled_from([4, 8])))
    kinds = draw(st.lists(st.sampled_from(["table", "blobs", "none"]), max_size=5))
    writer.contents([(n, what != "none") for n, what in enumerate(kinds, 1)])
    noted = draw(st.booleans())
    for number, what in enumerate(kinds, 1):
        if noted and what != "none":
            writer.note(number)
        if what == "table":
            writer.block(number, draw(CHUNKS))
        elif what == "blobs":
            writer.blobs(number, draw(st.lists(st.tuples(st.integers(1, 99), CHUNKS), max_size=3)))
    return writer.data


@given(archives(), st.data())
def test_an_archive_is_followed_to_its_end_and_no_beginning_of_it_is_taken_for_whole(data, draw):
    archive.follow(Flow(io.BytesIO(data), look))
    end = draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(EOFError):
        archive.follow(Flow(io.BytesIO(data[:end]), look))


@given(st.binary(max_size=400))
def test_noise_behind_the_head_is_no_bug(noise):
    data = Writer(14).data + noise
    try:
        archive.follow(Flow(io.BytesIO(data), look))
    except (EOFError, archive.Unknown):
        return
    assert noise.startswith(struct.pack("<BI", 0, 0)[:5])


def test_a_folder_lists_the_files_of_its_data():
    writer = Writer(16, archive.DIRECTORY)
    writer.contents([(1, True), (2, False), (3, True)])
    assert archive.contents(Flow(io.BytesIO(writer.data), look)).files == ("1.dat", "3.dat")


def test_a_large_archive_is_stepped_over_and_not_read(tmp_path):
    """Four terabytes in a sparse file."""
    writer = Writer(14, int_size=8)
    writer.contents([(1, True)])
    writer.data += b"\x01"
    writer.number(1)
    size = 2**42
    writer.number(size)
    with (tmp_path / "large").open("wb") as file:
        file.write(writer.data)
        file.seek(size, 1)
        file.write(bytes(9))
    assert kind(tmp_path / "large") == "custom"
