"""Fetches of the backup: real files, a real rsyncd where there is one, and stand-ins for rsync and ssh on PATH."""

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sando.config import addresses
from sando.model.errors import Cancelled, WorkError
from sando.model.topology import BackupSpec
from sando.work.arrival import Limits
from sando.work.backup import fetch
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Keepers
from sando.work.source import Source, fetch_argv, into, parse, rsync_argv, ssh_argv
from tests.work.wild import until

OLD = b"-- the last good one\n"
DUMP = b"-- PostgreSQL database dump\n" + os.urandom(300_000)
RSYNC = shutil.which("rsync")
SSH_URL = "ssh://backup@prod-1:2222/var/backups/mnw.sql"


@pytest.fixture(scope="module")
def keepers():
    keepers = Keepers.start()
    yield keepers
    keepers.close()


class Place:
    """A source, a target with an old backup in it, and a folder of stand-ins before everything else on PATH."""

    def __init__(self, keepers, folder):
        self.keepers, self.folder = keepers, folder
        self.source, self.programs = folder / "there" / "dump.sql", folder / "bin"
        self.target = folder / "here" / "backup.sql"
        for path in (self.source.parent, self.programs, self.target.parent):
            path.mkdir()
        self.source.write_bytes(DUMP)
        self.target.write_bytes(OLD)
        self.cancel, self.log = CancelToken(), OpLog(folder / "7.log")

    def fetch(self, url=None, limits=None, **keys):
        spec = BackupSpec(source=url or f"file://{self.source}", local_path=str(self.target), **keys)
        limits = limits or Limits(grace_s=0.5, room=0)
        return fetch(spec, self.log, self.keepers, self.cancel, limits)

    def refused(self, *args, **keys):
        with pytest.raises(WorkError) as caught:
            self.fetch(*args, **keys)
        assert caught.value.step == "backup"
        assert self.target.read_bytes() == OLD
        return caught.value

    def stand_in(self, name, script):
        """A program that writes down its argv and pid before it does what `script` says."""
        path = self.programs / name
        noted = f"printf '%s\\n' \"$@\" >{self.folder}/argv; echo $$ >{self.folder}/pid\n"
        path.write_text(f"#!/bin/sh\n{noted}{script}\n")
        path.chmod(0o755)

    @property
    def argv(self):
        return (self.folder / "argv").read_text().splitlines()

    def gone(self):
        return not Path("/proc", (self.folder / "pid").read_text().strip()).exists()

    def arrived(self):
        return sum(p.stat().st_size for p in self.target.parent.glob(".backup.sql.fetch-*"))

    def said(self):
        return self.log.path.read_text()


@pytest.fixture
def place(keepers, tmp_path, monkeypatch):
    place = Place(keepers, tmp_path)
    monkeypatch.setenv("PATH", f"{place.programs}:{os.environ['PATH']}")
    yield place
    assert not list(place.target.parent.glob("*fetch-*"))


class FakeRsync:
    """A stand-in: its last argument is where it writes."""

    def __init__(self, place):
        place.stand_in("rsync", f'for last; do :; done\ncat {place.source} >"$last"')
        self.url = "rsync://127.0.0.1:8730/m/dump.sql"

    def end(self):
        pass


class RealRsync:
    """A real rsyncd on loopback that serves the folder of the source as module `m`."""

    def __init__(self, place):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        mine = f"uid = {os.geteuid()}\ngid = {os.getegid()}\n" if os.geteuid() == 0 else ""
        config = place.folder / "rsyncd.conf"
        config.write_text(f"use chroot = no\n{mine}[m]\npath = {place.source.parent}\n")
        argv = [RSYNC, "--daemon", "--no-detach", "--address=127.0.0.1"]
        self.daemon = subprocess.Popen(
            [*argv, f"--port={self.port}", f"--config={config}"], stdin=subprocess.DEVNULL
        )
        until(self._answers)
        self.url = f"rsync://127.0.0.1:{self.port}/m/dump.sql"

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self):
        self.daemon.terminate()
        self.daemon.wait(10)


@pytest.fixture(params=[FakeRsync, RealRsync] if RSYNC else [FakeRsync])
def rsync(request, place):
    server = request.param(place)
    yield server
    server.end()


@pytest.fixture
def rsyncd(place):
    """The real one, for tests that exist only where it does."""
    server = RealRsync(place)
    yield server
    server.end()


