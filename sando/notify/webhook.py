"""One POST to a webhook, with one deadline for all of it: whatever trickles, it is over then. It follows nothing.

No text that leaves here names more of the URL than its host.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from sando import __version__
from sando.model.errors import Undelivered
from sando.model.notices import NEVER_STATUS

DEADLINE_S = 10.0

S = TypeVar("S", bound=socket.socket)


class Webhook:
    """One attempt: `send` it once; `abort` ends that from any other thread."""

    def __init__(
        self, url: str, headers: dict[str, str], body: bytes, *, seconds: float = DEADLINE_S
    ) -> None:
        self._url = urlsplit(url)
        self._headers = headers
        self._body = body
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._sock: socket.socket | None = None
        self._over = False
        self._lock = threading.Lock()

    def send(self) -> None:
        """Returns once a receiver has taken it. Raises Undelivered."""
        watch = threading.Timer(self._seconds, self.abort)
        watch.daemon = True
        watch.start()
        try:
            answer = self._ask()
            if self._over:  # headers that end with the connection pass for whole ones
                raise TimeoutError
            self._judge(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(self._why(error)) from None  # the cause may quote the URL
        finally:
            watch.cancel()
            self.abort()

    def abort(self) -> None:
        with self._lock:
            self._over = True
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    # Of the plain socket: the TLS layer's own would take its object from under the other thread.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _ask(self) -> http.client.HTTPResponse:
        url = self._url
        host = url.hostname or ""
        port = url.port or (443 if url.scheme == "https" else 80)
        link = http.client.HTTPConnection(host, port)
        link.default_port = 443 if url.scheme == "https" else 80
        link.sock = self._hold(self._connect(host, port))
        try:
            if url.scheme == "https":
                link.sock = secured = self._hold(_secure(link.sock, host))
                secured.do_handshake()
            link.request("POST", _target(url), self._body, self._headers | _login(url))
            return link.getresponse()
        finally:
            link.close()

    def _connect(self, host: str, port: int) -> socket.socket:
        """To the first of its addresses that answers; looking the name up takes as long as the system's resolver does."""
        error: OSError = ConnectionError("it has no address")
        for family, kind, proto, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, proto)
            try:
                sock.settimeout(max(0.01, self._until - time.monotonic()))
                sock.connect(where)
            except OSError as refused:
                sock.close()
                error = refused
            else:
                return sock
        raise error

    def _hold(self, sock: S) -> S:
        """What `abort` ends; before the handshake, which may trickle too."""
        with self._lock:
            self._sock = sock
            if self._over:
                sock.close()
                raise TimeoutError
        return sock

    def _judge(self, answer: http.client.HTTPResponse) -> None:
        status = answer.status
        if 200 <= status < 300:
            return
        redirect = ", and redirects are not followed" if 300 <= status < 400 else ""
        after = answer.getheader("Retry-After") or ""
        raise Undelivered(
            f"{self._who()} answered {status}{redirect}",
            never=status in NEVER_STATUS,
            after=float(after) if after.isascii() and after.isdecimal() and len(after) < 6 else 0.0,
        )

    def _who(self) -> str:
        return self._url.hostname or "it"

    def _why(self, error: Exception) -> str:
        who = self._who()
        if self._over or isinstance(error, TimeoutError):
            return f"{who} did not answer within {self._seconds:g} s"
        match error:
            case ssl.SSLCertVerificationError():
                return f"{who}: its certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"{who}: TLS failed: {error.reason or 'the connection ended'}"
            case socket.gaierror():
                return f"{who}: no such host"
            case http.client.HTTPException() | ValueError():
                return f"{who} gave no HTTP answer"
            case OSError(strerror=text):
                return f"{who}: {text or 'the connection failed'}"
        return f"{who}: {type(error).__name__}"


def _secure(sock: socket.socket, host: str) -> ssl.SSLSocket:
    """The certificate is checked against the system's authorities, and its name against the host."""
    context = ssl.create_default_context()
    return context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _login(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    login = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def headers(kind: str, delivery: str, body: bytes, secret: str | None) -> dict[str, str]:
    """What goes with an event; the signature is an HMAC-SHA256 of the very bytes of the body."""
    signed = {}
    if secret is not None:
        signed = {"Sando-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    return {
        "Content-Type": "application/json",
        "User-Agent": f"sando/{__version__}",
        "Sando-Event": kind,
        "Sando-Delivery": delivery,
        "Connection": "close",
        **signed,
    }
