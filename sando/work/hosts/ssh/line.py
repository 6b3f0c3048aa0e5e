"""The way to a node: a connection opened when it is needed, kept warm, opened again when it was lost; knows no deploy.

Each call borrows a shell. The kernel's own keepalive watches the peer while nobody calls, and every call ends by a
deadline of ours: a link that black-holes is found by neither paramiko nor sshd.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from paramiko import Channel, ChannelException, SSHException

from sando.model.errors import WorkError
from sando.model.target import Target
from sando.work.cancel import CancelToken
from sando.work.hosts.script import NODE_SH, quoted
from sando.work.hosts.ssh.connection import Connection
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.reply import Reply
from sando.work.hosts.ssh.shell import Shell, ShellLost
from sando.work.hosts.ssh.trouble import Phase, loss, silence
from sando.work.hosts.ssh.trust import Trust
from sando.work.hosts.ssh.watch import Watch

CONNECT_S = 10.0
# After these, once more to an sshd that hangs up before it speaks: it drops some when many come.
AGAIN_S = (0.3, 1.0)
LOST = (ShellLost, SSHException, OSError, EOFError)
_TURN_S = 0.1
_MOST = 4  # connections, to a node that takes one session on each


class Line:
    """`root` is where the shells on the node work. Used by several threads; each shell by one at a time."""

    def __init__(self, target: Target, root: str, keys: Keys, trust: Trust) -> None:
        self.target = target
        self._script = f"root={quoted(root)}\n{NODE_SH}\nchoose_hasher"
        self._keys = keys
        self._trust = trust
        self._opening = threading.Lock()
        self._closed = 0
        self._connections: list[Connection] = []
        self._idle: list[Shell] = []
        self.current = ""
        """The version that the node's link named at the last look: a guess, which saves a process where it holds."""
        self.hello: Reply | None = None
        """What the node said of itself when the last shell was started."""
        self.forwarded: set[tuple[str, int]] = set()
        """The addresses to which sshd has forwarded in this connection's life."""
        self.tried = False
        """That links, renames and programs work there was found out in this connection's life."""
        self.used_at = 0.0
        """When the last call was answered, by time.monotonic."""

    # -- open and close --------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return any(connection.alive for connection in self._connections)

    def open(self, cancel: CancelToken) -> Connection:
        """A connection, opened anew where there is none that lives. WorkError (errored) within ten seconds."""
        with self._alone(cancel):
            self._bury()
            if not self._connections:
                self.forwarded.clear()
                self.tried = False
                self._connect(cancel)
            return self._connections[0]

    def close(self) -> None:
        """Nothing of it is left, here and on the node; who connects just now is broken off."""
        self._closed += 1
        for connection in self._connections[:]:
            connection.drop()
        with self._opening:
            self._idle.clear()
            self._bury()

    @contextmanager
    def _alone(self, cancel: CancelToken) -> Iterator[None]:
        """One thread at a time opens; whoever waits for it can be cancelled."""
        while not self._opening.acquire(timeout=_TURN_S):
            cancel.check()
        try:
            yield
        finally:
            self._opening.release()

    def _bury(self) -> None:
        for connection in [c for c in self._connections if not c.alive]:
            connection.close()
            self._connections.remove(connection)

    def _connect(self, cancel: CancelToken) -> None:
        """One more connection with a first shell, which lies idle."""
        until = time.monotonic() + CONNECT_S
        closed = self._closed
        for pause in (*AGAIN_S, None):
            try:
                return self._try(until - time.monotonic(), cancel)
            except _HungUp as error:
                if pause is None or time.monotonic() + pause >= until or self._closed != closed:
                    raise self.failed("connect", str(error)) from error
                cancel.wait(pause)

    def _try(self, seconds: float, cancel: CancelToken) -> None:
        connection = Connection(self.target)
        self._connections.append(connection)
        watch = Watch(seconds, cancel, connection.drop)
        try:
            with watch:
                connection.open(self._keys, self._trust, watch)
                self._idle.append(self._start(connection, watch, cancel))
        except BaseException as error:
            alive = connection.alive
            connection.close()
            self._connections.remove(connection)
            if isinstance(error, (WorkError, *LOST)):
                raise self._explained(connection.phase, error, late=watch.late, alive=alive) from error
            raise

    def _explained(self, phase: Phase, error: Exception, *, late: bool, alive: bool) -> Exception:
        if late or isinstance(error, TimeoutError):
            return self.failed("connect", silence(phase, self.target, CONNECT_S))
        if isinstance(error, WorkError):
            return error
        if isinstance(error, ShellLost) and alive:
            hint = f"give {self.target.user} a shell there (chsh -s /bin/sh), or look at what its rc files do"
            return self.failed("connect", f"no shell answers; it said: {error.said or 'nothing'}; {hint}")
        why = loss(phase, self.target, error)
        return _HungUp(why) if phase is Phase.GREET else self.failed("connect", why)

    def _start(self, connection: Connection, watch: Watch, cancel: CancelToken) -> Shell:
        shell = Shell(connection.session(), connection)
        self.hello = shell.begin(self._script, time.monotonic() + watch.left, cancel)
        return shell

    # -- use ---------------------------------------------------------------------------------------------------

    @contextmanager
    def shell(self, cancel: CancelToken) -> Iterator[Shell]:
        """A shell for one call. It comes back for the next one, unless the block raised.

        A call that did not end in time takes its connection with it: nothing on it can be believed any more.
        """
        shell = self.borrow(cancel)
        try:
            yield shell
        except BaseException as error:
            shell.lose(error)
            raise
        self.give_back(shell)

    def borrow(self, cancel: CancelToken) -> Shell:
        """A shell of one's own: one that lies idle, else another one. WorkError, or what LOST names."""
        connection = self.open(cancel)
        if (shell := self._lies_idle()) is not None:
            return shell
        try:
            return self._another(connection, cancel)
        except ChannelException:
            return self._elsewhere(cancel)

    def give_back(self, shell: Shell) -> None:
        """Whoever borrowed it has had its answer."""
        self.used_at = time.monotonic()
        if shell.usable:
            self._idle.append(shell)

    def channel(self, host: str, port: int, seconds: float, cancel: CancelToken) -> Channel:
        """A connection from the node to `host:port`; see `Connection.tunnel`. TimeoutError, or what LOST names."""
        connection = self.open(cancel)
        with self._used(connection), Watch(seconds + 1, cancel, connection.drop):
            return connection.tunnel(host, port, seconds)

    def failed(self, step: str, why: str) -> WorkError:
        return WorkError(step, f"{self.target}: {why}", errored=True)

    def _lies_idle(self) -> Shell | None:
        while True:
            try:
                shell = self._idle.pop()
            except IndexError:
                return None
            if shell.usable:
                return shell

    def _another(self, connection: Connection, cancel: CancelToken) -> Shell:
        watch = Watch(CONNECT_S, cancel, connection.drop)
        try:
            with self._used(connection), watch:
                return self._start(connection, watch, cancel)
        except LOST as error:
            if not watch.late and not isinstance(error, TimeoutError):
                raise
            connection.drop()
            raise TimeoutError from error

    @contextmanager
    def _used(self, connection: Connection) -> Iterator[None]:
        """One that could not be written to is not taken for alive again; that sshd said no, or nobody listens, is no harm."""
        try:
            yield
        except (ChannelException, TimeoutError):
            raise
        except (SSHException, OSError, EOFError):
            connection.drop()
            raise

    def _elsewhere(self, cancel: CancelToken) -> Shell:
        """On a connection of its own: sshd takes no more sessions on that one (MaxSessions)."""
        with self._alone(cancel):
            if len(self._connections) >= _MOST:
                raise self.failed(
                    "connect", "sshd opens no more sessions; raise MaxSessions in its sshd_config"
                )
            self._connect(cancel)
        shell = self._lies_idle()
        if shell is None:
            raise ShellLost("")
        return shell


class _HungUp(Exception):
    """Before sshd said anything: worth another try."""