# -- the URL and the argv ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("file:///home/my user/b.sql", Source("file", "/home/my user/b.sql")),
        ("rsync://H/module/path", Source("rsync", "/module/path", "h")),
        ("rsync://10.0.0.1:873/m/a/b", Source("rsync", "/m/a/b", "10.0.0.1", 873)),
        ("ssh://u@h/abs", Source("ssh", "/abs", "h", None, "u")),
        ("ssh://u@[0:0::1]:22/x", Source("ssh", "/x", "::1", 22, "u")),
    ],
)
def test_a_source_is_taken_apart_and_the_config_takes_it_too(url, source):
    assert parse(url) == source
    assert addresses.backup_source(url) == url
    assert parse(source.shown) == source


@pytest.mark.parametrize(
    "url",
    ["", "/a", "file://a", "file://host/a", "file:///", "file:////a", "file:///a/../b", "file:///a?x", "file:///a#x",
     "file:///a\nb", "file:///a%2e", "file:///a/", "FILE:///a", "ext::sh -c x", "http://h/a", "rsync://h/module",
     "rsync://h/m/", "rsync://-h/m/p", "rsync://h/-m/p", "rsync://u@h/m/p", "rsync:///m/p", "rsync://h:0/m/p",
     "rsync://h/m/p a", "rsync://h/m/*", "rsync://h:/m/p", "ssh://h/p", "ssh://-oX@h/p", "ssh://u@-h/p", "ssh://u:pw@h/p",
     "ssh://u@h", "ssh://u@h/", "ssh://u@h:99999/p", "ssh://u@h:-1/p", "ssh://u@h/$(id)", "ssh://u@h/a;b", "ssh://u@h//a",
     "ssh://u@h/a b", "ssh://u@h/d/", "ssh://u@h o/a", "ssh://u@[::1/a", "ssh://u@[::1]x/a", "ssh://u@1.2.3/a",
     "ssh://u@a@h/p", " ssh://u@h/p", "ssh://\tu@h/p", "ssh://u@[fe80::1%25eth0]/p", "ssh://@h/p", "ssh://u:@h/p"],
)  # fmt: skip
def test_a_source_that_could_mean_something_else_is_refused(url):
    with pytest.raises(WorkError, match=r"^backup: \[backup\] source ") as caught:
        parse(url)
    assert caught.value.errored


@pytest.mark.parametrize("url", ["ssh://u:s3cret@h/p", "rsync://u:s3cret@h/m/p", "ssh://s3cret@@h/p"])
def test_a_login_is_never_quoted(url):
    with pytest.raises(WorkError) as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)


def test_ssh_reads_no_config_asks_nobody_and_gets_no_option_from_outside():
    expected = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    expected += ["-i", "/k/id", "-o", "IdentitiesOnly=yes", "-o", 'UserKnownHostsFile="/k/known hosts"']
    expected += ["-p", "2222", "--", "backup@prod-1", "cat -- /var/backups/mnw.sql"]
    assert list(ssh_argv(parse(SSH_URL), "/k/id", "/k/known hosts")) == expected
    plain = list(ssh_argv(parse("ssh://u@[::1]/-x~y"), None, None))
    assert plain == [*expected[:7], "-p", "22", "--", "u@::1", "cat -- '/-x~y'"]


@pytest.mark.parametrize("path", ["id", "-oProxyCommand=x", "/a%h", '/a"b', "/a\\b", "/a\nb", "/${HOME}/id"])
def test_a_key_file_that_ssh_would_read_as_something_else_is_refused(path):
    for files in ((path, None), (None, path)):
        with pytest.raises(WorkError, match="must be an absolute path"):
            ssh_argv(parse(SSH_URL), *files)


def test_rsync_takes_one_regular_file_into_the_one_that_is_there():
    expected = ["rsync", "--no-motd", "--protect-args", "--no-recursive", "--copy-links", "--no-links"]
    expected += ["--no-devices", "--no-specials", "--inplace", "--whole-file", "--"]
    expected += ["rsync://[::1]:8730/m/dump.sql", "/here/.b.fetch-1"]
    assert list(rsync_argv(parse("rsync://[::1]:8730/m/dump.sql"), "/here/.b.fetch-1")) == expected


def test_what_writes_to_stdout_is_led_into_the_file_and_its_name_is_never_read_by_the_shell():
    spec = BackupSpec(source="file:///-a $(id)", local_path="/b")
    argv = fetch_argv(parse(spec.source), spec, "/t $x")
    assert argv == into("/t $x", ("cat", "--", "/-a $(id)"))
    assert list(argv[:2]) == ["sh", "-c"]
    assert list(argv[3:]) == ["sh", "/t $x", "cat", "--", "/-a $(id)"]
    assert "$(id)" not in argv[2]


