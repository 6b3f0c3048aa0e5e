"""sd_notify, the one line of the status, and the log's form before the journal: what needs no daemon."""

import io
import json
import logging
import os
import socket
import sys
from pathlib import Path

import pytest

from sando import logs
from sando.model.headline import headline
from sando.sd import Notify


def test_what_is_said_is_one_datagram_of_plain_lines(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        assert Notify(str(tmp_path / "notify")).say(READY=1, STATUS="two\nlines\x1b[31m")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=two lines\\x1b[31m"


def test_a_socket_that_is_full_or_gone_holds_nobody_up(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("sando.sd.SEND_S", 0.05)
    path = str(tmp_path / "notify")
    notify = Notify(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        while notify.say(WATCHDOG=1):
            pass
    assert not notify.say(READY=1)
    assert len(caplog.records) == 1, "told once, not at each ping"


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", "", 30.0), ("30000000", "me", 30.0), ("30000000", "1", 0.0), ("soon", "", 0.0)],
)
def test_the_environment_is_taken_and_nothing_of_it_is_left_for_children(usec, pid, seconds) -> None:
    pid = str(os.getpid()) if pid == "me" else pid
    environ = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": usec,
        "WATCHDOG_PID": pid,
        "LISTEN_FDS": "1",
        "PATH": "/bin",
    }
    notify = Notify.take(environ)
    assert (notify.heard, notify.watchdog_s) == (True, seconds)
    assert environ == {"PATH": "/bin"}
    assert not Notify.take({"NOTIFY_SOCKET": "vsock:2:1"}).heard
    assert not Notify.take({}).heard


def tier(name: str, version: str | None, status: str, operation: int | None = None) -> dict[str, object]:
    return {
        "name": name, "provisioned": True, "current_version": version, "status": status, "operation": operation,
    }  # fmt: skip


def test_the_headline_says_what_stands_where_and_what_is_at_work() -> None:
    state = {"build": None, "tiers": [tier("mm", "1.1", "steady"), tier("a", None, "empty")]}
    assert headline(state) == "mm 1.1, a empty; idle"
    state["build"] = {"operation": 7, "sha": "abcdef0123", "phase": "gates"}
    state["tiers"] = [tier("mm", "1.1", "steady"), tier("a", "1.0", "deploying", 8)]
    assert (
        headline(state)
        == "mm 1.1, a 1.0 (deploying); build 7 of abcdef0 runs its gates; operation 8 deploys to a"
    )


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("tiers", level, "x.py", 1, text, None, None)


def test_for_the_journal_each_line_has_its_priority_and_no_time_of_its_own() -> None:
    form = logs.TextFormat(journal=True)
    assert form.format(record(logging.ERROR, "a\nb")) == "<3>tiers: a\n<3>    b"
    levels = [logging.CRITICAL, logging.WARNING, logging.INFO, logging.DEBUG]
    assert [form.format(record(level, "x"))[:3] for level in levels] == ["<2>", "<4>", "<6>", "<7>"]
    line = logs.JsonFormat(journal=True).format(record(logging.WARNING, "x"))
    assert line.startswith("<4>{")
    assert json.loads(line[3:])["level"] == "warning"


def test_else_text_has_its_time_and_level() -> None:
    assert logs.TextFormat().format(record(logging.INFO, "x")).endswith("Z INFO tiers: x")
    assert json.loads(logs.JsonFormat().format(record(logging.INFO, "x")))["at"].endswith("Z")


def test_stderr_is_the_journal_only_where_the_variable_names_it(monkeypatch) -> None:
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert logs.to_journal()
    assert logs.priority(logging.ERROR) == "<3>"
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
    assert not logs.to_journal()
    monkeypatch.delenv("JOURNAL_STREAM")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert logs.priority(logging.ERROR) == ""
