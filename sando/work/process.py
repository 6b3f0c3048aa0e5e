"""Runs contained commands (builds, gates, fetches): nothing of one outlives it. It never sweeps the daemon's children."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.work.account import Account
from sando.work.cancel import CancelToken
from sando.work.environment import clean_env, command_argv
from sando.work.failure import Refusal, cannot_open, cannot_start
from sando.work.log import OpLog, said_since
from sando.work.plain import run_plain
from sando.work.running import Exit, Running
from sando.work.spawner import serve

__all__ = ["Exit", "Keepers", "Running", "clean_env", "command_argv", "run_plain"]

_ROOT = Path(__file__).resolve().parents[2]
_FRESH = """import sys
sys.path.insert(0, sys.argv[1])
from sando.work.spawner import serve
serve(int(sys.argv[2]))"""
_BEGIN_S = 30.0
_CLOSE_S = 40.0
_TICK_S = 0.25
_OVERDUE_GRACE_S = 3.0
"""What had all its time is given no ten seconds more to end."""
_FAST_TICK_S = 0.02


class _Spawner:
    """The daemon's end of one spawner process."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock = sock
        self.pid = pid

    @classmethod
    def fork(cls) -> "_Spawner":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            serve(theirs.fileno())
        theirs.close()
        return cls(ours, pid)

    @classmethod
    def fresh(cls) -> "_Spawner":
        """A Python of its own (20 ms): where threads run already, a fork could copy a lock that nobody frees."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-I", "-S", "-c", _FRESH, str(_ROOT), str(theirs.fileno())]
        with theirs:
            child = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env={}, start_new_session=True)
        child.returncode = 0  # reaped by `end`
        return cls(ours, child.pid)

    def keeper(self) -> socket.socket:
        """The daemon's end of a keeper that waits for its job. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self.sock, [b"job"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def end(self, seconds: float) -> None:
        """Let it bury its keepers and wait for its own end."""
        self.sock.close()
        until = time.monotonic() + seconds
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self.pid, os.WNOHANG)[0] == 0 and time.monotonic() < until:
                time.sleep(0.002)


