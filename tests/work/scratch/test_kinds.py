"""A file is told by its content: which dump, from which version, or what it is instead."""

import contextlib
import gzip
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.errors import WorkError
from sando.work.scratch import dump
from sando.work.scratch.kinds import Kind, kind_of

PLAIN = b"--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 16.4 (Debian 16.4-1)\n-- Dumped by pg_dump version 17.2\n\n"
END = b"--\n-- PostgreSQL database dump complete\n--\n\n"


def test_a_plain_dump_tells_its_versions():
    assert kind_of(PLAIN) == Kind("plain", "17.2", "16.4")
    assert kind_of(PLAIN).least == 17
    assert kind_of(PLAIN.replace(b"\n", b"\r\n")) == Kind("plain", "17.2", "16.4")
    assert kind_of(b"-- PostgreSQL database dump\n") == Kind("plain")
    assert Kind("plain").least == 0


def test_sql_by_hand_is_a_dump_where_it_ends_as_one():
    assert kind_of(b"create table t();", marked=True) == Kind("plain", by_hand=True)
    for instead in (b"create table t();\0", b"<html>", b"-- MySQL dump 10.13\n"):
        with pytest.raises(ValueError, match=r"sando|page"):
            kind_of(instead, marked=True)


@pytest.mark.parametrize("form", ["custom", "tar"])
def test_an_archive_tells_its_versions(server, form):
    found = kind_of(server.dump("prod", f"-F{form[0]}")[:65536])
    own = f"{server.programs.major}.{server.programs.minor}"
    assert found == Kind(form, own, own)


def test_an_archive_of_a_later_format_tells_its_version_or_none(server):
    archive = server.dump("prod", "-Fc")
    newer = (
        archive[:5] + bytes([1, 16, 0]) + archive[8:11] + b"\0" + archive[16:]
    )  # how 17 writes its compression
    assert kind_of(newer).made == f"{server.programs.major}.{server.programs.minor}"
    assert kind_of(archive[:5] + bytes([9, 99, 0]) + archive[8:]).form == "custom"
    assert kind_of(b"PGDMP") == Kind("custom")


INSTEAD = {
    "a web page": (b"<!DOCTYPE html>\n<html>503</html>", "a web page, most likely an error"),
    "another web page": (b"\n <HTML><body>", "a web page"),
    "a dump of MySQL": (b"-- MySQL dump 10.13  Distrib 8.0\n", "a dump of MySQL"),
    "a dump of MariaDB": (b"/*!999999\\- enable the sandbox mode */ \n-- MariaDB dump", "a dump of MySQL"),
    "a dump of all databases": (b"--\n-- PostgreSQL database cluster dump\n--\n", "a dump of a whole server by pg_dumpall: make one of the database alone"),
    "an SQLite database": (b"SQLite format 3\0" + bytes(100), "an SQLite database"),
    "xz": (b"\xfd7zXZ\0" + bytes(100), "packed in a way that sando does not read"),
    "bzip2": (b"BZh91AY", "packed in a way"),
    "zip": (b"PK\x03\x04", "packed in a way"),
    "another tar": (b"readme\0".ljust(257, b"\0") + b"ustar\0", "a tar file, but none of pg_dump"),
    "a dump by PowerShell": (PLAIN.decode().encode("utf-16"), "text in UTF-16, as PowerShell"),
    "blanks": (b" \n\n ", "nothing but blanks"),
    "SQL by hand": (b"create table t();", "no dump that sando knows"),
    "noise": (bytes(range(256)), "no dump that sando knows"),
    "JSON": (b'{"error": "expired"}', "no dump that sando knows"),
    "a plain dump with a NUL": (PLAIN + b"\0", "no dump that sando knows"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "match"), INSTEAD.values(), ids=INSTEAD)