# -- file:// -----------------------------------------------------------------------------------------------


def test_a_file_arrives_whole_private_and_hashed(place):
    began = time.time()
    told = place.fetch()
    assert place.target.read_bytes() == DUMP
    info = place.target.stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime >= began - 1) == (0o600, True)
    assert told.pop("seconds") < 10
    sha256 = hashlib.sha256(DUMP).hexdigest()
    assert told == {"bytes": len(DUMP), "sha256": sha256, "source": f"file://{place.source}"}
    assert sha256 in place.said()


def test_a_link_to_the_latest_dump_is_followed_and_a_folder_for_it_is_made(place):
    link = place.source.with_name("latest.sql")
    link.symlink_to("dump.sql")
    place.target = place.folder / "new" / "folder" / "backup.sql"
    assert place.fetch(f"file://{link}")["bytes"] == len(DUMP)
    assert place.target.read_bytes() == DUMP


def test_a_name_with_spaces_quotes_and_a_dollar_is_only_a_name(place):
    odd = place.source.with_name("-d '$(id)' \".sql")
    place.source.rename(odd)
    place.target = place.target.with_name("b '$(id)'.sql")
    assert place.fetch(f"file://{odd}")["bytes"] == len(DUMP)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), "cannot read .*dump.sql: No such file"),
        (lambda path: (path.unlink(), path.mkdir()), "dump.sql is no regular file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "dump.sql is no regular file"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot read .*dump.sql: No such file"),
        (lambda path: path.write_bytes(b""), "dump.sql is empty"),
    ],
)
def test_a_source_that_is_no_dump_is_told_and_the_old_one_stays(place, change, told):
    change(place.source)
    error = place.refused()
    assert not error.errored
    assert pytest.raises(WorkError, match=told).matches(error)


def test_a_source_that_may_not_be_read_is_told(place, monkeypatch):
    real = os.access  # root may read everything: only the answer is changed
    monkeypatch.setattr(os, "access", lambda path, *a, **k: "dump" not in str(path) and real(path, *a, **k))
    assert "no permission" in str(place.refused())


def test_a_source_that_changes_while_it_is_copied_is_not_taken(place):
    place.stand_in("cat", f'/bin/cat "$@"\necho more >>{place.source}')
    error = place.refused()
    assert "changed while it was copied" in str(error)
    assert not error.errored


def test_a_source_that_only_seems_untouched_but_arrives_short_is_not_taken(place):
    place.stand_in("cat", "echo half")
    assert "changed while it was copied" in str(place.refused())


def test_source_and_target_that_are_one_file_are_refused(place):
    assert "are one file" in str(place.refused(f"file://{place.target}"))


def test_a_target_that_is_no_file_is_never_replaced(place):
    kept, place.target = place.target, place.folder / "fifo"
    os.mkfifo(place.target)
    with pytest.raises(WorkError, match=r"fifo .* is no regular file"):
        place.fetch()
    assert stat.S_ISFIFO(place.target.stat().st_mode)
    place.target = kept


@pytest.mark.parametrize("path", ["backup.sql", "-x", "/tmp/../b", "/tmp/a\nb"])
def test_a_target_that_is_no_plain_path_is_refused(place, path):
    spec = BackupSpec(source=f"file://{place.source}", local_path=path)
    with pytest.raises(WorkError, match="plain absolute path"):
        fetch(spec, place.log, place.keepers, place.cancel)


def test_a_folder_that_cannot_be_had_is_told_as_could_not_run(place):
    spec = BackupSpec(source=f"file://{place.source}", local_path=f"{place.source}/in-a-file/b.sql")
    with pytest.raises(WorkError, match=r"cannot write .*: Not a directory") as caught:
        fetch(spec, place.log, place.keepers, place.cancel)
    assert caught.value.errored


def test_leftovers_of_killed_fetches_are_swept_and_nothing_else(place):
    left = place.target.with_name(".backup.sql.fetch-0123456789abcdef")
    others = [".backup.sql.fetched", ".other.sql.fetched-0123456789abcdef", "backup.sql.1"]
    for name in (left.name, *others):
        place.target.with_name(name).write_bytes(b"x")
    place.fetch()
    assert sorted(p.name for p in place.target.parent.iterdir()) == sorted([*others, "backup.sql"])


@pytest.mark.parametrize(("last", "warned"), [(2 * len(DUMP) + 1, True), (2 * len(DUMP), False)])
def test_less_than_half_of_the_last_one_is_taken_with_a_warning(place, last, warned):
    with place.target.open("wb") as file:
        file.truncate(last)
    place.fetch()
    assert place.target.read_bytes() == DUMP
    assert ("warning: " in place.said()) is warned


