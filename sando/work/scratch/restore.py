"""Restores a backup into the open scratch database, and says so while it does. A dump that cannot be used is errored."""

import contextlib
import os
import select
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fcntl import F_SETPIPE_SZ, fcntl
from io import FileIO
from typing import NamedTuple

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.running import Exit
from sando.work.scratch import archive, extensions
from sando.work.scratch.client import lines, told
from sando.work.scratch.complaint import Complaint
from sando.work.scratch.dump import Dump, Reading, digest_of_folder, megabytes, not_whole
from sando.work.scratch.job import Job
from sando.work.scratch.judge import Unreadable
from sando.work.scratch.lexer import Lexer
from sando.work.scratch.opening import Scratch
from sando.work.scratch.said import Said
from sando.work.scratch.scouts import Extensions
from sando.work.scratch.sieve import Sieve

_SAY_S = 5.0
_LOOK_S = 0.25
_PIPE_BYTES = 2**20
_HEAD_BYTES = 4 * 2**20  # in which a dump makes its extensions
_HINTS = {
    "42501": "; it is restored by a role that owns the scratch database and nothing else",
    "42704": "; what a dump takes for granted has to be there: on a server of your own, make it there once",
}


class Restored(NamedTuple):
    seconds: float
    sha256: str
    """Of the bytes that were restored."""


def restore(scratch: Scratch, dump: Dump, job: Job) -> Restored:
    """WorkError (errored) says what is wrong with the dump, by its line where it has lines; the database is half full then."""
    _compare_versions(scratch, dump, job)
    _check_room(scratch, dump, job)
    begun = time.monotonic()
    way = _plain if dump.kind.form == "plain" else _archive
    sha256 = way(scratch, dump, job)
    seconds = time.monotonic() - begun
    job.say(f"restore: {megabytes(dump.bytes)} restored in {seconds:.1f}s")
    return Restored(round(seconds, 3), sha256)


def _compare_versions(scratch: Scratch, dump: Dump, job: Job) -> None:
    if dump.kind.least > scratch.major:
        made = f"pg_dump {dump.kind.made} of a server {dump.kind.came_from}"
        raise job.cannot(
            f"the backup was made by {made}, and the scratch database is of PostgreSQL {scratch.major}: install "
            f"PostgreSQL {dump.kind.least} (Debian: apt-get install postgresql-{dump.kind.least}), or name such a server in scratch_db_url"
        )
    if dump.kind.came_from and not dump.kind.came_from.startswith(f"{scratch.major}."):
        job.say(f"restore: the backup is of PostgreSQL {dump.kind.came_from}, rehearsed on {scratch.major}")


def _check_room(scratch: Scratch, dump: Dump, job: Job) -> None:
    """Before an hour of work: what is restored takes at least the room of what it is restored from."""
    free = shutil.disk_usage(scratch.client.folder).free
    if scratch.admin and free < dump.bytes:
        raise job.cannot(
            f"the backup has {megabytes(dump.bytes)}, and {scratch.client.folder.parent} has room for {megabytes(free)}: free some, "
            "give workdir a roomier disk, or set scratch_db_url"
        )


class _Progress:
    """Tells how far it is, every few seconds and no more."""

    def __init__(self, job: Job, dump: Dump, done: Callable[[], int] | None = None) -> None:
        self._job = job
        self._total = megabytes(dump.bytes)
        self._done = done
        self._begun = self._told = time.monotonic()

    def look(self) -> None:
        now = time.monotonic()
        if now - self._told >= _SAY_S:
            self._told = now
            done = f"{megabytes(self._done())} of " if self._done else ""
            self._job.say(f"restore: {done}{self._total}, {span(now - self._begun)} so far")
            self._job.log.trim()


# -- plain SQL ---------------------------------------------------------------------------------------------------------


def _plain(scratch: Scratch, dump: Dump, job: Job) -> str:
    if not scratch.client.programs.restricts:
        raise job.cannot(
            f"psql of {scratch.client.programs} cannot be kept from running commands that a dump has in it "
            "(CVE-2025-8714): update it, or make the dump with `pg_dump -Fc`"
        )
    provided = extensions.provide(scratch, _extensions_of(dump, job), job)
    roles = extensions.Roles(scratch)
    sieve = Sieve(provided.extensions, provided.schemas, roles.need, by_hand=dump.kind.by_hand)
    reading, offset = Reading(dump), job.log.size()
    with _psql(scratch, dump) as (psql, pipe):
        feed = _Feed(psql, pipe, job, _Progress(job, dump, lambda: reading.done))
        try:
            _stream(reading, Lexer(sieve), feed, job)
            if missing := sieve.missing():
                raise not_whole(dump, job, missing)
        except Unreadable as error:
            raise _unreadable(dump, error, sieve, job) from error
        except _HungUp:
            ended = feed.close()
            if ended.ok:
                raise job.cannot("psql ended before the backup did") from None
        else:
            ended = feed.close()
    _judge(ended, lines(job.log, offset), job)
    for what, count in sieve.left_out.items():
        job.say(f"restore: left out: {what} ({count})")
    return reading.sha256()


