"""A node that is a folder of this machine. It follows no link that somebody planted in its release root."""

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex

from sando.failpoints import reached
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.release import FileEntry
from sando.model.topology import Command, Probe
from sando.work.boot import boot, connect_tcp
from sando.work.cancel import CancelToken
from sando.work.hosts.base import (
    CURRENT,
    PRIVATE,
    RELEASES,
    Claim,
    Current,
    DeadMan,
    claim_of,
    current_of,
    refuse_foreign,
    refuse_in_use,
    release_path,
)
from sando.work.hosts.copying import sync
from sando.work.hosts.script import NODE_SH, quoted, words
from sando.work.hosts.shelf import Shelf, cannot, is_folder, told
from sando.work.log import OpLog
from sando.work.process import Exit, Keepers, clean_env, command_argv, run_plain
from sando.work.tree import remove_tree

_CALL_S = 30.0


class LocalHost:
    """`Host` and `Link` without a transport. `statvfs` is an argument so that a full disk can be tried."""

    def __init__(self, root: str, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs) -> None:
        self._root = Path(root)
        self._current = self._root / CURRENT
        self._shelf = Shelf(self._root)
        self._statvfs = statvfs

    def close(self) -> None:
        """There is no connection to let go of."""

    def host(self, cancel: CancelToken) -> "LocalHost":
        """What it does takes no time: there is nothing to cancel but commands, which have a token of their own."""
        cancel.check()
        return self

    @property
    def root(self) -> str:
        return str(self._root)

    def run(
        self,
        command: Command,
        *,
        cwd: str,
        env: Mapping[str, str],
        log: OpLog | None,
        cancel: CancelToken,
        timeout: float,
        step: str,
    ) -> tuple[Exit, str]:
        return run_plain(
            command_argv(command),
            cwd=cwd,
            env=clean_env(env),
            log=log,
            cancel=cancel,
            timeout=timeout,
            step=step,
        )

    def prepare(self, *, need: int, files: int) -> str:
        give = f"give it to the user of sandod (uid {os.getuid()})"
        with told(f"cannot make {self._root}", f"make it, and {give}"):
            self._root.mkdir(parents=True, exist_ok=True)
        with told(f"cannot write in {self._root}", give):
            self._try_writing()
        self.sweep()
        room = self._statvfs(self._root)
        free = room.f_bavail * room.f_frsize
        if free < need:
            raise cannot(f"{self._root}: {_mib(free)} MiB free, {_mib(need)} MiB needed; make room there")
        if room.f_files and room.f_favail < files:
            raise cannot(f"{self._root}: {room.f_favail} inodes free, {files} needed; make room there")
        return ""

    def survey(
        self,
        version: str,
        source: Path,  # noqa: ARG002
        files: Sequence[FileEntry] | None,
        *,
        hurry: bool,  # noqa: ARG002  (no process is started)
    ) -> tuple[Current, str | None]:
        current = self.read_current()
        wrong = self.check_release(version, files)
        if wrong is None:
            self.prepare(need=0, files=0)
        return current, wrong

    def read_current(self) -> Current:
        with told(f"cannot read {self._current}"):
            if not self._current.is_symlink():
                kind = "a folder" if self._current.is_dir() else "a file"
                return Current(foreign=kind) if self._current.exists() else Current()
            target = str(self._current.readlink())
        through_link = (self._root / RELEASES).is_symlink()
        dangling = not is_folder(self._shelf.release(Path(target).name))
        return current_of(target, self.root, through_link=through_link, dangling=dangling)

    def check_release(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        return self._shelf.check(version, files)

    def put_release(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, cancel: CancelToken
    ) -> bool:
        if (wrong := self._shelf.check(version, files)) is None:
            return False
        if self.read_current().version == version and is_folder(self._shelf.release(version)):
            raise refuse_in_use(version, wrong)
        self._shelf.put(version, source, files, operation, cancel)
        return True

    def switch(
        self, version: str, operation: int, *, force: bool, dead_man: DeadMan | None = None
    ) -> str | None:
        if not is_folder(self._shelf.release(version)):
            raise cannot(f"{RELEASES}/{version} is not there; {CURRENT} was left as it is")
        if (foreign := self.read_current().foreign) and not force:
            raise refuse_foreign(self.root, foreign)
        if dead_man:
            said = self._call("switch", version, operation, "force" if force else "", *dead_man.words())
            found = re.search("^@kept (.*)$", said, re.MULTILINE)
            return found and found[1]
        if (self._root / PRIVATE / "deadman").exists():
            self._call("settle")
        return self._point(version, operation)

    def switch_and_run(
        self,
        version: str,
        operation: int,
        *,
        force: bool,
        command: Command,
        env: Mapping[str, str],
        timeout: float,
    ) -> tuple[str | None, tuple[Exit, str] | None]:
        kept = self.switch(version, operation, force=force)
        cwd = release_path(self, version)
        try:
            return kept, self.run(
                command, cwd=cwd, env=env, log=None, cancel=CancelToken(), timeout=timeout, step="probe"
            )
        except WorkError:
            return kept, None

    def _point(self, version: str, operation: int) -> str | None:
        with told(f"cannot switch {self._current}"):
            kept = self._keep(operation)
            target = f"{RELEASES}/{version}"
            beside = self._shelf.folder(PRIVATE, "incoming") / f"{CURRENT}-{operation}-{token_hex(4)}"
            beside.symlink_to(target)
            reached("link.beside")
            try:
                beside.rename(self._current)
            except OSError:
                beside.unlink()
                if kept and not os.path.lexists(self._current):
                    (self._root / kept).rename(self._current)
                raise
            sync(self._root.resolve())
            reached("link.switched")
            found = str(self._current.readlink())
        if found != target:
            raise cannot(
                f"{self._current} names {found} right after it was switched to {target}: who else writes it?"
            )
        return kept

    def claim(self, operation: int) -> Claim:
        return claim_of(self._call("claim", operation))

    def unlink(self, operation: int) -> str | None:
        kept = self._kept(operation)
        with told(f"cannot remove {self._current}"):
            if not self._current.is_symlink() and self._current.exists():
                raise cannot(f"{self._current} is no link any more: left alone")
            if kept.is_symlink():
                kept.rename(self._current)
            elif not self.read_current().foreign:
                self._current.unlink(missing_ok=True)
                if kept.exists():
                    kept.rename(self._current)
            if self._root.exists():
                sync(self._root.resolve())
        return self.read_current().foreign or None

    def releases(self) -> tuple[str, ...]:
        return self._shelf.versions()

    def sweep(self) -> None:
        self._shelf.sweep()

    def leftovers(self) -> tuple[str, ...]:
        return tuple(str(path) for path in self._shelf.stale())

    def remove(self, version: str, operation: int) -> None:
        if self.read_current().version == version:
            raise cannot(f"{RELEASES}/{version} is what {CURRENT} names")
        self._shelf.remove(version, operation)

    def open_tcp(self, host: str, port: int, timeout: float) -> socket.socket:
        return connect_tcp(host, port, timeout)

    def check_forwarding(self, host: str, port: int) -> None:
        """Nobody stands between."""

    def boot(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        probe: Probe | None,
        settle_s: float,
        timeout_s: float,
        log: OpLog,
        keepers: Keepers,
        cancel: CancelToken,
    ) -> Verdict:
        return boot(
            argv,
            cwd=cwd,
            env=clean_env(env),
            probe=probe,
            settle_s=settle_s,
            timeout_s=timeout_s,
            log=log,
            starter=keepers,
            cancel=cancel,
        )

    def _call(self, *call: object) -> str:
        """A function of node.sh, for what has to work without sandod. What it leaves running stays."""
        ended, said = run_plain(
            ("/bin/sh", "-c", f"root={quoted(self.root)}\n{NODE_SH}\n{words(*call)}"),
            log=None,
            cancel=CancelToken(),
            timeout=_CALL_S,
            step=str(call[0]),
        )
        if not ended.ok:
            raise cannot(said.strip() or f"sh ended with {ended}")
        return said

    def _kept(self, operation: int) -> Path:
        return self._root / f"{CURRENT}.kept-{operation}"

    def _try_writing(self) -> None:
        releases, private = self._shelf.folder(RELEASES), self._shelf.folder(PRIVATE)
        self._shelf.folder(PRIVATE, "incoming")
        if len({p.stat().st_dev for p in (self._root, releases, private)}) > 1:
            raise cannot(f"{releases}, {private} and {self._root} have to be on one file system")
        name = f"try-{token_hex(4)}"
        link, folder = self._root / f".{name}", releases / f".{name}"
        try:
            link.symlink_to(RELEASES)
            folder.mkdir()
            (folder / name).write_bytes(b"x" * 4096)
        finally:
            remove_tree(link)
            remove_tree(folder)

    def _keep(self, operation: int) -> str | None:
        """Put a foreign `current` aside: nothing that sando did not make is ever lost."""
        if not self.read_current().foreign:
            return None
        kept = self._kept(operation)
        if os.path.lexists(kept):
            raise cannot(f"{kept} is there already: move it away, or {self._current}")
        if self._current.is_symlink():
            kept.symlink_to(self._current.readlink())  # a copy: `current` itself is replaced in one step
        else:
            self._current.rename(kept)
        return kept.name


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"