class Keepers:
    """Where contained commands are started. Thread-safe.

    `start` belongs before the program's first thread, and before its large imports: the spawner is a fork of what
    the program is then.
    """

    def __init__(self, spawner: _Spawner) -> None:
        self._lock = threading.Lock()
        self._spawner = spawner
        self._spare: socket.socket | None = None
        self._running: set[Running] = set()
        self._closed = False

    @classmethod
    def start(cls) -> "Keepers":
        return cls(_Spawner.fork() if threading.active_count() == 1 else _Spawner.fresh())

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str],
        log: OpLog,
        step: str,
        stdin: int | None = None,
        folder: str | Path | None = None,
        account: Account | None = None,
        alone: bool = False,
    ) -> Running:
        """Start a command and return while it runs; the caller ends it. WorkError when it cannot be started.

        It reads `stdin`, a descriptor that stays the caller's, in place of nothing. `{folder}` in `argv` and `env` stands
        for a path to `folder` that also `account` can use, whoever owns the folders above it. `alone`: the command can
        start no process, unless it is root's.
        """
        request: dict[str, object] = {"argv": list(argv), "cwd": str(cwd), "env": dict(env), "alone": alone}
        if folder is not None:
            request["folder"] = str(folder)
        if account is not None:
            request["account"] = account._asdict()
        running = self._hand_over(request, log, step, stdin)
        answer = running.begun(_BEGIN_S)
        self._make_spare()
        if running.pid:
            return running
        running.close()
        where = answer.get("where", "fork")
        text = answer.get("text") or answer.get("lost", "")
        why = Refusal(tuple(argv), str(cwd), env, answer.get("errno", 0), where, text)
        raise cannot_start(step, why)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path,
        env: Mapping[str, str],
        log: OpLog,
        cancel: CancelToken,
        step: str,
        timeout: float,
        name: str = "",
        idle_timeout: float | None = None,
        grace: float = 10.0,
    ) -> Exit:
        """Run a command to its end, all times in seconds; nothing of its tree is alive when this returns or raises.

        Cancelled after a cancel; WorkError after a timeout or a silence, and (errored) where it could not start. It is
        called `name` there (its step without one), and told with what it wrote itself.
        """
        cancel.check()
        name, start = name or step, log.size()
        job = self.spawn(argv, cwd=cwd, env=env, log=log, step=step)
        unhook = cancel.on_cancel(lambda: job.ask_end(grace))
        try:
            watch = _Watch(log, timeout, idle_timeout)
            ended = _until_end(job, watch, cancel, grace)
        except BaseException:  # whatever it was, the tree does not outlive its owner
            job.ask_end(0.0)
            raise
        finally:
            unhook()
            log.trim()
        if job.stuck:
            stuck = f"{name} could not be killed: {', '.join(job.stuck)}"
            raise WorkError(step, stuck, errored=True, tail=said_since(log.path, start))
        cancel.check()
        if watch.why:
            raise WorkError(step, f"{name} {watch.why}", tail=said_since(log.path, start))
        return ended

    def close(self) -> None:
        """End all that runs, without grace; nothing is started afterwards."""
        with self._lock:
            closed, self._closed = self._closed, True
            running = tuple(self._running)
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()
        for job in running:
            job.ask_end(0.0)
        if not closed:
            self._spawner.end(_CLOSE_S)

    def _hand_over(
        self, request: dict[str, object], log: OpLog, step: str, stdin: int | None = None
    ) -> Running:
        try:
            output = log.open()
        except OSError as error:
            raise cannot_open(step, log.path, error) from error
        try:
            running = Running(self._take(step), step, log, self._drop)
            with self._lock:
                self._running.add(running)
            running.hand_over(request, output, *(() if stdin is None else (stdin,)))
        except OSError as error:
            raise WorkError(step, f"no process to be had: {error}", errored=True) from error
        finally:
            os.close(output)
        return running

    def _take(self, step: str) -> socket.socket:
        """The keeper that was forked ahead of time, or a new one.

        It costs a push the fork of a Python, which is most of what a start takes.
        """
        with self._lock:
            if self._closed:
                raise WorkError(step, "sandod is stopping: nothing is started any more", errored=True)
            taken, self._spare = self._spare, None
            if taken is None or _hung_up(taken):
                taken = self._keeper()
            return taken

    def _make_spare(self) -> None:
        """For the next start; only now, since its fork would take the time of the one just asked for."""
        with self._lock, contextlib.suppress(OSError):
            if self._spare is None and not self._closed:
                self._spare = self._keeper()

    def _keeper(self) -> socket.socket:
        try:
            return self._spawner.keeper()
        except (BrokenPipeError, ConnectionResetError):  # somebody killed it; its keepers live on
            self._spawner.end(0.0)
            self._spawner = _Spawner.fresh()
            return self._spawner.keeper()

    def _drop(self, running: Running) -> None:
        with self._lock:
            self._running.discard(running)


def _hung_up(sock: socket.socket) -> bool:
    """Whether a waiting keeper is gone: it says nothing before it has a job, so there is nothing to read but its end."""
    poll = select.poll()  # select() cannot look at a descriptor above 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _Watch:
    """The limits of one run: total time, silence, size of the log. `why` says which of the times was over."""

    def __init__(self, log: OpLog, timeout: float, idle_timeout: float | None) -> None:
        self.why = ""
        self._log = log
        self._timeout = timeout
        self._idle = idle_timeout
        self._until = time.monotonic() + timeout
        self._size = log.size()
        self._grown_at = time.monotonic()
        self._fast = False

    def tick(self) -> float:
        """Seconds to wait until the next look: a log that grows fast is looked at more often."""
        left = self._until - time.monotonic()
        if self._idle is not None:
            left = min(left, self._grown_at + self._idle - time.monotonic())
        return max(0.0, min(left, _FAST_TICK_S if self._fast else _TICK_S))

    def over(self) -> bool:
        now, size = time.monotonic(), self._log.size()
        if size != self._size:
            self._fast = size - self._size > self._log.cap // 16
            self._size, self._grown_at = size, now
            self._log.trim()
        if now >= self._until:
            self.why = f"timed out after {span(self._timeout)}; it and all that it started were killed"
        elif self._idle is not None and now - self._grown_at >= self._idle:
            self.why = f"gave no output for {span(self._idle)}; it and all that it started were killed"
        return bool(self.why)


def _until_end(job: Running, watch: _Watch, cancel: CancelToken, grace: float) -> Exit:
    try:
        while (ended := job.wait(watch.tick())) is None:
            if cancel.cancelled:
                return job.end(grace)
            if watch.over():
                return job.end(min(grace, _OVERDUE_GRACE_S))
    except WorkError:
        cancel.check()
        raise
    return ended