def _extensions_of(dump: Dump, job: Job) -> dict[str, str]:
    """They stand at the beginning; what follows later is left to the server."""
    scout, read = Extensions(), 0
    lexer = Lexer(scout)
    with contextlib.suppress(Unreadable):  # told when its line comes
        for piece in Reading(dump).pieces(job):
            lexer.feed(piece)
            read += len(piece)
            if scout.over or read > _HEAD_BYTES:
                break
    return scout.found


def _stream(reading: Reading, lexer: Lexer, feed: "_Feed", job: Job) -> None:
    for piece in reading.pieces(job):
        feed.write(lexer.feed(piece))
    feed.write(lexer.end())


def _unreadable(dump: Dump, error: Unreadable, sieve: Sieve, job: Job) -> WorkError:
    if error.why.startswith("it ends inside"):
        table = f" of {sieve.table}" if error.why.endswith("COPY that begins here") else ""
        return not_whole(dump, job, f"{error.why}{table}, line {error.line}")
    return job.cannot(f"the backup {dump.path} cannot be used: line {error.line}: {error.why}")


@contextmanager
def _psql(scratch: Scratch, dump: Dump) -> Iterator[tuple[Said, FileIO]]:
    """A restricted psql and the pipe that feeds it; in a cluster of our own all of it is one transaction.

    The end of its input would have psql commit what it has: unless that was the end of the dump, psql ends first.
    """
    read, write = os.pipe()
    pipe = FileIO(write, "w")
    try:
        with contextlib.suppress(OSError):  # a limit of this machine: only slower
            fcntl(pipe, F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(write, False)
        words = ["-f", "-", *(["--single-transaction"] if scratch.admin else [])]
        psql = scratch.client.psql(words, restricted=True, stdin=read, name=dump.path.name)
    except BaseException:
        pipe.close()
        raise
    finally:
        os.close(read)
    with pipe:
        try:
            yield psql, pipe
        finally:
            psql.end(0.0)


class _HungUp(Exception):
    """psql reads no further: it will say why."""


class _Feed:
    """Writes to psql as fast as it reads, and stays able to be stopped."""

    def __init__(self, psql: Said, pipe: FileIO, job: Job, progress: _Progress) -> None:
        self._psql = psql
        self._pipe = pipe
        self._job = job
        self._progress = progress
        self._poll = select.poll()
        self._poll.register(pipe, select.POLLOUT)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._progress.look()
            self._psql.pass_on()
            self._job.left()
            try:
                written = self._pipe.write(rest)
            except BrokenPipeError:
                raise _HungUp from None
            if written is None:  # the pipe is full
                self._poll.poll(_LOOK_S * 1000)
            else:
                rest = rest[written:]

    def close(self) -> Exit:
        """There is no more to read: wait for its end."""
        self._pipe.close()
        return _wait(self._psql, self._job, self._progress)


# -- archives ----------------------------------------------------------------------------------------------------------


def _archive(scratch: Scratch, dump: Dump, job: Job) -> str:
    """pg_restore reads the file itself, so it is hashed beside that."""
    with ThreadPoolExecutor(1, "hash") as pool, archive.seekable(dump, scratch.client.folder, job) as fd:
        digest = pool.submit(_digest, dump, job)
        words = archive.prepare(scratch, dump, fd, job)
        offset = job.log.size()
        running = scratch.client.pg_restore(words, fd, dump.path.name)
        try:
            ended = _wait(running, job, _Progress(job, dump))
        finally:
            running.end(0.0)
        _judge(ended, lines(job.log, offset), job)
        return digest.result()


def _digest(dump: Dump, job: Job) -> str:
    if dump.kind.form == "directory":
        return digest_of_folder(dump, job)
    reading = Reading(replace(dump, packing=""))
    for _ in reading.pieces(job, 2**20):
        pass
    return reading.sha256()


# -- both --------------------------------------------------------------------------------------------------------------


def _wait(running: Said, job: Job, progress: _Progress) -> Exit:
    drop = job.cancel.on_cancel(lambda: running.ask_end(0.0))
    try:
        while (ended := running.wait(min(_LOOK_S, job.left()))) is None:
            progress.look()
    finally:
        drop()
    job.cancel.check()
    return ended


def _judge(ended: Exit, said: list[str], job: Job) -> None:
    if ended.ok:
        return
    why = told(said)
    line = f"line {why.line}: " if isinstance(why, Complaint) and why.line else ""
    hint = _HINTS.get(why.state, "") if isinstance(why, Complaint) else ""
    raise job.cannot(f"the backup does not restore: {line}{why or ended}{hint}", "\n".join(said[-50:]))
