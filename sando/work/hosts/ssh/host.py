"""A node that is reached over SSH: `Host` by calls of node.sh in a shell that stays open there; it decides nothing."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from paramiko import ChannelException

from sando.model.clock import span
from sando.model.errors import Cancelled, WorkError
from sando.model.gates import Verdict
from sando.model.names import is_version, visible
from sando.model.release import FileEntry
from sando.model.target import target_of
from sando.model.topology import Command, NodeSpec, Probe
from sando.work.boot import boot
from sando.work.cancel import CancelToken
from sando.work.hosts.base import (
    PRIVATE,
    Claim,
    Current,
    DeadMan,
    claim_of,
    current_of,
    describe,
    refuse_foreign,
    release_path,
)
from sando.work.hosts.parcel import Parcels
from sando.work.hosts.ssh.booting import BOOT_SLACK_S, Starter, any_port, free_port
from sando.work.hosts.ssh.calls import CALL_S, Calls
from sando.work.hosts.ssh.commands import Remote, run_on
from sando.work.hosts.ssh.inventory import Inventory, Stamps
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.line import LOST, Line
from sando.work.hosts.ssh.reply import Reply
from sando.work.hosts.ssh.trust import Trust
from sando.work.hosts.ssh.tunnel import Tunnel
from sando.work.log import OpLog
from sando.work.process import Exit, Keepers
from sando.work.stream import Stream

_FORBIDDEN = 1  # of RFC 4254: administratively prohibited
_CLOCK_S = 60.0
_NO_FORWARDING = (
    "its sshd forwards no connection to {where}, so the probe cannot be asked; set AllowTcpForwarding local in its "
    "sshd_config (and see that neither DisableForwarding, PermitOpen nor a restrict in authorized_keys forbids it), "
    "or ask on the node itself: probe = {{ command = … }}"
)


class SshLink:
    """The connection of one node, and what it has learned of it."""

    def __init__(self, node: NodeSpec, parcels: Parcels) -> None:
        target = target_of(node.ssh_target)
        self._line = Line(
            target, node.release_root, Keys(target, node.identity_file), Trust(target, node.known_hosts)
        )
        self._root = node.release_root
        self._parcels = parcels
        self._stamps = Stamps()

    def host(self, cancel: CancelToken) -> "SshHost":
        return SshHost(self._line, self._root, self._parcels, self._stamps, cancel)

    def close(self) -> None:
        self._line.close()


class SshHost:
    """`Host` for one job."""

    def __init__(self, line: Line, root: str, parcels: Parcels, stamps: Stamps, cancel: CancelToken) -> None:
        self._line = line
        self._root = root
        self._cancel = cancel
        self._calls = Calls(line, cancel)
        self._inventory = Inventory(self._calls, parcels, stamps)

    @property
    def root(self) -> str:
        return self._root

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
        return run_on(
            self._line, command, cwd=cwd, env=env, log=log, cancel=cancel, timeout=timeout, step=step
        )

    def prepare(self, *, need: int, files: int) -> str:
        reply = self._calls.ask("prepare", -(-need // 1024), "tried" if self._line.tried else "")
        self._line.tried = self._line.tried or need > 0
        if lacks := self._line.hello and self._line.hello.all("lacks"):
            raise self._cannot(
                f"lacks {visible(', '.join(lacks))}; install what has it (coreutils, tar, findutils; or BusyBox)"
            )
        kib = reply.number("free")
        free = need if kib is None else kib * 1024
        if free < need:
            raise self._cannot(
                f"{self._root}: {_mib(free)} MiB free, {_mib(need)} MiB needed; make room there"
            )
        inodes = reply.number("inodes")  # none where the file system has no fixed number
        if inodes and inodes < files:
            raise self._cannot(f"{self._root}: {inodes} inodes free, {files} needed; make room there")
        return _clock(reply.number("clock"))

    def survey(
        self, version: str, source: Path, files: Sequence[FileEntry] | None, *, hurry: bool
    ) -> tuple[Current, str | None]:
        if files is None:
            return self.read_current(), self.check_release(version, None)
        reply, wrong = self._inventory.survey(version, files, hurry=hurry)
        current = self._current(reply)
        if wrong:
            self._inventory.begin_packing(version, source, files, reply, current.version)
        return current, wrong

    def read_current(self) -> Current:
        return self._current(self._calls.ask("at", self._line.current, "current"))

    def _current(self, reply: Reply) -> Current:
        if foreign := _foreign(reply):
            return Current(foreign=foreign)
        link = reply.get("link")
        found = current_of(
            link, self._root, through_link=bool(reply.get("shelf")), dangling=bool(reply.get("dangling"))
        )
        self._line.current = found.version or ""
        return found

    def check_release(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        return self._inventory.check(version, files)

    def put_release(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, cancel: CancelToken
    ) -> bool:
        cancel.check()
        return self._inventory.put(version, source, files, operation)

    def switch(
        self, version: str, operation: int, *, force: bool, dead_man: DeadMan | None = None
    ) -> str | None:
        armed = dead_man.words() if dead_man else ()
        reply = self._calls.ask(
            "at", self._line.current, "switch", version, operation, "force" if force else "", *armed
        )
        return self._switched(version, reply)

    def _switched(self, version: str, reply: Reply) -> str | None:
        """What was kept of a `current` that was foreign; one that was not to be touched is refused."""
        if foreign := _foreign(reply) or ((link := reply.get("link")) and describe(link)):
            raise refuse_foreign(self._root, foreign)
        self._line.current = version
        return reply.get("kept")

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
        """Where it is lost on the way, switched or not, the switch is repeated: that does no harm."""
        how = ("at", self._line.current, "switch_and_run", version, operation, "force" if force else "")
        remote = None
        try:
            remote = Remote(
                self._line, command, cwd=release_path(self, version), env=env, log=None, cancel=self._cancel,
                step="probe", limit=None, how=how,
            )  # fmt: skip
            ended = remote.wait(timeout) or remote.end()
        except WorkError as error:
            if error.step in {"node", "connect"} or isinstance(error.__cause__, TimeoutError):
                raise
            return self.switch(version, operation, force=force), None
        except Cancelled:
            with suppress(WorkError):
                if remote is not None:
                    remote.end()
            raise
        if remote.reply is None:  # it was ended, and its last words were lost
            return self.switch(version, operation, force=force), None
        return self._switched(version, remote.reply), None if ended.ended else (ended, remote.text)

    def claim(self, operation: int) -> Claim:
        return claim_of(f"@claim {self._calls.ask('claim', operation).get('claim')}")

    def unlink(self, operation: int) -> str | None:
        self._calls.ask("unlink_current", operation)
        return self.read_current().foreign or None

    def releases(self) -> tuple[str, ...]:
        return tuple(sorted(v for v in self._inventory.versions() if is_version(v)))

    def leftovers(self) -> tuple[str, ...]:
        names = sorted(self._calls.ask("leftovers").all("leftover"))
        return tuple(f"{self.root}/{PRIVATE}/incoming/{name}" for name in names)

    def sweep(self) -> None:
        """The shell of an upload removes it when its line is gone."""

    def remove(self, version: str, operation: int) -> None:  # noqa: ARG002  (the node's trash needs no number)
        self._inventory.remove(version)

    def open_tcp(self, host: str, port: int, timeout: float) -> Stream:
        tunnel = self._tunnel(host, port, timeout)
        tunnel.settimeout(timeout)
        return tunnel

    def _tunnel(self, host: str, port: int, timeout: float) -> Tunnel:
        for again in (True, False):
            try:
                return Tunnel(self._line.channel(host, port, timeout, self._cancel))
            except TimeoutError:
                raise
            except ChannelException as error:
                if error.code == _FORBIDDEN:
                    raise self._cannot(_NO_FORWARDING.format(where=f"{host}:{port}")) from error
                raise ConnectionRefusedError(None, "connection refused") from error
            except LOST as error:
                if not again:
                    raise self._calls.lost(f"a connection to {host}:{port}", error, timeout) from error
        raise AssertionError

    def check_forwarding(self, host: str, port: int) -> None:
        if (host, port) in self._line.forwarded:
            return
        with suppress(OSError):  # that nobody listens yet is no news
            self.open_tcp(host, port, CALL_S).close()
        self._line.forwarded.add((host, port))

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
        keepers: Keepers,  # noqa: ARG002  (contains what runs on this machine)
        cancel: CancelToken,
    ) -> Verdict:
        return boot(
            argv,
            cwd=cwd,
            env=env,
            probe=probe,
            settle_s=settle_s,
            timeout_s=timeout_s,
            log=log,
            starter=Starter(self._line, cancel, timeout_s + settle_s + BOOT_SLACK_S),
            cancel=cancel,
            port=self._free_port() if probe else any_port(),
            open_tcp=self.open_tcp,
        )

    def _free_port(self) -> int:
        if (port := free_port(self.open_tcp, CALL_S)) is None:
            raise self._cannot("no free port was found")
        return port

    def _cannot(self, detail: str) -> WorkError:
        return WorkError("node", f"{self._line.target}: {detail}", errored=True)


def _foreign(reply: Reply) -> str | None:
    said = reply.get("foreign")
    return said and visible(said)


def _clock(there: int | None) -> str:
    """Told where it is wrong, since a person reads the node's logs by it; nothing here goes by it."""
    off = 0.0 if there is None else there - time.time()
    if abs(off) < _CLOCK_S:
        return ""
    return f"its clock is {span(abs(off))} {'ahead of' if off > 0 else 'behind'} sandod's"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"
