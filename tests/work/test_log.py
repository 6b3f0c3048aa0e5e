"""The log of an operation: appended as bytes, capped on disk, readable by offset while it is cut."""

import os
import threading

import pytest

from sando.work import log as log_module
from sando.work.log import OpLog, read_log, tail

MIB = 2**20


def fill(log, count, chunk=b"x" * 1023 + b"\n"):
    fd = log.open()
    try:
        for _ in range(count // len(chunk)):
            os.write(fd, chunk)
    finally:
        os.close(fd)


def read_all(path, offset=0):
    data, pieces = None, []
    while data != b"":
        data, offset = read_log(path, offset)
        pieces.append(data)
    return b"".join(pieces), offset


def on_disk(path):
    return path.stat().st_blocks * 512


def test_what_sando_says_is_a_line_of_its_own_even_after_half_a_line(tmp_path):
    log = OpLog(tmp_path / "sub" / "1.log")
    log.say("begins")
    fd = log.open()
    os.write(fd, b"half a line")
    os.close(fd)
    log.say("ends")
    assert log.path.read_bytes() == b"sando: begins\nhalf a line\nsando: ends\n"


def test_saying_something_never_raises_on_a_full_disk():
    OpLog("/dev/full").say("nobody hears this")


def test_a_log_that_cannot_be_made_is_quiet_when_sando_speaks(tmp_path):
    (tmp_path / "file").write_text("")
    OpLog(tmp_path / "file" / "1.log").say("nobody hears this")


def test_writers_and_sando_append_without_overwriting_each_other(tmp_path):
    log = OpLog(tmp_path / "1.log")

    def write():
        for _ in range(200):
            log.say("a line of mine")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines = log.path.read_bytes().splitlines()
    assert len([line for line in lines if line]) == 800
    assert {line for line in lines if line} == {b"sando: a line of mine"}


def test_reading_goes_on_at_the_offset_that_was_answered(tmp_path):
    log = OpLog(tmp_path / "1.log")
    fill(log, 200_000)
    first, offset = read_log(log.path, 0, 1000)
    assert (len(first), offset) == (1000, 1000)
    rest, end = read_all(log.path, offset)
    assert first + rest == log.path.read_bytes()
    assert read_log(log.path, end) == (b"", end)


def test_a_missing_log_is_empty(tmp_path):
    assert read_log(tmp_path / "none.log", 5) == (b"", 0)
    assert tail(tmp_path / "none.log") == ""


def test_a_small_log_is_not_trimmed(tmp_path):
    log = OpLog(tmp_path / "1.log", cap=MIB)
    fill(log, MIB // 2)
    log.trim()
    assert b"cut" not in read_all(log.path)[0]


def test_thirty_megabytes_stay_within_the_cap_on_disk_with_head_and_tail_readable(tmp_path):
    log = OpLog(tmp_path / "1.log", cap=2 * MIB)
    log.say("the first line")
    for _ in range(30):
        fill(log, MIB)
        log.trim()
        assert on_disk(log.path) <= log.cap + 8192
    log.say("the last line")
    assert log.path.stat().st_size > 30 * MIB - 4096
    text, offset = read_all(log.path)
    assert offset == log.path.stat().st_size
    assert text.startswith(b"sando: the first line\n")
    assert text.endswith(b"sando: the last line\n")
    assert text.count(b"bytes cut ...]\n") == 1
    assert b"\0" not in text
    assert len(text) <= log.cap + 8192
    assert tail(log.path, 1) == "sando: the last line"


def test_the_line_about_the_cut_stands_alone_and_counts_what_is_missing(tmp_path):
    log = OpLog(tmp_path / "1.log", cap=MIB)
    fill(log, 4 * MIB, b"y" * 1000)
    log.trim()
    text, _ = read_all(log.path)
    line = next(line for line in text.splitlines() if line.startswith(b"[..."))
    missing = int(line.split()[1])
    kept = len(text) - len(line) - 2
    assert kept + missing == log.path.stat().st_size


def test_a_follower_whose_offset_was_cut_is_told_and_goes_on_behind_it(tmp_path):
    log = OpLog(tmp_path / "1.log", cap=MIB)
    fill(log, 4 * MIB)
    offset = 2 * MIB + 17
    log.trim()
    piece, offset = read_log(log.path, offset)
    assert piece.startswith(b"[... ")
    following, _ = read_log(log.path, offset, 10)
    assert following.strip(b"x\n") == b""


def test_trimming_is_quiet_where_the_file_system_cannot(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "_fallocate", lambda *_: -1)
    log = OpLog(tmp_path / "1.log", cap=MIB)
    fill(log, 2 * MIB)
    log.trim()
    assert len(read_all(log.path)[0]) == 2 * MIB
    OpLog(tmp_path / "none.log").trim()


@pytest.mark.parametrize("lines, expected", [(1, "c"), (2, "b\nc"), (50, "a\nb\nc")])
def test_the_tail_has_the_last_lines(tmp_path, lines, expected):
    path = tmp_path / "1.log"
    path.write_bytes(b"a\nb\nc\n")
    assert tail(path, lines) == expected


def test_the_tail_of_one_endless_line_of_odd_bytes_is_bounded_text(tmp_path):
    path = tmp_path / "1.log"
    path.write_bytes(b"\xff\x00" * 100_000)
    assert 0 < len(tail(path)) <= 65536
