"""Starts an artifact on a free port, looks whether it serves, and ends it; nothing of it outlives the call."""

import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.names import visible
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.environment import called
from sando.work.failure import cannot_open
from sando.work.log import OpLog, said_since
from sando.work.probe import OpenTcp, wait_green
from sando.work.process import Exit, command_argv
from sando.work.relay import Apart

TERM_GRACE_S = 10.0
_WATCH_S = 0.5  # what answers and falls over at once (its port was taken, and the owner answered) is red
_LOOK_S = 0.25
"""How often what it has said is passed on to the log while nobody asks it anything."""


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
    Raises Cancelled, and WorkError when it could not be started, or had no room.
    """
    cancel.check()
    port = port or free_port()
    argv = [word.replace("{port}", str(port)) for word in argv]
    probe = probe and with_port(probe, port)
    log.say(f"{step}: start {' '.join(argv)} with PORT={port}")
    env = {**env, "PORT": str(port)}
    try:
        apart = Apart(log)
    except OSError as error:
        raise cannot_open(step, log.path, error) from error
    with closing(apart):
        running = starter.spawn(argv, cwd=cwd, env=env, log=apart.own, step=step)
        trial = _Trial(running, starter, cwd, env, apart, cancel, step, open_tcp or connect_tcp)
        verdict = _judge(trial, probe, settle_s, timeout_s)
        said = said_since(apart.own.path, 0)
    cancel.check()
    log.say(f"{step}: {verdict.message}")
    verdict = _with_output(verdict, called(tuple(argv)), said, port)
    if (ended := running.poll()) and ended.full:
        raise WorkError(step, verdict.message, errored=True, tail=said)
    return verdict


def _judge(trial: "_Trial", probe: Probe | None, settle_s: float, timeout_s: float) -> Verdict:
    running = trial.running
    drop = trial.cancel.on_cancel(lambda: running.ask_end(TERM_GRACE_S))
    try:
        red = _serves(trial, probe, settle_s, timeout_s)
        verdict = red or _ends(trial, "served" if probe else "stayed up")
    finally:
        drop()
        running.end(TERM_GRACE_S)
    if running.stuck:
        raise WorkError(trial.step, f"could not be killed: {', '.join(running.stuck)}", errored=True)
    return verdict


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
    apart: Apart
    """Nodes boot at once on one log: each has to know what its own has said."""
    cancel: CancelToken
    step: str
    open_tcp: OpenTcp

    def ended(self) -> bool:
        self.apart.pass_on()
        return self.running.poll() is not None

    def wait(self, seconds: float) -> Exit | None:
        until = time.monotonic() + seconds
        while (ended := self.running.wait(min(_LOOK_S, max(0.0, until - time.monotonic())))) is None:
            self.apart.pass_on()
            if time.monotonic() >= until:
                break
        return ended

    def ask(self, command: Command, timeout: float) -> tuple[bool, str]:
        """A probe command, contained like what it asks."""
        asked = self.starter.spawn(
            command_argv(command), cwd=self.cwd, env=self.env, log=self.apart.own, step=self.step
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
        ended = trial.wait(settle_s)
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


def _with_output(verdict: Verdict, name: str, text: str, port: int) -> Verdict:
    if verdict.passed:
        return Verdict(passed=True, message=verdict.message, facts={**verdict.facts, "port": port})
    said = next((visible(line.strip()) for line in reversed(text.splitlines()) if line.strip()), "")
    message = f"{name} {verdict.message}" + (f"; it said: {said}" if said else "")
    return Verdict(passed=False, message=message, facts={"port": port, "tail": text})
