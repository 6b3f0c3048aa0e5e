"""Fetches the production backup beside the old one and puts it in its place; it never looks into a dump."""

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.topology import BackupSpec
from sando.work.arrival import LIMITS, Limits, Watch, no_room
from sando.work.cancel import CancelToken
from sando.work.log import OpLog, tail
from sando.work.process import Exit, Keepers, clean_env
from sando.work.source import SSH_PORT, STEP, Source, fetch_argv, parse, program

_CHUNK = 2**20
_SSH_LOST = frozenset({255})
_RSYNC_LOST = frozenset({10, 11, 12, 14, 22, 30, 35})  # sockets, protocol, our own files, memory, timeouts
_PACKAGES = {"ssh": "openssh-client", "rsync": "rsync"}


def fetch(
    spec: BackupSpec, log: OpLog, keepers: Keepers, cancel: CancelToken, limits: Limits = LIMITS
) -> dict[str, object]:
    """Bring `spec.source` to `spec.local_path`: bytes, sha256, seconds, and source as it may be shown.

    WorkError, errored when it could not run, and Cancelled leave the old file as it was, and nothing beside it.
    """
    cancel.check()
    began = time.monotonic()
    source, target = parse(spec.source), Path(spec.local_path)
    _check_here(source, spec, target)
    log.say(f"backup: fetch {visible(source.shown)}")
    try:
        size, sha256 = _Fetch(source, spec, target, log, cancel, limits).run(keepers)
    except OSError as error:
        raise WorkError(STEP, f"cannot write {target}: {error.strerror}", errored=True) from error
    seconds = round(time.monotonic() - began, 3)
    log.say(f"backup: {size} bytes in {span(seconds)}, sha256 {sha256}")
    return {"bytes": size, "sha256": sha256, "seconds": seconds, "source": source.shown}


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One fetch: what its steps share."""

    source: Source
    spec: BackupSpec
    target: Path
    log: OpLog
    cancel: CancelToken
    limits: Limits

    def run(self, keepers: Keepers) -> tuple[int, str]:
        self.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(self.target)
        temporary = self.target.with_name(f".{self.target.name}.fetch-{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(temporary, flags, 0o600))
        try:
            self._bring(temporary, keepers)
            size, sha256 = self._seal(temporary)
            self._compare(size)
            self.cancel.check()
            temporary.replace(self.target)
        finally:
            temporary.unlink(missing_ok=True)
        self._keep_name()
        return size, sha256

    def _bring(self, temporary: Path, keepers: Keepers) -> None:
        before = _look(self.source, self.target) if self.source.scheme == "file" else None
        argv = fetch_argv(self.source, self.spec, str(temporary))
        ended, why = self._run(argv, temporary, keepers)
        if why:
            raise WorkError(STEP, f"{visible(self.source.shown)}: {why}", errored=True, tail=self._tail())
        if not ended.ok:
            raise self._refused(ended)
        if before and (before != _look(self.source, self.target) or before[0] != temporary.stat().st_size):
            raise WorkError(
                STEP,
                f"{visible(self.source.path)} changed while it was copied: something still writes to it; "
                "write the dump beside it and rename it when it is whole",
            )

    def _run(self, argv: tuple[str, ...], temporary: Path, keepers: Keepers) -> tuple[Exit, str]:
        """Run it to its end and say which limit ended it; nothing of it is alive afterwards."""
        env = clean_env({"LC_ALL": "C"})
        job = keepers.spawn(argv, cwd=self.target.parent, env=env, log=self.log, step=STEP)
        unhook = self.cancel.on_cancel(lambda: job.ask_end(self.limits.grace_s))
        watch = Watch(temporary, self.limits)
        try:
            while (ended := job.wait(watch.tick())) is None:
                if self.cancel.cancelled or watch.over():
                    ended = job.end(self.limits.grace_s)
                    break
        except BaseException:  # whatever it was, the tree does not outlive its owner
            job.ask_end(0.0)
            self.cancel.check()
            raise
        finally:
            unhook()
            self.log.trim()
        if job.stuck:
            raise WorkError(STEP, f"could not be killed: {', '.join(job.stuck)}", errored=True)
        self.cancel.check()
        return ended, watch.why

    def _refused(self, ended: Exit) -> WorkError:
        said = self._tail()
        full = no_room(self.target.parent, self.limits.room)
        lost = {"ssh": _SSH_LOST, "rsync": _RSYNC_LOST}.get(self.source.scheme, frozenset())
        how = f"ended with {ended}" if ended.signal is None else f"was {ended}"
        line = _last_line(said)
        why = full or f"{program(self.source)} {how}{line}{self._hint(line)}"
        errored = bool(full) or ended.code is None or ended.code in lost
        return WorkError(STEP, f"{visible(self.source.shown)}: {why}", errored=errored, tail=said)

    def _hint(self, line: str) -> str:
        if self.source.scheme != "ssh" or "Host key verification failed" not in line:
            return ""
        known = self.spec.known_hosts or "~/.ssh/known_hosts of the user that runs sandod"
        scan = f"ssh-keyscan -p {self.source.port or SSH_PORT} {self.source.host}"
        return f"; compare the line that `{scan}` prints with the machine's own key, then add it to {known}"

    def _tail(self) -> str:
        return tail(self.log.path, 50)

    def _seal(self, temporary: Path) -> tuple[int, str]:
        """Hash what arrived and bring it to the disk."""
        fd = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            digest, size = hashlib.sha256(), 0
            while data := os.read(fd, _CHUNK):
                self.cancel.check()
                digest.update(data)
                size += len(data)
            if not size:
                raise WorkError(STEP, f"{visible(self.source.shown)} is empty: look at what writes it")
            os.fchmod(fd, 0o600)
            os.fsync(fd)
        finally:
            os.close(fd)
        return size, digest.hexdigest()

    def _compare(self, size: int) -> None:
        with suppress(OSError):
            last = self.target.stat().st_size
            if size * 2 < last:
                self.log.say(
                    f"warning: {size} bytes, less than half of the last backup ({last} bytes): look whether "
                    f"{visible(self.source.shown)} is whole"
                )

    def _keep_name(self) -> None:
        """The new file is in its place whatever comes of this, so that a problem is no failed fetch."""
        try:
            fd = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            self.log.say(f"warning: cannot fsync {self.target.parent}: {error.strerror}")


def _check_here(source: Source, spec: BackupSpec, target: Path) -> None:
    """What can be told before anything is started."""
    name = program(source)
    if shutil.which(name, path=clean_env()["PATH"]) is None:
        package = _PACKAGES.get(name, name)
        raise WorkError(STEP, f"{name} is not installed here: install it (package {package})", errored=True)
    plain = os.path.normpath(target) == str(target) and target.is_absolute() and str(target).isprintable()
    if not plain:
        raise WorkError(STEP, "[backup] local_path must be a plain absolute path", errored=True)
    with suppress(FileNotFoundError, NotADirectoryError):
        if not stat.S_ISREG(target.stat().st_mode):
            raise WorkError(STEP, f"{target} ([backup] local_path) is no regular file", errored=True)
    keys = {"identity_file": spec.identity_file, "known_hosts": spec.known_hosts}
    for key, path in keys.items() if name == "ssh" else ():
        if path is not None and not os.access(path, os.R_OK):
            raise WorkError(STEP, f"cannot read {visible(path)} ([backup] {key})", errored=True)


def _look(source: Source, target: Path) -> tuple[int, int]:
    """Size and mtime of the file that is to be copied."""
    shown = visible(source.path)
    try:
        info = os.stat(source.path)  # noqa: PTH116  (a Path would show another text than the config)
    except OSError as error:
        raise WorkError(STEP, f"cannot read {shown}: {error.strerror}") from error
    if not stat.S_ISREG(info.st_mode):
        raise WorkError(STEP, f"{shown} is no regular file: name the dump itself")
    if not os.access(source.path, os.R_OK):
        raise WorkError(STEP, f"cannot read {shown}: sandod's user has no permission")
    if target.exists() and target.samefile(source.path):
        raise WorkError(STEP, f"[backup] source and local_path are one file, {shown}", errored=True)
    return info.st_size, info.st_mtime_ns


def _sweep(target: Path) -> None:
    """Remove what killed fetches to the same target left; only one fetch runs at a time."""
    left = re.compile(re.escape(f".{target.name}.fetch-") + "[0-9a-f]{16}")
    for path in target.parent.iterdir():
        if left.fullmatch(path.name):
            with suppress(OSError):  # a folder of that name is none of ours
                path.unlink()


def _last_line(said: str) -> str:
    """The line that says most: ssh and cat tell why at the end, rsync before its own sum of it."""
    lines = [x for x in said.splitlines() if x.strip() and not x.startswith(("sando: ", "rsync error:"))]
    return f": {visible(lines[-1].strip())[:300].rstrip('.')}" if lines else ""