def test_what_people_fetch_in_place_of_a_dump_is_named(job, tmp_path, content, match):
    (tmp_path / "backup.dump").write_bytes(content)
    with (
        pytest.raises(WorkError, match=f"backup.dump is {match}") as caught,
        dump.opened(tmp_path / "backup.dump", job),
    ):
        pass
    assert caught.value.errored


@given(st.binary(max_size=400))
def test_any_bytes_are_a_kind_or_are_named(content):
    for head in (content, b"PGDMP" + content, b"toc.dat\0".ljust(257, b"\0") + b"ustar" + content):
        with contextlib.suppress(ValueError):
            assert kind_of(head).form in {"plain", "custom", "tar"}


def test_an_empty_file_a_pipe_and_a_folder_are_named(job, tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "toc.dat").write_text("nonsense")
    for name, match in {
        "empty": "is empty", "pipe": "neither a file nor a folder", "folder": "a folder without toc.dat", "gone": "No such file",
        "wrong": "a folder whose toc.dat is none of pg_dump",
    }.items():  # fmt: skip
        with pytest.raises(WorkError, match=match) as caught, dump.opened(tmp_path / name, job):
            pass
        assert caught.value.errored


@pytest.mark.parametrize("cut", range(1, len(END) - 1, 4))
def test_a_plain_dump_without_its_last_lines_is_not_whole(job, tmp_path, cut):
    text = PLAIN + b"SELECT 1;\n\n" + END
    (tmp_path / "backup.sql").write_bytes(text[: len(text) - cut])
    if b"dump complete" in text[: len(text) - cut]:  # then reading it will show what is missing
        with dump.opened(tmp_path / "backup.sql", job) as found:
            assert found.kind.form == "plain"
        return
    with (
        pytest.raises(WorkError, match="is not whole: the line with which pg_dump ends"),
        dump.opened(tmp_path / "backup.sql", job),
    ):
        pass


def test_a_dump_is_opened_packed_or_not_with_its_age_and_its_hash(job, tmp_path):
    text = PLAIN + END
    for packing, content in {
        "": text,
        "gzip": gzip.compress(text[:60]) + gzip.compress(text[60:]),
        "zstd": dump.zstd.compress(text),
    }.items():
        path = tmp_path / "backup.sql"  # its name says nothing
        path.write_bytes(content)
        os.utime(path, (time.time() - 7200, time.time() - 7200))
        with dump.opened(path, job) as found:
            reading = dump.Reading(found)
            assert b"".join(reading.pieces(job, 7)) == text
            assert reading.sha256() == dump.hashlib.sha256(content).hexdigest()
            assert (found.packing, found.kind.form, found.bytes) == (packing, "plain", len(content))
            assert 7190 < found.age_s < 7300


@pytest.mark.parametrize("pack", [gzip.compress, dump.zstd.compress], ids=["gzip", "zstd"])
def test_a_packed_dump_that_is_cut_or_damaged_is_not_whole(job, tmp_path, pack):
    packed = pack(PLAIN + os.urandom(200_000).hex().encode() + END)
    for number, content in enumerate([packed[:-1], packed[: len(packed) // 2], packed[:-20] + bytes(20)]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        with (
            pytest.raises(WorkError, match=r"is not whole: (gzip|zstd) says"),
            dump.opened(path, job) as found,
        ):
            list(dump.Reading(found).pieces(job))


def test_a_packed_web_page_is_a_web_page(job, tmp_path):
    (tmp_path / "backup").write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(WorkError, match="a web page"), dump.opened(tmp_path / "backup", job):
        pass


def test_what_was_opened_is_what_is_read_though_the_file_is_replaced(job, tmp_path):
    path = tmp_path / "backup"
    path.write_bytes(PLAIN + END)
    with dump.opened(path, job) as found:
        (tmp_path / "new").write_bytes(b"<html>")
        (tmp_path / "new").replace(path)
        assert b"".join(dump.Reading(found).pieces(job)) == PLAIN + END
