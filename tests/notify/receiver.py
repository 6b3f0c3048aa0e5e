"""A webhook's receiver on loopback that does what a test tells it to, and remembers what it was sent."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def status(number: int, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {number} So\r\nContent-Length: 0\r\n{lines}\r\n".encode()


@dataclass
class Call:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict:
        return msgspec.json.decode(self.body)


@dataclass
class Receiver:
    """`answers` are used up one a request, the last one for all that follow; "hang" and "trickle" say nothing whole."""

    answers: list[bytes | str] = field(default_factory=lambda: [OK])
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"
    released: threading.Event = field(default_factory=threading.Event)
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?key=of-the-url"

    def wait(self, count: int, within: float = 30.0) -> list[Call]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.calls) >= count, within), self.calls
            return list(self.calls)

    def seqs(self) -> list[int]:
        return [call.event["seq"] for call in self.calls]

    def answer(self) -> bytes | str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(30)
            head, body = read(sock)
            with self.news:
                first, *lines = head.decode().split("\r\n")
                named = (line.partition(": ") for line in lines)
                self.calls.append(Call(first, {name.lower(): value for name, _, value in named}, body))
                answer = self.answer()
                self.news.notify_all()
            self.give(sock, answer)

    def give(self, sock: socket.socket, answer: bytes | str) -> None:
        match answer:
            case "hang":
                self.released.wait(60)
            case "trickle":
                sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not self.released.wait(0.05):
                    sock.sendall(b"x")
            case "close":
                return
            case bytes():
                sock.sendall(answer)


def read(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    names = [line.lower().partition(b": ") for line in head.split(b"\r\n")]
    size = next(int(value) for name, _, value in names if name == b"content-length")
    while len(body) < size:
        body += sock.recv(65536)
    return head, body


@contextlib.contextmanager
def receiving(*answers: bytes | str, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as listener:
        receiver = Receiver(list(answers) or [OK], port=listener.getsockname()[1])
        receiver.scheme = "https" if tls else "http"
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    sock, _ = listener.accept()
                    threading.Thread(target=speak, args=(sock,), daemon=True).start()

        def speak(sock: socket.socket) -> None:
            with contextlib.suppress(OSError):
                receiver.serve(tls.wrap_socket(sock, server_side=True) if tls else sock)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            over.set()
            receiver.released.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
