"""node.sh under every shell that a node may have for /bin/sh, called as its callers call it, without a connection."""

import subprocess
import threading
import time

import pytest

from sando.work.cancel import CancelToken
from sando.work.hosts.script import NODE_SH, quoted, words
from sando.work.hosts.ssh.shell import Feed, Shell

SHELLS = {
    "dash": ("dash",),
    "bash": ("bash",),
    "bash --posix": ("bash", "--posix"),
    "busybox sh": ("busybox", "sh"),
}


class Piped:
    """What a `Shell` needs of a channel, with a process of this machine at its other end."""

    def __init__(self, argv):
        self._argv = argv
        self._heard = b""
        self._lock = threading.Lock()
        self.eof_received = self.closed = False
        self.in_buffer = self

    def set_combine_stderr(self, _combine):
        """They are one from the start."""

    def set_event(self, event):
        self._stir = event
        threading.Thread(target=self._listen).start()

    def exec_command(self, _command):
        self.process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )

    def _listen(self):
        while data := self.process.stdout.read(2**16):
            with self._lock:
                self._heard += data
            self._stir.set()
        self.eof_received = True
        self._stir.set()

    def settimeout(self, _seconds):
        """A pipe takes what it is given."""

    def send(self, data):
        return self.process.stdin.write(data)

    def recv_ready(self):
        return bool(self._heard)

    def recv(self, _size):
        with self._lock:
            heard, self._heard = self._heard, b""
        return heard

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

    drop = close

    def unsent(self):
        return 0


@pytest.fixture(params=SHELLS)
def argv(request):
    return SHELLS[request.param]


@pytest.fixture
def shell(argv, tmp_path):
    """A shell that stays open, as one on a node does."""
    channel = Piped(argv)
    shell = Shell(channel, channel)
    shell.begin(f"root={quoted(str(tmp_path / 'node'))}\n{NODE_SH}", soon(), CancelToken())
    yield shell
    channel.close()


def soon():
    return time.monotonic() + 10


def test_a_call_that_takes_a_stream_gets_all_of_it_and_nothing_else(shell, tmp_path):
    data = memoryview(b"bytes of a list\0" * 1000)
    call = words("take_list", "1.0", len(data))
    assert shell.feed(call, soon(), CancelToken(), Feed(data, 10)).ok
    assert (tmp_path / "node/.sando/lists/1.0").read_bytes() == data
    assert shell.call("echo still here", soon(), CancelToken()).said == "still here"
