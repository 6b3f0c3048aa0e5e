"""A task at its node: the node's commands with their environment, its probe, and the lines of the operation's log."""

import time
from dataclasses import dataclass
from functools import partial

from sando.model.clock import span
from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.task import NodeTask
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.hosts.base import Host, release_path
from sando.work.log import OpLog, last_lines
from sando.work.probe import LOOK_S, look, wait_green
from sando.work.process import Exit, Keepers

PROBE_S = 30.0  # how long a service may take from its restart to its first green


@dataclass(frozen=True, slots=True)
class Post:
    """One step's surroundings."""

    task: NodeTask
    host: Host
    keepers: Keepers
    cancel: CancelToken
    log: OpLog

    def say(self, text: str) -> None:
        self.log.say(f"{self.task.node.name}: {text}")

    def env(self, version: str, previous: str | None) -> dict[str, str]:
        """What SPEC 6 promises to every command on a node, beside the clean environment."""
        return {
            "SANDO_TIER": self.task.tier,
            "SANDO_NODE": self.task.node.name,
            "SANDO_VERSION": version,
            "SANDO_PREVIOUS": previous or "",
            "SANDO_RELEASE": release_path(self.host, version),
        }

    def command(self, name: str, command: Command, version: str, previous: str | None) -> str:
        """Run a command of the node in a release's folder: its last lines. WorkError with them when it does not succeed."""
        self.say(f"{name}: {shown(command)}")
        ended, text = self.host.run(
            command,
            cwd=release_path(self.host, version),
            env=self.env(version, previous),
            log=self.log,
            cancel=self.cancel,
            timeout=self.task.timeout_s,
            step=name,
        )
        if not ended.ok:
            raise WorkError(name, ended.of(name), tail=last_lines(text))
        return last_lines(text)

    def look(self, probe: Probe, version: str) -> tuple[bool, str]:
        """One look at the node's probe."""
        return look(probe, self.host.open_tcp, partial(self._ask, version), LOOK_S)

    def until_green(self, probe: Probe, version: str, seconds: float, restarted: str = "") -> str:
        """Wait for the probe's first green and answer what it said. WorkError when it stays red.

        `restarted` is what the command before it said: most likely it says why.
        """
        green, said = wait_green(
            probe,
            self.host.open_tcp,
            partial(self._ask, version),
            deadline=time.monotonic() + seconds,
            cancel=self.cancel,
        )
        if not green:
            why = f"the probe stayed red for {span(seconds)}: {said}"
            raise WorkError("probe", why, tail=restarted)
        self.say(f"probe green: {said}")
        return said

    def hold(self, probe: Probe, version: str, seconds: float) -> str:
        """Watch the probe; two red looks one after the other are a failure, a single one is not."""
        pause, until, reds = min(1.0, seconds / 5), time.monotonic() + seconds, 0
        while True:
            green, said = self.look(probe, version)
            reds = 0 if green else reds + 1
            if reds > 1:
                raise WorkError("hold", f"the probe turned red while it was watched: {said}")
            if green and time.monotonic() >= until:
                return said
            self.cancel.wait(pause)
            self.cancel.check()

    def _ask(self, version: str, command: Command, timeout: float) -> tuple[bool, str]:
        """A probe's command: its output is not the operation's, only what it said last is told."""
        try:
            ended, text = self.host.run(
                command,
                cwd=release_path(self.host, version),
                env=self.env(
                    version, self.task.previous if version == self.task.version else self.task.version
                ),
                log=None,
                cancel=self.cancel,
                timeout=timeout,
                step="probe",
            )
        except WorkError as error:
            return False, f"{shown(command)}: {error.detail}"
        return judged(command, ended, text)


def judged(command: Command, ended: Exit, text: str) -> tuple[bool, str]:
    """A probe's command that ended: green or red, and the sentence that says why."""
    last = next((visible(line.strip()) for line in reversed(text.splitlines()) if line.strip()), "")
    return ended.ok, ": ".join(filter(None, [shown(command), "green" if ended.ok else str(ended), last]))


def shown(command: Command) -> str:
    return visible(command if isinstance(command, str) else " ".join(command))
