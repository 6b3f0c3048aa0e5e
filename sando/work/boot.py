"""Starts an artifact on a free port, looks whether it serves, and ends it; nothing of it outlives the call."""

import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.names import visible
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.log import OpLog, read_log
from sando.work.probe import OpenTcp, wait_green
from sando.work.process import Exit, command_argv

TERM_GRACE_S = 10.0
_WATCH_S = 0.5  # what answers and falls over at once (its port was taken, and the owner answered) is red
_TAIL_LINES = 50


class Process(Protocol):
    """Something that was started: `Running` on this machine, `Remote` on another."""

    stuck: tuple[str, ...]

    def poll(self) -> Exit | None: ...
    def wait(self, seconds: float, /) -> Exit | None: ...
    def ask_end(self, grace: float, /) -> None: ...
    def end(self, grace: float, /) -> Exit: ...


class Starter(Protocol):
    def spawn(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], log: OpLog, step: str
    ) -> Process: ...


def boot(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    probe: Probe | None,
    settle_s: float,
    timeout_s: float,
    log: OpLog,
    starter: Starter,
    cancel: CancelToken,
    step: str = "boot_smoke",
    port: int | None = None,
    open_tcp: OpenTcp | None = None,
) -> Verdict:
    """Green: it answers `probe` (or lives on after `settle_s` without one), then ends within 10 s of SIGTERM.

    `starter` says where, `open_tcp` how it is reached there. `env` is its whole environment on this machine; `PORT` is
    added, and `{port}` in `argv` and `probe` stands for it.
    Raises Cancelled, and WorkError when it could not be started.
    """
    cancel.check()
    port = port or free_port()
    argv = [word.replace("{port}", str(port)) for word in argv]
    probe = probe and with_port(probe, port)
    log.say(f"{step}: start {' '.join(argv)} with PORT={port}")
    offset = log.size()
    running = starter.spawn(argv, cwd=cwd, env={**env, "PORT": str(port)}, log=log, step=step)
    trial = _Trial(
        running, starter, cwd, {**env, "PORT": str(port)}, log, cancel, step, open_tcp or connect_tcp
    )
    drop = cancel.on_cancel(lambda: running.ask_end(TERM_GRACE_S))
    try:
        verdict = _serves(trial, probe, settle_s, timeout_s) or _ends(
            trial, "served" if probe else "stayed up"
        )
    finally:
        drop()
        running.end(TERM_GRACE_S)
        log.trim()
    if running.stuck:
        raise WorkError(step, f"could not be killed: {', '.join(running.stuck)}", errored=True)
    cancel.check()
    log.say(f"{step}: {verdict.message}")
    return _with_output(verdict, log, offset, port)


def free_port() -> int:
    """A port of the loopback address that nobody listens on just now, chosen by the kernel."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def with_port(probe: Probe, port: int) -> Probe:
    """The probe with `{port}` replaced in whichever of its fields is set."""

    def fill(text: str) -> str:
        return text.replace("{port}", str(port))

    command = probe.command
    return Probe(
        http=probe.http and fill(probe.http),
        tcp=probe.tcp and fill(probe.tcp),
        command=fill(command) if isinstance(command, str) else command and tuple(fill(w) for w in command),
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    running: Process
    starter: Starter
    cwd: str
    env: Mapping[str, str]
    log: OpLog
    cancel: CancelToken
    step: str
    open_tcp: OpenTcp

    def ended(self) -> bool:
        return self.running.poll() is not None

    def ask(self, command: Command, timeout: float) -> tuple[bool, str]:
        """A probe command, contained like what it asks."""
        asked = self.starter.spawn(
            command_argv(command), cwd=self.cwd, env=self.env, log=self.log, step=self.step
        )
        ended = None
        try:
            ended = asked.wait(timeout)
        finally:
            if ended is None:  # also where the wait was broken off: nobody else knows of it
                asked.end(1.0)
        if ended is None:
            return False, f"the probe command did not end within {round(timeout, 1):g}s"
        return ended.ok, f"the probe command: {ended}"


def _serves(trial: _Trial, probe: Probe | None, settle_s: float, timeout_s: float) -> Verdict | None:
    """The red verdict, or None when it serves."""
    begun = time.monotonic()
    if probe is None:
        ended = trial.running.wait(settle_s)
        return _died(ended, f"after {span(settle_s)} it is to be alive") if ended else None
    green, said = wait_green(
        probe, trial.open_tcp, trial.ask, deadline=begun + timeout_s, cancel=trial.cancel, over=trial.ended
    )
    if green:
        ended = trial.running.wait(_WATCH_S)
        return _died(ended, f"after its probe was answered ({said})") if ended else None
    if ended := trial.running.poll():
        return _died(ended, f"before it answered ({said})")
    return Verdict(passed=False, message=f"never answered within {timeout_s:g}s: {said}")


def _died(ended: Exit, when: str) -> Verdict:
    hint = "; it has to stay in the foreground" if ended.ok else ""
    return Verdict(passed=False, message=f"ended by itself {when}: {ended}{hint}")


def _ends(trial: _Trial, did: str) -> Verdict:
    begun = time.monotonic()
    ended = trial.running.end(TERM_GRACE_S)
    took = time.monotonic() - begun
    if ended.signal == signal.SIGKILL or took >= TERM_GRACE_S:
        return Verdict(
            passed=False, message=f"{did}, but did not end within {TERM_GRACE_S:g}s of SIGTERM: killed"
        )
    return Verdict(
        passed=True, message=f"{did}, and ended {took:.1f}s after SIGTERM", facts={"end_s": round(took, 3)}
    )


def connect_tcp(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


def _with_output(verdict: Verdict, log: OpLog, offset: int, port: int) -> Verdict:
    if verdict.passed:
        return Verdict(passed=True, message=verdict.message, facts={**verdict.facts, "port": port})
    data, _ = read_log(log.path, max(offset, log.size() - 2**16), 2**16)
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if not line.startswith("sando: ")]
    said = next((visible(line.strip()) for line in reversed(lines) if line.strip()), "")
    facts: dict[str, object] = {"port": port, "tail": "\n".join(lines[-_TAIL_LINES:])}
    message = f"{verdict.message}; it said: {said}" if said else verdict.message
    return Verdict(passed=False, message=message, facts=facts)
