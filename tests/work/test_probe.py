"""Probes against real sockets: what is green, what is red and why, and that no server can hold a look."""

import socket
import ssl
import subprocess
import threading
import time

import pytest

from sando.model.errors import Cancelled
from sando.model.topology import Probe
from sando.work.boot import connect_tcp, free_port
from sando.work.cancel import CancelToken
from sando.work.probe import look, wait_green
from tests.work.nodes import AT_ONCE_S, Answering


def never(command, timeout):
    raise AssertionError("no command was to be run")


def see(probe: Probe, timeout: float = 3.0) -> tuple[bool, str]:
    return look(probe, connect_tcp, never, timeout)


@pytest.mark.parametrize("status", [200, 204, 301, 399])
def test_an_http_answer_from_200_to_399_is_green(status):
    with Answering() as server:
        server.status(status)
        assert see(Probe(http=server.url)) == (True, f"{server.url} answered {status}")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_any_other_status_is_red_and_shows_how_its_body_begins(status):
    with Answering() as server:
        server.status(status, "database\x1b[31m is\n migrating")
        green, said = see(Probe(http=server.url))
    assert not green
    assert said == f"{server.url} answered {status}: database\\x1b[31m is migrating"


def test_only_the_first_bytes_of_a_large_red_body_are_read():
    with Answering() as server:
        server.status(500, "x" * 100_000)
        assert len(see(Probe(http=server.url))[1]) < 300


def test_a_chunked_body_is_told_without_its_framing():
    with Answering(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nboom\r\n0\r\n\r\n") as server:
        assert see(Probe(http=server.url))[1].endswith("answered 500: boom")


def test_the_request_names_host_path_and_query_and_ends_the_connection():
    with Answering() as server:
        server.status(200)
        see(Probe(http=f"http://127.0.0.1:{server.port}/he alth?a=1&b=ü"))
        asked = server.heard[0].decode()
    assert asked.startswith("GET /he%20alth?a=1&b=%C3%BC HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in asked
    assert "\r\nConnection: close\r\n" in asked


def test_what_is_no_http_is_red_and_says_so():
    with Answering(b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        green, said = see(Probe(http=server.url))
    assert not green
    assert "no HTTP answer" in said


def test_a_server_that_trickles_bytes_does_not_hold_a_look_beyond_its_timeout():
    with Answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000, pause=0.02) as server:
        begun = time.monotonic()
        green, said = see(Probe(http=server.url), 0.3)
        assert time.monotonic() - begun < AT_ONCE_S
    assert (green, said) == (False, f"{server.url}: no answer within 0.3s")


def test_a_server_that_says_nothing_is_red_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert see(Probe(http=url), 0.2) == (False, f"{url}: no answer within 0.2s")


def test_a_look_that_had_what_was_left_of_the_time_says_so_with_one_decimal():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert see(Probe(http=url), 0.35301) == (False, f"{url}: no answer within 0.4s")


def test_a_port_where_nobody_listens_is_red_for_http_and_tcp():
    port = free_port()
    assert see(Probe(http=f"http://127.0.0.1:{port}/")) == (
        False,
        f"http://127.0.0.1:{port}/: connection refused",
    )
    assert see(Probe(tcp=f"127.0.0.1:{port}")) == (False, f"tcp 127.0.0.1:{port}: connection refused")


def test_a_port_that_takes_a_connection_is_green_for_tcp():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        assert see(Probe(tcp=address)) == (True, f"tcp {address}: connected")


def test_https_with_a_certificate_of_its_own_is_asked_all_the_same(tmp_path):
    pem = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", pem, "-out", tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=elsewhere.example"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", pem)
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def serve():
            peer, _ = plain.accept()
            with context.wrap_socket(peer, server_side=True) as secure:
                secure.recv(4096)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        green, said = see(Probe(http=f"https://127.0.0.1:{plain.getsockname()[1]}/health"))
        thread.join(10)
    assert green, said


def test_a_command_is_asked_through_the_function_that_was_given():
    asked = []

    def run(command, timeout):
        asked.append((command, timeout))
        return True, "fine"

    assert look(Probe(command=("true",)), connect_tcp, run, 2.5) == (True, "fine")
    assert asked == [(("true",), 2.5)]


def test_waiting_goes_on_until_the_first_green():
    answers = [(False, "one"), (False, "two"), (True, "three"), (False, "four")]
    green = wait_green(
        Probe(command="x"),
        connect_tcp,
        lambda _command, _timeout: answers.pop(0),
        deadline=time.monotonic() + 10,
        cancel=CancelToken(),
        interval=0.01,
    )
    assert green == (True, "three")


def test_waiting_ends_at_its_deadline_with_what_was_seen_last():
    begun = time.monotonic()
    said = wait_green(
        Probe(tcp=f"127.0.0.1:{free_port()}"),
        connect_tcp,
        never,
        deadline=begun + 0.3,
        cancel=CancelToken(),
        interval=0.05,
    )
    assert not said[0]
    assert "connection refused" in said[1]
    assert 0.25 < time.monotonic() - begun < AT_ONCE_S


def test_waiting_ends_when_it_is_over():
    looks = []
    green, _ = wait_green(
        Probe(command="x"),
        connect_tcp,
        lambda command, _timeout: (bool(looks.append(command)), "no"),
        deadline=time.monotonic() + 60,
        cancel=CancelToken(),
        interval=0.01,
        over=lambda: len(looks) == 2,
    )
    assert not green
    assert len(looks) == 2


def test_a_cancel_ends_the_waiting_at_once():
    cancel = CancelToken()
    threading.Timer(0.1, cancel.cancel).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        wait_green(
            Probe(command="x"),
            connect_tcp,
            lambda _command, _timeout: (False, "no"),
            deadline=begun + 60,
            cancel=cancel,
            interval=30,
        )
    assert time.monotonic() - begun < AT_ONCE_S
