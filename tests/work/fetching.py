"""A place to fetch a backup into: a source, a target with an old backup, and stand-ins for programs on PATH."""

import os
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from sando.model.errors import Cancelled, WorkError
from sando.model.topology import BackupSpec
from sando.work.backup import fetch
from sando.work.backup.arrival import Limits
from sando.work.backup.place import size_of
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from tests.ports import free_port
from tests.work.wild import until

HEAD = b"--\n-- PostgreSQL database dump\n--\n\n"
END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"


def plain(size=300_000):
    """A whole dump as far as its ends say it; what is between is noise."""
    return HEAD + os.urandom(size).replace(b"\n", b" ").replace(b"\r", b" ") + END


OLD = HEAD + b"-- the last good one" + END
DUMP = plain()
TOC = (
    b"PGDMP\x01\x0e\x00\x04\x08\x05" + b"\0" * 5 + b"\0" * 35 + b"\x01\x01\0\0\0" * 3 + b"\0" * 5
)  # no entries: a folder of it alone is whole


class Place:
    def __init__(self, keepers, folder):
        self.keepers, self.folder = keepers, folder
        self.source, self.programs = folder / "there" / "dump.sql", folder / "bin"
        self.target = folder / "here" / "backup.sql"
        for path in (self.source.parent, self.programs, self.target.parent):
            path.mkdir()
        self.source.write_bytes(DUMP)
        self.target.write_bytes(OLD)
        self.cancel, self.log = CancelToken(), OpLog(folder / "7.log")
        self.told = []

    def fetch(self, url=None, limits=None, **keys):
        spec = BackupSpec(source=url or f"file://{self.source}", local_path=str(self.target), **keys)
        limits = limits or Limits(grace_s=0.5, room=0)
        return fetch(spec, self.log, self.keepers, self.cancel, self.told.append, limits)

    def refused(self, *args, **keys):
        """The fetch brought nothing, and the old one is what it was, with nothing beside it."""
        with pytest.raises(WorkError) as caught:
            self.fetch(*args, **keys)
        assert caught.value.step == "backup"
        self.untouched()
        return caught.value

    def untouched(self):
        assert self.target.read_bytes() == OLD
        assert [p.name for p in self.target.parent.iterdir()] == [self.target.name]

    def folder_of_dump(self, **files):
        """The source is the folder of a dump with these files; answers its content."""
        self.source.unlink()
        self.source.mkdir()
        content = {"toc.dat": TOC, **{name.replace("_", "."): data for name, data in files.items()}}
        for name, data in content.items():
            (self.source / name).write_bytes(data)
        return content

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

    def begun(self):
        """Whether a program that stands in has been started."""
        return (self.folder / "pid").exists() and (self.folder / "pid").read_text().endswith("\n")

    def arrived(self):
        """Bytes that lie beside the target now."""
        folders = self.target.parent.glob(".backup.sql.fetch-*")
        return sum(size_of(folder / "data") for folder in folders)

    def said(self):
        return self.log.path.read_text()


@contextmanager
def on_the_way(place, at=100_000, **keys):
    """A fetch of which that much has arrived when this is entered; it yields a call that answers why it ended."""
    errors = []

    def run():
        try:
            place.fetch(**keys)
        except (WorkError, Cancelled) as error:
            errors.append(error)

    def ended():
        thread.join(30)
        assert not thread.is_alive()
        place.untouched()
        return errors[0]

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: place.arrived() >= at or errors)
        assert not errors, errors
        yield ended
    finally:
        place.cancel.cancel()
        thread.join(30)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def place(keepers, tmp_path, monkeypatch):
    """A test module takes it with `place = fetching.place`. Stand-ins come first on PATH."""
    made = Place(keepers, tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:{os.environ['PATH']}")
    yield made
    assert not list(made.target.parent.glob("*fetch-*")), "something is left beside the target"


class Rsyncd:
    """A real rsyncd on loopback that serves the folder of the source as module `m`."""

    def __init__(self, place, *options):
        self.place = place
        self.port = free_port()
        mine = f"uid = {os.geteuid()}\ngid = {os.getegid()}\n" if os.geteuid() == 0 else ""
        config = place.folder / "rsyncd.conf"
        lines = "\n".join(options)
        config.write_text(f"use chroot = no\n{mine}[m]\npath = {place.source.parent}\n{lines}\n")
        argv = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1"]
        self.daemon = subprocess.Popen(
            [*argv, f"--port={self.port}", f"--config={config}"], stdin=subprocess.DEVNULL
        )
        until(self._answers)

    def _answers(self):
        probe = ["rsync", "--no-motd", f"rsync://127.0.0.1:{self.port}/"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def url(self, name=None, port=None):
        return f"rsync://127.0.0.1:{port or self.port}/m/{name or self.place.source.name}"

    def end(self):
        self.daemon.terminate()
        self.daemon.wait(10)


@pytest.fixture
def rsyncd(place):
    server = Rsyncd(place)
    yield server
    server.end()