def test_a_disk_that_would_be_full_ends_the_fetch_as_could_not_run(place):
    place.stand_in("cat", "echo begun; exec sleep 300")
    error = place.refused(limits=Limits(room=2**60, grace_s=0.5))
    assert "make room" in str(error)
    assert error.errored
    assert place.gone()


# -- rsync:// ----------------------------------------------------------------------------------------------


def test_rsync_brings_the_whole_file(place, rsync):
    told = place.fetch(rsync.url)
    assert place.target.read_bytes() == DUMP
    assert stat.S_IMODE(place.target.stat().st_mode) == 0o600
    assert (told["sha256"], told["source"]) == (hashlib.sha256(DUMP).hexdigest(), rsync.url)


def test_rsync_is_called_as_built(place):
    fake = FakeRsync(place)
    place.fetch(fake.url)
    assert place.argv[:-1] == list(rsync_argv(parse(fake.url), "x"))[1:-1]
    assert Path(place.argv[-1]).parent == place.target.parent


@pytest.mark.parametrize(("status", "errored"), [(5, False), (10, True), (12, True), (23, False), (30, True)])
def test_rsync_that_ends_badly_says_why_and_whether_it_was_the_line(place, status, errored):
    why = "echo 'rsync: [sender] link_stat failed: No such file' >&2; echo 'rsync error: code' >&2"
    place.stand_in("rsync", f'for last; do :; done\necho half >"$last"; {why}; exit {status}')
    error = place.refused("rsync://prod-1/m/dump.sql")
    assert f"rsync ended with exit status {status}: rsync: [sender] link_stat failed" in str(error)
    assert error.errored is errored
    assert "link_stat" in error.tail


if RSYNC:

    @pytest.mark.parametrize("name", ["gone.sql", "folder", "fifo"])
    def test_a_real_rsyncd_has_nothing_but_files_to_give(place, rsyncd, name):
        (place.source.parent / "folder").mkdir()
        os.mkfifo(place.source.parent / "fifo")
        error = place.refused(f"rsync://127.0.0.1:{rsyncd.port}/m/{name}")
        assert not error.errored

    def test_a_real_rsyncd_gives_what_its_link_names(place, rsyncd):
        (place.source.parent / "latest.sql").symlink_to("dump.sql")
        place.fetch(f"rsync://127.0.0.1:{rsyncd.port}/m/latest.sql")
        assert place.target.read_bytes() == DUMP
        assert not place.target.is_symlink()

    def test_a_real_rsyncd_without_the_module_says_no(place, rsyncd):
        error = place.refused(f"rsync://127.0.0.1:{rsyncd.port}/other/dump.sql")
        assert "Unknown module" in str(error)
        assert not error.errored

    def test_a_real_rsync_that_reaches_nobody_could_not_run(place, rsyncd):
        rsyncd.end()
        assert place.refused(rsyncd.url).errored


# -- ssh:// ------------------------------------------------------------------------------------------------


def test_ssh_brings_what_the_other_side_writes_and_its_warnings_go_to_the_log(place):
    key, known = place.folder / "id", place.folder / "known hosts"
    key.touch()
    known.touch()
    place.stand_in("ssh", f"echo a warning >&2\ncat {place.source}")
    told = place.fetch(SSH_URL, identity_file=str(key), known_hosts=str(known))
    assert place.target.read_bytes() == DUMP
    assert place.argv == list(ssh_argv(parse(SSH_URL), str(key), str(known)))[1:]
    assert (told["bytes"], told["source"]) == (len(DUMP), SSH_URL)
    assert "a warning" in place.said()


def test_the_path_is_one_word_for_the_shell_on_the_other_side(place):
    """The stand-in does what sshd does with its last argument."""
    odd = place.source.with_name("-a~b=c,d.sql")
    place.source.rename(odd)
    place.stand_in("ssh", 'for last; do :; done\nexec sh -c "$last"')
    place.fetch(f"ssh://u@h{odd}")
    assert place.target.read_bytes() == DUMP


def test_ssh_sees_nothing_of_the_daemons_secrets(place, monkeypatch):
    for name in ("PGPASSWORD", "SANDO_TOKEN", "SSH_AUTH_SOCK", "RSYNC_RSH"):
        monkeypatch.setenv(name, "s3cret")
    place.stand_in("ssh", "env")
    place.fetch(SSH_URL)
    assert b"s3cret" not in place.target.read_bytes()


