"""One SSH connection to a node: opened when it is needed, kept warm, opened again when it was lost; knows no deploy.

Nothing is read from ssh_config. The kernel's own keepalive watches the peer while nobody calls, and every call ends
by a deadline of ours: a link that black-holes is found by neither paramiko nor sshd.
"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paramiko import Channel, ChannelException, SSHException, Transport
from paramiko.ssh_exception import IncompatiblePeer

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.target import Target
from sando.work.cancel import CancelToken
from sando.work.hosts.script import NODE_SH, quoted
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.shell import Reply, Shell, ShellLost
from sando.work.hosts.ssh.trust import Trust
from sando.work.hosts.ssh.watch import Watch

CONNECT_S = 10.0
_IDLE_POLL_S = (
    5.0  # paramiko wakes so often for nothing; ten times a second, as it comes, costs 0.1 % of a core each
)
_DEAD_S = 30  # the kernel gives up on a peer that acknowledges nothing for so long
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # half the work of ctr with an HMAC

# Its own words for what the errors here say better, with tracebacks.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Line:
    """`root` is where the shells on the node work. Used by several threads; each shell by one at a time."""

    def __init__(self, target: Target, root: str, keys: Keys, trust: Trust) -> None:
        self.target = target
        self._root = root
        self._keys = keys
        self._trust = trust
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._socket: socket.socket | None = None
        self._idle: list[Shell] = []
        self.hello: Reply | None = None
        """What the node said of itself when the connection was opened."""
        self.forwarded: set[tuple[str, int]] = set()
        """The addresses to which sshd has forwarded in this connection's life."""
        self.used_at = 0.0
        """When the last call was answered, by time.monotonic."""

    # -- open and close --------------------------------------------------------------------------------------

    def open(self, cancel: CancelToken) -> Transport:
        """The connection, opened anew where there is none that lives. WorkError (errored) within ten seconds."""
        with self._lock:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            self._discard()
            self._transport = self._connect(cancel)
            return self._transport

    def close(self) -> None:
        with self._lock:
            self._discard()

    def drop(self) -> None:
        """Break it, from any thread and at once: every call on it ends. The next call opens it anew."""
        if (sock := self._socket) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and self._transport.is_active()

    def _discard(self) -> None:
        self.drop()
        self._idle.clear()
        self.forwarded.clear()
        if self._transport is not None:
            self._transport.close()
            self._transport.join(_IDLE_POLL_S)
        if self._socket is not None:
            self._socket.close()
        self._transport = self._socket = self.hello = None

    def _connect(self, cancel: CancelToken) -> Transport:
        watch = Watch(CONNECT_S, cancel, self.drop)
        try:
            with watch:
                transport = self._log_in(self._reach(watch), watch)
                shell = Shell(transport.open_session(timeout=watch.left))
                self._greet(shell, watch, cancel)
                self._idle.append(shell)
                return transport
        except WorkError:
            self._discard()
            raise
        except (SSHException, OSError, EOFError, ShellLost, TimeoutError) as error:
            active = self._socket is not None
            self._discard()
            raise self.failed("connect", self._why(error, watch, reached=active)) from error
        except BaseException:
            self._discard()
            raise

    def _reach(self, watch: Watch) -> socket.socket:
        """A socket to the first of the node's addresses that takes one."""
        refused: OSError | None = None
        for family, address in _resolve(self.target, watch):
            sock = self._socket = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(max(0.1, watch.left))
            try:
                sock.connect(address)
            except OSError as error:
                sock.close()
                refused = error
                continue
            _keep_alive(sock)
            return sock
        raise refused or TimeoutError

    def _log_in(self, sock: socket.socket, watch: Watch) -> Transport:
        transport = Transport(sock)
        self._transport = transport
        transport.daemon = True
        transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = CONNECT_S
        options = transport.get_security_options()
        options.ciphers = (*_CIPHERS, *(c for c in options.ciphers if c not in _CIPHERS))
        self._trust.prefer(transport)
        transport.start_client(timeout=watch.left)
        self._trust.check(transport.get_remote_server_key())
        self._keys.log_in(transport)
        sock.settimeout(_IDLE_POLL_S)
        return transport

    def _greet(self, shell: Shell, watch: Watch, cancel: CancelToken) -> None:
        script = f"root={quoted(self._root)}\n{NODE_SH}"
        try:
            self.hello = shell.begin(script, time.monotonic() + watch.left, cancel)
        except ShellLost as error:
            said = error.said or "nothing"
            hint = f"give {self.target.user} a shell there (chsh -s /bin/sh), or look at what its rc files do"
            raise self.failed("connect", f"no shell answers; it said: {said}; {hint}") from error

    # -- use ---------------------------------------------------------------------------------------------------

    @contextmanager
    def shell(self, cancel: CancelToken) -> Iterator[Shell]:
        """A shell for one call. It comes back for the next one, unless the block raised."""
        shell = self.borrow(cancel)
        try:
            yield shell
        except BaseException:
            shell.close()
            raise
        self.give_back(shell)

    def borrow(self, cancel: CancelToken) -> Shell:
        """A shell of one's own: one that lies idle, else another one."""
        transport = self.open(cancel)
        while self._idle:
            shell = self._idle.pop()
            if shell.usable:
                return shell
        return self._another(transport, cancel)

    def give_back(self, shell: Shell) -> None:
        """Whoever borrowed it has had its answer."""
        self.used_at = time.monotonic()
        if shell.usable:
            self._idle.append(shell)

    def watch(self, seconds: float, cancel: CancelToken) -> Watch:
        return Watch(seconds, cancel, self.drop)

    def channel(self, host: str, port: int, seconds: float, cancel: CancelToken) -> Channel:
        """A connection from the node to `host:port`. ChannelException 1: sshd forbids it, 2: nobody listens."""
        transport = self.open(cancel)
        with Watch(seconds + 1, cancel, self.drop):
            return transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=seconds)

    def failed(self, step: str, why: str) -> WorkError:
        return WorkError(step, f"{self.target}: {why}", errored=True)

    def _another(self, transport: Transport, cancel: CancelToken) -> Shell:
        watch = Watch(CONNECT_S, cancel, self.drop)
        try:
            with watch:
                shell = Shell(transport.open_session(timeout=watch.left))
                self._greet(shell, watch, cancel)
                return shell
        except (SSHException, OSError, EOFError, TimeoutError) as error:
            raise self.failed("connect", self._why(error, watch, reached=True)) from error

    def _why(self, error: BaseException, watch: Watch, *, reached: bool) -> str:
        if watch.late or isinstance(error, TimeoutError):
            return f"no answer within {CONNECT_S:g}s; is it up, and is port {self.target.port} open?"
        if isinstance(error, ChannelException):
            return f"sshd opens no more sessions ({error.text}); raise MaxSessions in its sshd_config"
        if isinstance(error, ConnectionRefusedError):
            return "connection refused; is sshd running there, on that port?"
        if isinstance(error, IncompatiblePeer):
            return f"no common algorithm: {visible(str(error))}"
        said = visible(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        return f"the connection was lost: {said}" if reached else said


def _resolve(target: Target, watch: Watch) -> list[tuple[int, tuple[str, int]]]:
    """Address families and addresses; a resolver that does not answer costs no more than the deadline."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=ask, name=f"resolve {target.host}", daemon=True)
    thread.start()
    thread.join(watch.left)
    match found:
        case [OSError() as error]:
            raise OSError(None, f"its name cannot be resolved: {error.strerror}")
        case []:
            raise TimeoutError
        case _:
            return [(family, address[:2]) for family, _, _, _, address in found]


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 15),
        (socket.TCP_KEEPINTVL, 5),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, _DEAD_S * 1000),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
