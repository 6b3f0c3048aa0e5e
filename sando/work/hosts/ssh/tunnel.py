"""A connection from a node to one of its services, as a probe uses it; paramiko's errors become those of a socket."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from paramiko import Channel, SSHException


class Tunnel:
    """`Stream` over a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def settimeout(self, seconds: float, /) -> None:
        self._channel.settimeout(seconds)

    def sendall(self, data: bytes, /) -> None:
        with _as_of_a_socket():
            self._channel.sendall(data)

    def recv(self, size: int, /) -> bytes:
        with _as_of_a_socket():
            return self._channel.recv(size)

    def close(self) -> None:
        with suppress(SSHException, OSError, EOFError):
            self._channel.close()


@contextmanager
def _as_of_a_socket() -> Iterator[None]:
    try:
        yield
    except (SSHException, EOFError) as error:
        raise ConnectionError(None, "the connection to the node was lost") from error
