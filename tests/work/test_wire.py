"""The wire of the tests does what it is told, at once, to live connections too."""

import socket
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from tests.ports import free_port
from tests.work import sshds
from tests.work.wild import until
from tests.work.wire import Wire

sshd = sshds.sshd
MEGABYTE = 1024 * 1024


class Echo:
    """A server that sends back what it hears, and says how much that was."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
                self._threads[-1].start()

    def _serve(self, peer):
        with peer, suppress(OSError):
            while data := peer.recv(65536):
                self.heard += len(data)
                peer.sendall(data)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def wire(echo):
    with Wire("127.0.0.1", echo.port) as wire:
        yield wire


def dial(wire):
    return socket.create_connection((wire.host, wire.port), 10)


def say(sock, data):
    """Send, and hear the same."""
    sock.sendall(data)
    heard = b""
    while len(heard) < len(data):
        more = sock.recv(65536)
        assert more, "closed"
        heard += more
    return heard == data


def silent(sock, seconds=0.1):
    timeout = sock.gettimeout()
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(timeout)
    return False


# -- as it is ------------------------------------------------------------------------------------------------


def test_everything_passes_and_is_counted(wire):
    data = bytes(range(256)) * 40
    with dial(wire) as one, dial(wire) as two:
        assert say(one, data)
        assert say(two, data)
        assert (wire.connections, wire.accepted, wire.sent) == (2, 2, 2 * len(data))
        wire.reset()
        assert say(one, b"more")
        assert (wire.accepted, wire.sent) == (0, 4)
    until(lambda: wire.connections == 0)


def test_the_end_of_one_side_passes_after_all_that_it_said(wire):
    with dial(wire) as sock:
        sock.sendall(b"x" * MEGABYTE)
        sock.shutdown(socket.SHUT_WR)
        size = 0
        while data := sock.recv(65536):
            size += len(data)
    assert size == MEGABYTE
    until(lambda: wire.connections == 0)


def greeting(wire):
    with dial(wire) as sock:
        return sock.recv(1)


def test_a_node_that_refuses_is_a_connection_that_ends():
    with Wire("127.0.0.1", free_port()) as wire:
        with pytest.raises(ConnectionResetError):
            greeting(wire)
        assert wire.connections == 0


def test_a_closed_wire_has_no_thread_and_no_listener(echo):
    wire = Wire("127.0.0.1", echo.port)
    with dial(wire) as sock:
        say(sock, b"hello")
        wire.close()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        dial(wire)
    assert f"wire-{wire.port}" not in [thread.name for thread in threading.enumerate()]
    wire.close()


# -- faults --------------------------------------------------------------------------------------------------


def test_a_cut_ends_live_connections_and_takes_new_ones(wire):
    with dial(wire) as old:
        say(old, b"hello")
        wire.cut()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with dial(wire) as new:
        assert say(new, b"hello")


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_a_cut_comes_after_so_many_bytes_and_once(wire, echo, size):
    with dial(wire) as sock:
        say(sock, b"before")
        wire.reset()
        wire.cut_after(size)
        with pytest.raises(ConnectionError):
            sock.sendall(b"x" * 20 * MEGABYTE)
    assert wire.sent == size
    until(lambda: echo.heard == len(b"before") + size)
    with dial(wire) as sock:
        assert say(sock, b"y" * (size + 1))


def test_in_a_black_hole_nothing_passes_and_nothing_ends_until_it_heals(wire):
    with dial(wire) as old:
        say(old, b"hello")
        wire.black_hole()
        with dial(wire) as new:
            old.sendall(b"old")
            new.sendall(b"new")
            assert silent(old)
            assert silent(new)
            assert (wire.sent, wire.connections) == (5, 2)
            wire.heal()
            assert (old.recv(3), new.recv(3)) == (b"old", b"new")


def test_a_connection_that_a_black_hole_swallowed_can_be_cut(wire):
    wire.black_hole()
    with dial(wire) as sock:
        sock.sendall(b"lost")
        until(lambda: wire.connections == 1)
        wire.cut()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    wire.heal()
    with dial(wire) as sock:
        assert say(sock, b"hello")


def test_a_black_hole_opens_after_so_many_bytes(wire, echo):
    with dial(wire) as sock:
        wire.black_hole_after(1000)
        sock.sendall(b"x" * 4000)
        until(lambda: echo.heard == 1000)
        assert silent(sock)
        wire.heal()
        until(lambda: echo.heard == 4000)


def test_a_wire_that_refuses_keeps_what_is_live(wire):
    with dial(wire) as old:
        say(old, b"hello")
        wire.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(wire)
        assert say(old, b"still")
    wire.heal()
    with dial(wire) as new:
        assert say(new, b"hello")


def test_a_slow_wire_is_slow_until_it_heals(wire, echo):
    with dial(wire) as sock:
        wire.slow(10_000)
        begun = time.monotonic()
        assert say(sock, b"x" * 4_000)
        assert time.monotonic() - begun > 0.2
        wire.slow(10)
        sock.sendall(b"x" * 4_000)
        until(lambda: echo.heard > 4_000)
        assert echo.heard < 4_100
        wire.heal()
        until(lambda: echo.heard == 8_000)


# -- with ssh ------------------------------------------------------------------------------------------------


def test_ssh_goes_through_a_wire_with_its_host_key_known(sshd):
    node = sshd("127.0.0.2")
    with Wire(node.host, node.port) as wire:
        assert node.through(wire.port) == f"{node.user}@127.0.0.2:{wire.port}"
        assert node.run("echo through", port=wire.port).stdout == "through\n"
        assert wire.accepted == 1
        assert wire.sent > 1000


def test_an_upload_is_cut_after_so_many_bytes(sshd, tmp_path):
    node = sshd()
    with Wire(node.host, node.port) as wire:
        node.through(wire.port)
        argv = node.argv(f"exec > {tmp_path}/got; echo ready >&2; exec cat", port=wire.port)
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as client:
            assert client.stderr.readline() == b"ready\n"
            wire.reset()
            wire.cut_after(MEGABYTE)
            client.communicate(b"x" * 3 * MEGABYTE, timeout=20)
        assert client.returncode == 255
        assert wire.sent == MEGABYTE
    until(lambda: node.left() == [])
    assert (tmp_path / "got").stat().st_size < MEGABYTE


def test_a_command_hangs_in_a_black_hole_and_ends_after_it(sshd):
    node = sshd()
    with Wire(node.host, node.port) as wire:
        node.through(wire.port)
        with subprocess.Popen(
            node.argv("cat", port=wire.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client:
            client.stdin.write(b"1\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"1\n"
            wire.black_hole()
            with pytest.raises(subprocess.TimeoutExpired):
                client.communicate(b"2\n", timeout=0.2)
            assert node.sessions() == 1
            wire.heal()
            assert client.communicate(timeout=10)[0] == b"2\n"
