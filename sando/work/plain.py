"""Short commands that are not contained: git, and commands of nodes. What they leave in other sessions stays alive."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.cancel import CancelToken
from sando.work.environment import clean_env
from sando.work.failure import Refusal, cannot_open, cannot_start
from sando.work.log import OpLog, last_lines
from sando.work.relay import Apart
from sando.work.running import Exit

GRACE_S = 3.0
_LOOK_S = 0.25
"""How often what a command has said is passed on to its log."""
_TEXT_LIMIT = 16 * 2**20


def run_plain(
    argv: Sequence[str],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    log: OpLog | None,
    cancel: CancelToken,
    timeout: float,
    step: str,
) -> tuple[Exit, str]:
    """Run `argv` in a session of its own, stdin closed; the environment is `clean_env()` unless given.

    With a log both streams go there, and the text is the last of them (64 KiB at most). Without one the text is what it
    wrote to stdout (16 MiB at most), followed by stderr when it failed. On timeout and cancel its process group is
    killed: WorkError, Cancelled.
    """
    cancel.check()
    environ = dict(clean_env() if env is None else env)
    with _Output(log, step) as output:
        child = _start(argv, cwd, environ, output, step)
        late = _wait(child, cancel, timeout, output)
        cancel.check()
        if late:
            said = output.text(with_errors=True)
            raise WorkError(
                step, f"{step} timed out after {span(timeout)}; it was killed", tail=last_lines(said)
            )
        code = child.returncode
        ended = Exit(None if code < 0 else code, -code if code < 0 else None)
        return ended, output.text(with_errors=not ended.ok)


class _Output:
    """Where both streams go: two files, or one that is passed on to the log. Never a pipe: a service would keep it open."""

    def __init__(self, log: OpLog | None, step: str) -> None:
        self.apart: Apart | None = None
        self._files: list[IO[bytes]] = []
        self._open: list[int] = []
        try:
            if log:
                self.apart = Apart(log)
                self._open.append(self.apart.own.open())
            else:
                self._files += [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  (closed in __exit__)
        except OSError as error:
            raise cannot_open(step, log.path if log else "a temporary file", error) from error

    @property
    def fds(self) -> tuple[int, int]:
        fds = self._open or [f.fileno() for f in self._files]
        return fds[0], fds[-1]

    def text(self, *, with_errors: bool) -> str:
        if self.apart:
            return self.apart.text()
        return "".join(_head(f) for f in self._files[: 2 if with_errors else 1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open:
            os.close(fd)
        for file in self._files:
            file.close()
        if self.apart:
            self.apart.close()


def _head(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), _TEXT_LIMIT, 0).decode("utf-8", "replace")


def _start(
    argv: Sequence[str], cwd: str | Path | None, env: dict[str, str], output: _Output, step: str
) -> subprocess.Popen[bytes]:
    out, err = output.fds
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        in_cwd = cwd is not None and str(getattr(error, "filename", "")) == str(cwd)
        number = getattr(error, "errno", None) or 0
        where = "cwd" if in_cwd else "argv"
        raise cannot_start(
            step, Refusal(tuple(argv), str(cwd or "."), env, number, where, str(error))
        ) from error


class _Wake:
    """Makes a poll return from another thread; a late call finds it closed and does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __call__(self) -> None:
        with self._lock:
            if not self._closed:
                os.eventfd_write(self.fd, 1)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            os.close(self.fd)


def _wait(child: subprocess.Popen[bytes], cancel: CancelToken, timeout: float, output: _Output) -> bool:
    """Wait for the end of `child`, kill its group on cancel and timeout; True when it was the timeout.

    Event-driven: `Popen.wait(timeout)` would look up to twenty times a second. What is for a log is passed on meanwhile.
    """
    until = time.monotonic() + timeout
    wake = _Wake()
    unhook = cancel.on_cancel(wake)
    ended = os.pidfd_open(child.pid)
    over = False
    try:
        while not over and not cancel.cancelled and (left := until - time.monotonic()) > 0:
            over = _poll(ended, min(left, _LOOK_S) if output.apart else left, wake.fd)
            if output.apart:
                output.apart.pass_on()
        return not over and not cancel.cancelled
    finally:
        unhook()
        if not over:
            _end_group(child.pid, ended)
        child.wait()
        os.close(ended)
        wake.close()


def _poll(ended: int, seconds: float, wake: int | None = None) -> bool:
    """True once the child has ended, False when `wake` or the time came first."""
    poll = select.poll()
    for fd in (ended,) if wake is None else (ended, wake):
        poll.register(fd, select.POLLIN)
    until = time.monotonic() + seconds
    while not (events := poll.poll(max(0.0, min(3600.0, until - time.monotonic())) * 1000)):
        if time.monotonic() >= until:
            return False
    return any(fd == ended for fd, _ in events)


def _end_group(group: int, ended: int) -> None:
    # The leader is not reaped before the last signal: until then its number cannot belong to anybody else.
    for number, grace in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(OSError):
            os.killpg(group, number)
        if grace:
            _poll(ended, grace)
