"""One git process, run to its end in an environment of its own; it never reads a config but the repository's."""

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import killpg

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.names import visible
from sando.work import commands
from sando.work.cancel import CancelToken
from sando.work.process import clean_env

QUICK_S = 30.0
SLOW_S = 1800.0
GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def git(
    argv: list[str],
    *,
    cwd: str = "/",
    env: Mapping[str, str] | None = None,
    cancel: CancelToken | None = None,
) -> Answer:
    """Run git; a cancel or the deadline ends it and what it started. Raises Cancelled, WorkError (errored)."""
    if cancel:
        cancel.check()
    limit = SLOW_S if cancel else QUICK_S
    with _start(argv, cwd, clean_env({}) if env is None else env) as child:
        end = _End(child, limit)
        drop = cancel.on_cancel(end.begin) if cancel else None
        try:
            out, err = child.communicate()  # with a timeout of its own it would look for the end by sleeping
        finally:
            if drop:
                drop()
            end.finish()
    if cancel:
        cancel.check()
    if end.late:
        raise WorkError(
            "git", f"`git {_verb(argv)}` took more than {span(limit)} and was stopped", errored=True
        )
    return Answer(child.returncode, out, err.decode("utf-8", "replace"))


def must(answer: Answer, step: str, what: str) -> Answer:
    """The answer of a git that succeeded; else WorkError (errored) with the last line that it said."""
    if not answer.ok:
        said = answer.err.strip() or f"git ended with exit status {answer.code}"
        raise WorkError(step, f"cannot {what}: {visible(said.splitlines()[-1])}", errored=True, tail=said)
    return answer


class _End:
    """SIGTERM first, so that git removes its locks; SIGKILL when that does not help. Begun at the latest by time."""

    def __init__(self, child: subprocess.Popen[bytes], limit: float) -> None:
        self.late = False
        self._child = child
        self._timers = [self._later(limit, self._out_of_time)]

    def begin(self) -> None:
        self._kill(signal.SIGTERM)
        self._timers.append(self._later(GRACE_S, lambda: self._kill(signal.SIGKILL)))

    def finish(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._kill(signal.SIGKILL)

    def _out_of_time(self) -> None:
        self.late = True
        self.begin()

    def _kill(self, number: signal.Signals) -> None:
        if self._child.returncode is None:  # not reaped: the group's number is still its own
            with suppress(ProcessLookupError):
                killpg(self._child.pid, number)

    def _later(self, seconds: float, act: Callable[[], None]) -> threading.Timer:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
        return timer


def _start(argv: list[str], cwd: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=commands.git_env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise WorkError("git", f"cannot run git in {cwd}: {error.strerror}", errored=True) from error


def _verb(argv: list[str]) -> str:
    return next(word for word in argv[len(commands.SAFE) :] if not word.startswith("-"))
