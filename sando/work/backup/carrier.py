"""Brings the source into a folder of ours: by a stream (a file of this machine, ssh) or by rsync. It judges no content."""

import os
import re
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from sando.model.errors import WorkError
from sando.model.topology import BackupSpec
from sando.work.backup import source, trouble
from sando.work.backup.arrival import Limits, Progress, Watch, no_room, too_large
from sando.work.backup.inflow import Inflow, LimitOver, header, put_file, put_folder
from sando.work.backup.place import size_of
from sando.work.backup.source import STEP, Source
from sando.work.cancel import CancelToken
from sando.work.log import OpLog, tail
from sando.work.process import Exit, Keepers, Running, clean_env

_LISTED = re.compile(r"([-dlpscbD])\S{9}\s+([0-9]+) (\S+ \S+) (.*)")
_LINES = 50


class _Row(NamedTuple):
    """A file as rsync lists it; `kind` is the first letter of its mode, `at` the time that it was changed."""

    kind: str
    size: int
    at: str
    name: str


def _wait(_job: Running) -> None:
    """There is nothing to read: it is waited for."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """One transport of one source into `folder`, which is empty. Whatever it raises, nothing that it started is alive."""

    source: Source
    spec: BackupSpec
    folder: Path
    log: OpLog
    keepers: Keepers
    cancel: CancelToken
    limits: Limits
    progress: Progress

    def bring(self) -> Path:
        """The file or folder that came. WorkError, errored where it could not run; Cancelled."""
        data = self.folder / "data"
        if self.source.scheme == "rsync":
            self._sync(data)
        else:
            self._stream(data)
        return data

    # -- a stream ----------------------------------------------------------------------------------------------

    def _stream(self, data: Path) -> None:
        pipe, word = self.folder / "pipe", token_hex(8)
        os.mkfifo(pipe, 0o600)
        with closing(Inflow(pipe)) as inflow:
            watch = self._watch(lambda: inflow.size)

            def receive(job: Running) -> None:
                inflow.begin(job, watch, self.cancel)
                kind, watch.of = header(inflow, word)
                self._check_room(watch.of)
                if kind == "folder":
                    put_folder(inflow, data)
                else:
                    put_file(inflow, data, word)

            argv = source.into(str(pipe), source.send_argv(self.source, self.spec, word))
            self._run(argv, watch, self.log, receive)

    # -- rsync -------------------------------------------------------------------------------------------------

    def _sync(self, data: Path) -> None:
        """Listed before and after: what changed meanwhile is no dump of any moment."""
        first = self._list()
        folder = first[0].kind == "d"
        inside = [row for row in self._list(inside=True) if row.name != "."] if folder else first
        if any(row.kind != "-" for row in inside):
            why = "it is neither a file nor a folder of files: name the dump itself"
            raise trouble.told(self.source, why)
        watch = self._watch(lambda: size_of(data))
        watch.of = sum(row.size for row in inside)
        self._check_room(watch.of)
        if folder:
            data.mkdir(0o700)
            argv = source.folder_argv(self.source, str(data))
        else:
            os.close(os.open(data, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            argv = source.file_argv(self.source, str(data))
        self._run(argv, watch, self.log, _wait)
        again = [row for row in self._list(inside=folder) if row.name != "."]
        if again != inside or size_of(data) != watch.of:
            raise trouble.changed(self.source)

    def _list(self, *, inside: bool = False) -> list[_Row]:
        """What there is, or the files in it."""
        log = OpLog(self.folder / f"list-{token_hex(4)}")
        argv = source.list_argv(self.source, inside=inside)
        try:
            watch = Watch(log.size, self.folder.parent, self.limits, None)
            self._run(argv, watch, log, _wait)
        except WorkError as error:
            for line in error.tail.splitlines():
                self.log.say(f"rsync: {line}")
            raise
        text = log.path.read_text("utf-8", "replace")
        found = [_Row(m[1], int(m[2]), m[3], m[4]) for m in map(_LISTED.fullmatch, text.splitlines()) if m]
        if not found:
            raise trouble.told(self.source, "rsync lists nothing there: look at its path", tail=text)
        return found

    # -- what both need ----------------------------------------------------------------------------------------

    def _watch(self, size: Callable[[], int]) -> Watch:
        return Watch(size, self.folder.parent, self.limits, self.progress)

    def _check_room(self, whole: int | None) -> None:
        if why := too_large(self.folder.parent, whole, self.limits.room):
            raise trouble.told(self.source, why, errored=True)

    def _run(
        self, argv: tuple[str, ...], watch: Watch, log: OpLog, receive: Callable[[Running], None]
    ) -> None:
        """Run it to its end, and hear what it sends; nothing of it is alive when this returns or raises."""
        job = self.keepers.spawn(argv, cwd=self.folder, env=self._env(), log=log, step=STEP)
        unhook = self.cancel.on_cancel(lambda: job.ask_end(self.limits.grace_s))
        broken = ""
        try:
            try:
                receive(job)
                ended = self._until_end(job, watch)
            except LimitOver:
                ended = job.end(self.limits.grace_s)
            except tarfile.TarError as error:
                broken = f"what came is no whole tar ({error})"
                ended = job.wait(self.limits.grace_s) or job.end(self.limits.grace_s)
            except BaseException:  # whatever it was, the tree does not outlive its owner
                job.end(self.limits.grace_s)
                raise
        finally:
            unhook()
            log.trim()
        if job.stuck:
            raise WorkError(STEP, f"could not be killed: {', '.join(job.stuck)}", errored=True)
        self.cancel.check()
        if why := watch.why or (not ended.ok and no_room(self.folder.parent, self.limits.room)):
            raise trouble.told(self.source, why, errored=True, tail=tail(log.path, _LINES))
        if not ended.ok:
            raise trouble.refused(self.source, self.spec, ended, tail(log.path, _LINES))
        if broken:
            raise trouble.told(self.source, broken, errored=True)

    def _until_end(self, job: Running, watch: Watch) -> Exit:
        while (ended := job.wait(watch.tick())) is None:
            if self.cancel.cancelled or watch.over():
                return job.end(self.limits.grace_s)
        return ended

    def _env(self) -> dict[str, str]:
        """An ssh may ask the agent of sandod's user, as for nodes; what runs here is nobody else's program."""
        agent = os.environ.get("SSH_AUTH_SOCK", "") if self.source.scheme == "ssh" else ""
        return clean_env({"LC_ALL": "C", **({"SSH_AUTH_SOCK": agent} if agent else {})})
