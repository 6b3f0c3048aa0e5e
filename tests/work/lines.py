"""Lines to the sshd's of the tests: with a key and a known_hosts of theirs, and what has to be gone when they are closed."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from sando.model.errors import WorkError
from sando.model.target import target_of
from sando.model.topology import Command
from sando.work.cancel import CancelToken
from sando.work.hosts.ssh.calls import Calls
from sando.work.hosts.ssh.commands import run_on
from sando.work.hosts.ssh.keys import Keys
from sando.work.hosts.ssh.line import Line
from sando.work.hosts.ssh.trust import Trust
from sando.work.process import Exit
from tests.work.sshds import Sshd
from tests.work.wild import until

FREE = CancelToken()  # nobody cancels it


def line_to(
    node: Sshd,
    root: Path | str = "/nowhere",
    *,
    port: int | None = None,
    identity: Path | None = None,
    known_hosts: Path | None = None,
    declared: bool = True,
) -> Line:
    """`declared` False: neither key nor known_hosts is named, so that sandod's user's own are used."""
    target = target_of(node.through(port) if port else node.target)
    if not declared:
        return Line(target, str(root), Keys(target, None), Trust(target, None))
    keys = Keys(target, str(identity or node.identity))
    return Line(target, str(root), keys, Trust(target, str(known_hosts or node.known_hosts)))


def says(line: Line, *call: object) -> str:
    """What a call of the node's shell said, on a line that is closed afterwards."""
    try:
        return Calls(line, FREE).ask(*(call or ("echo", "hello"))).said
    finally:
        line.close()


def refused(line: Line, cancel: CancelToken = FREE, mend: Callable[[], None] = lambda: None) -> str:
    """Why the line could not be opened; nothing of the attempt is left, once a wire has let go of it (`mend`)."""
    before = held()
    with pytest.raises(WorkError) as caught:
        line.open(cancel)
    assert caught.value.errored
    assert caught.value.step == "connect"
    assert caught.value.detail.startswith(f"{line.target}: ")
    assert not line.is_open
    mend()
    until(lambda: held() <= before)
    return caught.value.detail


def held() -> tuple[int, int]:
    """How many threads and descriptors this process has."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def fingerprint(public: str) -> str:
    """As ssh-keygen tells it."""
    told = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=public, capture_output=True, text=True, check=True
    )
    return told.stdout.split()[1]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@contextmanager
def agent(folder: Path, *keys: Path, passphrase: str = "", words: tuple[str, ...] = ()) -> Iterator[Path]:
    """A real ssh-agent that has these keys; yields its socket. `words` are options of ssh-add."""
    path = folder / "agent.sock"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: _listens(path))
            ask = folder / "askpass"
            ask.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
            ask.chmod(0o755)
            env: dict[str, Any] = {
                **os.environ, "SSH_AUTH_SOCK": str(path), "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force",
            }  # fmt: skip
            for key in keys:
                subprocess.run(
                    ["ssh-add", "-q", *words, str(key)], env=env, check=True, stdin=subprocess.DEVNULL
                )
            yield path
        finally:
            process.terminate()
            process.wait(10)


def run(line: Line, command: Command, cwd: Path | str = "/", **keys: Any) -> tuple[Exit, str]:
    """A command on the node, whose root is there."""
    words: dict[str, Any] = {
        "env": {"A": "b"},
        "log": None,
        "cancel": FREE,
        "timeout": 20.0,
        "step": "restart",
    }
    return run_on(line, command, cwd=str(cwd), **{**words, **keys})


def failing(line: Line, command: Command, cwd: Path | str = "/", **keys: Any) -> WorkError:
    with pytest.raises(WorkError) as caught:
        run(line, command, cwd, **keys)
    return caught.value


class Background:
    """A call in another thread, joined at the end; `result` or `error` is what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Exception as error:  # noqa: BLE001  (it is the test's to judge)
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()
