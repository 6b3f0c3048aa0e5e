"""One git process, run to its end in an environment of its own; it never reads a config but the repository's."""

import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import killpg

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
    with _start(argv, cwd, clean_env({}) if env is None else env) as child:
        end = _End(child)
        drop = cancel.on_cancel(end.begin) if cancel else None
        try:
            out, err = child.communicate(timeout=SLOW_S if cancel else QUICK_S)
        except subprocess.TimeoutExpired:
            raise WorkError("git", f"`git {_verb(argv)}` hangs and was stopped", errored=True) from None
        finally:
            if drop:
                drop()
            end.finish()
    if cancel:
        cancel.check()
    return Answer(child.returncode, out, err.decode("utf-8", "replace"))


def must(answer: Answer, step: str, what: str) -> Answer:
    """The answer of a git that succeeded; else WorkError (errored) with the last line that it said."""
    if not answer.ok:
        said = answer.err.strip() or f"git ended with exit status {answer.code}"
        raise WorkError(step, f"cannot {what}: {visible(said.splitlines()[-1])}", errored=True, tail=said)
    return answer


class _End:
    """SIGTERM first, so that git removes its locks; SIGKILL when that does not help."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        self._kill(signal.SIGTERM)
        self._timer = threading.Timer(GRACE_S, self._kill, (signal.SIGKILL,))
        self._timer.daemon = True
        self._timer.start()

    def finish(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._kill(signal.SIGKILL)

    def _kill(self, number: signal.Signals) -> None:
        if self._child.returncode is None:  # not reaped: the group's number is still its own
            with suppress(ProcessLookupError):
                killpg(self._child.pid, number)


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
