"""What is logged while nobody reads it, or nobody can: it is lost and counted, and whoever has logged it goes on."""

import logging
import os
import threading

import pytest

from sando import logs


@pytest.fixture
def pipe():
    """Its reading and its writing end; nobody reads unless the test does."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def fill(end):
    os.set_blocking(end, False)
    try:
        while True:
            os.write(end, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(end, True)


def drained(end):
    os.set_blocking(end, False)
    heard = b""
    try:
        while piece := os.read(end, 65536):
            heard += piece
    except BlockingIOError:
        pass
    return heard.lstrip(b".").decode()


def record(text):
    return logging.LogRecord("sandod", logging.INFO, "", 0, text, (), None)


def sink(end):
    made = logs.Sink(end)
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


def test_a_pipe_that_nobody_reads_keeps_nobody_and_what_was_lost_is_counted(pipe):
    read, write = pipe
    mine = sink(write)
    mine.handle(record("before"))
    assert drained(read) == "before\n"
    fill(write)
    threads = [
        threading.Thread(target=lambda: [mine.handle(record("lost")) for _ in range(100)]) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drained(read) == ""
    mine.handle(record("after"))
    assert drained(read) == "500 lines were lost here: nobody took what was written to stderr\nafter\n"


def test_a_line_that_was_taken_in_part_does_not_run_into_the_next(pipe):
    read, write = pipe
    mine = sink(write)
    mine.handle(record("x" * 200_000))
    heard = drained(read)
    assert set(heard) == {"x"}, "as much as there was room for"
    mine.handle(record("after"))
    assert drained(read).splitlines()[1:] == [
        "1 lines were lost here: nobody took what was written to stderr",
        "after",
    ]


def test_a_reader_that_has_gone_is_no_error(pipe):
    read, write = pipe
    os.close(read)
    mine = sink(write)
    mine.handle(record("lost"))
    os.close(write)
    mine.handle(record("lost too"))
