"""A connection as a probe sees it, and TLS over one that is no socket; nothing is connected here."""

import ssl
from typing import Protocol

_CHUNK = 65536


class Stream(Protocol):
    """What a probe needs of a connection: a socket has it, and so has a channel of an SSH connection."""

    def settimeout(self, seconds: float, /) -> None: ...
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class Tls:
    """TLS over any stream, its certificate not verified.

    A probe asks the node's own service, most often by its loopback address, which no certificate names.
    """

    def __init__(self, under: Stream, host: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._under = under
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._greeted = False

    def settimeout(self, seconds: float, /) -> None:
        self._under.settimeout(seconds)

    def sendall(self, data: bytes, /) -> None:
        self._greet()
        self._tls.write(data)
        self._flush()

    def recv(self, size: int, /) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._more()
            except ssl.SSLZeroReturnError:
                return b""

    def close(self) -> None:
        self._under.close()

    def _greet(self) -> None:
        while not self._greeted:
            try:
                self._tls.do_handshake()
                self._greeted = True
            except ssl.SSLWantReadError:
                self._flush()
                self._more()
        self._flush()

    def _more(self) -> None:
        if data := self._under.recv(_CHUNK):
            self._in.write(data)
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        if data := self._out.read():
            self._under.sendall(data)