@pytest.mark.parametrize(
    ("script", "told", "errored"),
    [
        ("echo half; echo 'Connection closed by 10.0.0.1' >&2; exit 255", "Connection closed", True),
        ("echo 'cat: /var/x: Permission denied' >&2; exit 1", "status 1: cat: /var/x: Permission", False),
        ("kill -9 $$", "killed by SIGKILL", True),
        ("printf 'a\\033[2Jb' >&2; exit 1", "status 1: a\\x1b[2Jb", False),
        ("exit 0", "is empty", False),
    ],
)
def test_ssh_that_ends_badly_says_why_and_whether_it_was_the_line(place, script, told, errored):
    place.stand_in("ssh", script)
    error = place.refused(SSH_URL)
    assert told in str(error)
    assert error.errored is errored


def test_an_unknown_host_key_says_which_line_to_verify(place):
    place.stand_in("ssh", "echo 'Host key verification failed.' >&2; exit 255")
    known = place.folder / "known"
    known.touch()
    error = place.refused(SSH_URL, known_hosts=str(known))
    assert "`ssh-keyscan -p 2222 prod-1`" in str(error)
    assert str(known) in str(error)


def test_a_key_file_that_is_not_there_is_told_before_anything_is_started(place):
    place.stand_in("ssh", "echo never")
    missing = str(place.folder / "no-key")
    assert f"cannot read {missing} ([backup] identity_file)" in str(
        place.refused(SSH_URL, identity_file=missing)
    )
    assert not (place.folder / "argv").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [(SSH_URL, "ssh is not installed here: install it (package openssh-client)"),
     ("rsync://h/m/p", "rsync is not installed here: install it (package rsync)")],
)  # fmt: skip
def test_a_program_that_is_missing_is_told_by_name(place, monkeypatch, url, told):
    monkeypatch.setenv("PATH", str(place.programs))
    error = place.refused(url)
    assert told in str(error)
    assert error.errored


# -- ends --------------------------------------------------------------------------------------------------


def test_a_line_that_falls_silent_is_ended_after_the_idle_time(place):
    place.stand_in("ssh", "echo begun; trap '' TERM; sleep 300 & wait; sleep 300")
    error = place.refused(SSH_URL, limits=Limits(idle_s=0.4, grace_s=0.2, room=0))
    assert "nothing arrived for" in str(error)
    assert "after 6 bytes" in str(error)
    assert error.errored
    assert place.gone()


def test_a_slow_line_that_goes_on_is_not_ended_before_the_whole_time_is_over(place):
    place.stand_in("ssh", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.15; done")
    place.fetch(SSH_URL, limits=Limits(idle_s=0.8, room=0))
    assert place.target.read_bytes() == b"1\n2\n3\n4\n5\n6\n7\n8\n"
    place.target.write_bytes(OLD)
    place.stand_in("ssh", "while :; do echo on; sleep 0.05; done")
    error = place.refused(SSH_URL, limits=Limits(total_s=1.0, idle_s=0.9, grace_s=0.2, room=0))
    assert "timed out after 1s" in str(error)
    assert place.gone()


@pytest.mark.parametrize(("url", "name"), [(SSH_URL, "ssh"), ("rsync://h/m/p", "rsync"), (None, "cat")])
def test_a_cancelled_fetch_leaves_the_old_file_and_no_process(place, url, name):
    out = '>"$last"' if name == "rsync" else ""
    place.stand_in(name, f"for last; do :; done\necho begun {out}\nsleep 300 & wait")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(place.fetch, url)
        until(place.arrived)
        place.cancel.cancel()
        with pytest.raises(Cancelled):
            future.result(20)
    assert place.target.read_bytes() == OLD
    assert place.gone()


def test_a_cancel_between_arrival_and_rename_is_heard(place, monkeypatch):
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (real(fd), place.cancel.cancel()))
    with pytest.raises(Cancelled):
        place.fetch()
    assert place.target.read_bytes() == OLD


def test_a_fetch_that_was_cancelled_before_it_began_touches_nothing(place):
    place.cancel.cancel()
    with pytest.raises(Cancelled):
        place.fetch()
    assert place.target.read_bytes() == OLD
    assert not place.log.path.exists()


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(place):
    seen, over = set(), threading.Event()

    def read():
        while not over.is_set():
            seen.add(hashlib.sha256(place.target.read_bytes()).digest())

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        place.fetch()
        over.set()
        reader.result(20)
    assert seen <= {hashlib.sha256(x).digest() for x in (OLD, DUMP)}
