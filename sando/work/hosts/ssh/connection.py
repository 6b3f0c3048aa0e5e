"""One login on a node: its socket, its transport, its sessions, its end. Opened once, never again; it knows no calls.

Nothing is read from ssh_config. Whatever blocks in here ends when `drop` is called, from any thread.
"""

import fcntl
import logging
import struct
import termios

from paramiko import Channel, ChannelException, SSHException, Transport

from sando.model.target import Target
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.reach import Dial
from sando.work.hosts.ssh.trouble import Phase
from sando.work.hosts.ssh.trust import Trust
from sando.work.hosts.ssh.watch import Watch

# paramiko wakes so often for nothing; ten times a second, as it comes, costs 0.1 % of a core for each node.
IDLE_POLL_S = 5.0
_SLACK_S = 60.0  # paramiko's own deadlines only have to come after ours
_END_S = 5.0
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # half the work of ctr with an HMAC

# Its own words for what the errors here say better, with tracebacks.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Connection:
    def __init__(self, target: Target) -> None:
        self._dial = Dial(target)
        self._transport: Transport | None = None
        self._phase = Phase.RESOLVE

    @property
    def phase(self) -> Phase:
        """How far it has come; where it went wrong, when it did."""
        if self._phase is Phase.RESOLVE and self._dial.resolved:
            return Phase.REACH
        if self._phase is Phase.GREET and self.transport.remote_version:
            return Phase.AGREE
        return self._phase

    @property
    def transport(self) -> Transport:
        assert self._transport is not None, "it was not opened"
        return self._transport

    @property
    def alive(self) -> bool:
        """As far as we know: paramiko takes a moment to see that it was dropped, or has failed."""
        return self._transport is not None and self._transport.is_active() and not self._dial.dropped

    def open(self, keys: Keys, trust: Trust, watch: Watch) -> None:
        """Dial, make sure who answers, log in. Nothing of ours is told to a node before its host key is known."""
        sock = self._dial.connect(watch)
        transport = self._transport = Transport(sock)
        transport.daemon = True
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = _SLACK_S
        options = transport.get_security_options()
        options.ciphers = (*_CIPHERS, *(c for c in options.ciphers if c not in _CIPHERS))
        trust.prefer(transport)
        self._phase = Phase.GREET
        transport.start_client(timeout=_SLACK_S)
        trust.check(transport.get_remote_server_key())
        self._phase = Phase.LOGIN
        keys.log_in(transport)
        self._phase = Phase.SHELL
        sock.settimeout(IDLE_POLL_S)

    def session(self) -> Channel:
        """ChannelException when sshd opens no more of them."""
        channel = self.transport.open_session(timeout=_SLACK_S)
        if (sock := self._dial.socket) is not None:
            sock.hurry = False
        return channel

    def tunnel(self, host: str, port: int, seconds: float) -> Channel:
        """A connection from the node to `host:port`. ChannelException 1: sshd forbids it, 2: nobody listens."""
        try:
            return self.transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=seconds
            )
        except SSHException as error:
            if self.alive and not isinstance(error, ChannelException):
                raise TimeoutError from error
            raise

    def unsent(self) -> int:
        """Bytes that the kernel holds and the node has not acknowledged; a moving link changes it all the time."""
        sock = self._dial.socket
        try:
            return int(struct.unpack("i", fcntl.ioctl(sock or -1, termios.TIOCOUTQ, b"\0" * 4))[0])
        except (OSError, ValueError):
            return 0

    def drop(self) -> None:
        """Break it at once: every call on it ends."""
        self._dial.drop()

    def close(self) -> None:
        """Its thread, its timers and its socket are gone when this returns."""
        self._dial.drop()
        if (transport := self._transport) is not None:
            if transport.is_alive():
                transport.join(_END_S)
            transport.packetizer.complete_handshake()  # else a timer of paramiko lives on
            transport.close()
        self._dial.close()
